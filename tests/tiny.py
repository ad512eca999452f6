"""Seeded tiny GGUF files: models of any architecture, shape and format.

    tiny_llama(seed=1, format="Q4_K", n_embd=256, n_ff=256) -> bytes of a valid file with a working tokenizer

Every random number comes from the seed. Weights have everyday sizes (about 1 / sqrt(n_in)), so that a model of a few
thousand weights stays numerically tame; those of q and k are larger, so that attention is peaked and a wrong scale,
bias or rotation shows in the logits. tiny_model.py says what a model may be, gguf_writer.py writes files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiny_experts
import tiny_mamba
import tiny_rwkv
from gguf_writer import (
    BLOCKS,
    COMPUTED,
    F32,
    PACKING,
    TYPES,
    VALUE_TYPES,
    Tensor,
    float_bytes,
    hashed_numbers,
    packed_string,
    random_blocks,
    vector,
    write_gguf,
    write_split,
)
from tiny_model import ROPE_BASE_SWA, SAYS_HEAD_DIM, WINDOW_PATTERN, XIELU, PerLayer, TinyModel, of_layer
from vocabulary import (
    Pair,
    bpe_vocabulary,
    char_bpe_vocabulary,
    spm_vocabulary,
    unigram_vocabulary,
    wordpiece_vocabulary,
    world_vocabulary,
)

__all__ = [
    "BLOCKS",
    "COMPUTED",
    "PACKING",
    "TYPES",
    "VALUE_TYPES",
    "Pair",
    "PerLayer",
    "Tensor",
    "TinyModel",
    "described",
    "float_bytes",
    "hashed_numbers",
    "llama3_factors",
    "of_layer",
    "packed_string",
    "random_blocks",
    "tiny_llama",
    "tiny_split",
    "vector",
    "write_gguf",
    "write_split",
]

VOCABULARIES = {
    "spm": spm_vocabulary, "char_bpe": char_bpe_vocabulary, "unigram": unigram_vocabulary, "bert": wordpiece_vocabulary,
    "world": world_vocabulary,
}  # fmt: skip
SHARPNESS = 1.75  # of q and k: scores of attention are about 3 in size, so that a few positions decide


def tiny_llama(path: Path | None = None, **fields: Any) -> bytes:  # noqa: ANN401
    """Return the bytes of a valid file of any architecture (arch="llama"); `fields` are those of TinyModel.

    Equal fields give equal bytes.

    >>> tiny_llama(n_layer=1, format="Q8_0")[:4]
    b'GGUF'
    """
    return write_gguf(path, *described(TinyModel(**fields)))


def tiny_split(folder: Path | None = None, *, n_parts: int = 3, **fields: Any) -> list[bytes]:  # noqa: ANN401
    """Return the same model in parts: n_parts runs of tensors, as even as can be, in file order."""
    pairs, tensors = described(TinyModel(**fields))
    n = len(tensors)
    counts = [n * (i + 1) // n_parts - n * i // n_parts for i in range(n_parts)]
    return write_split(folder, pairs, tensors, counts)


def described(t: TinyModel) -> tuple[list[Pair], list[Tensor]]:
    """Return what the file of a model holds: pairs and tensors, for write_gguf and write_split."""
    vocabulary = bpe_vocabulary(t.n_vocab, pre=t.pre) if t.tokenizer == "bpe" else VOCABULARIES[t.tokenizer](t.n_vocab)
    n_vocab = next(len(value) for key, _, value in vocabulary if key == "tokenizer.ggml.tokens")
    tensors = [tensor for tensor in _tensors(t, n_vocab) if tensor.name not in t.without]
    if t.by_name:
        tensors.sort(key=lambda tensor: tensor.name)
    return _with(_hyperparameters(t, n_vocab) + vocabulary + _template(t), t), tensors


def _with(pairs: list[Pair], t: TinyModel) -> list[Pair]:
    merged = {pair[0]: pair for pair in (*pairs, *t.kv)}
    return [pair for key, pair in merged.items() if key not in t.without]


def _template(t: TinyModel) -> list[Pair]:
    return [] if t.chat_template is None else [("tokenizer.chat_template", "string", t.chat_template)]


def _hyperparameters(t: TinyModel, n_vocab: int) -> list[Pair]:
    is_rms = t.row.norm == "RMS" or t.row.has("RMS_EPSILON")
    pairs: list[Pair] = [
        ("general.architecture", "string", t.arch),
        ("general.name", "string", f"tiny {t.arch} {t.seed}"),
        ("general.quantization_version", "u32", 2),
        (f"{t.arch}.vocab_size", "u32", n_vocab),
        (f"{t.arch}.context_length", "u32", t.n_ctx),
        (f"{t.arch}.embedding_length", "u32", t.n_embd),
        (f"{t.arch}.block_count", "u32", t.n_layer),
        *_sizes_of_halves(t),
        (f"{t.arch}.attention.layer_norm_{'rms_' if is_rms else ''}epsilon", "f32", t.eps),
    ]
    if t.row.rope != "NONE":
        pairs.append((f"{t.arch}.rope.dimension_count", "u32", t.rotated))
        pairs.append((f"{t.arch}.rope.freq_base", "f32", t.rope_base))
    if t.row.has("SHORT_CONV"):
        pairs.append((f"{t.arch}.shortconv.l_cache", "u32", t.taps))
    if t.row.has("DELTA_NET"):
        pairs += _delta_keys(t)
    if t.is_latent:
        pairs += _latent(t)
    elif t.head_dim is not None or t.arch in SAYS_HEAD_DIM:
        pairs += [(f"{t.arch}.attention.{part}_length", "u32", t.dim) for part in ("key", "value")]
    if t.arch == "gemma4":
        numbers = {
            "attention.key_length_swa": t.dim_swa, "attention.value_length_swa": t.dim_swa,
            "rope.dimension_count_swa": t.dim_swa, "attention.shared_kv_layers": t.shared_kv,
            "embedding_length_per_layer_input": t.per_layer,
        }  # fmt: skip
        pairs += [(f"gemma4.{key}", "u32", value) for key, value in numbers.items()]
    if t.row.has("ENCODER"):
        pairs += [(f"{t.arch}.attention.causal", "bool", False), (f"{t.arch}.pooling_type", "u32", t.pooling)]
    if t.row.has("TOKEN_TYPES") and t.n_types:
        pairs.append(("tokenizer.ggml.token_type_count", "u32", t.n_types))
    if t.row.has("REL_BIAS"):
        pairs.append((f"{t.arch}.attention.relative_buckets_count", "u32", t.n_buckets))
    if t.scores > 1:
        labels = ["yes", "no", *(f"label {i}" for i in range(2, t.scores))]
        pairs.append((f"{t.arch}.classifier.output_labels", "string[]", labels[: t.scores]))
    scaling = _rope_scaling(t) if t.row.rope != "NONE" else []
    return pairs + scaling + _windows(t) + _factors(t) + tiny_experts.keys(t) + tiny_mamba.keys(t) + tiny_rwkv.keys(t)


def _sizes_of_halves(t: TinyModel) -> list[Pair]:
    """Return the keys of attention's heads and of feed-forward's length; of models without either, as converters do."""

    def per_layer(key: str, value: PerLayer) -> Pair:
        return (f"{t.arch}.{key}", "u32" if isinstance(value, int) else "i32[]", value)

    if t.row.ffn == "NONE":
        return [per_layer("feed_forward_length", 0), per_layer("attention.head_count", 0)]
    if t.row.mixer == "RWKV":
        return [per_layer("feed_forward_length", t.n_ff)]
    differ = t.wide_shared or t.row.has("ONE_HALF")
    return [
        per_layer("feed_forward_length", [t.ff_of(il) for il in range(t.n_layer)] if differ else t.n_ff),
        per_layer("attention.head_count", t.n_head),
        per_layer("attention.head_count_kv", t.heads_kv),
    ]


def _delta_keys(t: TinyModel) -> list[Pair]:
    (n_k, n_v), (k_dim, v_dim) = t.delta_heads, t.delta_lengths
    numbers = {
        "ssm.conv_kernel": t.taps, "ssm.state_size": k_dim, "ssm.group_count": n_k, "ssm.time_step_rank": n_v,
        "ssm.inner_size": n_v * v_dim,
    }  # fmt: skip
    pairs: list[Pair] = [(f"{t.arch}.{key}", "u32", value) for key, value in numbers.items()]
    flags = [t.has_delta(il) for il in range(t.n_layer)]
    period = [*flags, False].index(False) + 1
    if flags == [(il + 1) % period != 0 for il in range(t.n_layer)]:
        pairs.append((f"{t.arch}.full_attention_interval", "u32", period))
    else:
        pairs.append((f"{t.arch}.attention.recurrent_layers", "bool[]", flags))
    if t.arch != "qwen3next":  # of the places in an image, which turn texts as one place does
        pairs.append((f"{t.arch}.rope.dimension_sections", "i32[]", [*t.sections, 0]))
    return pairs


def _latent(t: TinyModel) -> list[Pair]:
    numbers = {
        "kv_lora_rank": t.kv_rank, "key_length": t.kv_rank + t.rotated, "value_length": t.kv_rank,
        "key_length_mla": t.dim, "value_length_mla": t.v_length,
    }  # fmt: skip
    if t.q_rank:
        numbers["q_lora_rank"] = t.q_rank
    return [(f"{t.arch}.attention.{key}", "u32", value) for key, value in numbers.items()]


def _rope_scaling(t: TinyModel) -> list[Pair]:
    pairs: list[Pair] = []
    if t.rope in ("linear", "yarn", "longrope"):
        if t.arch != "phi3" or t.rope != "longrope":  # phi3's files have factors, and don't say what they are for
            pairs.append((f"{t.arch}.rope.scaling.type", "string", t.rope))
        pairs.append((f"{t.arch}.rope.scaling.original_context_length", "u32", t.n_ctx_orig))
    if t.rope in ("linear", "yarn"):
        pairs.append((f"{t.arch}.rope.scaling.factor", "f32", t.rope_factor))
    if t.rope not in ("linear", "yarn", "longrope") and t.heated is not None and t.heated_by is None:
        pairs.append((f"{t.arch}.rope.scaling.original_context_length", "u32", t.n_ctx_orig))
    if t.rope_attn_factor is not None:
        pairs.append((f"{t.arch}.rope.scaling.attn_factor", "f32", t.rope_attn_factor))
    return pairs


def _windows(t: TinyModel) -> list[Pair]:
    """Return the keys of layers that see a window, and of their RoPE."""
    pairs: list[Pair] = []
    if t.sliding or t.window is not None:
        pairs.append((f"{t.arch}.attention.sliding_window", "u32", t.sliding))
    pattern = WINDOW_PATTERN.get(t.arch) if t.window_pattern is None else t.window_pattern
    if pattern is not None:
        if t.arch == "gemma4":  # whose files say it for each layer
            pattern = [t.slides(il) for il in range(t.n_layer)]
        kind = "u32" if isinstance(pattern, int) else "bool[]"
        pairs.append((f"{t.arch}.attention.sliding_window_pattern", kind, pattern))
    base = ROPE_BASE_SWA.get(t.arch) if t.rope_base_swa is None else t.rope_base_swa
    return pairs if base is None else [*pairs, (f"{t.arch}.rope.freq_base_swa", "f32", base)]


def _factors(t: TinyModel) -> list[Pair]:
    """Return the keys of single numbers that few architectures have."""
    embd, residual, attention, logit = t.scales
    numbers = {
        "attn_logit_softcapping": t.caps[0], "final_logit_softcapping": t.caps[1],
        "embedding_scale": embd, "residual_scale": residual, "attention.scale": attention, "logit_scale": logit,
        "attention.clamp_kqv": t.clamp, "attention.max_alibi_bias": t.alibi,
        "attention.temperature_scale": t.heated, "rope.scaling.yarn_log_multiplier": t.yarn_log_multiplier,
        "rope.scaling.alpha": t.rope_alpha,
    }  # fmt: skip
    pairs: list[Pair] = [(f"{t.arch}.{key}", "f32", value) for key, value in numbers.items() if value is not None]
    if t.heated_by is not None:
        pairs.append((f"{t.arch}.attention.temperature_length", "u32", t.heated_by))
    if t.row.act == "XIELU":
        pairs += [(f"xielu.{name}", "f32[]", [by[il % 3] for il in range(t.n_layer)]) for name, by in XIELU.items()]
    if t.is_parallel is not None:
        pairs.append((f"{t.arch}.use_parallel_residual", "bool", t.is_parallel))
    return pairs


def llama3_factors(n_rot: int, *, base: float, factor: float, n_ctx_orig: int) -> F32:
    """Return what Llama 3.1 divides its frequencies by: 1 for short waves, `factor` for long ones, a blend between."""
    wave = 2 * math.pi * base ** (np.arange(0, n_rot, 2) / n_rot)
    keep = np.clip((n_ctx_orig / wave - 1) / (4 - 1), 0, 1)  # low_freq_factor 1, high_freq_factor 4
    return (1 / ((1 - keep) / factor + keep)).astype(np.float32)


def _rope_factors(t: TinyModel, rng: np.random.Generator) -> Mapping[str, Sequence[float] | F32]:
    if t.row.rope == "NONE":
        return {}
    if t.rope_factors is not None:
        return t.rope_factors
    if t.arch == "gemma4":  # a quarter of the pairs rotates
        return {"rope_freqs.weight": [1.0 if i < t.dim // 8 else 1e30 for i in range(t.dim // 2)]}
    if t.rope == "llama3":
        factors = llama3_factors(t.rotated, base=t.rope_base, factor=t.rope_factor, n_ctx_orig=t.n_ctx_orig)
        return {"rope_freqs.weight": factors}
    if t.rope != "longrope":
        return {}
    ramp = np.linspace(1, t.rope_factor, t.rotated // 2)
    short, long = (ramp**power * rng.uniform(0.95, 1.05, len(ramp)) for power in (0.25, 1))
    return {"rope_factors_long.weight": long.tolist(), "rope_factors_short.weight": short.tolist()}


def _format_of(t: TinyModel, name: str) -> str:
    stem = name.removesuffix(".weight")
    formats = t.formats or {}
    last = stem.rsplit(".", 1)[-1]
    absent = "F16" if last in tiny_rwkv.LOW and t.format != "F32" else t.format
    return formats.get(stem, formats.get(last, "F32" if last == "ffn_gate_inp" else absent))


class _Weights:
    """Draws a model's tensors: each call goes on in the seed's sequence, or, hashed, starts the name's own."""

    def __init__(self, t: TinyModel) -> None:
        self.t, self.rng = t, np.random.default_rng(t.seed)

    def numbers(self, name: str, n: int) -> npt.NDArray[np.float64]:
        return hashed_numbers(self.t.seed, name, n) if self.t.hashed else self.rng.standard_normal(n)

    def stack(self, name: str, n_in: int, rows: int, count: int, std: float | None = None) -> Tensor:
        one = self.matrix(name, n_in, rows * count, std)
        return replace(one, ne=[n_in, rows, count])

    def matrix(self, name: str, n_in: int, rows: int, std: float | None = None) -> Tensor:
        type_ = _format_of(self.t, name)
        if name.endswith((*HEAD_STACKS, "ssm_dt.weight")) and n_in % BLOCKS[type_][0]:
            type_ = "F16" if n_in % 32 else "Q8_0"  # as quantising programs do
        if n_in % BLOCKS[type_][0]:
            raise ValueError(f"{name}: n_in {n_in} is not a multiple of {type_}'s block, {BLOCKS[type_][0]}")
        std = 1 / math.sqrt(n_in) if std is None else std
        if self.t.hashed:
            data = float_bytes(type_, (self.numbers(name, n_in * rows) * std).astype(np.float32))
        else:
            data = random_blocks(type_, n_in * rows, self.rng, std)
        return Tensor(name, type_, [n_in, rows], data)

    def norm(self, name: str, n: int | None = None, size: float = 1.0) -> Tensor:
        return vector(name, size * (1 + 0.1 * self.numbers(name, n or self.t.n_embd)))

    def norm_bias(self, name: str) -> Tensor:
        return vector(name, 0.2 * self.numbers(name, self.t.n_embd))

    def bias(self, name: str, n: int) -> Tensor:
        return vector(name, self.numbers(name, n) / 2)


