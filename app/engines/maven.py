"""Fetching one file through Maven, into Maven's own local repository."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from rich.console import Console

from app.engines import archive
from app.engines.progress import Advance, step
from app.errors import EngineError

POLL_S = 0.2
SAID_CHARS = 300
# "No plugin found": an empty repository meets the missing network at its own plugins first.
UNREACHABLE = (
    r"Unknown host|UnknownHost|Temporary failure|Network is unreachable|timed out|refused|transfer failed"
    r"|Could not transfer|No plugin found for prefix"
)


@dataclass(frozen=True)
class Artifact:
    """Coordinates of a file: `group:name:version[:packaging[:classifier]]`, packaging `jar` by default."""

    group: str
    name: str
    version: str
    packaging: str = "jar"
    classifier: str = ""

    @classmethod
    def parse(cls, coordinates: str) -> Artifact:
        """Raises ValueError for text that isn't three to five non-empty parts."""
        parts = coordinates.split(":")
        if not 3 <= len(parts) <= 5 or not all(parts):
            raise ValueError(f"not Maven coordinates: {coordinates}")
        return cls(*parts)

    def path(self, repository: Path) -> Path:
        """Where the file lies in a repository (Maven's default repository layout)."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        folder = repository.joinpath(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}{classifier}.{self.packaging}"


def repository(env: Mapping[str, str] = os.environ) -> Path:
    """Maven's local repository, by MAVEN_ARGS or MAVEN_OPTS (-Dmaven.repo.local), settings.xml or default."""
    for variable in ("MAVEN_ARGS", "MAVEN_OPTS"):
        for option in shlex.split(env.get(variable, "")):
            if option.startswith("-Dmaven.repo.local="):
                return Path(option.partition("=")[2])
    home = Path.home() / ".m2"
    if (home / "settings.xml").is_file():
        tree = ElementTree.parse(home / "settings.xml")  # noqa: S314 - the user's own file
        named = tree.findtext("{*}localRepository") or ""
        if named.strip():
            return Path(named.strip().replace("${user.home}", str(Path.home())))
    return home / "repository"


def fetch(
    artifact: str,
    *,
    sha256: str | None = None,
    size: int = 0,
    console: Console | None = None,
    timeout_s: float = 1800.0,
) -> Path:
    """The local file of an artifact, fetched with `mvn dependency:get` unless it is there and whole.

    artifact: `group:name:version[:packaging[:classifier]]`. sha256: what the file must hash to; without it
    the `.sha1` that Maven keeps beside the file decides. size: about how many bytes, for the progress bar and
    for refusing a full disk beforehand. Blocks, up to timeout_s. Raises EngineError that says what to do.
    """
    wanted = Artifact.parse(artifact)
    local = repository()
    file = wanted.path(local)
    if file.is_file():
        if is_whole(file, sha256):
            return file
        # Maven never looks again at a file it has; a damaged one must go before it is fetched anew.
        file.unlink()
    archive.need_space(local, size, f"Fetching {wanted.name}")
    with step(console, f"Fetching {wanted.name} with Maven", f"{wanted.name} fetched", total_bytes=size) as advance:
        _get(artifact, local, file, advance, timeout_s)
    if not file.is_file():
        raise EngineError(
            f"Maven reported success, but {file} isn't there. Run `{shlex.join(_command(artifact, local))}`."
        )
    if not is_whole(file, sha256):
        raise EngineError(
            f"{file} isn't what was published: its checksum differs. A proxy or mirror may have changed it."
        )
    return file


def is_whole(file: Path, sha256: str | None = None) -> bool:
    """Whether a file has this sha256, or else the SHA-1 in `<file>.sha1`; with neither it counts as whole."""
    if sha256:
        return archive.digest(file, "sha256") == sha256
    published = file.with_name(file.name + ".sha1")
    return not published.is_file() or published.read_text().split()[:1] == [archive.digest(file, "sha1")]


def _command(artifact: str, local: Path) -> list[str]:
    return [
        # -U: Maven remembers what it once couldn't find, and otherwise doesn't look again for a day.
        *("mvn", "--batch-mode", "--quiet", "--strict-checksums", "-U"),
        *(f"-Dmaven.repo.local={local}", f"-Dartifact={artifact}", "-Dtransitive=false", "dependency:get"),
    ]


def _get(artifact: str, local: Path, file: Path, advance: Advance, timeout_s: float) -> None:
    if shutil.which("mvn") is None:
        raise EngineError(
            f"Maven's `mvn` is needed to fetch {artifact} and isn't installed "
            "(Debian, Ubuntu: `sudo apt install maven`; macOS: `brew install maven`)."
        )
    with tempfile.TemporaryFile() as output:
        mvn = subprocess.Popen(  # noqa: S603 - our own command
            _command(artifact, local),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            _wait(mvn, file, advance, timeout_s)
        finally:
            # Ctrl-C too: Maven has its own group, so the terminal doesn't end it.
            if mvn.poll() is None:
                os.killpg(mvn.pid, signal.SIGKILL)
                mvn.wait()
        if mvn.returncode:
            raise EngineError(explain(_text(output), artifact, local))


def _wait(mvn: subprocess.Popen[bytes], file: Path, advance: Advance, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while True:
        try:
            mvn.wait(POLL_S)
        except subprocess.TimeoutExpired:
            advance(_largest(file.parent))
        else:
            return
        if time.monotonic() > end:
            raise EngineError(f"Maven did not finish within {timeout_s:.0f} s. Check the network, and start again.")


def _largest(folder: Path) -> int:
    # Maven writes to a temporary file beside the final one, and renames it whenever it likes.
    sizes = [0]
    for part in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(part.stat().st_size)
    return max(sizes)


def _text(output: BinaryIO) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def explain(output: str, artifact: str, local: Path) -> str:
    """One sentence for what Maven said when it failed."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in output.splitlines()]
    errors = [line for line in lines if line.startswith(("[ERROR]", "Error", "The JAVA_HOME"))] or lines
    said = f" Maven said: {errors[0].removeprefix('[ERROR] ')[:SAID_CHARS]}" if errors else ""
    if "No space left on device" in output:
        return f"Maven could not store {artifact}: the disk of {local} is full. Make room and start again."
    if "Could not find artifact" in output:
        return f"None of Maven's repositories has {artifact}. A mirror in settings.xml may hide it.{said}"
    if re.search(UNREACHABLE, output):
        return (
            f"Maven could not reach its repositories to fetch {artifact}. Check the network connection and the mirror "
            f"and proxy in Maven's settings.xml.{said}"
        )
    return f"Maven could not fetch {artifact}.{said}"
