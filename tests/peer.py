"""What llama.cpp says of a real model: likelihoods, first choices with their margins, tokens; live, or as golden files.

A text is cut into chunks; each is evaluated on its own, teacher-forced, after BOS where the model wants one.
golden/make_llama_cpp.py writes the figures, test_peer.py compares.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tiny
from gguf_file import F32, Metadata, read_gguf

FOLDER = Path(__file__).parent / "golden"
TEXTS = Path(__file__).parent / "text"
N_CHUNK = 256   # ids of a chunk, unless a golden file has another number
MARGIN_STEP = 0.05  # a margin is kept as a byte: how many of these steps it has, up to 255
SPECIALS = [
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>", "a<|im_end|>b<|im_end|>",
    "<|im_start|> <|im_end|>", "<|not special|> <|im_start", "\n\n<|im_start|>\n",
]  # fmt: skip
GEMMA_SPECIALS = (
    "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<bos>a<eos>", "<bos> <eos>", "a<unused7>b",
    "<start_of_turn> \n\n\n<end_of_turn", "<h1>\t\t</h1>", "\u2581a  b", "<0x41>",
)  # fmt: skip


class Scores(NamedTuple):
    """Of every id but a chunk's first."""

    nll: list[list[float]]  # by chunk
    top: list[int]  # the most likely id
    margin: list[float]  # its logit above the second's


@dataclass(frozen=True)
class Golden:
    """llama.cpp's figures of one file and one text; `strings` are digests of the ids of strings(specials)."""

    text: str  # file of tests/text
    n_ids: int
    ids: str  # digest
    nll: list[float]  # mean of each chunk
    top: list[int]
    top_flash: list[int]  # with flash attention
    margin: list[float]  # in whole steps, rounded down
    strings: list[str]
    n_chunk: int = N_CHUNK
    bos: int | None = None   # before each chunk
    specials: tuple[str, ...] = ()

    def chunks(self, ids: Sequence[int]) -> list[list[int]]:
        """Cut the text's ids as llama.cpp was given them."""
        return chunks_of(ids, self.n_chunk, self.bos)


def chunks_of(ids: Sequence[int], n_chunk: int = N_CHUNK, bos: int | None = None) -> list[list[int]]:
    first = [] if bos is None else [bos]
    return [[*first, *ids[at : at + n_chunk]] for at in range(0, len(ids), n_chunk)]


def digest(ids: Sequence[int]) -> str:
    return hashlib.sha256(np.array(ids, "<i4").tobytes()).hexdigest()[:12]


@cache
def strings(specials: tuple[str, ...] = ()) -> list[tuple[str, bool]]:
    """Return (text, are special tokens parsed): prose, code, many scripts, emoji, digits, whitespace, specials."""
    rng = random.Random(5)
    found = []
    for text in ((TEXTS / name).read_text() for name in ("english.txt", "code.txt")):
        for _ in range(12):
            at = rng.randrange(len(text) - 200)
            found.append(text[at : at + rng.randrange(1, 200)])
    blocks = [(32, 127), (160, 592), (880, 4352), (0x4E00, 0x9000), (0x1F600, 0x1F640), (10, 11), (48, 58), (32, 33)]
    found += ["".join(chr(rng.randrange(*rng.choice(blocks))) for _ in range(40)) for _ in range(20)]
    found += ["".join(rng.choice(" \t\n\r\u00a0\u3000a.") for _ in range(30)) for _ in range(8)]
    found += ["I'LL we'Ve don\u2019t", "e\u0301 \u00e9", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "0123456789 1.5"]
    both = [(text, special) for text in (*SPECIALS, *specials) for special in (False, True)]
    return [(text, False) for text in found] + both


# ---- llama.cpp, live -------------------------------------------------------------------------------------------------


def scores(path: Path, chunks: Sequence[list[int]], *, flash: bool = False) -> Scores:
    """Evaluate chunks by llama.cpp, with an F16 cache."""
    import llama_cpp

    n_ctx = max(map(len, chunks))
    llama = llama_cpp.Llama(str(path), n_ctx=n_ctx, n_batch=N_CHUNK, logits_all=True, flash_attn=flash, verbose=False)
    found = Scores([], [], [])
    for chunk in chunks:
        llama.reset()
        llama.eval(chunk)
        nll = []
        for logits, id_ in zip(llama.scores, chunk[1:], strict=False):
            log_sum = np.log(np.exp(np.array(logits, np.float64) - logits.max()).sum())
            nll.append(float(log_sum + logits.max() - logits[id_]))
            second, first = np.sort(np.partition(logits, -2)[-2:]).tolist()
            found.top.append(int(logits.argmax()))
            found.margin.append(first - second)
        found.nll.append(nll)
    llama.close()
    return found