def _tensors(t: TinyModel, n_vocab: int) -> list[Tensor]:
    if t.rope not in ("none", "linear", "yarn", "longrope", "llama3"):
        raise ValueError(f"rope {t.rope!r}: must be one of none, linear, yarn, longrope, llama3")
    weights = _Weights(t)
    sharp = 2 / math.sqrt(t.n_embd)  # logits of size 2
    embd_std = t.embd_std or (sharp if t.tied else 0.5 / t.embd_factor)
    out = [weights.matrix("token_embd.weight", t.n_embd, n_vocab, embd_std)]
    if not t.row.has("NORM_BARE") and not t.row.has("STREAM_NORM"):
        named = "token_embd_norm" if t.row.has("OUTPUT_NORM_EMBD") else "output_norm"
        out.append(weights.norm(f"{named}.weight"))
    if not t.tied and not t.row.has("ENCODER"):
        out.append(weights.matrix("output.weight", t.n_embd, n_vocab, sharp))
    out += [vector(name, factors) for name, factors in _rope_factors(t, weights.rng).items()]
    out += _beside_layers(t, weights, n_vocab, embd_std)
    for il in range(t.n_layer):
        out += _fused(t, _layer(t, il, weights) + _biases(t, il, weights))
    return out


def _beside_layers(t: TinyModel, weights: _Weights, n_vocab: int, embd_std: float) -> list[Tensor]:
    """Return what few architectures have beside their layers, before and after them."""
    out = []
    if _has(t, "NORM_BIAS") and not t.row.has("STREAM_NORM"):
        out.append(weights.norm_bias("output_norm.bias"))
    if t.row.has("TOKEN_TYPES") and t.n_types:
        name = "token_types.weight"
        types = vector(name, weights.numbers(name, t.n_embd * t.n_types) * embd_std)
        out.append(replace(types, ne=[t.n_embd, t.n_types]))
    if t.row.has("HEAD_BIAS"):
        out.append(weights.bias("output.bias", n_vocab))
    if t.row.has("POSITIONS"):
        name = "position_embd.weight"
        out.append(replace(vector(name, weights.numbers(name, t.n_embd * t.n_ctx) * embd_std), ne=[t.n_embd, t.n_ctx]))
    if t.row.has("REL_BIAS"):
        name, n_head = "blk.0.attn_rel_b.weight", of_layer(t.n_head, 0)
        biases = vector(name, weights.numbers(name, n_head * t.n_buckets))
        out.append(replace(biases, ne=[n_head, t.n_buckets]))
    if t.per_layer:
        n = t.per_layer * t.n_layer
        out.append(weights.matrix("per_layer_token_embd.weight", n, n_vocab, 1 / math.sqrt(t.per_layer)))
        out.append(weights.matrix("per_layer_model_proj.weight", t.n_embd, n))
        out.append(weights.norm("per_layer_proj_norm.weight", t.per_layer))
    if t.scores:
        out += _classifier(t, weights)
    if t.row.has("EMBD_NORM"):
        out.append(weights.norm("token_embd_norm.weight"))
        out += [] if t.row.has("EMBD_NORM_BARE") else [weights.norm_bias("token_embd_norm.bias")]
    return out


