"""requirements.lock pins all that setup.cfg asks for, within its ranges and with hashes."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = {
    canonicalize_name(match[1]): match[2] for match in re.finditer(r"^([A-Za-z0-9._-]+)==([^\s;]+)", LOCK, re.MULTILINE)
}


def wanted() -> list[Requirement]:
    """What a server and a worker need, by setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return [Requirement(line) for line in parser["options"]["install_requires"].splitlines() if line and line[0] != "#"]


def test_everything_is_pinned_within_its_range() -> None:
    requirements = wanted()
    assert len(requirements) > 20
    for requirement in requirements:
        pinned = PINNED.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement} is not in requirements.lock: make lock"
        assert requirement.specifier.contains(pinned), f"{requirement} but {pinned} is pinned: make lock"


def test_everything_that_is_pinned_has_hashes() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)
    pinned = [entry for entry in entries if "==" in entry]
    # A package may have one version for each Python.
    assert len(pinned) >= len(PINNED) > 50
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in pinned)


def test_it_names_no_place_to_take_it_from() -> None:
    assert "://" not in LOCK
    assert "--index-url" not in LOCK
