"""A model over 4 GB in a tab, by 64-bit addresses. Only when asked for: pytest -m huge tests/browser (12 GB of memory).

The file is never written: its layers are the same few megabytes of random weights again and again.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gemel
import numpy as np
import pytest
import tiny
from browser.hosts import Tab

if TYPE_CHECKING:
    from browser.server import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.huge]
SHAPE = {"n_embd": 4096, "n_head": 32, "n_head_kv": 8, "n_ff": 14336}
N_LAYER = 21   # of 232 MB each
LOGITS = """
import hashlib
with model.session(n_ctx=32) as session:
    session.sync(list(range(3, 20)))
    first = bytes(memoryview(session.logits()).cast("B"))
    session.append([20])
    found = hashlib.sha256(first + bytes(memoryview(session.logits()).cast("B"))).hexdigest()
found
"""


class Pieces(io.RawIOBase):
    """Bytes in a list of pieces, which may be the same one many times: a binary file, and what a server slices."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._ends = np.cumsum([len(piece) for piece in pieces]).tolist()
        self._at = 0

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(len(self))
        out = bytearray()
        i = bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[i] - len(self._pieces[i])
            part = self._pieces[i][start - begin : stop - begin]
            out += part
            start += len(part)
            i += 1
        return bytes(out)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self)}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        part = self[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def huge_model() -> Pieces:
    """Return a llama file of 5 GB."""
    rng = np.random.default_rng(1)
    some = tiny.random_blocks("Q8_0", 1 << 20, rng, 1 / 64)
    pairs, tensors = tiny.described(tiny.TinyModel(n_layer=1, format="Q8_0"))
    wide = {"n_ff": SHAPE["n_ff"], "n_kv": SHAPE["n_embd"] // SHAPE["n_head"] * SHAPE["n_head_kv"]}
    sizes = {
        "attn_q": (4096, 4096), "attn_k": (4096, wide["n_kv"]), "attn_v": (4096, wide["n_kv"]),
        "attn_output": (4096, 4096), "ffn_gate": (4096, wide["n_ff"]), "ffn_up": (4096, wide["n_ff"]),
        "ffn_down": (wide["n_ff"], 4096),
    }  # fmt: skip
    n_vocab = next(tensor.ne[1] for tensor in tensors if tensor.name == "token_embd.weight")
    norm = np.ones(4096, dtype=np.float32).tobytes()
    rows: list[tuple[str, str, list[int]]] = [
        ("token_embd.weight", "Q8_0", [4096, n_vocab]), ("output_norm.weight", "F32", [4096]),
        ("output.weight", "Q8_0", [4096, n_vocab]),
    ]  # fmt: skip
    for il in range(N_LAYER):
        rows += [(f"blk.{il}.{name}.weight", "F32", [4096]) for name in ("attn_norm", "ffn_norm")]
        rows += [(f"blk.{il}.{name}.weight", "Q8_0", list(size)) for name, size in sizes.items()]
    table, pieces, offset = [], [], 0
    for name, type_, ne in rows:
        table.append(tiny.Tensor(name, type_, ne, b"", offset=offset))
        size = len(norm) if type_ == "F32" else ne[0] * ne[1] // 32 * 34
        whole, rest = divmod(size, len(some))
        pieces += [norm] if type_ == "F32" else [some] * whole + [some[:rest]]
        offset += size
    own = {f"llama.{key}": value for key, value in (
        ("block_count", N_LAYER), ("embedding_length", 4096), ("feed_forward_length", wide["n_ff"]),
        ("attention.head_count", SHAPE["n_head"]), ("attention.head_count_kv", SHAPE["n_head_kv"]),
        ("rope.dimension_count", 128),
    )}  # fmt: skip
    header = tiny.write_gguf(None, [(key, kind, own.get(str(key), value)) for key, kind, value in pairs], table)
    return Pieces([header, *(piece for piece in pieces if piece)])


def test_a_model_of_five_gigabytes_gives_natives_bits(
    fresh_tab: Callable[..., Tab], served: Callable[..., Served]
) -> None:
    file = huge_model()
    assert len(file) > 4.8e9
    space: dict[str, Any] = {"hashlib": hashlib}
    with gemel.open(file, threads=2) as space["model"]:   # type: ignore[arg-type]
        exec(LOGITS, space)
    tab = fresh_tab(isolated=True, where="worker")
    url = served(file, etag='"huge"').url
    source = "import gemel\nmodel = await gemel.open_async(url, threads=2, cache=False)\nmodel.info.engine"
    assert tab.run(source, url=url, timeout=900) == "threads64"
    assert tab.run("model.weight_size > 2**32") is True
    assert tab.run(LOGITS, timeout=300) == space["found"]
