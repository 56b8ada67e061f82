"""Elastic's own archive of Elasticsearch, fetched from Elastic where that can be reached."""

from __future__ import annotations

import http.client
import logging
import platform
import urllib.request
from pathlib import Path

from rich.console import Console

from app.engines import archive
from app.engines.progress import step
from app.errors import EngineError

log = logging.getLogger(__name__)

HOST = "https://artifacts.elastic.co/downloads/elasticsearch"
PROBE_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 20
# The archive itself, and what it unpacks to (about 1.9 times as much).
SPACE_FACTOR = 3


def archive_name(version: str) -> str:
    """File name of the archive for this machine. Raises EngineError where Elastic publishes none."""
    system = platform.system().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if system not in ("linux", "darwin") or machine not in ("x86_64", "aarch64"):
        raise EngineError(f"Elastic publishes no Elasticsearch archive for {system} on {machine}.")
    return f"elasticsearch-{version}-{system}-{machine}.tar.gz"


def fetch(version: str, folder: Path, console: Console | None, host: str = HOST) -> Path:
    """Fetch the archive into an existing folder and check it against the SHA-512 published beside it.

    Blocks: at most four seconds when Elastic can't be reached, else as long as bytes keep coming. Raises
    EngineError when it can't be reached, breaks off, doesn't fit the disk, or has another checksum.
    """
    name = archive_name(version)
    try:
        with _open(f"{host}/{name}.sha512", PROBE_TIMEOUT_S) as answer:
            published = answer.read(1024).decode("ascii", errors="replace").split()[:1]
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(f"Elastic's archive could not be reached ({getattr(error, 'reason', error)}).") from error
    file = folder / name
    try:
        _stream(f"{host}/{name}", file, console)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno:
            raise archive.disk_error(error, folder, "Fetching Elasticsearch") from error
        raise EngineError(f"Fetching Elastic's archive broke off ({error}).") from error
    if published != [archive.digest(file, "sha512")]:
        raise EngineError("Elastic's archive doesn't have the SHA-512 published beside it; it is not used.")
    return file


def _open(url: str, timeout_s: float) -> http.client.HTTPResponse:
    # urllib honours the proxy variables of the environment, which company networks rely on.
    response: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=timeout_s)  # noqa: S310 - a constant
    return response


def _stream(url: str, file: Path, console: Console | None) -> None:
    with _open(url, READ_TIMEOUT_S) as source, file.open("wb") as sink:
        size = int(source.headers.get("Content-Length") or 0)
        archive.need_space(file.parent, size * SPACE_FACTOR, "Fetching and unpacking Elasticsearch")
        with step(console, "Fetching Elasticsearch from Elastic", "Elasticsearch fetched", total_bytes=size) as advance:
            done = 0
            while chunk := source.read(CHUNK_BYTES):
                sink.write(chunk)
                done += len(chunk)
                advance(done)
        if done < size:
            raise http.client.IncompleteRead(b"", size - done)
