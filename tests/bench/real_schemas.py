"""Compile a folder of real JSON schemas: how many compile, why the others are refused, and what compiling takes.

    python tests/bench/real_schemas.py FOLDER [--model FILE] [--list] [--warm]

Each schema is one file *.json, and is compiled in a new process, strict and relaxed, so that nothing is cached from the
schemas before it; with --warm, all are compiled in this process, each once. Times are those of the processor, and
include the core's part. Without --model the vocabulary is that of a tiny model. Nothing is downloaded; the project has
no such folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gemel
from gemel.schema.compiler import compile_schema
from tiny import tiny_llama

MIB = 1 << 20


@dataclass(frozen=True)
class Compilation:
    """What compiling one schema took.

    Attributes:
        why: of a schema that is refused, the error
        read, opened: seconds of Python, and of the core
        memory: bytes that were added to the process at most
        size: characters of the grammar
    """

    name: str
    why: str = ""
    read: float = 0.0
    opened: float = 0.0
    memory: int = 0
    size: int = 0

    @property
    def seconds(self) -> float:
        """Of both parts."""
        return self.read + self.opened


def compiled(model: gemel.Model, name: str, text: str, *, strict: bool) -> Compilation:
    """Compile it here."""
    schema = json.loads(text)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    why, grammar = "", ""
    read = start
    try:
        grammar = compile_schema(schema, strict=strict).grammar
        read = time.process_time()
        model.grammar(grammar).close()
    except (gemel.SchemaError, gemel.GrammarError) as error:
        why = str(error)
        read = read if grammar else time.process_time()
    end = time.process_time()
    memory = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return Compilation(name, why, read - start, end - read, memory, len(grammar))


def apart(make: Callable[[], Compilation]) -> Compilation:
    """Return what make() returns in a new process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, json.dumps(asdict(make())).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return Compilation(**json.loads(found))


def reason(why: str) -> str:
    """Return an error without its path and its values."""
    text = why.removeprefix("json_schema: ").partition(": ")[2] or why
    text = re.sub(r"column \d+ of the pattern: ", "", re.sub(r"'[^']*'|\"[^\"]*\"", "...", text))
    return re.sub(r"\b[0-9]{2,}\b", "N", text)[:100]


def report(found: list[Compilation], title: str, *, is_listed: bool) -> Iterator[str]:
    """Yield the lines about all schemas, strict or relaxed."""
    whole = [one for one in found if not one.why]
    times = sorted(one.seconds for one in found)
    slow = max(found, key=lambda one: one.seconds)
    large = max(found, key=lambda one: one.memory)
    yield f"{title}: {len(whole)} of {len(found)} compile, {len(whole) / len(found):.1%}"
    yield (
        f"  time: median {1e3 * statistics.median(times):.1f} ms, p95 {1e3 * times[len(times) * 95 // 100]:.0f} ms, "
        f"p99 {1e3 * times[len(times) * 99 // 100]:.0f} ms, "
        f"worst {1e3 * slow.seconds:.0f} ms ({slow.name}: {1e3 * slow.read:.0f} of Python, {1e3 * slow.opened:.0f} of "
        f"the core); {sum(one < 0.05 for one in times) / len(times):.1%} under 50 ms"
    )
    if whole:
        ms = sorted((1e3 * one.seconds for one in whole), reverse=True)
        yield (
            f"  those that compile: {sum(one < 50 for one in ms) / len(ms):.2%} under 50 ms; the slowest take "
            f"{', '.join(f'{one:.0f}' for one in ms[:12])} ms"
        )
    yield f"  memory: at most {large.memory / MIB:.0f} MiB ({large.name}), grammars {max(one.size for one in found)}"
    of_reason: dict[str, list[str]] = {}
    for one in found:
        if one.why:
            of_reason.setdefault(reason(one.why), []).append(f"{one.name}: {one.why}")
    for why, n in Counter({why: len(cases) for why, cases in of_reason.items()}).most_common():
        yield f"  {n:4} {why}"
        yield from (f"       {case[:200]}" for case in (of_reason[why] if is_listed else ()))
    groups: dict[str, list[Compilation]] = {}
    for one in found:
        groups.setdefault(one.name.partition("-")[0], []).append(one)
    shares = ((name, sum(not one.why for one in of), len(of)) for name, of in sorted(groups.items()) if len(of) > 9)
    yield "  " + ", ".join(f"{name} {n}/{of}" for name, n, of in shares)


def main() -> None:
    """Compile them, and print what was found."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--model", type=Path, help="a GGUF file whose vocabulary is used")
    options.add_argument("--list", action="store_true", help="name the schemas that are refused")
    options.add_argument("--only", default="", help="part of the names of the schemas that are compiled")
    options.add_argument("--warm", action="store_true", help="compile all schemas in one process")
    given = options.parse_args()
    paths = sorted(path for path in given.folder.glob("*.json") if given.only in path.name)
    if not paths:
        options.error(f"{given.folder} has no file {given.only}*.json")
    with gemel.open(given.model or tiny_llama(), threads=1) as model:
        model.grammar('root ::= "a"').close()   # makes the tree of the vocabulary's texts
        compile_schema({"type": "integer"})
        for strict in (True, False):
            found = []
            for path in paths:
                text = path.read_text(encoding="utf-8")
                make = partial(compiled, model, path.stem, text, strict=strict)
                found.append(make() if given.warm else apart(make))
            print(*report(found, "strict" if strict else "relaxed", is_listed=given.list), sep="\n")


if __name__ == "__main__":
    main()
