"""Speed of the ways to embed: documents a second and milliseconds a query, side by side in one run.

    python -m bench.embedding [--json FILE] [--documents N] [--rounds N]

The text is made up, in the length of conversation turns. Every round measures every encoder once, so that
whatever else the machine does meets all of them; the median of the rounds counts. Compare the ratios: digits
belong to the machine and the minute.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from app.embedding.catalogue import E5, MINILM
from app.embedding.encoder import Encoder, Passage
from app.embedding.load import ModelSpec, load_onnx, load_sentence
from app.errors import EngineError
from app.settings import Settings

THREADS = (1, 2)
QUERIES = 50
WARM_UP = 16

SUBJECTS = ("I", "my sister", "our neighbour", "the whole team", "Dana", "the doctor", "somebody at work")
VERBS = ("talked about", "finally finished", "forgot", "is planning", "really liked", "asked me for", "lost")
OBJECTS = (
    "the trip to the mountains",
    "a birthday cake with far too many candles",
    "the quarterly report",
    "that old bicycle",
    "the pottery course on Thursdays",
    "a letter from the landlord",
    "the recipe with lentils",
    "her new job in Rotterdam",
)
TAILS = ("last weekend", "because of the rain", "and now we have to start again", "as always", "in the end", "")
QUESTIONS = ("When did {} say anything about {}?", "What does {} think of {}?", "Why was {} upset by {}?")


@dataclass(frozen=True)
class Result:
    encoder: str
    threads: int
    documents_per_s: float
    query_p50_ms: float
    load_s: float
    documents_ratio: float = 1.0
    query_ratio: float = 1.0


def turns(count: int, dice: random.Random) -> list[str]:
    """Made-up turns of one to five sentences, about 10 to 70 tokens."""
    return [
        " ".join(
            f"{dice.choice(SUBJECTS)} {dice.choice(VERBS)} {dice.choice(OBJECTS)} {dice.choice(TAILS)}.".capitalize()
            for _ in range(dice.randint(1, 5))
        )
        for _ in range(count)
    ]


def queries(count: int, dice: random.Random) -> list[str]:
    return [
        dice.choice(QUESTIONS).format(dice.choice(SUBJECTS), dice.choice(OBJECTS)) + f" ({number})"
        for number in range(count)
    ]


def load_all(settings: Settings) -> dict[tuple[str, int], tuple[Encoder, float]]:
    """Every encoder that can be had, with the seconds that loading took."""
    makers = {
        "e5 int8, bare ONNX Runtime": (load_onnx, E5),
        "e5 int8, sentence-transformers + ONNX module": (load_sentence, E5),
        "MiniLM fp32, sentence-transformers + torch": (load_sentence, MINILM),
    }
    encoders: dict[tuple[str, int], tuple[Encoder, float]] = {}
    for name, (make, model) in makers.items():
        for threads in THREADS:
            start = time.perf_counter()
            try:
                encoder = make(ModelSpec(model, settings.cache_dir, threads))
            except EngineError as error:
                print(f"left out: {name}, {threads} thread(s): {error}")
                continue
            encoders[name, threads] = encoder, time.perf_counter() - start
    return encoders


def set_torch_threads(threads: int) -> None:
    # The number is the process's, not the model's: the model loaded last would decide for all.
    import torch

    torch.set_num_threads(threads)


def measure(encoder: Encoder, documents: list[str], questions: list[str]) -> tuple[float, float]:
    """Documents a second, and the median milliseconds of a query, after a warm-up."""
    passages = [Passage(text) for text in documents]
    encoder.encode_documents(passages[:WARM_UP])
    encoder.encode_query(questions[0])
    start = time.perf_counter()
    encoder.encode_documents(passages)
    seconds = time.perf_counter() - start
    times = []
    for question in questions:
        start = time.perf_counter()
        encoder.encode_query(question)
        times.append(time.perf_counter() - start)
    return len(documents) / seconds, statistics.median(times) * 1e3


def run(documents: int, rounds: int) -> list[Result]:
    dice = random.Random(7)
    texts, questions = turns(documents, dice), queries(QUERIES, dice)
    encoders = load_all(Settings())
    measured: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in encoders}
    for _ in range(rounds):
        for key, (encoder, _) in encoders.items():
            set_torch_threads(1 if key[0].startswith("e5") else key[1])
            measured[key].append(measure(encoder, texts, questions))
    medians = {key: tuple(map(statistics.median, zip(*each, strict=True))) for key, each in measured.items()}
    first = next(iter(encoders))[0]
    return [
        Result(
            name,
            threads,
            documents_per_s=rate,
            query_p50_ms=latency,
            load_s=encoders[name, threads][1],
            documents_ratio=rate / medians[first, threads][0],
            query_ratio=latency / medians[first, threads][1],
        )
        for (name, threads), (rate, latency) in medians.items()
    ]


def table(results: list[Result]) -> str:
    lines = [
        "| encoder | threads | documents/s | ratio | query p50 ms | ratio | load s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.encoder} | {each.threads} | {each.documents_per_s:.0f} | {each.documents_ratio:.2f} "
        f"| {each.query_p50_ms:.1f} | {each.query_ratio:.2f} | {each.load_s:.1f} |"
        for each in results
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--documents", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    results = run(options.documents, options.rounds)
    print(table(results))
    if options.json:
        report = {
            "documents": options.documents,
            "rounds": options.rounds,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "results": [asdict(each) for each in results],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