def tokens(path: Path, texts: Sequence[tuple[str, bool]]) -> list[list[int]]:
    """Tokenise (text, are special tokens parsed) by llama.cpp, without BOS."""
    import llama_cpp

    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    found = [llama.tokenize(text.encode(), add_bos=False, special=special) for text, special in texts]
    llama.close()
    return found


def golden_of(
    path: Path, text: str, *, n_chunk: int = N_CHUNK, bos: int | None = None, specials: tuple[str, ...] = ()
) -> Golden:
    """Ask llama.cpp for everything that a golden file keeps."""
    (ids,) = tokens(path, [((TEXTS / text).read_text(), False)])
    chunks = chunks_of(ids, n_chunk, bos)
    plain, flash = scores(path, chunks), scores(path, chunks, flash=True)
    return Golden(
        text=text,
        n_ids=len(ids),
        ids=digest(ids),
        nll=[float(np.mean(nll)) for nll in plain.nll],
        top=plain.top,
        top_flash=flash.top,
        margin=plain.margin,
        strings=[digest(found) for found in tokens(path, strings(specials))],
        n_chunk=n_chunk,
        bos=bos,
        specials=specials,
    )


# ---- Files -----------------------------------------------------------------------------------------------------------


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def write(path: Path, made_by: str, cases: dict[str, Golden]) -> None:
    """Write a golden file: ids as packed int32, margins as bytes, of flash attention only what differs."""
    out: dict[str, Any] = {"made_by": made_by, "cases": {}}
    for name, case in cases.items():
        steps = np.minimum(np.array(case.margin) / MARGIN_STEP, 255).astype(np.uint8)
        out["cases"][name] = {
            **vars(case),
            "nll": [round(one, 6) for one in case.nll],
            "top": _packed(np.array(case.top, "<i4").tobytes()),
            "top_flash": [(i, b) for i, (a, b) in enumerate(zip(case.top, case.top_flash, strict=True)) if a != b],
            "margin": _packed(steps.tobytes()),
            "strings": " ".join(case.strings),
        }
    path.write_text(json.dumps(out).replace('"cases": {', '\n"cases": {\n').replace("}, ", "},\n") + "\n")


def read(path: Path) -> dict[str, Golden]:
    """Return the cases of a golden file by name."""
    found = {}
    for name, case in json.loads(path.read_text())["cases"].items():
        top = np.frombuffer(_unpacked(case["top"]), "<i4").tolist()
        flash = list(top)
        for i, id_ in case["top_flash"]:
            flash[i] = id_
        margin = np.frombuffer(_unpacked(case["margin"]), np.uint8) * MARGIN_STEP
        rest = {"top": top, "top_flash": flash, "margin": margin.tolist(), "strings": case["strings"].split()}
        found[name] = Golden(**{**case, **rest, "specials": tuple(case.get("specials", ()))})
    return found


def write_f16(source: Path, path: Path) -> None:
    """Write a model's weights in F16, where no activation is quantised."""
    metadata, tensors = read_gguf(source.read_bytes())
    write_model(path, metadata, {name: tensor.floats() for name, tensor in tensors.items()})


def write_model(path: Path, metadata: Metadata, weights: Mapping[str, F32], format: str = "F16") -> None:
    """Write a model whose matrices are of a format that holds floats."""
    rows = []
    for name, values in weights.items():
        type_ = "F32" if values.ndim == 1 else format
        rows.append(tiny.Tensor(name, type_, list(values.shape[::-1]), tiny.float_bytes(type_, values)))
    tiny.write_gguf(path, [(key, _kind_of(value), value) for key, value in metadata.items()], rows)


def _kind_of(value: object) -> str:
    """Return the GGUF type under which tiny.write_gguf writes a value that gguf_file.read_gguf read."""
    if isinstance(value, list):
        return f"{_kind_of(value[0]).replace('u32', 'i32')}[]"
    return {bool: "bool", int: "u32", float: "f32", str: "string"}[type(value)]
