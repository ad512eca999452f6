"""What memory a model takes is known from its header alone, and is what it takes."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemel
import hypothesis
import pytest
import tiny
import tiny_cases
from archs import ARCHS, DECODERS, ENCODERS
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from gemel.model import opening
from hypothesis import strategies as st

Open = Callable[..., gemel.Model]
# As wide as models are that matter; the weights are holes of a file.
LARGE: dict[str, Any] = {
    "n_layer": 16, "n_embd": 2048, "n_head": 16, "n_head_kv": 8, "n_ff": 6144, "n_ctx": 65536, "format": "Q4_0",
}  # fmt: skip


class Counted(io.BytesIO):
    """A file that knows how far it was read."""

    furthest = 0

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401
        n = super().readinto(buffer)
        self.furthest = max(self.furthest, self.tell())
        return n

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return data


def large_file(path: Path, **fields: Any) -> Path:  # noqa: ANN401
    """Write the header of a large model, whose tensors are holes of a file of its full size."""
    t = tiny.TinyModel(**{**LARGE, **fields})
    few = replace(t, n_layer=0, kv=[(f"{t.arch}.block_count", "u32", t.n_layer)])
    pairs, tensors = tiny.described(few)
    rows = [(str(one.name), str(one.type), list(one.ne)) for one in tensors]
    for il in range(t.n_layer):
        rows += [(f"blk.{il}.{name}.weight", "F32", [t.n_embd]) for name in ("attn_norm", "ffn_norm")]
        rows += [(f"blk.{il}.{name}.weight", t.format, list(size)) for name, size in tiny._sizes(t, il).items()]
    table, offset = [], 0
    for name, type_, ne in rows:
        block, size = tiny.BLOCKS[type_]
        table.append(tiny.Tensor(name, type_, ne, b"", offset=offset))
        offset += -(-math.prod(ne) // block * size // 32) * 32
    header = tiny.write_gguf(path, pairs, table)
    with path.open("r+b") as file:
        file.truncate(len(header) + offset)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gemel.Gguf]:
    with gemel.inspect(large_file(tmp_path_factory.mktemp("large") / "large.gguf")) as header:
        yield header


# ---- What is taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arch", "format_"), tiny_cases.pairs(ARCHS))
def test_weights_are_those_of_the_open_model(tiny_model: Open, arch: str, format_: str) -> None:
    wide = {"n_embd": 256, "n_ff": 256} if tiny.BLOCKS[format_][0] > 32 else {}
    for more in ({}, {"tied": True}, {"fused": ("attn_qkv", "gate_up"), "biases": True}):
        fields = {"arch": arch, "format": format_, **wide, **more}
        assert gemel.plan(tiny_bytes(**fields), n_ctx=1).weights == tiny_model(**fields).weight_size


@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize("n_ctx", [1, 63, 64, 65, 500, 512])
def test_the_cache_is_that_of_whole_pages(tiny_model: Open, n_ctx: int, kv_type: KvType) -> None:
    fields = {"n_layer": 3, "head_dim": 32, "n_head": [4, 2, 3], "n_head_kv": [2, 2, 1], "n_ff": [96, 160, 64]}
    model = tiny_model(**fields)
    plan = gemel.plan(tiny_bytes(**fields), n_ctx=n_ctx, kv_type=kv_type)
    with model.session(n_ctx, kv_type=kv_type) as session:
        session.append([i % 300 for i in range(n_ctx)])
        pages, _ = session.kv_pages
        assert plan.cache == 64 * pages * session.kv_size
    assert (plan.n_ctx, plan.kv_type) == (n_ctx, kv_type)
    assert plan.total == plan.weights + plan.header + plan.workspace + plan.session + plan.cache
    assert min(plan.weights, plan.header, plan.workspace, plan.session, plan.cache) > 0


@pytest.mark.parametrize("arch", ARCHS)
def test_the_default_type_is_the_models_own(tiny_model: Open, arch: str) -> None:
    default = tiny_model(arch=arch).default_kv_type
    assert default == ("f16" if ARCHS[arch].has("LARGE_KEYS") or arch in ENCODERS else "q8_0")
    found, asked = (gemel.plan(tiny_bytes(arch=arch), n_ctx=100, kv_type=kv_type) for kv_type in (None, default))
    assert found == asked


def test_a_plan_of_parts_is_that_of_the_whole(tmp_path: Path) -> None:
    whole = tmp_path / "whole.gguf"
    whole.write_bytes(tiny_bytes())
    tiny.tiny_split(tmp_path)
    one, other = (gemel.plan(path, n_ctx=256) for path in (whole, tmp_path / "tiny-00001-of-00003.gguf"))
    for field in ("weights", "workspace", "session", "cache"):
        assert getattr(one, field) == getattr(other, field)


def test_a_plan_counts_workspaces_by_threads_and_sessions_by_contexts(large: gemel.Gguf) -> None:
    few, many = large.plan(n_ctx=4096, threads=1), large.plan(n_ctx=4096, threads=16)
    assert few.workspace < many.workspace
    assert (few.weights, few.cache) == (many.weights, many.cache)
    longer = large.plan(n_ctx=8192)
    assert longer.cache == 2 * few.cache
    assert longer.session > few.session
    sizes = [large.plan(n_ctx=4096, kv_type=kv_type).cache for kv_type in ("f32", "f16", "q8_0")]
    assert sizes[0] == 2 * sizes[1]
    assert sizes[1] > 1.7 * sizes[2]


TAKEN = """
import sys
import gemel
import numpy

