"""Logits of transformers, kept in tests/golden: the reference and the core give them for the same weights.

golden/make_transformers.py wrote them; nothing of it is needed here. Of rwkv7, which transformers lacks, the logits are
those of the package rwkv (golden/make_rwkv.py), and of arwkv7 llama.cpp's.
"""

from __future__ import annotations

import math
from dataclasses import replace

import gemel
import golden_files
import mistakes
import numpy as np
import pytest
from archs import ARCHS, ENCODERS
from gemel import KV_TYPES, KvType
from gguf_file import F32
from golden_files import IDS, Case
from mistakes import Mistake
from reference import Reference, Rope
from reference_math import Clamped

# Largest difference, in parts of the largest logit. Without rounding of keys and values 5e-6 is reached, in F16 2.3e-3.
BOUNDS: dict[str, float] = {"f32": 1e-5, "f16": 2.5e-3}
CASES = {
    f"{arch}, {name}": case
    for arch in ARCHS
    if (path := golden_files.path_of(arch)).is_file()  # one that is missing: test_archs.py
    for name, case in golden_files.read(path).items()
}


def distance(got: F32, case: Case) -> float:
    return float(np.abs(got - case.logits).max() / np.abs(case.logits).max())


def reference_logits(case: Case, mistake: Mistake | None = None) -> F32:
    model = Reference(case.model(), n_ctx=case.n_ctx, kv_type="f32")
    if mistake:
        mistake(model)
    return model.outputs(IDS[: case.n_ids])[np.ix_(case.rows, case.columns)]


LONG = [name for name, case in CASES.items() if case.n_ids > 100]   # too slow in numpy: of the core alone


@pytest.mark.parametrize("name", [name for name in CASES if name not in LONG])
def test_the_reference_gives_the_logits_of_transformers(name: str) -> None:
    assert distance(reference_logits(CASES[name]), CASES[name]) <= BOUNDS["f32"]


@pytest.mark.parametrize("kv_type", [kv_type for kv_type in KV_TYPES if kv_type in BOUNDS])
@pytest.mark.parametrize("name", CASES)
def test_the_core_gives_the_logits_of_transformers(name: str, kv_type: KvType) -> None:
    case, rows = CASES[name], []
    with gemel.open(case.model(), threads=1) as model, model.session(n_ctx=case.n_ctx, kv_type=kv_type) as session:
        for at in () if model.is_encoder else case.rows:
            session.append(IDS[session.n_past : at + 1])
            rows.append(np.asarray(session.logits())[case.columns])
        if model.is_encoder:
            rows += list(np.asarray(session.hidden(IDS[: case.n_ids]))[np.ix_(case.rows, case.columns)])
    assert distance(np.stack(rows), case) <= BOUNDS[kv_type]


def all_biases(arch: str, names: str, case: str = "plain") -> list[tuple[str, str, Mistake]]:
    return [(f"{arch}, {case}", f"no bias of {name}", mistakes.no_bias(name)) for name in names.split()]


def wider(by: float) -> Mistake:
    """Take soft caps of scores for larger ones."""
    return mistakes.scores(lambda spec: replace(spec, cap=spec.cap * by))


UNTURNED = "attn_q attn_v attn_output ffn_up ffn_down"   # without RoPE, a bias of k moves all scores of a query alike
TURNED = f"attn_k {UNTURNED}"
NORMS = "attn_norm ffn_norm output_norm."
NORMS_OF_STREAM = {True: ("attn_output_norm", "layer_output_norm"), False: ("ffn_norm", "output_norm")}
GELU = [name for name, row in ARCHS.items() if row.act == "GELU"]
GELU_TANH = [name for name, row in ARCHS.items() if row.act == "GELU_TANH"]
ORDERED = ["phi2, plain", "gptneox, plain", "gptneox, sequential", "stablelm, plain", "stablelm, parallel",
           "stablelm, a flag that its norms contradict", "falcon, plain", "falcon, two norms"]   # fmt: skip
