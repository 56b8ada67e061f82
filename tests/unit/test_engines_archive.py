"""Archives and the official download, with tiny real archives and a real HTTP server."""

from __future__ import annotations

import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

from app.engines import archive, distribution, download
from app.errors import EngineError


def nothing(_count: int) -> None: ...


def make_zip(path: Path, members: dict[str, bytes], executable: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o755 if name == executable else 0o640) << 16
            zipped.writestr(info, content)
    return path


def make_tar(path: Path, members: dict[str, bytes], executable: str = "") -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o700 if name == executable else 0o600
            packed.addfile(info, io.BytesIO(content))
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert archive.digest(tmp_path / "abc", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"  # FIPS 180-4


def test_only_elasticsearch_is_taken_out_of_the_zip_and_everyone_may_read_it(tmp_path: Path) -> None:
    jar = "sonarqube-1/elasticsearch/lib/elasticsearch-9.4.3.jar"
    members = {"sonarqube-1/elasticsearch/": b"", jar: b"jar", "sonarqube-1/elasticsearch/bin/run": b"#!"}
    members |= {"sonarqube-1/web/index.html": b"no", "other/elasticsearch/x": b"no"}
    packed = make_zip(tmp_path / "a.zip", members, executable="sonarqube-1/elasticsearch/bin/run")
    target = tmp_path / "out"
    target.mkdir()
    done: list[int] = []
    archive.unzip(packed, target, 2, distribution._is_elasticsearch, done.append)
    files = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert files == ["bin/run", "lib/elasticsearch-9.4.3.jar"]
    assert (target / "lib/elasticsearch-9.4.3.jar").read_bytes() == b"jar"
    assert (mode(target / "bin/run"), mode(target / "lib/elasticsearch-9.4.3.jar")) == (0o755, 0o644)
    assert mode(target / "lib") == 0o755
    assert done[-1] == len(b"jar") + len(b"#!")
    assert distribution.is_distribution(target)


@pytest.mark.parametrize("name", ["a/../../outside", "/outside"])
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(EngineError, match="points outside"):
        archive.unzip(make_zip(tmp_path / "a.zip", {name: b"x"}), target, 0, lambda _path: True, nothing)
    with pytest.raises(EngineError, match="points outside"):
        archive.untar(make_tar(tmp_path / "a.tar.gz", {name: b"x"}), target, 0, nothing)
    assert not (tmp_path / "outside").exists()


def test_a_broken_archive_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(EngineError, match="not a complete zip"):
        archive.unzip(broken, tmp_path, 0, lambda _path: True, nothing)
    with pytest.raises(EngineError, match="not a complete archive"):
        archive.untar(broken, tmp_path, 0, nothing)


def test_too_little_space_is_said_beforehand(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"Unpacking needs 1,000,000,000,000 MB .* REMEMBR_CACHE_DIR"):
        archive.need_space(tmp_path / "not/there/yet", 10**18, "Unpacking")


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "published"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_official_archive_is_fetched_checked_and_unpacked(tmp_path: Path, published: tuple[Path, str]) -> None:
    folder, host = published
    name = download.archive_name("9.9.9")
    run = "elasticsearch-9.9.9/bin/elasticsearch"
    made = make_tar(folder / name, {run: b"#!", "elasticsearch-9.9.9/lib/elasticsearch-9.9.9.jar": b"j"}, run)
    (folder / f"{name}.sha512").write_text(f"{hashlib.sha512(made.read_bytes()).hexdigest()}  {name}\n")
    fetched = download.fetch("9.9.9", tmp_path, None, host)
    target = tmp_path / "out"
    target.mkdir()
    archive.untar(fetched, target, 1, nothing)
    assert distribution.is_distribution(target)
    assert mode(target / "bin/elasticsearch") == 0o755
    assert mode(target / "lib/elasticsearch-9.9.9.jar") == 0o644


def test_an_archive_with_another_checksum_is_not_used(tmp_path: Path, published: tuple[Path, str]) -> None:
    folder, host = published
    name = download.archive_name("9.9.9")
    make_tar(folder / name, {"elasticsearch-9.9.9/x": b"y"})
    (folder / f"{name}.sha512").write_text("0" * 128)
    with pytest.raises(EngineError, match="doesn't have the SHA-512"):
        download.fetch("9.9.9", tmp_path, None, host)


def test_an_unreachable_host_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="could not be reached"):
        download.fetch("9.9.9", tmp_path, None, "http://127.0.0.1:9")


def test_the_members_of_other_folders_are_not_elasticsearch() -> None:
    assert distribution._is_elasticsearch(PurePosixPath("sonarqube-26.9/elasticsearch/lib/x.jar"))
    assert not distribution._is_elasticsearch(PurePosixPath("sonarqube-26.9/elasticsearch-old/x.jar"))