def _classifier(t: TinyModel, weights: _Weights) -> list[Tensor]:
    """Return the matrices and biases that make scores of a text's pooled row."""
    out = []
    for name, n in (("cls", t.n_embd), ("cls.output", t.scores)):
        if name == "cls" and not t.rank_dense:
            continue
        flat = weights.numbers(f"{name}.weight", n * t.n_embd) * 2 / math.sqrt(t.n_embd)
        out += [replace(vector(f"{name}.weight", flat), ne=[t.n_embd, n]), weights.bias(f"{name}.bias", n)]
    return out


def _has(t: TinyModel, biases: str) -> bool:
    """Say whether the file has biases of a kind: its architecture must have them, or may and they are asked for."""
    asked = t.norm_biases if biases == "NORM_BIAS" else t.biases
    return t.row.has(biases) or (asked and t.row.has(f"MAY_{biases}"))


def _sizes(t: TinyModel, il: int) -> dict[str, tuple[int, int]]:
    """Return (n_in, rows) of a layer's matrices, in the order of files; those of experts are tiny_experts.py's."""
    n_q, n_kv = of_layer(t.n_head, il) * t.dim_of(il), of_layer(t.heads_kv, il) * t.dim_of(il)
    n_ff = t.ff_of(il)
    attention = {
        "attn_q": (t.n_embd, n_q),
        "attn_k": (t.n_embd, n_kv),
        "attn_v": (t.n_embd, n_kv),
        "attn_output": (n_q, t.n_embd),
    }
    if t.row.has("DELTA_NET"):
        attention["attn_q"] = (t.n_embd, 2 * n_q)
    if t.has_delta(il):
        attention = _delta_sizes(t)
    mixer = t.mixer_of(il)
    if mixer == "CONV":
        attention = {"shortconv.in_proj": (t.n_embd, 3 * t.n_embd), "shortconv.out_proj": (t.n_embd, t.n_embd)}
    if mixer == "RWKV":
        attention = tiny_rwkv.sizes(t, il)
        if t.row.ffn == "CHANNEL":
            return attention
    if mixer in ("MAMBA", "MAMBA2", "NONE"):
        attention = {}
    if mixer in ("MAMBA", "MAMBA2", "BOTH"):
        attention |= tiny_mamba.sizes(t)
    if t.is_latent:
        attention = _latent_sizes(t, of_layer(t.n_head, il))
    if t.shares_kv(il) or (t.k_is_v and not t.slides(il)):
        del attention["attn_v"]
    if t.shares_kv(il):
        del attention["attn_k"]
    if (tiny_experts.has_experts(t, il) and not t.row.has("DENSE_BESIDE")) or not t.has_ffn(il):
        return attention
    gate = {"ffn_gate": (t.n_embd, n_ff)} if t.row.ffn == "GATED" else {}
    return attention | gate | {"ffn_up": (t.n_embd, n_ff), "ffn_down": (n_ff, t.n_embd)}


