"""The files that are compared: one GGUF's weights in other formats, and a random model of 1.1 billion weights.

Formats are made by llama.cpp's own quantiser, from F32, in a Python that has llama-cpp-python: a matrix whose width a
format's blocks don't divide gets the format that it falls back to, as in files that people download.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))   # where tiny.py is, for a script that is run by its path

import tiny
from compare_peers import PEERS, find

FTYPES = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_0": 2, "Q4_K_M": 15, "Q2_K": 10, "IQ4_NL": 25}
RANDOM = "random-1.1B"
KINDS = (*FTYPES, RANDOM)
QUANTISE = """
import llama_cpp as c, os, sys
source, out, ftype = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = c.llama_model_quantize_default_params()
options.ftype, options.nthread, options.allow_requantize = ftype, 2, True
sys.exit(c.llama_model_quantize(os.fsencode(source), os.fsencode(out), options))
"""


def make_all(source: Path, folder: Path, kinds: Sequence[str], pythons: Sequence[str]) -> None:
    """Make what `folder` lacks of the files of these kinds, and print their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = stem_of(source)
    for kind in kinds:
        out = folder / (f"{RANDOM}.Q4_0.gguf" if kind == RANDOM else f"{stem}.{kind}.gguf")
        if not out.exists():
            fresh = out.with_name("unfinished-" + out.name)
            if kind == RANDOM:
                write_random(fresh)
            else:
                _quantise(source, fresh, kind, folder, pythons)
            fresh.replace(out)
        print(out)


def file_of(model: str, parser: argparse.ArgumentParser) -> Path:
    """Return the file of a MODEL, which may be what gemel.pull takes; end with a usage error where there is none."""
    import gemel

    path = Path(model)
    if path.is_file():
        return path
    if model not in gemel.NAMES and ":" not in model:
        parser.error(f"there is no file {model!r}")
    try:
        return gemel.pull(model)
    except gemel.GemelError as error:
        parser.error(str(error))


def stem_of(source: Path) -> str:
    """Return a file's name without its format, which other formats' names begin with.

    >>> stem_of(Path("a/SmolLM2-135M-Instruct.Q4_1.gguf")), stem_of(Path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))
    ('SmolLM2-135M-Instruct', 'qwen2.5-coder-0.5b-instruct')
    """
    return re.sub(r"([.-](I?Q[0-9]\w*|MXFP4\w*|B?F16|F32))?\.gguf$", "", source.name, flags=re.IGNORECASE)


def _quantise(source: Path, out: Path, kind: str, folder: Path, pythons: Sequence[str]) -> None:
    engines, missing = find(PEERS[:1], [sys.executable, *pythons])
    if missing:
        raise SystemExit(f"--make needs llama-cpp-python, and {missing[PEERS[0].name]}: name one by --peer-python")
    command = [engines[PEERS[0]], "-c", QUANTISE, str(source), str(out), str(FTYPES[kind])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"llama.cpp can't make {kind} of {source}: {done.stderr.strip().splitlines()[-1:]}")


# ---- The random model ------------------------------------------------------------------------------------------------

N_LAYER, N_EMBD, N_HEAD, N_HEAD_KV, N_FF, N_VOCAB, N_CTX = 22, 2048, 32, 4, 5632, 32000, 8192   # TinyLlama's
ALIGNMENT = 32


def write_random(out: Path, *, n_layer: int = N_LAYER, seed: int = 0) -> None:
    """Write the model, a matrix at a time: Q4_0, norms F32; byte-level BPE and a file type, which OpenVINO wants."""
    # The pairs of a model without layers, told of another number of them; its matrices come below.
    pairs, _ = tiny.described(tiny.TinyModel(
        n_layer=0, n_embd=N_EMBD, n_head=N_HEAD, n_head_kv=N_HEAD_KV, n_ff=N_FF, n_vocab=N_VOCAB, n_ctx=N_CTX,
        format="Q4_0", kv=[("llama.block_count", "u32", n_layer), ("general.file_type", "u32", FTYPES["Q4_0"])],
    ))   # fmt: skip
    table, at = [], 0
    for name, ne in _shapes(n_layer):
        table.append(tiny.Tensor(name, _type(ne), ne, b"", offset=at))
        at += -(-_size(ne) // ALIGNMENT) * ALIGNMENT
    rng = np.random.default_rng(seed)
    with out.open("wb") as file:
        file.write(tiny.write_gguf(None, pairs, table))
        for _, ne in _shapes(n_layer):
            file.write(_weights(ne, rng).ljust(-(-_size(ne) // ALIGNMENT) * ALIGNMENT, b"\0"))


def _shapes(n_layer: int) -> Iterator[tuple[str, list[int]]]:
    """Yield names and shapes in the order of the file."""
    n_kv = N_HEAD_KV * N_EMBD // N_HEAD
    yield "token_embd.weight", [N_EMBD, N_VOCAB]
    for il in range(n_layer):
        for name, *ne in (
            ("attn_norm", N_EMBD), ("attn_q", N_EMBD, N_EMBD), ("attn_k", N_EMBD, n_kv), ("attn_v", N_EMBD, n_kv),
            ("attn_output", N_EMBD, N_EMBD), ("ffn_norm", N_EMBD), ("ffn_gate", N_EMBD, N_FF),
            ("ffn_up", N_EMBD, N_FF), ("ffn_down", N_FF, N_EMBD),
        ):   # fmt: skip
            yield f"blk.{il}.{name}.weight", list(map(int, ne))
    yield "output_norm.weight", [N_EMBD]
    yield "output.weight", [N_EMBD, N_VOCAB]


def _type(ne: Sequence[int]) -> str:
    return "F32" if len(ne) == 1 else "Q4_0"


def _size(ne: Sequence[int]) -> int:
    block, size = tiny.BLOCKS[_type(ne)]
    return math.prod(ne) // block * size


def _weights(ne: Sequence[int], rng: np.random.Generator) -> bytes:
    if len(ne) == 1:
        return np.ones(ne[0], np.float32).tobytes()
    return tiny.random_blocks("Q4_0", math.prod(ne), rng, 1 / math.sqrt(ne[0]))
