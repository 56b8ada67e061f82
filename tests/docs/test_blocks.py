"""Every code block of the README and the documents is run, or says why not.

A page's blocks of one language are one program, in the order in which they stand. A `text` block is what Python prints.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.main import BASE_PATH
from tests.client import Client

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TIMEOUT_S = 120
_BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?^( *)```(\w+)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
_SHOWN_ADDRESS = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    exempt: bool


def blocks(page: Path) -> list[Block]:
    return [
        Block(language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE), bool(reason))
        for reason, indent, language, text in _BLOCK.findall(page.read_text())
    ]


RUN = {
    (page, language): [each for each in blocks(page) if each.language == language and not each.exempt]
    for page in PAGES
    for language in ("sh", "python")
}


def test_what_is_no_program_is_of_a_known_language() -> None:
    assert {block.language for page in PAGES for block in blocks(page)} <= {"sh", "python", "text", "json"}


@pytest.mark.parametrize(
    ("page", "language"), [(page, kind) for (page, kind), found in RUN.items() if found],
    ids=[f"{page.relative_to(ROOT)}-{kind}" for (page, kind), found in RUN.items() if found],
)  # fmt: skip
async def test_blocks_do_what_they_say(
    page: Path, language: str, organisation: Client, base_url: str, tmp_path: Path
) -> None:
    key = organisation.http.headers["Authorization"].removeprefix("Bearer ")
    # An e-mail is registered once.
    program = "\n".join(block.text for block in RUN[page, language]).replace("ada@", f"{organisation.user_id}@")
    program = program.replace(_SHOWN_ADDRESS, base_url.removesuffix(BASE_PATH)).replace("rk_...", key)
    scripts = Path(sys.executable).parent
    environment = {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "BASE": base_url,
        "KEY": key,
        "REMEMBR_BASE_URL": base_url,
        "REMEMBR_API_KEY": key,
        # The SDK would tell its makers of each run.
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    argv = ["bash", "-euo", "pipefail", "-c", program] if language == "sh" else [sys.executable, "-c", program]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0, err.decode()[-3_000:]
    printed = out.decode().splitlines()
    if language == "python":
        promised = [line for block in blocks(page) if block.language == "text" for line in block.text.splitlines()]
        assert [line for line in promised if line not in printed] == []