def _delta_sizes(t: TinyModel) -> dict[str, tuple[int, int]]:
    (n_k, n_v), (k_dim, v_dim) = t.delta_heads, t.delta_lengths
    apart = {"ssm_beta": (t.n_embd, n_v), "ssm_alpha": (t.n_embd, n_v)}
    return {
        "attn_qkv": (t.n_embd, 2 * n_k * k_dim + n_v * v_dim),
        "attn_gate": (t.n_embd, n_v * v_dim),
        **({"ssm_ba": (t.n_embd, 2 * n_v)} if t.arch == "qwen3next" else apart),
        "ssm_out": (n_v * v_dim, t.n_embd),
    }


def _delta_vectors(t: TinyModel, blk: str, weights: _Weights) -> list[Tensor]:
    """Return convolutions, and of heads: how fast they forget (half-lives of a few positions), and a norm."""
    n, n_v = _delta_sizes(t)["attn_qkv"][1], t.delta_heads[1]
    conv, a, dt = (f"{blk}.{name}" for name in ("ssm_conv1d.weight", "ssm_a", "ssm_dt.bias"))
    return [
        replace(vector(conv, weights.numbers(conv, t.taps * n)), ne=[t.taps, n]),
        vector(a, -0.3 * np.exp(weights.numbers(a, n_v))),
        vector(dt, weights.numbers(dt, n_v)),
        weights.norm(f"{blk}.ssm_norm.weight", t.delta_lengths[1]),
    ]


