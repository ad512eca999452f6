"""Hostile model files: small valid ones, changed by a table of mutators.

    cases("old") -> [Case("old", "bpe", "key dropped", 3), ...], the same each time
    made(case) -> ([bytes of each part], "general.name")

"old" files are what writers of plain llama files make; "new" ones use what newer writers do: numbers per
layer as arrays, fused QKV, biases of the feed-forward part, other architectures. tests/open_hostile.py opens them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import tiny
from tiny import Tensor
from vocabulary import Pair, small_charsmap

# ---- Valid files -----------------------------------------------------------------------------------------------------

N_VOCAB = 12
ROWS = {"token_embd.weight", "output.weight", "output.bias", "per_layer_token_embd.weight"}  # a row for each token
SHAPE = {"n_layer": 1, "n_embd": 32, "n_head": 2, "n_head_kv": 1, "n_ff": 32, "n_ctx": 64}


class Spec(NamedTuple):
    """What tiny.write_gguf and tiny.write_split make files of; counts: of the tensors in each part."""

    pairs: list[Pair]
    tensors: list[Tensor]
    counts: tuple[int, ...] = ()

    def parts(self, **claims: Any) -> list[bytes]:  # noqa: ANN401
        if self.counts:
            return tiny.write_split(None, self.pairs, self.tensors, self.counts)
        return [tiny.write_gguf(None, self.pairs, self.tensors, **claims)]


def small(*, n_vocab: int = N_VOCAB, counts: tuple[int, ...] = (), **fields: Any) -> Spec:  # noqa: ANN401
    """Return a model with a vocabulary cut to n_vocab tokens and no merges; 0: all of it, merges too."""
    pairs, tensors = tiny.described(tiny.TinyModel(**{**SHAPE, **fields}))
    pairs = [(key, kind, list(value) if isinstance(value, tuple) else value) for key, kind, value in pairs]
    if n_vocab:
        pairs = [(key, kind, _fewer(key, value, n_vocab)) for key, kind, value in pairs]
        tensors = [_fewer_rows(tensor, n_vocab) if tensor.name in ROWS else tensor for tensor in tensors]
    return Spec(pairs, tensors, counts)


def _fewer(key: str | bytes, value: Any, n_vocab: int) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [] if key == "tokenizer.ggml.merges" else value[:n_vocab]
    return n_vocab if str(key).endswith(".vocab_size") else value


def _fewer_rows(tensor: Tensor, n: int) -> Tensor:
    return dataclasses.replace(
        tensor, ne=[*tensor.ne[:-1], n], data=tensor.data[: len(tensor.data) // tensor.ne[-1] * n]
    )


def per_layer(spec: Spec, kind: str, **values: Sequence[int]) -> Spec:
    """Return the model with the numbers of some keys (the last words of their names) as an array, an item a layer."""
    pairs: list[Pair] = []
    for pair in spec.pairs:
        name = str(pair[0]).rsplit(".", 1)[-1]
        pairs.append((pair[0], kind, list(values[name])) if name in values else pair)
    return spec._replace(pairs=pairs)


def fused(spec: Spec) -> Spec:
    """Return the model with Q, K and V of a layer in one tensor, attn_qkv, weights and biases alike."""
    tensors: list[Tensor] = []
    for tensor in spec.tensors:
        name = str(tensor.name)
        if re.search(r"attn_[kv]\.", name):
            last = tensors[-1]
            ne = [*last.ne[:-1], last.ne[-1] + tensor.ne[-1]]
            tensors[-1] = dataclasses.replace(last, ne=ne, data=last.data + tensor.data)
        else:
            tensors.append(dataclasses.replace(tensor, name=name.replace("attn_q.", "attn_qkv.")))
    return spec._replace(tensors=tensors)


def with_ffn_biases(spec: Spec) -> Spec:
    extra = [
        Tensor(str(tensor.name).replace("weight", "bias"), "F32", [tensor.ne[1]], bytes(4 * tensor.ne[1]))
        for tensor in spec.tensors
        if ".ffn_" in str(tensor.name) and len(tensor.ne) == 2
    ]
    return spec._replace(tensors=[*spec.tensors, *extra])


def uneven() -> Spec:
    """Two layers, the second with fewer heads of keys and a wider feed-forward part."""
    one = small(n_layer=2, n_head=4, n_head_kv=2, head_dim=8)
    other = small(n_layer=2, n_head=4, n_head_kv=1, head_dim=8, n_ff=64)
    second = [tensor for tensor in other.tensors if str(tensor.name).startswith("blk.1.")]
    tensors = [tensor for tensor in one.tensors if not str(tensor.name).startswith("blk.1.")] + second
    return per_layer(one._replace(tensors=tensors), "i32[]", head_count_kv=[2, 1], feed_forward_length=[32, 64])


ARRAYS = {"head_count": [2], "head_count_kv": [1], "feed_forward_length": [32]}
CHARSMAP: Pair = ("tokenizer.ggml.precompiled_charsmap", "u8[]", list(small_charsmap()))
NO_QWEN2 = ("blk.0.attn_output.bias",)
K_QUANTS = {"attn_q": "Q6_K", "ffn_down": "Q4_K", "attn_v": "Q3_K"}
EXPERTS = {"n": 4, "n_used": 2, "n_groups": 2, "n_groups_used": 1, "n_shared": 1, "shared_width": 32}
# Together they have every tensor, and every key that arch/ looks up.
ARCHS: dict[str, dict[str, Any]] = {
    "deepseek2": {
        "arch": "deepseek2", "kv_rank": 32, "q_rank": 32, "head_dim": 48, "v_dim": 16, "rope": "yarn", "yarn_log": 0.07,
        "n_layer": 2, "experts": {**EXPERTS, "n_ff": 32, "n_dense": 1, "gating": 2, "normed": True, "scale": 2.5,
                                  "choice_bias": True},
    },
    "deepseek2_lite": {"arch": "deepseek2", "kv_rank": 32, "head_dim": 48, "v_dim": 16},
    "gpt-oss": {"arch": "gpt-oss", "formats": {"ffn_down_exps": "MXFP4"}},
    "gpt-oss_fused": {"arch": "gpt-oss", "fused": ("attn_qkv",), "experts": {"fused": True}},
    "llama4": {"arch": "llama4", "n_layer": 2, "experts": {"step": 1}},
    "gemma4": {"arch": "gemma4", "n_layer": 3, "shared_kv": 1, "wide_shared": True, "per_layer": 32},
    "gemma4_experts": {"arch": "gemma4", "n_layer": 2, "k_is_v": True, "experts": {"n": 4, "n_used": 2, "n_ff": 32}},
    "gemma4_keys": {"arch": "gemma4", "n_layer": 2, "k_is_v": True, "final_cap": 3.0},
    "qwen2moe": {"arch": "qwen2moe", "experts": {"n": 4, "n_used": 2, "says_shared": True}},
    "granitemoe": {"arch": "granitemoe"},
    "glm4moe": {"arch": "glm4moe", "n_layer": 2, "qk_norm": True, "kv": [("glm4moe.nextn_predict_layers", "u32", 0)]},
    "phimoe": {"arch": "phimoe"},
    "ernie4_5-moe": {"arch": "ernie4_5-moe", "n_layer": 2},
    "minimax-m2": {"arch": "minimax-m2"},
    "mistral3": {
        "arch": "mistral3", "rope": "yarn", "rope_n_ctx_orig": 16,
        "kv": [(f"mistral3.rope.scaling.yarn_beta_{one}", "f32", by) for one, by in (("fast", 32.0), ("slow", 1.0))],
    },
    "command-r": {"arch": "command-r", "head_norms": True, "clamp": 2.0},
    "apertus": {"arch": "apertus"},
    "hunyuan-dense": {"arch": "hunyuan-dense", "rope_alpha": 100.0},
    "minicpm": {"arch": "minicpm", "attn_scale": 0.2},
    "falcon": {"arch": "falcon", "two_norms": True, "biases": True, "ffn_biases": True},
    "mpt": {"arch": "mpt", "n_head_kv": 2, "norm_biases": True},
    "bloom": {"arch": "bloom", "n_head_kv": 2},
    "gpt2": {"arch": "gpt2", "n_head_kv": 2},
    "gptneox": {"arch": "gptneox", "n_head_kv": 2},
    "phi2": {"arch": "phi2", "n_head_kv": 2},
    "stablelm": {"arch": "stablelm"},
    "gemma2": {"arch": "gemma2", "n_layer": 2},
    "gemma3": {"arch": "gemma3", "n_layer": 2, "kv": [("gemma3.rope.scale_linear", "f32", 4.0)]},
    "lfm2": {"arch": "lfm2", "n_layer": 3, "n_head_kv": (0, 1, 0)},
    "lfm2moe": {"arch": "lfm2moe", "n_layer": 2, "n_head_kv": (1, 0)},
    "qwen35": {"arch": "qwen35", "n_layer": 2},
    "qwen35_flags": {"arch": "qwen35", "n_layer": 3, "recurrent": (False, True, True), "delta_dims": (8, 24)},
    "qwen35moe": {
        "arch": "qwen35moe", "n_layer": 2, "experts": {"n": 4}, "kv": [("qwen35moe.nextn_predict_layers", "u32", 0)],
    },
    "qwen3next": {"arch": "qwen3next", "n_layer": 2, "experts": {"n": 4}},
    "mamba": {"arch": "mamba", "ssm_heads": 4, "ssm_state": 4},
    "mamba2": {"arch": "mamba2", "ssm_heads": 4, "ssm_state": 4, "ssm_groups": 2},
    "falcon-h1": {"arch": "falcon-h1", "ssm_heads": 4, "ssm_state": 4},
    "granitehybrid": {
        "arch": "granitehybrid", "n_layer": 2, "ssm_heads": 4, "ssm_state": 4,
        "kv": [("granitehybrid.rope.scaling.finetuned", "bool", True)],
    },
    "nemotron_h": {"arch": "nemotron_h", "n_layer": 3, "ssm_heads": 4, "ssm_state": 4},
    "rwkv7": {"arch": "rwkv7", "n_layer": 2, "kv": [("rwkv7.token_shift_count", "u32", 2)]},
    "arwkv7": {"arch": "arwkv7", "n_layer": 2},
    "bert": {
        "arch": "bert", "n_layer": 2, "tokenizer": "bert", "scores": 1,
        "kv": [("bert.classifier.output_labels", "string[]", ["x"])],
    },
    "qwen3_rank": {
        "arch": "qwen3", "scores": 2, "rank_dense": False, "n_vocab": 0,
        "kv": [("qwen3.pooling_type", "u32", 4), ("tokenizer.chat_template.rerank", "string", "{query} {document}")],
    },
    "mpnet": {"arch": "mpnet", "n_layer": 2, "tokenizer": "bert", "n_buckets": 8},
    "nomic-bert": {"arch": "nomic-bert"},
    "jina-bert-v2": {"arch": "jina-bert-v2"},
    "modern-bert": {"arch": "modern-bert", "kv": [("modern-bert.hidden_activation", "string", "gelu")]},
    "gemma-embedding": {"arch": "gemma-embedding"},
}
BASES: dict[str, dict[str, Callable[[], Spec]]] = {
    "old": {
        "bpe": lambda: small(n_vocab=0, head_dim=16, rope="yarn", chat_template="{{ messages }}"),
        "spm": lambda: small(tokenizer="spm", format="Q8_0", rope="linear", n_vocab=0),
        "floats": lambda: small(format="F16", formats={"attn_v": "BF16", "ffn_up": "F32"}, biases=True, n_layer=2),
        "k": lambda: small(tied=True, format="Q5_K", formats=K_QUANTS, n_embd=256, n_head=8, n_ff=256, rope="llama3"),
        "tied": lambda: small(tied=True, format="Q4_0", formats={"attn_q": "MXFP4", "ffn_up": "IQ4_NL"}),
        "longrope": lambda: small(tokenizer="spm", format="Q5_1", rope="longrope", rope_attn_factor=1.1),
        "split": lambda: small(counts=(3, 4, 5)),
    },
    "new": {
        "arrays": lambda: per_layer(small(n_vocab=0), "u32[]", **ARRAYS),
        "uneven": uneven,
        "fused": lambda: fused(small(biases=True)),
        "fused_arrays": lambda: fused(per_layer(small(format="F16", tokenizer="spm"), "i32[]", **ARRAYS)),
        "ffn_biases": lambda: with_ffn_biases(small(biases=True, format="Q8_0")),
        "qwen2": lambda: small(arch="qwen2", biases=True, pre="qwen2", without=NO_QWEN2),
        "qwen2_fused": lambda: fused(small(arch="qwen2", biases=True, tied=True, without=NO_QWEN2)),
        "split": lambda: fused(small(biases=True, counts=(3, 4, 5))),
        "unigram": lambda: small(tokenizer="unigram", n_vocab=0, kv=[CHARSMAP]),
        "char_bpe": lambda: small(tokenizer="char_bpe", n_vocab=0),
    },
    "archs": {name: functools.partial(small, **fields) for name, fields in ARCHS.items()},
}

# ---- Mutators --------------------------------------------------------------------------------------------------------
# Of a key or a tensor: what takes its place. Values that a mutator chooses from are drawn by the case's own generator.

EDGES = (0, 1, 2, 3, 7, 2**16, 2**31 - 1, 2**31, 2**32 - 1)  # of 32 bits
WIDE = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1)
FLOATS = (0.0, -0.0, -1.0, 1e-40, 1e-6, 0.5, 3e38, math.inf, -math.inf, math.nan)
TEXTS = ("", "x", "none", "gpt2", "llama\0", b"\xff\xfe", "\x1b[2J", "▁" * 400, "x" * 70000)


def _edge(pair: Pair, rng: random.Random) -> Any:  # noqa: ANN401
    """Return a value that the pair's type can hold, and that the key should not."""
    kind = pair[1].removesuffix("[]") if isinstance(pair[1], str) else ""
    if kind == "string":
        return rng.choice(TEXTS)
    if kind in ("f32", "f64"):
        return rng.choice(FLOATS)
    if kind == "u8":
        return rng.choice((0, 1, 127, 128, 255))
    return rng.random() < 0.5 if kind == "bool" else rng.choice(EDGES[:6] if kind[0] == "i" else EDGES[:-1])


