"""Write docs/configuration.md out of the settings' own descriptions.

python scripts/document_settings.py > docs/configuration.md
"""

from __future__ import annotations

import sys
from typing import Any

from pydantic.fields import FieldInfo

from app.settings import Settings

_HEAD = """# Configuration

Every setting is an environment variable. Made from `app/settings.py` by `python scripts/document_settings.py`.

| variable | default | what it is |
| --- | --- | --- |
"""
_FOLDERS = {"data_dir": "`~/.local/share/remembr`", "cache_dir": "`~/.cache/remembr`"}


def document() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    return f"| `REMEMBR_{name.upper()}` | {_FOLDERS.get(name) or _default(field.default)} | {field.description} |\n"


def _default(value: Any) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.stdout.write(document())
