"""Attention sinks of gpt-oss: what a file may say of them, and that they weigh as much as their size says."""

from __future__ import annotations

import re
from dataclasses import replace

import gemel
import numpy as np
import pytest
import tiny
from conftest import tiny_bytes
from gemel import KV_TYPES, KvType
from gguf_file import F32

IDS = [(11 * i + i * i // 7) % 300 for i in range(90)]


def with_sinks(value: float) -> bytes:
    """Return a model whose sinks in layer 1 are all of one size."""
    pairs, tensors = tiny.described(tiny.TinyModel(arch="gpt-oss"))
    name = "blk.1.attn_sinks.weight"
    changed = [tiny.vector(name, np.full(4, value, np.float32)) if one.name == name else one for one in tensors]
    return tiny.write_gguf(None, pairs, changed)


def logits(data: bytes, kv_type: KvType = "f32") -> F32:
    with gemel.open(data, threads=1) as model, model.session(kv_type=kv_type) as session:
        session.append(IDS)
        return np.asarray(session.logits()).copy()


@pytest.mark.parametrize("value", [2.0**57, -(2.0**57), 3e38])
def test_a_sink_that_is_too_large_is_refused(value: float) -> None:
    with pytest.raises(gemel.FormatError, match=r"attn_sinks\.weight: number 0 is .* value must be below 2\^57"):
        gemel.open(with_sinks(value))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_sink_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(gemel.FormatError, match=r"attn_sinks\.weight holds an Inf or NaN"):
        gemel.open(with_sinks(value))


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_a_large_sink_takes_all_weight_and_a_small_one_none(kv_type: KvType) -> None:
    without, small = logits(with_sinks(-1e4), kv_type), logits(with_sinks(-1e17), kv_type)
    assert without.tobytes() == small.tobytes()
    all_, more = logits(with_sinks(1e4), kv_type), logits(with_sinks(1e17), kv_type)
    np.testing.assert_allclose(all_, more, rtol=0, atol=1e-5 * float(np.abs(all_).max()))
    assert float(np.abs(all_ - without).max()) > 0.1


def test_a_file_without_sinks_is_refused() -> None:
    name = "blk.1.attn_sinks.weight"
    with pytest.raises(gemel.FormatError, match=re.escape(f"the tensor {name} is missing")):
        gemel.open(tiny_bytes(arch="gpt-oss", without=(name,)))


def test_sinks_of_another_number_of_heads_are_refused() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(arch="gpt-oss"))
    fewer = [replace(one, ne=[3], data=one.data[:12]) if "attn_sinks" in str(one.name) else one for one in tensors]
    with pytest.raises(gemel.FormatError, match=r"attn_sinks\.weight is \[3, 1, 1, 1\]"):
        gemel.open(tiny.write_gguf(None, pairs, fewer))