def _edge_value(pair: Pair, rng: random.Random) -> list[Pair]:
    key, kind, value = pair
    if not isinstance(value, list):
        return [(key, kind, _edge(pair, rng))]
    at = rng.randrange(len(value) + 1)
    return [(key, kind, [*value[:at], _edge(pair, rng), *value[at + 1 :]])]


FAMILIES = ({"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"}, {"f32", "f64"}, {"string"}, {"bool"})
ALSO = {"sliding_window_pattern": FAMILIES[0]}  # that a key may be of, too: a period, or a flag for each layer
OTHERS = (("string", "8"), ("u32", 8), ("i64", 8), ("f32", 8.0), ("bool", True), ("f64[]", [8.0]), ("string[]", ["8"]))


def _other_type(pair: Pair, rng: random.Random) -> list[Pair]:
    """Return the key with a value that is not even of the same family, or an array in a scalar's place."""
    own = next((family for family in FAMILIES if str(pair[1]).removesuffix("[]") in family), set())
    own = own | ALSO.get(str(pair[0]).rsplit(".", 1)[-1], set())
    return [(pair[0], *rng.choice([other for other in OTHERS if other[0].removesuffix("[]") not in own]))]


def _array_or_scalar(pair: Pair, rng: random.Random) -> list[Pair]:
    key, kind, value = pair
    if isinstance(value, list):
        return [(key, str(kind).removesuffix("[]"), value[0] if value else 0)] if value else []
    return [(key, f"{kind}[]", [value] * rng.choice((0, 1, 1, 2, 5)))]


