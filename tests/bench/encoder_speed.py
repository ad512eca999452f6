"""Sentences per second of an encoder: gemel, sentence-transformers and llama.cpp, one after another in each round.

    python tests/bench/encoder_speed.py FILE.gguf [-t 1,2] [--rounds 9]
        --folder FOLDER --torch PYTHON    the same model for sentence-transformers, and a Python that has it
        --llama PYTHON                    a Python that has llama-cpp-python, which gets the same file

Each engine is a process that has the model open; what counts is the median of its rounds. Sentences are runs of 4 to 16
words of tests/text/english.txt, and all engines get the same ones. Rows are compared, too: the least cosine to gemel's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
PAUSE = 0.1   # seconds between engines: threads of the last one stop looking for work
Embed = Callable[[list[str]], Any]


def sentences(count: int) -> list[str]:
    """Return runs of words."""
    words = (HERE.parent / "text" / "english.txt").read_text().split()
    rng = random.Random(1)
    sizes = [rng.randint(4, 16) for _ in range(count)]
    starts = [rng.randrange(len(words) - size) for size in sizes]
    return [" ".join(words[at : at + size]) for at, size in zip(starts, sizes, strict=True)]


# ---- Engines, each in a process of a Python that has it --------------------------------------------------------------


def gemel_engine(model: str, threads: int) -> Embed:
    import gemel

    opened = gemel.open(model, threads=threads)
    return opened.embed


def torch_engine(dtype: str) -> Callable[[str, int], Embed]:
    def engine(model: str, threads: int) -> Embed:
        torch: Any = importlib.import_module("torch")
        library: Any = importlib.import_module("sentence_transformers")
        torch.set_num_threads(threads)
        made = library.SentenceTransformer(model, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
        return lambda texts: made.encode(
            texts, batch_size=32, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )

    return engine


def llama_engine(n_batch: int) -> Callable[[str, int], Embed]:
    """Return llama.cpp that packs sentences into batches of up to n_batch tokens, as its Python package does."""

    def engine(model: str, threads: int) -> Embed:
        llama_cpp: Any = importlib.import_module("llama_cpp")
        made = llama_cpp.Llama(
            model, embedding=True, n_ctx=n_batch, n_batch=n_batch, n_ubatch=n_batch, n_threads=threads,
            n_threads_batch=threads, verbose=False,
        )  # fmt: skip
        return lambda texts: made.embed(texts, normalize=True)

    return engine


ENGINES: dict[str, Callable[[str, int], Embed]] = {
    "gemel": gemel_engine,
    "sentence-transformers, float32": torch_engine("float32"),
    "sentence-transformers, bfloat16": torch_engine("bfloat16"),
    **{f"llama.cpp, batches of {n}": llama_engine(n) for n in (48, 64, 128, 512)},
}


def work(name: str, model: str, threads: int, count: int) -> None:
    """Answer each line with the seconds of a round; the first answer has rows."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)   # what engines print
    embed, texts = ENGINES[name](model, threads), sentences(count)
    rows = [[float(x) for x in row] for row in embed(texts)]
    print(json.dumps(rows[:64]), file=answers, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        embed(texts)
        print(time.perf_counter() - start, file=answers, flush=True)


# ---- Rounds ----------------------------------------------------------------------------------------------------------


def cosine(rows: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """Return the least product of two rows of length 1."""
    return min(sum(a * b for a, b in zip(x, y, strict=True)) for x, y in zip(rows, others, strict=True))


def main(args: argparse.Namespace) -> None:
    sys.path.append(str(HERE))
    from compare_peers import Child, busy

    given = {"gemel": (sys.executable, args.model)}
    for name in ENGINES:
        given.setdefault(name, (args.llama, args.model) if name.startswith("llama") else (args.torch, args.folder))
    for threads in map(int, args.threads.split(",")):
        children = {
            name: Child(python, __file__, "--work", name, str(model), "-t", str(threads), "--count", str(args.count))
            for name, (python, model) in given.items()
            if python and model
        }
        rows = {name: child.reply() for name, child in children.items()}
        seconds: dict[str, list[float]] = {name: [] for name in children}
        others = busy()
        for _ in range(args.rounds):
            for name, child in children.items():
                seconds[name].append(child.ask(0))
                time.sleep(PAUSE)
        print(f"{threads} threads; others use {100 * (others or 0):.0f} % of the CPUs")
        for name, child in children.items():
            speed, ratio = args.count / median(seconds[name]), median(seconds[name]) / median(seconds["gemel"])
            print(
                f"  {name:32} {speed:7.0f} sentences/s   gemel is {ratio:5.2f} times as fast   "
                f"least cosine {cosine(rows['gemel'], rows[name]):.5f}"
            )
            child.__exit__(None, None, None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("-t", dest="threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--torch")
    parser.add_argument("--llama")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, str(given.model), int(given.threads), given.count)
    else:
        main(given)