HEAD_STACKS = ("attn_k_b.weight", "attn_v_b.weight")  # a matrix for each head, one after the other
SHARP = ("attn_q", "attn_k", "attn_q_b", "attn_k_b")


def _latent_sizes(t: TinyModel, n_head: int) -> dict[str, tuple[int, int]]:
    one = {"attn_q": (t.n_embd, n_head * t.dim)}
    two = {"attn_q_a": (t.n_embd, t.q_rank), "attn_q_b": (t.q_rank, n_head * t.dim)}
    return {
        **(two if t.q_rank else one),
        "attn_kv_a_mqa": (t.n_embd, t.kv_rank + t.rotated),
        "attn_k_b": (t.dim - t.rotated, t.kv_rank),
        "attn_v_b": (t.kv_rank, t.v_length),
        "attn_output": (n_head * t.v_length, t.n_embd),
    }


def _latent_norms(t: TinyModel) -> dict[str, int]:
    if not t.is_latent:
        return {}
    return {"attn_kv_a_norm": t.kv_rank} | ({"attn_q_a_norm": t.q_rank} if t.q_rank else {})


def _norms(t: TinyModel) -> tuple[list[str], list[str], list[str]]:
    """Return the names of a layer's norms of n_embd: before attention, before feed-forward, after both."""
    after = ["post_attention_norm", "post_ffw_norm"] if t.row.has("POST_NORM") or t.row.has("NORM_AFTER") else []
    if t.row.has("STREAM_NORM"):
        return [], [], ["attn_output_norm", "layer_output_norm"]
    if t.row.has("NORM_AFTER") or t.row.has("NORM_BARE"):
        return [], [], after
    one = any(t.row.has(name) for name in ("ONE_NORM", "ONE_HALF", "FALCON_NORMS"))
    one = one or (t.row.has("MAY_ONE_NORM") and bool(t.is_parallel))
    second = "post_attention_norm" if t.row.has("FFN_NORM_POST") else "ffn_norm"
    second = "attn_norm_2" if t.row.ffn == "CHANNEL" else second
    first = ["attn_norm", "attn_norm_2"] if t.row.has("FALCON_NORMS") and t.two_norms else ["attn_norm"]
    return first, [] if one else [second], after