def _other_length(pair: Pair, rng: random.Random) -> list[Pair]:
    key, kind, value = pair
    if not isinstance(value, list):
        return [pair, (str(key) + "x", kind, value)]
    return [(key, kind, rng.choice(([], value[:-1], value[1:], value * 2, value[:1])))]


def _lying_length(pair: Pair, rng: random.Random) -> list[Pair]:
    item = rng.choice((0, 4, 5, 6, 7, 8, 9, 10))
    raw = rng.choice((struct.pack("<IQ", item, rng.choice(WIDE)), struct.pack("<Q", rng.choice(WIDE))))
    return [(pair[0], 9 if len(raw) == 12 else 8, raw + bytes(rng.randrange(30)))]


KEYS: dict[str, Callable[[Pair, random.Random], list[Pair]]] = {
    "dropped": lambda pair, rng: [],
    "doubled": lambda pair, rng: [pair, pair],
    "renamed": lambda pair, rng: [(rng.choice((str(pair[0]) + "x", "", "a\0b")), *pair[1:])],
    "other type": _other_type,
    "array or scalar": _array_or_scalar,
    "other length": _other_length,
    "edge": _edge_value,
    "another edge": _edge_value,
    "wide": lambda pair, rng: [(pair[0], "u64", rng.choice(WIDE))],
    "negative": lambda pair, rng: [(pair[0], rng.choice(("i8", "i32", "i64")), rng.choice((-1, -2, -128)))],
    "lying length": _lying_length,
    "unknown type": lambda pair, rng: [(pair[0], rng.choice((13, 99, 2**31, 2**32 - 1)), bytes(8))],
}


