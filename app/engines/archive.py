"""Checking and unpacking downloaded archives."""

from __future__ import annotations

import errno
import hashlib
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from app.engines.progress import Advance
from app.errors import EngineError


def digest(file: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file, by an algorithm of hashlib."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def need_space(folder: Path, size: int, purpose: str) -> None:
    """Raise EngineError unless `size` bytes are free on the disk of a folder, which need not exist yet."""
    existing = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    free = shutil.disk_usage(existing).free
    if free < size:
        raise EngineError(
            f"{purpose} needs {_mb(size)} in {folder}, and only {_mb(free)} are free there. "
            f"Make room, or set REMEMBR_CACHE_DIR to a folder on another disk."
        )


def disk_error(error: OSError, folder: Path, purpose: str) -> EngineError:
    """The EngineError for an OSError met while writing below a folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError(
            f"{purpose} stopped: the disk of {folder} is full. "
            "Make room, or set REMEMBR_CACHE_DIR to a folder on another disk."
        )
    return EngineError(f"{purpose} stopped in {folder}: {error.strerror or error}.")


def unzip(archive: Path, folder: Path, strip: int, wanted: Callable[[PurePosixPath], bool], advance: Advance) -> None:
    """Unpack the wanted members of a zip into an existing folder, without their first `strip` path parts.

    Everyone may read the result; what was executable stays so. advance is told the bytes written so far.
    Raises EngineError for a broken archive and for a member that points outside.
    """
    written = 0
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                path = PurePosixPath(member.filename)
                if not wanted(path) or len(path.parts) <= strip:
                    continue
                target = folder / _inside(path, strip)
                if member.is_dir():
                    _folder(target, folder)
                    continue
                _folder(target.parent, folder)
                with zipped.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                target.chmod(0o755 if member.external_attr >> 16 & stat.S_IXUSR else 0o644)
                written += member.file_size
                advance(written)
    except zipfile.BadZipFile as error:
        raise EngineError(f"{archive} is not a complete zip file ({error}). Delete it and start again.") from error


def untar(archive: Path, folder: Path, strip: int, advance: Advance) -> None:
    """Unpack a tar.gz into an existing folder, without the first `strip` path parts of its members.

    advance is told the members' bytes written so far. Raises EngineError as `unzip` does.
    """
    written = 0
    try:
        with tarfile.open(archive) as packed:
            # Absent before Python 3.11.4; the names are checked below in any case.
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            for member in packed:
                path = PurePosixPath(member.name)
                if len(path.parts) <= strip:
                    continue
                member.name = str(_inside(path, strip))
                member.mode |= 0o755 if member.isdir() or member.mode & stat.S_IXUSR else 0o644
                packed.extract(member, folder)
                written += member.size
                advance(written)
    except (tarfile.TarError, EOFError) as error:
        raise EngineError(f"{archive} is not a complete archive ({error}). Delete it and start again.") from error


def _inside(path: PurePosixPath, strip: int) -> PurePosixPath:
    if path.is_absolute() or ".." in path.parts:
        raise EngineError(f"The archive holds {path}, which points outside of it; it is not used.")
    return PurePosixPath(*path.parts[strip:])


def _folder(path: Path, root: Path) -> None:
    if not path.is_dir():
        _folder(path.parent, root)
        path.mkdir()
        path.chmod(0o755)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