def private():
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

path, n_ctx, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with gemel.open(sys.argv[4], threads=threads) as model:   # whatever is loaded but once
    model.generate([1, 2, 3], max_tokens=2).read()
before = private()
with gemel.open(path, threads=threads) as model, model.session(n_ctx) as session:
    session.append([i % 300 for i in range(n_ctx)])
    session.logits()
    print(private() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("format_", "kv"), [("Q4_1", 2), ("F16", 8)])
def test_the_total_is_what_a_process_takes(tmp_path: Path, format_: str, kv: int, threads: int) -> None:
    path, small = tmp_path / "middling.gguf", tmp_path / "small.gguf"
    small.write_bytes(tiny_bytes())
    tiny.tiny_llama(
        path, n_layer=4, n_embd=512, n_head=8, n_head_kv=kv, n_ff=2048, n_ctx=4096, n_vocab=400, format=format_
    )
    plan = gemel.plan(path, n_ctx=1024, threads=threads)
    assert plan.total > 10e6
    done = subprocess.run(
        [sys.executable, "-c", TAKEN, str(path), "1024", str(threads), str(small)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0.7 < int(done.stdout) / plan.total < 1.25


# ---- What is read ---------------------------------------------------------------------------------------------------


def test_no_tensor_is_read(tmp_path: Path) -> None:
    data = tiny_bytes(n_embd=256, n_ff=1024, n_layer=8, format="F16")
    with gemel.inspect(data) as header:
        start = header.data_offset
    file = Counted(data)
    assert gemel.plan(file, n_ctx=512).weights > 4_000_000
    assert start <= file.furthest < start + (1 << 20) < len(data)


def test_holes_in_the_place_of_tensors_make_no_difference(large: gemel.Gguf) -> None:
    assert large.size > 400_000_000
    assert large.plan(n_ctx=1024).weights > 400_000_000


# ---- Too little -----------------------------------------------------------------------------------------------------


def test_too_little_memory_is_an_error_with_both_numbers_and_what_would_fit(large: gemel.Gguf) -> None:
    whole = large.plan(n_ctx=65536)
    memory = whole.total - whole.cache // 2
    with pytest.raises(gemel.OutOfMemoryError) as info:
        whole.check(memory)
    said = str(info.value)
    for number in (whole.total, whole.weights, whole.cache, memory):
        assert f"{number / 1e6:,.0f} MB" in said
    assert large.name in said
    assert "n_ctx=65536" in said
    match = re.search(r"n_ctx=(\d+) would fit", said)
    assert match is not None
    fits = int(match[1])
    assert 20000 < fits < 65536
    large.plan(n_ctx=fits).check(memory)
    whole.check(whole.total)


@hypothesis.given(share=st.floats(0, 1.1), n_ctx=st.integers(1, 65536))
@hypothesis.settings(max_examples=60)
def test_what_is_said_to_fit_fits_and_where_nothing_is_nothing_does(
    large: gemel.Gguf, share: float, n_ctx: int
) -> None:
    plan = large.plan(n_ctx=n_ctx)
    memory = int(plan.total - plan.cache + share * plan.cache)
    fits = plan.n_ctx_within(memory)
    assert 0 <= fits <= n_ctx
    if fits:
        large.plan(n_ctx=fits).check(memory)
    elif n_ctx > 64:
        with pytest.raises(gemel.OutOfMemoryError):
            large.plan(n_ctx=64).check(memory)


@hypothesis.given(share=st.floats(0, 1.1), n_ctx=st.integers(64, 65536))
@hypothesis.settings(max_examples=60)
def test_what_is_said_to_fit_fits_many_threads_too(large: gemel.Gguf, share: float, n_ctx: int) -> None:
    plan = large.plan(n_ctx=n_ctx, threads=16)
    memory = int(plan.total - plan.cache + share * plan.cache)
    fits = plan.n_ctx_within(memory)
    if fits:
        large.plan(n_ctx=fits, threads=16).check(memory)


def test_memory_that_not_even_the_weights_fit_into_is_said_so(tmp_path: Path) -> None:
    path = large_file(tmp_path / "large.gguf")
    with pytest.raises(gemel.OutOfMemoryError, match=r"only 100 MB .*: no context would fit: use a smaller model"):
        gemel.plan(path, n_ctx=1024, memory=100_000_000)
    assert gemel.plan(path, n_ctx=1024, memory=10**12) == gemel.plan(path, n_ctx=1024)


def test_opening_what_this_machine_cannot_hold_is_refused_before_weights_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tiny_bytes(n_embd=256, n_ff=1024, n_layer=8, format="F16")
    monkeypatch.setattr(opening, "available_memory", lambda: 3_000_000)
    file = Counted(data)
    with pytest.raises(gemel.OutOfMemoryError, match="only 3 MB are available"):
        gemel.open(file, threads=1)
    assert file.furthest < len(data) // 2
    monkeypatch.setattr(opening, "available_memory", lambda: None)   # a system that does not say
    gemel.open(file, threads=1).close()


# ---- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"arch": "abacus"},
        {"kv": [("llama.attention.head_count", "u32", 5)]},
        {"without": ["blk.1.attn_k.weight"]},
        {"without": ["llama.block_count"]},
        {"ffn_biases": True, "arch": "qwen2"},
    ],
    ids=["architecture", "heads", "missing tensor", "missing key", "unexpected tensor"],
)
def test_a_file_that_does_not_open_has_no_plan(fields: dict[str, Any]) -> None:
    assert_same_refusal(tiny.tiny_llama(**fields))


