"""Whole models give the same logits to the bit: every instruction set, thread count, batch split, and reference.py's.

Scalar C is the definition, and reference.py is docs/bits.md in numpy: whole models and single layers of every
architecture, format and shape give its bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import gemel
import mistakes
import numpy as np
import pytest
import tiny_cases
from archs import ARCHS, DECODERS
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from gguf_file import F32
from gguf_writer import BLOCKS
from reference import Reference, quantise

Open = Callable[..., gemel.Model]
COMMON = [
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
    "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4",
]  # fmt: skip
FORMATS = [
    *COMMON, "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "TQ1_0", "TQ2_0", "NVFP4", "Q1_0",
    "Q2_0",
]  # fmt: skip
THREADS = [1, 2, 3, 5, 8]
IDS = [1, *range(3, 140), 7, 7, 7]  # longer than a micro-batch
ROWS = [name for name, usable in gemel.isas().items() if usable]
SHAPES: dict[str, dict[str, object]] = {
    "grouped heads": {"n_head": 6, "n_head_kv": 2, "n_embd": 96, "n_ff": 160},
    "one head a group": {"n_head": 4, "n_head_kv": 4},
    "all heads in one group": {"n_head": 12, "n_head_kv": 1, "head_dim": 16, "n_embd": 96},
    "heads padded": {"n_head": 4, "n_head_kv": 2, "head_dim": 24, "n_embd": 96},
    "heads wider than the stream": {"n_head": 4, "n_head_kv": 2, "head_dim": 64, "n_embd": 64},
    "half of a head rotated": {"n_rot": 8},
    "tied": {"tied": True},
    "biases": {"biases": True, "format": "F32"},
    "biases of everything": {"biases": True, "ffn_biases": True},
    "fused": {"fused": ("attn_qkv", "gate_up"), "biases": True},
    "layers with different sizes": {
        "n_layer": 3, "head_dim": 32, "n_head": [4, 2, 3], "n_head_kv": [2, 2, 1], "n_ff": [96, 160, 64],
    },
    "a vocabulary of 333": {"n_vocab": 333},
    "odd feed-forward": {"format": "F32", "n_ff": 75, "n_embd": 44, "n_head": 2, "n_head_kv": 1},
    "mixed formats": {
        "formats": {"attn_v": "Q8_0", "ffn_down": "F16", "attn_q": "F32", "blk.1.ffn_up": "Q5_0", "output": "Q8_0"}
    },
    **{f"rope {kind}": {"rope": kind} for kind in ("linear", "yarn", "llama3", "longrope")},
    **tiny_cases.CASES,
}  # fmt: skip


def fields_of(format_: str) -> dict[str, object]:
    if BLOCKS[format_][0] > 32:
        return {"format": format_, "n_embd": 256, "n_head": 4, "n_head_kv": 2, "n_ff": 512}
    return {"format": format_}


def logits(model: gemel.Model, ids: list[int], split: int | None = None, kv_type: KvType | None = None) -> bytes:
    """Logits of the last id, its forerunners appended `split` at a time."""
    with model.session(kv_type=kv_type) as session:
        for at in range(0, len(ids), split or len(ids)):
            session.append(ids[at : at + (split or len(ids))])
        return bytes(np.asarray(session.logits()).tobytes())


@pytest.fixture(params=[*FORMATS, *SHAPES])
def fields(request: pytest.FixtureRequest) -> dict[str, object]:
    return fields_of(request.param) if request.param in FORMATS else SHAPES[request.param]


@pytest.fixture
def singles(request: pytest.FixtureRequest) -> list[int]:
    """What is appended one id at a time: few ids for a format, whose kernels don't see the past; all for a shape."""
    return IDS[:20] if request.node.callspec.params["fields"] in FORMATS else IDS


def test_every_row_gives_scalar_logits(tiny_model: Open, fields: dict[str, object], singles: list[int]) -> None:
    model = tiny_model(isa="scalar", **fields)
    expected = {kv_type: logits(model, IDS, kv_type=kv_type) for kv_type in KV_TYPES}
    has_cache = ARCHS[str(fields.get("arch", "llama"))].mixer not in ("MAMBA", "MAMBA2", "RWKV")
    assert len(set(expected.values())) == (len(KV_TYPES) if has_cache else 1)
    alone = expected
    if singles is not IDS:
        alone = {kv_type: logits(model, singles, kv_type=kv_type) for kv_type in KV_TYPES}
    for row in ROWS:
        model.set_isa(row)
        for kv_type in KV_TYPES:
            assert logits(model, IDS, kv_type=kv_type) == expected[kv_type], (row, kv_type)
            assert logits(model, singles, 1, kv_type) == alone[kv_type], (row, kv_type)