def _with(**changes: Callable[[Tensor, random.Random], Any]) -> Callable[[Tensor, random.Random], list[Tensor]]:
    """Return the mutator that replaces fields of a tensor."""
    return lambda tensor, rng: [
        dataclasses.replace(tensor, **{field: change(tensor, rng) for field, change in changes.items()})
    ]


def _other_shape(tensor: Tensor, rng: random.Random) -> list[int]:
    ne, at = list(tensor.ne), rng.randrange(len(tensor.ne))
    change = rng.randrange(5)
    if change == 0:
        return ne[::-1] if len(ne) > 1 else [ne[0] // 2, 2]
    if change == 1:
        return [*ne, rng.choice((1, 2, 2**32))]
    ne[at] = (ne[at] + rng.choice((-1, 1, 32, -32)), ne[at] * 2, ne[at] // 2)[change - 2]
    return [abs(n) for n in ne]


def _wide_shape(tensor: Tensor, rng: random.Random) -> list[int]:
    ne, at = list(tensor.ne), rng.randrange(len(tensor.ne))
    ne[at] = rng.choice((0, *WIDE))
    return ne


def _noise(tensor: Tensor, rng: random.Random) -> bytes:
    size = len(tensor.data)
    return rng.choice((b"\xff" * size, bytes(size), rng.randbytes(size), struct.pack("<I", 0x7F800000) * (size // 4)))


def _hidden(tensor: Tensor, rng: random.Random) -> bytes:
    """Return the data with a few bytes changed."""
    data = bytearray(tensor.data)
    for _ in range(rng.choice((1, 3, 40))):
        data[rng.randrange(len(data))] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(data)


TENSORS: dict[str, Callable[[Tensor, random.Random], list[Tensor]]] = {
    "dropped": lambda tensor, rng: [],
    "doubled": lambda tensor, rng: [tensor, tensor],
    "renamed": _with(name=lambda t, rng: rng.choice((str(t.name) + "x", "", "output.weight", "blk.1.x"))),
    "a layer further": _with(name=lambda t, rng: str(t.name).replace("blk.0.", rng.choice(("blk.1.", "blk.00.")))),
    "other type": _with(type=lambda t, rng: rng.choice(sorted(set(tiny.TYPES) - {str(t.type)}))),
    "other type of that size": _with(
        type=lambda t, rng: rng.choice(tiny.COMPUTED), data=lambda t, rng: t.data + bytes(4 * len(t.data))
    ),
    "unknown type": _with(type=lambda t, rng: rng.choice((4, 5, 36, 255, 2**31, 2**32 - 1))),
    "other shape": _with(ne=_other_shape),
    "other shape, more data": _with(ne=_other_shape, data=lambda t, rng: t.data * 4),
    "wide shape": _with(ne=_wide_shape),
    "dimensions": _with(n_dims=lambda t, rng: rng.choice((0, 1, 3, 4, 5, 2**31, 2**32 - 1))),
    "offset 0": _with(offset=lambda t, rng: rng.choice((0, 32))),
    "odd offset": _with(offset=lambda t, rng: rng.choice((1, 4, 33, 2**32 + 1))),
    "wide offset": _with(offset=lambda t, rng: rng.choice(WIDE) // 32 * 32),
    "cut": _with(data=lambda t, rng: t.data[: -rng.choice((1, 32, 64))]),
    "noise": _with(data=_noise),
    "hidden noise": _with(data=_hidden),
}


def _boundaries(data: bytes) -> list[int]:
    """Return where a file's fields end: near every length that is written in it."""
    marks = [match.start() for match in re.finditer(rb"(?<![a-z_])[a-z_]+(\.[a-z0-9_]+)+", data)]
    return [0, 1, 4, 8, 16, 24, *(at + more for at in marks for more in (-8, -4, 0, 1, 12, 20)), len(data) - 1]


def _cut(parts: list[bytes], rng: random.Random) -> list[bytes]:
    at = rng.randrange(len(parts))
    return [*parts[:at], parts[at][: rng.choice(_boundaries(parts[at]))], *parts[at + 1 :]]


def _flipped(parts: list[bytes], rng: random.Random, pack: Callable[[random.Random], bytes]) -> list[bytes]:
    at = rng.randrange(len(parts))
    data = bytearray(parts[at])
    end = max(data.rfind(b".weight"), 200) + 40  # of the table of tensors
    for _ in range(rng.randint(1, 3)):
        new = pack(rng)
        where = rng.randrange(end - len(new))
        data[where : where + len(new)] = new
    return [*parts[:at], bytes(data), *parts[at + 1 :]]


FILES: dict[str, Callable[[Spec, random.Random], list[bytes]]] = {
    "cut": lambda spec, rng: _cut(spec.parts(), rng),
    "flipped bytes": lambda spec, rng: _flipped(spec.parts(), rng, lambda rng: rng.randbytes(1)),
    "flipped words": lambda spec, rng: _flipped(spec.parts(), rng, lambda rng: struct.pack("<I", rng.choice(EDGES))),
    "flipped longs": lambda spec, rng: _flipped(spec.parts(), rng, lambda rng: struct.pack("<Q", rng.choice(WIDE))),
    "count of keys": lambda spec, rng: spec.parts(n_kv=rng.choice((0, 1, len(spec.pairs) + 1, *WIDE))),
    "count of tensors": lambda spec, rng: spec.parts(n_tensors=rng.choice((0, 1, len(spec.tensors) + 1, *WIDE))),
    "version": lambda spec, rng: spec.parts(version=rng.choice((0, 1, 4, 2**24 * 3))),
    "alignment": lambda spec, rng: spec.parts(alignment=rng.choice((8, 64, 4096))),
    "parts": lambda spec, rng: rng.sample(spec.parts(), len(spec.parts())) + spec.parts()[: rng.randrange(2)],
    "nothing": lambda spec, rng: spec.parts(),
}
TIMES = {"cut": 60, "flipped bytes": 40, "flipped words": 40, "flipped longs": 20, "nothing": 1}  # else 5


class Case(NamedTuple):
    half: str
    base: str
    mutator: str
    subject: int


@functools.cache
def base(half: str, name: str) -> Spec:
    return BASES[half][name]()


def _all(half: str) -> Iterable[Case]:
    for name in BASES[half]:
        spec = base(half, name)
        yield from (Case(half, name, f"key {what}", i) for what in KEYS for i in range(len(spec.pairs)))
        yield from (Case(half, name, f"tensor {what}", i) for what in TENSORS for i in range(len(spec.tensors)))
        yield from (Case(half, name, f"file {what}", i) for what in FILES for i in range(TIMES.get(what, 5)))


def cases(half: str) -> list[Case]:
    """Return the cases of a half, some thousands, in an order of chance that is always the same."""
    found = list(_all(half))
    random.Random(half).shuffle(found)
    return found


def made(case: Case) -> tuple[list[bytes], str]:
    """Return the files of a case, and the key or tensor that it is about."""
    spec, rng = base(case.half, case.base), random.Random(repr(case))
    what, mutator = case.mutator.split(" ", 1)
    i = case.subject
    if what == "key":
        pairs = [*spec.pairs[:i], *KEYS[mutator](spec.pairs[i], rng), *spec.pairs[i + 1 :]]
        return spec._replace(pairs=pairs).parts(), str(spec.pairs[i][0])
    if what == "tensor":
        tensors = [*spec.tensors[:i], *TENSORS[mutator](spec.tensors[i], rng), *spec.tensors[i + 1 :]]
        return spec._replace(tensors=tensors).parts(), str(spec.tensors[i].name)
    return FILES[mutator](spec, rng), "the file"
