"""Open hostile files (tests/hostile.py), each within a bound of time and memory, and say what became of them.

    python open_hostile.py HALF FIRST STEP -> of case FIRST, FIRST + STEP, ... a JSON line before it and one after it

A file must be refused with a sentence that says where, or work: then two tokens are evaluated on every instruction set,
with the same finite logits. A crash or a hang ends the process; the last line names the file.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import gemel
import hostile
from hostile import Case

if sys.platform != "win32":
    import resource

SECONDS = 10  # of CPU time that a file may take, and a twelfth of all time
GROWTH = 64 << 20  # bytes of memory that a file may take: the largest has 240 kB
ADDRESSES = 1 << 30  # bytes that all may map
SAYS_WHERE = re.compile(
    r'offset \d|bytes? \d|tensors? ["a-z]|key "|parts? \d|[a-z]+(\.[a-z0-9_]+)+|[a-z]+(_[a-z]+)+'
    r'|architecture "|not a GGUF file|empty'
)
# What names the key or tensor that it is about, where it is refused.
NAMING = {"key other type", "key lying length", "key unknown type", "tensor noise", "tensor unknown type",
          "tensor odd offset"}  # fmt: skip
TEXT = "<|im_end|> the 12\n\0 <0x41>é▁"


class Verdict(NamedTuple):
    said: str  # the error's sentence; "": the file works
    wrong: str = ""  # what must not be


def _run(model: gemel.Model, isa: str) -> bytes:
    """Evaluate two tokens; return their logits' bytes, of an encoder their states', or the name of a NumericError."""
    model.set_isa(isa)
    if model.is_encoder:
        return _embedded(model)
    ids, out = [model.n_vocab - 1], b""
    with model.session(n_ctx=min(4, model.n_ctx)) as session:
        for _ in range(session.n_ctx)[:2]:
            try:
                session.append(ids[-1:])
            except gemel.NumericError:
                return out + b"NumericError"
            raw = bytes(memoryview(session.logits()))
            logits = struct.unpack(f"<{model.n_vocab}f", raw)
            if not all(map(math.isfinite, logits)):
                raise AssertionError("a logit is not finite")
            out += raw
            ids.append(max(range(len(logits)), key=logits.__getitem__))
    model.detokenize([*ids, *model.tokenize(TEXT, special=True, bos_eos=True)], special=True)
    return out + (_ranked(model) if model.pooling == "rank" else b"")


def _embedded(model: gemel.Model) -> bytes:
    model.detokenize(model.tokenize(TEXT, special=True, bos_eos=True), special=True)
    with model.session(n_ctx=min(4, model.n_ctx)) as session:
        try:
            raw = bytes(memoryview(session.hidden([model.n_vocab - 1, 0][: session.n_ctx])))
        except gemel.NumericError:
            return b"NumericError"
    if not all(map(math.isfinite, struct.unpack(f"<{len(raw) // 4}f", raw))):
        raise AssertionError("a state is not finite")
    return raw + _ranked(model)


def _ranked(model: gemel.Model) -> bytes:
    try:
        scores = [one.score for one in model.rerank("a", ["b", "c"])]
    except (gemel.UnsupportedError, gemel.ContextError, gemel.NumericError, gemel.ArgumentError) as error:
        return type(error).__name__.encode()
    if not all(0 <= score <= 1 for score in scores):
        raise AssertionError("a score is no chance")
    return repr(scores).encode()


def _use(parts: list[bytes], folder: Path) -> str:
    """Open a model and run it on every instruction set; return what was said where it is refused."""
    paths = [folder / f"tiny-{i + 1:05}-of-{len(parts):05}.gguf" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    try:
        model = gemel.open(paths[0] if len(parts) > 1 else parts[0], threads=1)
    except (gemel.FormatError, gemel.UnsupportedError) as error:
        return str(error)
    with model:
        results = {isa: _run(model, isa) for isa, usable in gemel.isas().items() if usable}
    if len(set(results.values())) > 1:
        raise AssertionError(f"{' and '.join(results)} differ")
    return ""


@functools.cache
def works(half: str, name: str) -> bool:
    """Whether the valid file is supported."""
    with tempfile.TemporaryDirectory() as folder:
        return not _use(hostile.base(half, name).parts(), Path(folder))


def judged(case: Case, folder: Path) -> Verdict:
    parts, subject = hostile.made(case)
    try:
        said = _use(parts, folder)
    except Exception as error:  # what must not be raised is what is looked for
        return Verdict("", f"{type(error).__name__}: {error}")
    if said and not SAYS_WHERE.search(said):
        return Verdict(said, "the sentence does not say where")
    if said and case.mutator in NAMING and subject not in said and works(case.half, case.base):
        return Verdict(said, f"the sentence does not name {subject}")
    return Verdict(said)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(half: str, first: int, step: int) -> None:
    all_of_it = hostile.cases(half)
    for name in hostile.BASES[half]:   # what is made and loaded once
        works(half, name)
    if "asan" not in os.environ.get("LD_PRELOAD", ""):   # the address sanitizer maps all there is
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    with tempfile.TemporaryDirectory() as folder:
        for i in range(first, len(all_of_it), step):
            print(json.dumps([i, "begins"]), flush=True)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(12 * SECONDS)   # a busy machine is slow, a deadlock takes no CPU time
            before = _peak()
            verdict = judged(all_of_it[i], Path(folder))
            grown = _peak() - before
            if grown > GROWTH and not verdict.wrong:
                verdict = verdict._replace(wrong=f"it took {grown >> 20} MiB")
            print(json.dumps([i, *verdict]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
