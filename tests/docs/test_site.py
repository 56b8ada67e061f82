"""The documents as a site: every link leads somewhere, every page is in the navigation, what is generated is fresh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts import document_api, document_cli

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    mkdocs = Path(sys.executable).with_name("mkdocs")
    argv = [str(mkdocs), "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)  # noqa: S603
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "site/tutorial.html").read_text()
    assert "fonts.googleapis" not in page


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if f"- {page}\n" not in listed} == set()


def test_the_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs/reference/api.md").read_text() == document_api.document()
    assert (ROOT / "docs/reference/cli.md").read_text() == document_cli.document()