@pytest.mark.parametrize("arch", sorted(DECODERS))
def test_a_norm_that_is_missing_is_an_error_of_plan_and_open(arch: str) -> None:
    """By the header alone: nothing has been allocated for the model yet."""
    row = ARCHS[arch]
    lacks_it = row.has("NORM_AFTER") or row.has("NORM_BARE") or row.has("ONE_NORM") or row.has("FALCON_NORMS")
    if lacks_it or row.has("MAY_ONE_NORM"):
        gemel.plan(tiny_bytes(arch=arch, without=("blk.1.ffn_norm.weight", "blk.1.ffn_norm.bias")), n_ctx=64)
        return
    other = {"FFN_NORM_POST": "post_attention_norm.weight", "FFN_NORM_STEM": "ffn_norm", "ONE_HALF": "attn_norm.weight"}
    name = next((f"blk.1.{name}" for kind, name in other.items() if row.has(kind)), "blk.1.ffn_norm.weight")
    name = "blk.1.attn_norm_2.weight" if row.ffn == "CHANNEL" else name
    data = tiny_bytes(arch=arch, without=(name,))
    for call in (lambda: gemel.open(data, threads=1), lambda: gemel.plan(data, n_ctx=64)):
        with pytest.raises(gemel.FormatError, match=rf"{re.escape(name)} is missing"):
            call()


@pytest.mark.parametrize(("arch", "fields", "weight"), [
    ("falcon", {"two_norms": True}, "attn_norm_2.weight"), ("stablelm", {}, "ffn_norm.weight"),
])  # fmt: skip
def test_a_norms_bias_without_its_weight_is_an_error(arch: str, fields: dict[str, Any], weight: str) -> None:
    data = tiny_bytes(arch=arch, **fields, without=(f"blk.1.{weight}",))
    with pytest.raises(gemel.FormatError, match=rf"blk\.1\.{re.escape(weight)} is missing"):
        gemel.open(data, threads=1)


def test_a_format_without_kernels_has_no_plan() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(n_embd=256, n_ff=256))
    at = next(i for i, one in enumerate(tensors) if one.name == "blk.0.attn_q.weight")
    tensors[at] = replace(tensors[at], type="Q8_K", data=bytes(292 * 256))
    assert_same_refusal(tiny.write_gguf(None, pairs, tensors))


def assert_same_refusal(data: bytes) -> None:
    errors = []
    for call in (lambda: gemel.open(data, threads=1), lambda: gemel.plan(data, n_ctx=64)):
        with pytest.raises((gemel.FormatError, gemel.UnsupportedError)) as info:
            call()
        errors.append((type(info.value), str(info.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("n_ctx", [0, -1, 513, True, 1.5, None])
def test_a_context_that_the_file_does_not_allow_is_refused(n_ctx: Any) -> None:  # noqa: ANN401
    with pytest.raises(gemel.ArgumentError, match="n_ctx"):
        gemel.plan(tiny_bytes(), n_ctx=n_ctx)


@pytest.mark.parametrize("kv_type", ["q4_0", "F16", 1, ""])
def test_an_unknown_kv_type_is_refused(kv_type: Any) -> None:  # noqa: ANN401
    with pytest.raises(gemel.ArgumentError, match="must be one of 'f32', 'f16', 'q8_0', or None"):
        gemel.plan(tiny_bytes(), n_ctx=64, kv_type=kv_type)


@pytest.mark.parametrize("threads", [0, 257])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(gemel.ArgumentError, match="threads"):
        gemel.plan(tiny_bytes(), n_ctx=64, threads=threads)


def test_a_closed_header_has_no_plan() -> None:
    header = gemel.inspect(tiny_bytes())
    header.close()
    with pytest.raises(gemel.ArgumentError, match="closed"):
        header.plan(n_ctx=64)
