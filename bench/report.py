"""One run's figures as a JSON file and as Markdown."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Section:
    """figures: a dataclass or several. table: the same as Markdown. picture: draws them into a file."""

    title: str
    about: str
    figures: Any
    table: str
    seconds: float
    picture: Callable[[Path], None] | None = None

    def markdown(self) -> str:
        return f"## {self.title}\n\n{self.about}\n\n{self.table}\n\n({self.seconds:.0f} s)\n"


def machine() -> dict[str, Any]:
    """What the digits depend on; ratios depend on it less."""
    return {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "machine": platform.machine(),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        answer = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        # A copy without its history can be measured as well.
        return None
    return answer.stdout.strip()


def save(sections: Mapping[str, Section], began: datetime, on: Mapping[str, Any]) -> Path:
    """Write `results/<date and time>.json`, and the same as Markdown with pictures; the path of the former."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{began.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.json"
    content = {
        "began": began.isoformat(),
        "machine": on,
        "sections": {
            name: {"seconds": round(section.seconds, 1), "figures": _plain(section.figures)}
            for name, section in sections.items()
        },
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    lines = [
        f"# Measured on {began.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        ", ".join(f"{k}: {v}" for k, v in on.items()),
    ]
    for name, section in sections.items():
        lines += ["", section.markdown()]
        if section.picture is not None:
            picture = path.with_name(f"{path.stem}-{name}.png")
            section.picture(picture)
            lines.append(f"![{section.title}]({picture.name})")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
    return path


def _plain(figures: Any) -> Any:
    if isinstance(figures, list):
        return [_plain(each) for each in figures]
    return dataclasses.asdict(figures)
