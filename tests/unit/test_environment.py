"""The environment is read in one place, so that every setting is in the list of settings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
READERS = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})

# Each hands an environment to a process it starts, or to a library that knows no other way.
# A client runs where its server doesn't, and is told as the published one is.
CLIENTS = {"app/client/both.py"}
EXCEPTIONS = {"app/metrics.py", "app/settings.py", "app/stack.py", "app/tokens.py", *CLIENTS}
EXCEPT_BELOW = "app/engines/"

MODULES = sorted(
    path.relative_to(ROOT).as_posix() for name in ("app", "workers") for path in (ROOT / name).rglob("*.py")
)


def reads_environment(source: str) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in READERS)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and READERS & {name.name for name in node.names})
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "from os import getenv", "import os as o\no.getenv('A')"]
)
def test_a_look_at_the_environment_is_recognised(source: str) -> None:
    assert reads_environment(source)


def test_only_the_settings_read_the_environment() -> None:
    readers = {module for module in MODULES if reads_environment((ROOT / module).read_text())}
    assert "app/settings.py" in readers
    assert {module for module in readers if not module.startswith(EXCEPT_BELOW)} <= EXCEPTIONS
