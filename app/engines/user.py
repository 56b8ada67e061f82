"""Which user the engines run as, and which folders that user can reach.

Elasticsearch refuses to run as root. When this program is root, both engines run as the user who called sudo,
else as `nobody`; otherwise as the user who started it.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from app.errors import EngineError


@dataclass(frozen=True)
class User:
    """A user to drop to. `person` is False for a system account, which must not own what people use."""

    name: str
    uid: int
    gid: int
    person: bool


def engine_user() -> User | None:
    """The user to drop to, or None when this process isn't root. Raises EngineError when there is none."""
    if os.geteuid() != 0:
        return None
    caller = os.environ.get("SUDO_UID", "")
    try:
        if caller.isdecimal() and int(caller) != 0:
            entry = pwd.getpwuid(int(caller))
            return User(entry.pw_name, entry.pw_uid, entry.pw_gid, person=True)
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EngineError(
            "Elasticsearch refuses to run as root, and this system knows no user to run it as: "
            "start as another user, or add one named `nobody`."
        ) from error
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, person=False)


def _allows(path: Path, user: User, bits: int) -> bool:
    found = path.stat()
    shift = 6 if found.st_uid == user.uid else 3 if found.st_gid == user.gid else 0
    return stat.S_IMODE(found.st_mode) >> shift & bits == bits


def can_enter(folder: Path, user: User | None) -> bool:
    """Whether the user may pass through the folder and all above it; what doesn't exist yet is no obstacle.

    Looks at owner, group and mode, not at access lists. None stands for the present user: always True.
    """
    if user is None:
        return True
    ways = (folder.absolute(), folder.resolve())
    return all(_allows(part, user, 1) for way in ways for part in (way, *way.parents) if part.is_dir())


def can_run(file: Path, user: User | None) -> bool:
    """Whether the user may read and execute an existing file where it lies."""
    return user is None or (
        can_enter(file.parent, user) and can_enter(file.resolve().parent, user) and _allows(file, user, 5)
    )
