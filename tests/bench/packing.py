"""How fast files are packed into memory: gigabytes of the file per second, of tensor types, by one thread and by two.

    python tests/bench/packing.py FOLDER [--types IQ1_S,IQ3_S] [--reps 5]

Writes a random model of 18 layers for each type into FOLDER, unless it is there, and opens it from the page cache.
`fill` is how fast one thread can fill new memory of the size of the packed weights, in gigabytes of the file per second
as well: the system clears each page before a program writes it. Types and what is measured take turns; medians, and the
fastest run of one thread, as a virtual machine may have to fetch the pages from its host first.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import gemel
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where big.py is, for a script that is run by its path

import big

TYPES = "IQ1_S,IQ1_M,IQ2_XXS,IQ2_XS,IQ2_S,IQ3_XXS,IQ3_S"


def file_of(folder: Path, type_: str) -> Path:
    """Return the file of that type."""
    path = folder / f"packing-{type_}.gguf"
    if not path.exists():
        big.big_model(big.Shape(18, 2048, 32, 8, 5632, 512, format=type_)).write_to(path)
    path.read_bytes()   # into the page cache
    return path


def seconds_to_open(path: Path, threads: int) -> float:
    start = time.perf_counter()
    model = gemel.open(path, threads=threads)
    taken = time.perf_counter() - start
    model.close()
    return taken


def seconds_to_fill(size: int) -> float:
    start = time.perf_counter()
    np.empty(size, np.uint8).fill(1)
    return time.perf_counter() - start


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--reps", type=int, default=5)
    given = parser.parse_args()
    files = {type_: file_of(given.folder, type_) for type_ in given.types.split(",")}
    sizes = {type_: gemel.plan(path, n_ctx=64).weights for type_, path in files.items()}
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(given.reps):
        for type_, path in files.items():
            samples[type_, "1"].append(seconds_to_open(path, 1))
            samples[type_, "2"].append(seconds_to_open(path, 2))
            samples[type_, "fill"].append(seconds_to_fill(sizes[type_]))
    print("| type | file, MB | packed, MB | 1 thread | fastest | 2 threads | fill |\n|---|---|---|---|---|---|---|")
    for type_, path in files.items():
        n = path.stat().st_size
        one, two, fill = (samples[type_, what] for what in ("1", "2", "fill"))
        times = (statistics.median(one), min(one), statistics.median(two), statistics.median(fill))
        speeds = [n / 1e9 / seconds for seconds in times]
        print(f"| {type_} | {n / 1e6:.0f} | {sizes[type_] / 1e6:.0f} |", *(f"{speed:.2f} |" for speed in speeds))


if __name__ == "__main__":
    main()