def _layer(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    blk, (before, between, after) = f"blk.{il}", _norms(t)
    out = [weights.norm(f"{blk}.{name}.weight") for name in before if il or not t.row.has("NO_FIRST_NORM")]
    for name, (n_in, rows) in _sizes(t, il).items():
        std = SHARPNESS / math.sqrt(n_in) if name in SHARP else None
        std = tiny_mamba.std(name, n_in) if name.startswith("ssm_") else std
        full = f"{blk}.{name}.weight"
        if full.endswith(HEAD_STACKS):
            out.append(weights.stack(full, n_in, rows, of_layer(t.n_head, il), std))
        else:
            out.append(weights.matrix(full, n_in, rows, std))
        if name == "shortconv.in_proj":
            conv = f"{blk}.shortconv.conv.weight"
            taps = weights.numbers(conv, t.taps * t.n_embd)
            out.append(replace(vector(conv, taps), ne=[t.taps, t.n_embd]))
        if name == "attn_gate":
            out += _delta_vectors(t, blk, weights)
        if name == "ssm_in":
            out += tiny_mamba.tensors(t, il, weights)
        if name == "time_mix_key":
            out += tiny_rwkv.tensors(t, il, weights)
        if name == t.mixer_out(il):
            kind = "" if t.row.has("FFN_NORM_STEM") else ".weight"
            out += [weights.norm(f"{blk}.{norm}{kind}") for norm in between]
    if tiny_experts.has_experts(t, il):
        out += tiny_experts.tensors(t, il, weights)
    out += [weights.norm(f"{blk}.{name}.weight", n) for name, n in _latent_norms(t).items()]
    if t.row.has("SINKS"):
        name = f"{blk}.attn_sinks.weight"
        out.append(vector(name, 1 + weights.numbers(name, of_layer(t.n_head, il))))
    out += [weights.norm(f"{blk}.{name}.weight") for name in after]
    if t.row.has("QK_NORM") or t.row.has("QK_NORM_WIDE") or (t.qk_norm and t.row.has("MAY_QK_NORM")):
        for name, heads in (("attn_q", of_layer(t.n_head, il)), ("attn_k", of_layer(t.heads_kv, il))):
            if (name == "attn_k" and t.shares_kv(il)) or not of_layer(t.heads_kv, il) or t.has_delta(il):
                continue
            n = t.dim_of(il) * (heads if t.row.has("QK_NORM_WIDE") else 1)
            size = SHARPNESS / t.dim_of(il) ** 0.25 if t.arch == "gemma4" else SHARPNESS  # which doesn't divide scores
            out.append(weights.norm(f"{blk}.{name}_norm.weight", n, size))
    if t.per_layer:
        out.append(weights.matrix(f"{blk}.inp_gate.weight", t.n_embd, t.per_layer))
        out.append(weights.matrix(f"{blk}.proj.weight", t.per_layer, t.n_embd))
        out.append(weights.norm(f"{blk}.post_norm.weight"))
    if t.row.has("MAY_OUT_SCALE"):
        out.append(vector(f"{blk}.layer_output_scale.weight", [0.5 + 0.25 * (il % 4)]))
    if t.head_norms:
        for name, heads in (("attn_q_norm", of_layer(t.n_head, il)), ("attn_k_norm", of_layer(t.heads_kv, il))):
            one = weights.norm(f"{blk}.{name}.weight", t.dim * heads, SHARPNESS)
            out.append(replace(one, ne=[t.dim, heads]))
    if _has(t, "NORM_BIAS"):
        out += [weights.norm_bias(f"{blk}.{name}.bias") for name in (*before, *between, *after)]
    return out


def _biases(t: TinyModel, il: int, weights: _Weights) -> list[Tensor]:
    sizes = _sizes(t, il)
    names: list[str] = []
    if _has(t, "QKV_BIAS"):
        names += [name for name in ("attn_q", "attn_k", "attn_v") if name in sizes]
    if _has(t, "OUT_BIAS") and "attn_output" in sizes:
        names.append("attn_output")
    if t.ffn_biases or t.row.has("FFN_BIAS"):
        names += [name for name in sizes if name.startswith("ffn_")]
    return [weights.bias(f"blk.{il}.{name}.bias", sizes[name][1]) for name in names]


FUSIONS = {"attn_qkv": (("attn_q", "attn_k", "attn_v"), "attn_qkv"), "gate_up": (("ffn_gate", "ffn_up"), "ffn_up")}


def _fused(t: TinyModel, layer: list[Tensor]) -> list[Tensor]:
    """Join the tensors of a layer that `fused` names, in the place of the first: the same weights in fewer tensors."""
    for fusion in t.fused:
        names, joined = FUSIONS[fusion]
        for kind in ("weight", "bias"):
            parts = [one for name in names for one in layer if str(one.name).endswith(f".{name}.{kind}")]
            if len(parts) < len(names) or (fusion == "gate_up" and kind == "bias"):
                continue
            if len({one.type for one in parts}) > 1:
                raise ValueError(f"{fusion}: {', '.join(names)} must have one format")
            blk = str(parts[0].name).rsplit(".", 2)[0]
            ne = [*parts[0].ne[:-1], sum(one.ne[-1] for one in parts)]
            one = replace(parts[0], name=f"{blk}.{joined}.{kind}", ne=ne, data=b"".join(p.data for p in parts))
            at = layer.index(parts[0])
            layer = [*layer[:at], one, *(other for other in layer[at:] if other not in parts)]
    return layer
