"""Where the engines keep their programs and data, reachable by the user they run as.

Normally below `settings.cache_dir` and `settings.data_dir`. Started as root, these lie by default below
/root, which no other user can enter. Then, and only then, /var/cache/remembr and /var/lib/remembr take
their place.
A folder that was named by a setting is never replaced: if the user can't enter it, that is an error.
"""

from __future__ import annotations

import os
from pathlib import Path

from app.engines.user import User, can_enter
from app.errors import EngineError
from app.settings import Settings

ROOT_CACHE = Path("/var/cache/remembr")
ROOT_DATA = Path("/var/lib/remembr")


def cache_folder(settings: Settings, user: User | None) -> Path:
    """The existing folder of unpacked engines. Raises EngineError when it can't be made or reached."""
    return _make(_reachable(settings, "cache_dir", ROOT_CACHE, user), user)


def data_folder(settings: Settings, name: str, user: User | None) -> Path:
    """The existing folder of one engine's data, owned by the engines' user and closed to others.

    Raises EngineError when it can't be made or reached, or belongs to somebody else.
    """
    base = _make(_reachable(settings, "data_dir", ROOT_DATA, user), user)
    return own(base / name, user)


def _reachable(settings: Settings, field: str, fallback: Path, user: User | None) -> Path:
    wanted: Path = getattr(settings, field).absolute()
    if user is None or can_enter(wanted, user):
        return wanted
    if field in settings.model_fields_set:
        raise EngineError(
            f"The engines run as user `{user.name}` because Elasticsearch refuses to run as root, and that "
            f"user can't enter {wanted}. Set REMEMBR_{field.upper()} to a folder it can enter (for example "
            f"{fallback}), or start as a user who isn't root."
        )
    return fallback


def _make(folder: Path, user: User | None) -> Path:
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        for part in reversed(missing):
            part.mkdir(exist_ok=True)
            part.chmod(0o755)
            # Who called sudo should find the own home usable; a system account gets nothing but its own data.
            if user and user.person:
                os.chown(part, user.uid, user.gid)
    except OSError as error:
        raise EngineError(f"The folder {folder} can't be made: {error.strerror}. Choose another one.") from error
    return folder


def own(folder: Path, user: User | None) -> Path:
    """Make the folder and give it, with all in it, to the engines' user. Raises EngineError when it can't."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if user is None:
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise EngineError(
                    f"The folder {folder} belongs to another user ({folder.stat().st_uid}), perhaps because "
                    f"an earlier start was made as root. Run `sudo chown -R $(id -u) {folder}`, or set "
                    "REMEMBR_DATA_DIR to another."
                )
        elif folder.stat().st_uid != user.uid:
            for part in (folder, *folder.rglob("*")):
                os.chown(part, user.uid, user.gid, follow_symlinks=False)
    except OSError as error:
        raise EngineError(
            f"The data folder {folder} can't be made: {error.strerror}. Set REMEMBR_DATA_DIR to another."
        ) from error
    return folder