EXPERTS = ["llama, experts", "llama, many experts, tied", *(f"{arch}, plain" for arch, row in ARCHS.items()
                                                           if row.has("EXPERTS"))]
RANKED = [case for case in EXPERTS if case != "phimoe, plain"]   # its router always chooses two, and sums nothing
DELTA_NETS = [name for name, row in ARCHS.items() if row.has("DELTA_NET")]


def last_taps(w: F32) -> F32:
    return w[:, ::-1]


DELTA_MISTAKES: dict[str, Mistake] = {
    "keys of other heads": mistakes.delta(lambda x: x.update(q=np.roll(x["q"], 1, 1), k=np.roll(x["k"], 1, 1))),
    "taps turned": mistakes.vectors("ssm_conv1d.weight", last_taps),
    "no bias of decay": mistakes.vectors("ssm_dt.bias", np.zeros_like),
    "decay 2 % faster": mistakes.vectors("ssm_a", lambda a: a * np.float32(1.02)),
    "nothing is forgotten": mistakes.delta(lambda x: x.update(decay=np.ones_like(x["decay"]))),
    "beta 1": mistakes.delta(lambda x: x.update(beta=np.ones_like(x["beta"]))),
    "queries 2 % longer": mistakes.delta(lambda x: x.update(q=x["q"] * np.float32(1.02))),
    "keys 2 % longer": mistakes.delta(lambda x: x.update(k=x["k"] * np.float32(1.02))),
    "nothing is taken off": mistakes.delta(lambda x: x.update(k=x["k"] * np.float32(0.1), v=x["v"] * np.float32(10))),
    "other weights of the norm": mistakes.vectors("ssm_norm.weight", lambda w: w * 0 + 1),
}
MISTAKES: list[tuple[str, str, Mistake]] = [
    *((f"llama, {kind}", "RoPE", mistakes.rope_scaling) for kind in ("linear", "yarn", "llama3", "longrope")),
    *(("llama, biases", name, mistake) for name, mistake in mistakes.BIASES.items()),
    *(("qwen2, plain", name, mistakes.BIASES[name]) for name in mistakes.BIASES if name[-2:] in ("_q", "_k", "_v")),
    *((f"{arch}, plain", "scale", mistakes.scale) for arch, row in ARCHS.items()
      if "gemma" not in arch and arch != "granitehybrid" and row.mixer not in ("MAMBA", "MAMBA2", "RWKV")),
    ("granitehybrid, plain", "scale", mistakes.scores(lambda spec: replace(spec, scale=None))),
    *((f"{arch}, untied", "scale", mistakes.scale) for arch in ("gemma", "gemma2", "gemma3", "gemma4")),
    *((f"{arch}, plain", "pairs", mistakes.pairs) for arch, row in ARCHS.items()
      if row.rope != "NONE" and arch != "granitehybrid"),
    ("granitehybrid, RoPE, tied", "pairs", mistakes.pairs),
    ("granitehybrid, plain", "RoPE", mistakes.rotated(Rope(n_rot=16, base=500.0, neox=False))),
    *(("granitehybrid, plain", f"no {name}", mistakes.number(name, 1.0))
      for name in ("embd_scale", "residual_scale", "logit_scale")),
    *((f"{arch}, plain", "epsilon", mistakes.epsilon) for arch in ARCHS if "gemma" not in arch),
    *((f"{arch}, untied", "epsilon", mistakes.epsilon) for arch in ("gemma", "gemma2", "gemma3")),
    ("gemma4, a large epsilon", "epsilon", mistakes.epsilon),   # normalised q, k and v hide a small one
    *((f"{arch}, plain", "RMS", mistakes.rms_for_layer) for arch, row in ARCHS.items() if row.norm == "LAYER"),
    *((f"{arch}, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm"))
      for arch in ("qwen3", "gemma3", "olmo2") for one in "qk"),
    ("olmo2, plain", "norms of heads", mistakes.norm_by_heads),
    *(
        (f"{arch}, plain", f"no {name}", mistakes.without_norm(name))
        for arch in ("gemma2", "gemma3", "olmo2") for name in ("post_attention_norm", "post_ffw_norm")
    ),
    *((f"{arch}, plain", "no embedding scale", mistakes.number("embd_scale", 1.0))
      for arch in ("gemma", "gemma2", "gemma3")),
    *((f"{arch}, plain", "SILU", mistakes.activation("SILU")) for arch in (*GELU_TANH, *GELU)),
    *((f"{arch}, plain", f"a window wider by {by}", mistakes.window(by))
      for arch in ("gemma2", "gemma3", "phi3") for by in (1, -1)),
    ("olmo2, windows", "a window wider by 1", mistakes.window(1)),
    *((f"{case}", "windows in all layers", mistakes.window_everywhere)
      for case in ("gemma2, plain", "gemma3, plain", "gemma3, six layers", "olmo2, windows")),
    ("gemma2, plain", "no soft cap", mistakes.scores(lambda spec: replace(spec, cap=0.0))),
    ("gemma2, plain", "another soft cap", wider(1.02)),
    ("gemma2, default caps", "no soft cap", mistakes.scores(lambda spec: replace(spec, cap=0.0))),
    ("gemma2, plain", "no final cap", mistakes.number("final_cap", 0.0)),
    ("gemma2, default caps", "no final cap", mistakes.number("final_cap", 0.0)),
    ("gemma3, a final cap", "no final cap", mistakes.number("final_cap", 0.0)),
    ("gemma2, 46 layers", "scale", mistakes.scores(lambda spec: replace(spec, scale=None))),
    ("gemma3, 62 layers", "scale", mistakes.scores(lambda spec: replace(spec, scale=None))),
    ("gemma3, plain", "the wide layers' RoPE", mistakes.rope_of(0, 1)),
    ("gemma3, plain", "the windows' RoPE", mistakes.rope_of(1, 0)),
    ("gemma3, a window of the whole context", "the wide layers' RoPE", mistakes.rope_of(0, 1)),
    ("gemma3, linear", "RoPE", mistakes.rope_scaling),
    ("olmo2, windows, yarn", "the wide layers' RoPE", mistakes.rope_of(0, 3)),
    ("olmo2, windows, yarn", "RoPE", mistakes.rope_scaling),
    ("phi3, longrope", "RoPE", mistakes.rope_scaling),
    ("phi3, longrope, past its original context", "RoPE", mistakes.rope_scaling),
    ("phi3, three quarters rotated", "all rotated", mistakes.ropes(n_rot=16)),
    *((f"{arch}, plain", "all rotated", mistakes.ropes(n_rot=16)) for arch in ("phi2", "gptneox", "stablelm")),
    ("smollm3, plain", "RoPE everywhere", mistakes.rope_of(3, 2)),
    ("smollm3, plain", "no RoPE in another layer", mistakes.rope_of(0, 3)),
    *((f"granite, {case}", f"no {name}", mistakes.number(name, 1.0))
      for case in ("plain", "odd sizes") for name in ("embd_scale", "residual_scale", "logit_scale")),
    ("granite, plain", "logits are multiplied", mistakes.number("logit_scale", 2.0)),
    ("granite, plain", "scale by head_dim", mistakes.scores(lambda spec: replace(spec, scale=None))),
    *((case, "the other order", mistakes.the_other_order) for case in ORDERED),
    ("falcon, two norms", "one norm", mistakes.one_norm),
    *((f"{arch}, {case}", "no slopes", mistakes.slopes(lambda all_: [0.0] * len(all_)))
      for arch in ("mpt", "bloom") for case in ("plain", "six heads")),
    *((f"{arch}, plain", "slopes", mistakes.slopes(lambda all_: [1.03 * one for one in all_]))
      for arch in ("mpt", "bloom")),
    *((f"{arch}, six heads", "slopes of a power of two", mistakes.slopes(lambda all_: [*all_[:4], *all_[:2]]))
      for arch in ("mpt", "bloom")),
    ("bloom, three heads", "the last slope", mistakes.slopes(lambda all_: [*all_[:2], all_[1] / 2])),
    ("mpt, clamped", "no clamp", mistakes.number("clamp", 0.0)),
    ("mpt, clamped", "another clamp", mistakes.number("clamp", 1.51)),
    ("olmo, clamped", "no clamp", mistakes.number("clamp", 0.0)),
    *(("minicpm, " + case, f"no {name}", mistakes.number(name, 1.0))
      for case in ("plain", "odd sizes", "default scales") for name in ("embd_scale", "residual_scale", "logit_scale")),
    ("minicpm, plain", "logits are multiplied", mistakes.number("logit_scale", 2.0)),
    *((f"{arch}, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm"))
      for arch in ("exaone4", "hunyuan-dense") for one in "qk"),
    *(("exaone4, plain", f"no {name}", mistakes.without_norm(name))
      for name in ("post_attention_norm", "post_ffw_norm")),
    *(("exaone4, plain", f"a window wider by {by}", mistakes.window(by)) for by in (1, -1)),
    *((f"exaone4, {case}", "windows in all layers", mistakes.window_everywhere) for case in ("plain", "every fourth")),
    ("exaone4, plain", "RoPE everywhere", mistakes.rope_of(1, 0)),
    ("exaone4, every fourth", "RoPE everywhere", mistakes.rope_of(3, 0)),
    ("exaone4, llama3", "RoPE", mistakes.rope_scaling),
    ("hunyuan-dense, plain", "norms before RoPE", mistakes.late_norm),
    ("hunyuan-dense, alpha", "no alpha", mistakes.ropes(base=500.0)),
    ("mistral3, plain", "RoPE", mistakes.rope_scaling),
    ("mistral3, plain", "all of YaRN's scale", mistakes.ropes(log_multiplier=0.0)),
    ("mistral3, half of YaRN's scale", "all of YaRN's scale", mistakes.ropes(log_multiplier=0.0)),
    *((f"mistral3, {case}", "no temperature", mistakes.scores(lambda spec: replace(spec, heat=0.0)))
      for case in ("plain", "half of YaRN's scale", "no YaRN")),
    ("mistral3, plain", "a temperature from 15 on", mistakes.scores(lambda spec: replace(spec, heat_span=15))),
    ("deepseek2, plain", "rotated channels first", mistakes.rotated_first),
    ("deepseek2, two matrices of queries", "rotated channels first", mistakes.rotated_first),
    *(("deepseek2, plain", f"another head's {part}", mistakes.heads_in_another_order(part))
      for part in ("attn_k_b", "attn_v_b")),
    ("deepseek2, plain", "no norm of the latent", mistakes.without_norm("attn_kv_a_norm")),
    ("deepseek2, two matrices of queries", "no norm of queries", mistakes.without_norm("attn_q_a_norm")),
    ("deepseek2, plain", "scale by the cached key", mistakes.scores(lambda spec: replace(spec, scale=None))),
    *((f"deepseek2, {case}", "RoPE", mistakes.rope_scaling) for case in ("yarn", "yarn without a multiplier")),
    ("deepseek2, yarn", "scores are not multiplied",
     mistakes.scores(lambda spec: replace(spec, scale=1 / math.sqrt(48)))),
    ("deepseek2, yarn", "cos and sin are multiplied", mistakes.ropes(log_multiplier=0.0)),
    *(("apertus, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm")) for one in "qk"),
    *(("apertus, plain", f"another {name}", mistakes.xielu(**{name: 0.7})) for name in ("above", "below", "beta")),
    *((f"{arch}, plain", "no logit_scale", mistakes.number("logit_scale", 1.0)) for arch in ("command-r", "cohere2")),
    *((f"{arch}, plain", "the other order", mistakes.the_other_order) for arch in ("command-r", "cohere2")),
    *(("command-r, norms of heads", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm")) for one in "qk"),
    ("command-r, norms of heads", "norms of the first head", mistakes.norms_of_first_head),
    *(("cohere2, plain", f"a window wider by {by}", mistakes.window(by)) for by in (1, -1)),
    *((f"cohere2, {case}", "windows in all layers", mistakes.window_everywhere) for case in ("plain", "every fourth")),
    *((f"cohere2, {case}", "RoPE everywhere", mistakes.rope_of(1, 0))
      for case in ("plain", "a window of the whole context")),
    *(("glm4, plain", f"no {name}", mistakes.without_norm(name)) for name in ("post_attention_norm", "post_ffw_norm")),
    *((f"gemma4, {case}", "no norm of values", mistakes.number("norms_values", False))
      for case in ("plain", "values are keys")),
    ("gemma4, plain", "no layer scales", mistakes.no_layer_scales),
    *(("gemma4, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm")) for one in "qk"),
    *(("gemma4, plain", f"no {name}", mistakes.without_norm(name))
      for name in ("post_attention_norm", "post_ffw_norm")),
    *(("gemma4, plain", f"a window wider by {by}", mistakes.window(by)) for by in (1, -1)),
    ("gemma4, plain", "windows in all layers", mistakes.window_everywhere),
    ("gemma4, plain", "all pairs rotate", mistakes.ropes(freq_factors=None)),
    ("gemma4, plain", "no embedding scale", mistakes.number("embd_scale", 1.0)),
    ("gemma4, untied", "scale by head_dim", mistakes.scores(lambda spec: replace(spec, scale=None))),
    ("gemma4, shared keys", "keys of the first of its kind", mistakes.keys_of(4, 0)),
    *(("gemma4, shared keys, wide", "keys of the first of its kind", mistakes.keys_of(il, il % 2)) for il in (4, 5)),
    ("gemma4, embeddings of layers", "no norm of the projection", mistakes.without_norm("per_layer_proj_norm")),
    ("gemma4, embeddings of layers", "no norm of what is added", mistakes.without_norm("post_norm")),
    ("gemma4, embeddings of layers", "no embeddings of layer 1", mistakes.zeros("proj.weight")),
    ("gemma4, embeddings of layers", "no table", mistakes.no_table),
    ("gemma4, embeddings of layers", "embeddings of another layer", mistakes.own_of_other_layers),
    ("gemma4, many experts", "no final cap", mistakes.number("final_cap", 0.0)),
    *(("gemma4, experts", f"no norm {name}", mistakes.without_norm(name))
      for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")),
    ("gemma4, experts", "the router's logits are not divided", mistakes.experts(router_scale=1.0)),
    ("gemma4, experts", "the router reads what experts read", mistakes.router_of_experts),
    ("gemma4, experts", "no scales of experts", mistakes.no_tensor("ffn_down_exps.scale")),
    ("gemma4, experts", "scales of other experts", mistakes.turned("ffn_down_exps.scale")),
    ("gemma4, experts", "no dense feed-forward", mistakes.zeros("ffn_down.weight")),
    *((f"gemma4, {case}", "an expert less", mistakes.mixtures(lambda x: replace(x, n_used=x.n_used - 1)))
      for case in ("experts", "many experts", "experts, embeddings of layers, odd sizes")),
    ("glm4, plain", "all rotated", mistakes.ropes(n_rot=16)),
    *(("openelm, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm")) for one in "qk"),
    *((f"{arch}, plain", "SILU", mistakes.activation("SILU")) for arch in ("arcee", "apertus", "nemotron")),
    ("nemotron, plain", "all rotated", mistakes.ropes(n_rot=16)),
    *((f"lfm2, {case}", name, mistake) for case in ("plain", "odd sizes")
      for name, mistake in (("taps turned", mistakes.taps_turned), ("gates exchanged", mistakes.gates_exchanged))),
    *(("lfm2, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm")) for one in "qk"),
    *((f"{arch}, {case}", name, mistake) for arch in DELTA_NETS for case in ("plain", "odd sizes")
      for name, mistake in DELTA_MISTAKES.items()),
    *((f"{arch}, plain", name, mistake) for arch in DELTA_NETS for name, mistake in (
        ("all rotated", mistakes.ropes(n_rot=16)), ("no gates of heads", mistakes.number("gated_heads", False)),
        *((f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm")) for one in "qk"),
    )),
    *((f"{arch}, plain", name, mistake) for arch, row in ARCHS.items() if row.has("MAMBA")
      for name, mistake in mistakes.MAMBA.items() if row.has("GROUP_NORM") or name != "no norm"),
    ("falcon-h1, odd sizes, normed", "no norm", mistakes.MAMBA["no norm"]),
    *((f"{arch}, plain", name, mistake) for arch, row in ARCHS.items() if row.mixer == "RWKV"
      for name, mistake in mistakes.RWKV.items()),
    ("rwkv7, plain", "no mix of channels", mistakes.changed("channel_mix_lerp_k.weight", np.zeros_like)),
    *all_biases("rwkv7", "attn_norm attn_norm_2 token_embd_norm. output_norm."),
    ("mamba2, odd sizes, three groups", "one norm of all groups", mistakes.one_group),
    *((f"deepseek2, {case}", "no shared expert", mistakes.zeros("ffn_down_shexp.weight"))
      for case in ("experts", "a router of sigmoids")),
    *((f"deepseek2, {case}", "no groups", mistakes.experts(n_groups_used=4))
      for case in ("groups of experts", "a router of sigmoids")),
    ("deepseek2, groups of experts", "groups by their best two", mistakes.experts(group_top=2)),
    ("deepseek2, a router of sigmoids", "groups by their best", mistakes.experts(group_top=1)),
    *((f"deepseek2, {case}", "not scaled", mistakes.experts(scale=1.0))
      for case in ("groups of experts", "a router of sigmoids")),
    ("deepseek2, experts", "normed", mistakes.experts(normed=True)),
    ("deepseek2, a router of sigmoids", "not normed", mistakes.experts(normed=False)),
    ("deepseek2, a router of sigmoids", "no bias of the choice", mistakes.no_bias("exp_probs_b")),
    ("deepseek2, a router of sigmoids", "softmax", mistakes.experts(route="SOFTMAX", group_top=2)),
    ("gpt-oss, plain", "no sinks", mistakes.scores(lambda spec: replace(spec, sinks=None))),
    ("gpt-oss, plain", "sinks in another order",
     mistakes.scores(lambda spec: replace(spec, sinks=tuple(reversed(spec.sinks or ()))))),
    *(("gpt-oss, plain", f"a window wider by {by}", mistakes.window(by)) for by in (1, -1)),
    ("gpt-oss, plain", "windows in all layers", mistakes.window_everywhere),
    ("gpt-oss, plain", "no clamp", mistakes.act(Clamped(limit=1e9))),
    ("gpt-oss, plain", "another clamp", mistakes.act(Clamped(limit=6.9))),
    ("gpt-oss, plain", "alpha 1", mistakes.act(Clamped(alpha=1.0))),
    ("gpt-oss, plain", "up is not raised", mistakes.act(Clamped(more=0.0))),
    ("gpt-oss, plain", "SILU", mistakes.activation("SILU")),
    ("gpt-oss, plain", "softmax of all experts", mistakes.experts(route="SOFTMAX")),
    *all_biases("gpt-oss", "attn_q attn_k attn_v attn_output ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps"),
    ("gpt-oss, yarn", "RoPE", mistakes.rope_scaling),
    ("gpt-oss, yarn", "whole bounds", mistakes.ropes(whole_bounds=True)),
    *(("llama4, plain", f"chunks longer by {by}", mistakes.window(by)) for by in (1, -1)),
    ("llama4, plain", "sliding windows", mistakes.sliding),
    *((f"llama4, {case}", "chunks in all layers", mistakes.window_everywhere)
      for case in ("plain", "dense layers between")),
    ("llama4, plain", "RoPE everywhere", mistakes.rope_of(1, 0)),
    ("llama4, dense layers between", "RoPE everywhere", mistakes.rope_of(3, 0)),
    ("llama4, plain", "no temperature", mistakes.scores(lambda spec: replace(spec, heat=0.0))),
    ("llama4, plain", "a temperature counted from 0", mistakes.scores(lambda spec: replace(spec, heat_ahead=0))),
    *((f"llama4, {case}", "no norm of queries and keys", mistakes.number("bare_norms", False))
      for case in ("plain", "no chunks")),
    ("llama4, 128 experts", "norms of queries and keys", mistakes.number("bare_norms", True)),
    *((f"llama4, {case}", "weights after", mistakes.experts(before=False))
      for case in ("plain", "many experts", "one expert, llama3")),
    ("llama4, one expert, llama3", "RoPE", mistakes.rope_scaling),
    *all_biases("llama4", "attn_q attn_v attn_output", "a chunk of the whole context"),   # layer 1 has no RoPE
    *((f"{arch}, plain", f"no norm {name}", mistakes.without_norm(name)) for arch, row in ENCODERS.items()
      for name in ("token_embd_norm", *NORMS_OF_STREAM[row.has("STREAM_NORM")]) if row.has("EMBD_NORM")),
    *((f"{arch}, plain", "later positions are unseen", mistakes.scores(lambda spec: replace(spec, whole=False)))
      for arch in ENCODERS),
    *((f"{arch}, plain", "no types", mistakes.no_types) for arch, row in ENCODERS.items() if row.has("TOKEN_TYPES")),
    *((f"{arch}, {case}", f"a reach longer by {by}", mistakes.reach(by)) for arch in ("modern-bert", "gemma-embedding")
      for case in ("plain", "odd sizes", "flags of layers") for by in (1, -1)),
    *((f"{arch}, {case}", "the windows' RoPE", mistakes.rope_of(*layers)) for arch, case, layers in (
        ("modern-bert", "plain", (1, 0)), ("gemma-embedding", "plain", (0, 1)))),
    ("jina-bert-v2, plain", "no ALiBi", mistakes.scores(lambda spec: replace(spec, slopes=None))),
    ("bert, plain", "no positions", mistakes.no_positions),
    *all_biases("bert", "attn_q attn_v attn_output ffn_up ffn_down attn_output_norm layer_output_norm"),
    ("bloom, plain", "no norm of embeddings", mistakes.without_norm("token_embd_norm")),
    ("gpt2, plain", "no positions", mistakes.no_positions),
    ("gpt2, plain", "positions from 1", mistakes.positions_from_one),
    *((case, "weights 2 % larger", mistakes.mixtures(lambda x: replace(x, scale=1.02 * x.scale))) for case in EXPERTS),
    *((case, "an expert less", mistakes.mixtures(lambda x: replace(x, n_used=x.n_used - 1))) for case in RANKED),
    *((case, "other sums of weights", mistakes.mixtures(lambda x: replace(x, normed=not x.normed)))
      for case in RANKED if case != "gpt-oss, plain"),
    *((case, "softmax for sigmoids", mistakes.mixtures(lambda x: replace(x, route="SOFTMAX")))
      for case in EXPERTS if ARCHS[case.split(",")[0]].has("SIGMOID_ROUTER")),
    *((case, "no bias of choice", mistakes.zeros("exp_probs_b.bias")) for case in (
        "glm4moe, weights as they are", "ernie4_5-moe, plain", "dots1, plain", "minimax-m2, plain",
    )),
    *((case, "no shared expert", mistakes.zeros("ffn_down_shexp.weight")) for case in (
        "qwen2moe, plain", "granitemoe, a shared expert", "glm4moe, plain", "ernie4_5-moe, plain", "hunyuan-moe, plain",
        "dots1, plain", "bailingmoe, plain", "llama4, plain", "llama4, dense layers between",
    )),
    ("qwen2moe, plain", "no gate of the shared expert", mistakes.no_tensor("ffn_gate_inp_shexp.weight")),
    *((case, "no groups", mistakes.mixtures(lambda x: replace(x, n_groups_used=x.n_groups)))
      for case in ("glm4moe, groups, normed queries and keys", "dots1, groups")),
    *(("glm4moe, groups, normed queries and keys", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm"))
      for one in "qk"),
    *all_biases("glm4moe", "attn_q attn_k attn_v", "groups, normed queries and keys"),
    *all_biases("phimoe", "attn_q attn_k attn_v attn_output attn_norm ffn_norm output_norm. output."),
    ("phimoe, plain", "softmax", mistakes.mixtures(lambda x: replace(x, route="SOFTMAX", normed=True))),
    ("phimoe, plain", "a window wider by 1", mistakes.window(1)),
    ("glm4moe, plain", "all rotated", mistakes.ropes(n_rot=16)),
    ("minimax-m2, plain", "all rotated", mistakes.ropes(n_rot=24)),
    *((f"{arch}, plain", f"no norm of {one}", mistakes.without_norm(f"attn_{one}_norm"))
      for arch in ("qwen3moe", "olmoe", "hunyuan-moe", "dots1", "minimax-m2") for one in "qk"),
    *((f"{arch}, plain", "norms of heads", mistakes.norm_by_heads) for arch in ("olmoe", "minimax-m2")),
    *(("granitemoe, plain", f"no {name}", mistakes.number(name, 1.0))
      for name in ("embd_scale", "residual_scale", "logit_scale")),
    *(one for arch in ("phi2", "starcoder2", "gptneox") for one in all_biases(arch, TURNED)),
    *(one for arch in ("gpt2", "bloom") for one in all_biases(arch, UNTURNED)),
    *all_biases("falcon", TURNED, "biases"),
    *all_biases("mpt", UNTURNED, "biases"),
    *all_biases("stablelm", "attn_q attn_k attn_v", "biases"),
    *all_biases("smollm3", f"{TURNED} ffn_gate", "biases"),
    *(one for arch in ("granite", "ernie4_5", "seed_oss") for one in all_biases(arch, f"{TURNED} ffn_gate", "biases")),
    *(one for arch in ("arcee", "nemotron") for one in all_biases(arch, TURNED, "biases")),
    *all_biases("nemotron", NORMS),
    *all_biases("glm4", "attn_q attn_k attn_v"),
    *all_biases("command-r", "attn_q attn_k attn_v attn_output", "biases"),
    *all_biases("cohere2", "attn_q attn_v attn_output", "biases"),   # layer 1 has no RoPE
    *all_biases("apertus", "attn_q attn_k attn_v attn_output", "biases"),
    *all_biases("hunyuan-dense", "attn_q attn_k attn_v attn_output", "biases"),
    *all_biases("phi2", "attn_norm output_norm. output."),
    *(one for arch in ("starcoder2", "gpt2", "gptneox", "stablelm", "bloom") for one in all_biases(arch, NORMS)),
    *all_biases("mpt", NORMS, "biases"),
    *all_biases("falcon", "attn_norm output_norm."),
    *all_biases("falcon", "attn_norm attn_norm_2 output_norm.", "two norms"),
    *all_biases("bloom", "token_embd_norm."),
]


@pytest.mark.parametrize(("case", "mistake"), [pytest.param(at, one, id=f"{at}, {name}") for at, name, one in MISTAKES])
def test_a_mistake_is_far_from_the_logits_of_transformers(case: str, mistake: Mistake) -> None:
    assert distance(reference_logits(CASES[case], mistake), CASES[case]) > 100 * BOUNDS["f32"]


# The two GELUs differ by 5e-4 at most: logits of two layers move by 7e-5 to 3e-4 of the largest.
GELUS: list[tuple[str, str, Mistake]] = [
    *((f"{arch}, plain", "GELU by erf", mistakes.activation("GELU")) for arch in GELU_TANH),
    *((f"{arch}, plain", "GELU by tanh", mistakes.activation("GELU_TANH")) for arch in GELU),
]


@pytest.mark.parametrize(("case", "mistake"), [pytest.param(at, one, id=f"{at}, {name}") for at, name, one in GELUS])
def test_the_other_gelu_is_away_from_the_logits_of_transformers(case: str, mistake: Mistake) -> None:
    assert distance(reference_logits(CASES[case], mistake), CASES[case]) > 5 * BOUNDS["f32"]


def test_golden_files_are_small() -> None:
    assert [path.name for path in golden_files.FOLDER.glob("*.json") if path.stat().st_size > 12_000] == []