def test_every_thread_count_gives_the_same_logits(tiny_model: Open, fields: dict[str, object]) -> None:
    model = tiny_model(**fields)
    expected = logits(model, IDS)
    for n in THREADS:
        model.set_threads(n)
        assert logits(model, IDS) == expected, n
        assert logits(model, IDS[:20], 1) == logits(model, IDS[:20]), n


LONG = ["grouped heads", "one head a group", "all heads in one group", "heads padded",
        "deepseek2, Q4_0", "deepseek2, latent of 80, padded", "gpt-oss, Q4_0",
        "gpt-oss, all heads, MXFP4"]   # fmt: skip


@pytest.mark.parametrize("shape", LONG)
def test_threads_share_a_long_past_without_changing_a_bit(tiny_model: Open, shape: str) -> None:
    model = tiny_model(**SHAPES[shape])
    ids = [1 + i * 7 % 300 for i in range(400)]
    found = set()
    for n in THREADS:
        model.set_threads(n)
        with model.session() as session:
            session.append(ids[:150])
            rows = []
            for at in (*range(150, 330), 399):   # one at a time, and the last of a prompt's part
                session.append(ids[session.n_past : at + 1])
                rows.append(session.logits().tobytes())
        found.add(b"".join(rows))
    assert len(found) == 1


@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("split", [1, 2, 3, 7, 8, 9, 16, 31, 64, 100, 127, 128, 129])
def test_every_batch_split_gives_the_same_logits(
    tiny_model: Open, split: int, threads: int, kv_type: KvType
) -> None:
    model = tiny_model(threads=threads, n_head=6, n_head_kv=2, n_embd=96)
    assert logits(model, IDS, split, kv_type) == logits(model, IDS, kv_type=kv_type)


def test_scores_are_the_same_whatever_the_batch(tiny_model: Open) -> None:
    model = tiny_model(threads=2)
    with model.session() as session:
        whole, top = session.score(IDS)
    with model.session() as session:
        parts = [session.score(IDS[at : at + 11]) for at in range(0, len(IDS), 11)]
    assert [p for part, _ in parts for p in part] == whole
    assert [t for _, part in parts for t in part] == top


# ---- The reference ---------------------------------------------------------------------------------------------------


