"""Write docs/reference/cli.md out of the command's own help.

python scripts/document_cli.py > docs/reference/cli.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from app.cli import app

_HEAD = """# The command

`remembr-server` runs and looks after an installation. Settings are [environment variables](../configuration.md);
`remembr-server --install-completion` completes in your shell. Made from the command's help by
`python scripts/document_cli.py`.

Exit codes: 0 done; 1 it couldn't be done, or something is bad; 2 wrong arguments or settings; 130 interrupted. With
`--json` what came of it is JSON on standard output, an error too (`{"error": "..."}`); progress is on standard error.
"""


def document() -> str:
    """The page as Markdown."""
    commands = vars(typer.main.get_command(app))["commands"]
    return _HEAD + "".join("\n".join(_section(name, command)) for name, command in commands.items())


def _section(name: str, command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = "".join(f" [{each.name.upper()}]" for each in shown if each.param_type_name == "argument")
    yield f"\n## `remembr-server {name}{arguments}`\n"
    yield f"{command.help}\n"
    if shown:
        yield "| | |\n| --- | --- |"
        yield "".join(f"| `{_spelt(each)}` | {each.help} |\n" for each in shown)


def _spelt(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name.upper())
    names = "`, `".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.name.upper()}"


if __name__ == "__main__":
    sys.stdout.write(document())
