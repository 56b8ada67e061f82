"""What the documents say about the code is true."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

from scripts.document_settings import document

ROOT = Path(__file__).parents[2]


def test_every_setting_is_documented_as_it_is() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == document()


def test_every_dependency_is_justified() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = setup["options"]["install_requires"].splitlines() + setup["options.extras_require"]["test"].splitlines()
    for extra in ("docs", "mcp", "langgraph", "langchain", "openai-agents"):
        required += setup["options.extras_require"][extra].splitlines()
    names = {re.split(r"[<>=;\[ ]", line.strip())[0] for line in required if line.strip() and "#" not in line}
    page = (ROOT / "docs/dependencies.md").read_text()
    assert {name for name in names if not re.search(rf"\b{re.escape(name)}\b", page)} == set()


def test_every_field_of_every_index_is_described() -> None:
    page = (ROOT / "index_templates/README.md").read_text()
    described = set(re.findall(r"`([a-z_]+)`", page))
    for file in (ROOT / "index_templates").glob("*.json"):
        mappings = json.loads(file.read_text())["template"].get("mappings", {})
        assert set(mappings.get("properties", {})) - described == set(), file.name


def test_every_decision_is_listed() -> None:
    page = (ROOT / "docs/decisions/README.md").read_text()
    for file in (ROOT / "docs/decisions").glob("0*.md"):
        assert file.name in page