def assert_same_bits(got: F32, expected: F32) -> None:
    """Compare the core's floats [..][n] with the reference's; the message says how far apart they are."""
    same = got.view(np.uint32) == expected.view(np.uint32)
    if not same.all():
        distance = np.abs(got - expected).max() / np.abs(expected).max()
        rows = [np.resize(x, (*x.shape[:-1], -(-x.shape[-1] // 32) * 32)) for x in (got, expected)]
        codes, others = (quantise(x)[0] for x in rows)
        pytest.fail(
            f"{(~same).sum()} of {same.size} floats differ, by up to {distance:.1e} of the largest; quantised, "
            f"{(codes != others).sum()} codes differ, by up to {np.abs(codes - others).max()}",
            pytrace=False,
        )


@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize("name", [*FORMATS, *SHAPES])
def test_models_of_every_format_and_shape_give_the_references_bits(
    tiny_model: Open, name: str, kv_type: KvType
) -> None:
    fields = fields_of(name) if name in FORMATS else SHAPES[name]
    model = tiny_model(**fields)
    expected = Reference(tiny_bytes(**fields), n_ctx=model.default_n_ctx, kv_type=kv_type).logits(IDS[:40])[-1]
    with model.session(kv_type=kv_type) as session:
        session.append(IDS[:40])
        assert_same_bits(np.asarray(session.logits()), expected)


# An architecture and a format don't ask each other: other formats have one architecture, above.
@pytest.mark.parametrize("format_", COMMON)
@pytest.mark.parametrize("arch", DECODERS)
def test_every_architecture_gives_the_references_bits_in_every_format(
    tiny_model: Open, arch: str, format_: str
) -> None:
    wide = {"n_embd": 256, "n_ff": 256} if "n_embd" in fields_of(format_) else {}
    fields = {"arch": arch, "format": format_, "n_layer": 1, **wide}
    model = tiny_model(**fields)
    expected = Reference(tiny_bytes(**fields), n_ctx=model.default_n_ctx, kv_type="f16").logits(IDS[:8])[-1]
    with model.session(kv_type="f16") as session:
        session.append(IDS[:8])
        assert_same_bits(np.asarray(session.logits()), expected)


@pytest.mark.long
@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize("name", tiny_cases.WINDOWED)
def test_windows_of_a_long_past_give_the_references_bits(tiny_model: Open, name: str, kv_type: KvType) -> None:
    """Blocks that no query sees any more, and blocks whose first positions it does not see."""
    for window in (20, 70):
        fields = {**SHAPES[name], "window": window}
        model = tiny_model(**fields)
        expected = Reference(tiny_bytes(**fields), n_ctx=model.default_n_ctx, kv_type=kv_type).logits(IDS)[-1]
        with model.session(kv_type=kv_type) as session:
            session.append(IDS[:129])
            session.append(IDS[129:])
            assert_same_bits(np.asarray(session.logits()), expected)


def rows_of(n_embd: int) -> F32:
    """Make rows of a residual stream [24][n_embd] whose sizes run from 1e-3, where a norm's epsilon counts, to 10."""
    sizes = np.logspace(-3, 1, 24)[:, None]
    return (np.random.default_rng(11).standard_normal((24, n_embd)) * sizes).astype(np.float32)


@pytest.mark.parametrize("name", [*FORMATS, *SHAPES])
def test_each_layer_alone_gives_the_references_bits(tiny_model: Open, name: str) -> None:
    fields = fields_of(name) if name in FORMATS else SHAPES[name]
    model = tiny_model(**fields)
    reference = Reference(tiny_bytes(**fields), n_ctx=model.default_n_ctx, kv_type="f32")
    x = rows_of(model.n_embd)
    for il in range(reference.n_layer):
        with model.session(kv_type="f32") as session:
            is_alone = reference.kv_of(il) == il and not reference.n_per_layer
            if not is_alone or (il and reference.row.mixer == "RWKV"):   # it reads what another layer made, or ids
                with pytest.raises(gemel.UnsupportedError, match=f"evaluating layers {il} to {il + 1}: this is not"):
                    session.layers(x, il, il + 1)
                continue
            got = np.asarray(session.layers(x, il, il + 1))
        assert got.shape == x.shape
        assert_same_bits(got, reference.layer(il, x))


@pytest.mark.parametrize("format_", ["F32", "Q4_1"])
@pytest.mark.parametrize("name", [*mistakes.EVERYWHERE, *mistakes.BIASES])
def test_a_mistake_in_a_layer_shows_in_these_rows(name: str, format_: str) -> None:
    fields = {"biases": True, "ffn_biases": True, "format": format_}
    right, wrong = (Reference(tiny_bytes(**fields), kv_type="f32") for _ in range(2))
    (mistakes.EVERYWHERE | mistakes.BIASES)[name](wrong)
    x = rows_of(64)
    expected = right.layer(1, x)
    moved = np.abs(expected - wrong.layer(1, x)).max(axis=-1) / np.abs(expected).max(axis=-1)
    assert moved.max() > 1e-3


# Of SmolLM2's logits after 40 ids. Another definition of the bits changes them, and nothing else does.
SMOLLM2_SHA256: dict[KvType, str] = {
    "f16": "859c778eb9aaa19b0ed4dd888bdf041e826f000d3aa95751c06e52a4b2f4afa0",
    "q8_0": "2299de935d60fe823807b9e75a2fbb002b2b130062621792dc4737a3129fca86",
}


@pytest.mark.model
@pytest.mark.parametrize("kv_type", SMOLLM2_SHA256)
def test_smollm2_gives_the_logits_that_are_written_down(real_model: gemel.Model, kv_type: KvType) -> None:
    text = (Path(__file__).parents[1] / "text" / "english.txt").read_text()
    ids = real_model.tokenize(text)[:40]
    for split in (None, 1, 7):
        assert hashlib.sha256(logits(real_model, ids, split, kv_type)).hexdigest() == SMOLLM2_SHA256[kv_type]


@pytest.mark.long
@pytest.mark.model
def test_smollm2_gives_the_same_logits_on_every_row_and_thread_count(real_model: gemel.Model) -> None:
    text = (Path(__file__).parents[1] / "text" / "english.txt").read_text()
    ids = real_model.tokenize(text)[:200]
    threads, row = real_model.threads, real_model.isa
    hashes = set()
    try:
        for isa in ROWS:
            real_model.set_isa(isa)
            for n in (1, 2, 3) if isa != "scalar" else (2,):
                real_model.set_threads(n)
                hashes.add(hashlib.sha256(logits(real_model, ids)).hexdigest())
                hashes.add(hashlib.sha256(logits(real_model, ids, 77)).hexdigest())
    finally:
        real_model.set_threads(threads)
        real_model.set_isa(row)
    assert len(hashes) == 1
