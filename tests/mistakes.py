"""Mistakes that a core or a reference might have, made in a Reference: tests show that their bounds see each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import reference
import reference_recurrent
from gguf_file import F32
from reference import Reference, Scores
from reference_experts import Mixture
from reference_math import Xielu

Mistake = Callable[[Reference], None]


def all_of(*changes: Mistake) -> Mistake:
    """Make several, one after the other."""

    def each(model: Reference) -> None:
        for change in changes:
            change(model)

    return each


def scale(model: Reference) -> None:
    """Multiply the scale of attention by 1.005."""
    attend = model.attend
    model.attend = lambda q, k, v, scores: attend(q * np.float32(1.005), k, v, scores)


def pairs(model: Reference) -> None:
    """Rotate (2i, 2i + 1) in the place of (i, i + n_rot / 2), or the other way round."""
    model.ropes = [spec and replace(spec, neox=not spec.neox) for spec in model.ropes]


def epsilon(model: Reference) -> None:
    """Take 1e-6 for the norms' epsilon of 1e-5."""
    model.eps = 1e-6


def ropes(**changes: Any) -> Mistake:  # noqa: ANN401
    """Change RoPE of all layers that have it."""

    def change(model: Reference) -> None:
        model.ropes = [spec and replace(spec, **changes) for spec in model.ropes]

    return change


def rotated(spec: reference.Rope) -> Mistake:
    """Rotate in all layers."""

    def change(model: Reference) -> None:
        model.ropes = [spec] * len(model.ropes)

    return change


rope_scaling = ropes(kind="none", freq_factors=None, attn_factor=1.0)  # of any kind, ignored


def rope_of(layer: int, other: int) -> Mistake:
    """Give a layer the RoPE of another one."""

    def give(model: Reference) -> None:
        model.ropes[layer] = model.ropes[other]

    return give


def no_bias(name: str) -> Mistake:
    """Ignore a bias: one of layer 1, or the model's own where the name ends with a dot."""
    return _filled(f"{name}bias" if name.endswith(".") else f"blk.1.{name}.bias")


def no_positions(model: Reference) -> None:
    """Ignore learned positions."""
    _filled("position_embd.weight")(model)


def _filled(name: str) -> Mistake:
    """Make a tensor zeros."""

    def fill(model: Reference) -> None:
        model.tensors[name] = replace(model.tensors[name], data=np.zeros_like(model.tensors[name].data))

    return fill


def scores(change: Callable[[Scores], Scores]) -> Mistake:
    """Change what becomes of scores in all layers."""

    def each(model: Reference) -> None:
        model.scores = [change(spec) for spec in model.scores]

    return each


def window(by: int) -> Mistake:
    """Widen all windows."""
    return scores(lambda spec: replace(spec, window=spec.window + by if spec.window else 0))


def reach(by: int) -> Mistake:
    """Widen the windows of encoders to both sides."""
    return scores(lambda spec: replace(spec, reach=None if spec.reach is None else spec.reach + by))


def sliding(model: Reference) -> None:
    """Let windows slide that lie side by side."""
    model.scores = [replace(spec, chunked=False) for spec in model.scores]


def keys_of(layer: int, other: int) -> Mistake:
    """Read another layer's keys and values."""

    def read(model: Reference) -> None:
        kv_of = model.kv_of
        model.kv_of = lambda il: other if il == layer else kv_of(il)  # type: ignore[method-assign]

    return read


def no_table(model: Reference) -> None:
    """Ignore what the table has for ids, besides the projection."""
    _filled("per_layer_token_embd.weight")(model)


def own_of_other_layers(model: Reference) -> None:
    """Give each layer the embeddings of the next one."""
    own = model.own_embeddings
    model.own_embeddings = lambda ids: np.roll(own(ids), -1, axis=1)  # type: ignore[method-assign]


def window_everywhere(model: Reference) -> None:
    """Give all layers the first one's window."""
    model.scores = [replace(spec, window=model.scores[0].window) for spec in model.scores]


def no_layer_scales(model: Reference) -> None:
    """Ignore what layers multiply the residual stream by."""
    for name in [name for name in model.tensors if name.endswith("layer_output_scale.weight")]:
        del model.tensors[name]


def norms_of_first_head(model: Reference) -> None:
    """Norm all heads of q and k by the weights of the first."""
    for name in [name for name in model.tensors if name.endswith(("attn_q_norm.weight", "attn_k_norm.weight"))]:
        tensor = model.tensors[name]
        model.tensors[name] = replace(tensor, data=np.broadcast_to(tensor.data[:1], tensor.data.shape).copy())


def late_norm(model: Reference) -> None:
    """Norm q and k before RoPE where they are normed after it, or the other way round."""
    model.late_norm = not model.late_norm


def slopes(change: Callable[[list[float]], list[float]]) -> Mistake:
    """Change ALiBi's slopes of all layers."""
    return scores(lambda spec: replace(spec, slopes=tuple(change(list(spec.slopes or ())))))


def without_norm(part: str) -> Mistake:
    """Leave a norm out where it is: x goes on as it is."""

    def leave_out(model: Reference) -> None:
        norm = model.norm
        model.norm = lambda name, x: x if name.endswith(part) else norm(name, x)  # type: ignore[method-assign]

    return leave_out


def rms_for_layer(model: Reference) -> None:
    """Forget the mean: norms divide by the root of the mean square."""

    def norm(name: str, x: F32) -> F32:
        weight = model.tensors.get(f"{name}.weight")
        y = reference.rmsnorm(x, np.ones(x.shape[-1], np.float32) if weight is None else weight.floats(), model.eps)
        bias = model.tensors.get(f"{name}.bias")
        return y if bias is None else y + bias.floats()

    model.norm = norm  # type: ignore[method-assign]


def norm_by_heads(model: Reference) -> None:
    """Norm each head of q and k alone where all of a position's are normed together."""
    norm = model.norm

    def by_heads(name: str, x: F32) -> F32:
        if not name.endswith(("attn_q_norm", "attn_k_norm")):
            return norm(name, x)
        heads = x.reshape(*x.shape[:-1], -1, model.k_dim)
        ones = np.ones(model.k_dim, np.float32)
        return reference.rmsnorm(heads, ones, model.eps).reshape(x.shape) * model.tensors[f"{name}.weight"].floats()

    model.norm = by_heads  # type: ignore[method-assign]


def number(name: str, value: Any) -> Mistake:  # noqa: ANN401
    """Take another number for one of a Reference's own."""
    return lambda model: setattr(model, name, value)


def the_other_order(model: Reference) -> None:
    """Compute halves of a layer after each other that read the same, or the other way round."""
    model.parallel = [not flag for flag in model.parallel]


def act(other: Callable[[F32], F32]) -> Mistake:
    """Take another activation."""
    return lambda model: setattr(model, "acts", [other] * model.n_layer)


def activation(name: str) -> Mistake:
    """Take another one of the known activations."""
    return act(reference.ACTIVATIONS[name])


def xielu(**numbers: float) -> Mistake:
    """Take other numbers of xIELU in layer 1."""

    def take(model: Reference) -> None:
        own = model.acts[1]
        assert isinstance(own, Xielu)
        model.acts[1] = replace(own, **{name: np.float32(one) for name, one in numbers.items()})

    return take


def positions_from_one(model: Reference) -> None:
    """Count learned positions from 1."""
    tensor = model.tensors["position_embd.weight"]
    model.tensors["position_embd.weight"] = replace(tensor, data=np.roll(tensor.data, -1, axis=0))


def rotated_first(model: Reference) -> None:
    """Read the rotated channels of latent attention's queries before the others."""
    for name, tensor in model.tensors.items():
        if name.endswith((".attn_q.weight", ".attn_q_b.weight")):
            heads = tensor.data.reshape(model.n_head[0], -1, tensor.data.shape[1])
            n_rot = int(model._number("rope.dimension_count"))
            model.tensors[name] = replace(tensor, data=np.roll(heads, -n_rot, axis=1).reshape(tensor.data.shape))


def heads_in_another_order(part: str) -> Mistake:
    """Give each head the matrix of the next one."""

    def turn(model: Reference) -> None:
        name = f"blk.1.{part}.weight"
        tensor = model.tensors[name]
        mats = tensor.data.reshape(tensor.shape[0], -1)
        model.tensors[name] = replace(tensor, data=np.roll(mats, 1, axis=0).reshape(tensor.data.shape))

    return turn


no_types = _filled("token_types.weight")


def zeros(name: str) -> Mistake:
    """Make a tensor of layer 1 zeros."""
    return _filled(f"blk.1.{name}")


def one_norm(model: Reference) -> None:
    """Falcon: attention reads by the norm of feed-forward."""
    for name in [name for name in model.tensors if ".attn_norm_2." in name]:
        del model.tensors[name]


def mixtures(change: Callable[[Mixture], Mixture]) -> Mistake:
    """Change the mixtures of experts of all layers that have one."""

    def each(model: Reference) -> None:
        model.mixtures = [one and change(one) for one in model.mixtures]

    return each


def experts(**changes: Any) -> Mistake:  # noqa: ANN401
    """Change numbers of the mixtures of all layers that have one."""
    return mixtures(lambda mixture: replace(mixture, **changes))


def router_of_experts(model: Reference) -> None:
    """Norm what the router reads by the weights of the experts' norm, in their size."""
    for name in [name for name in model.tensors if name.endswith(".ffn_gate_inp.scale")]:
        norm = model.tensors[name.replace("ffn_gate_inp.scale", "pre_ffw_norm_2.weight")]
        own = norm.floats() * np.float32(np.sqrt(model.n_embd))
        model.tensors[name] = replace(norm, data=own.view(np.uint8).reshape(1, -1))


def turned(name: str) -> Mistake:
    """Give each number of a vector of layer 1 the place of the next one."""

    def turn(model: Reference) -> None:
        tensor = model.tensors[f"blk.1.{name}"]
        model.tensors[f"blk.1.{name}"] = replace(tensor, data=np.roll(tensor.data, 4, axis=-1))

    return turn


def taps_turned(model: Reference) -> None:
    """Read the last positions of short convolutions in the other order."""
    for name in [name for name in model.tensors if name.endswith(".shortconv.conv.weight")]:
        tensor = model.tensors[name]
        taps = np.ascontiguousarray(tensor.floats()[:, ::-1])
        model.tensors[name] = replace(tensor, data=taps.view(np.uint8).reshape(tensor.data.shape))


def delta(change: Callable[[dict[str, Any]], None]) -> Mistake:
    """Change what a delta rule is given: q, k, v, decay and beta."""

    def each(model: Reference) -> None:
        rule = reference_recurrent.delta_rule

        def changed(*given: F32) -> F32:
            named = dict(zip(("q", "k", "v", "decay", "beta"), given, strict=True))
            change(named)
            return rule(**named)

        model.rule = changed

    return each


def vectors(part: str, change: Callable[[F32], F32]) -> Mistake:
    """Change the numbers of a tensor of floats in all layers that have it."""

    def each(model: Reference) -> None:
        for name in [name for name in model.tensors if name.endswith(f".{part}")]:
            tensor = model.tensors[name]
            values = np.ascontiguousarray(change(tensor.floats()), np.float32)
            model.tensors[name] = replace(tensor, data=values.view(np.uint8).reshape(tensor.data.shape))

    return each


def gates_exchanged(model: Reference) -> None:
    """Multiply after short convolutions by what comes before them, and the other way round."""
    for name in [name for name in model.tensors if name.endswith(".shortconv.in_proj.weight")]:
        tensor = model.tensors[name]
        b, c, x = np.split(tensor.data, 3)
        model.tensors[name] = replace(tensor, data=np.concatenate([c, b, x]))


def changed(name: str, change: Callable[[F32], F32]) -> Mistake:
    """Change the numbers of every tensor of a name, which are floats."""

    def make(model: Reference) -> None:
        for full in [full for full in model.tensors if full.endswith(f".{name}")]:
            tensor = model.tensors[full]
            values = np.ascontiguousarray(change(tensor.floats()), np.float32)
            model.tensors[full] = replace(tensor, data=values.view(np.uint8).reshape(tensor.data.shape))

    return make


def one_group(model: Reference) -> None:
    """Norm what Mamba-2 makes in one group."""
    weights = {name: tensor.floats() for name, tensor in model.tensors.items() if name.endswith(".ssm_norm.weight")}
    for name in weights:
        del model.tensors[name]
    alone = model._mamba

    def normed(il: int, x: F32) -> F32:
        w = weights[f"blk.{il}.ssm_norm.weight"].reshape(-1)
        return reference.rmsnorm(alone(il, x), w, model.eps)

    model._mamba = normed   # type: ignore[method-assign]


MAMBA = {
    "taps turned": changed("ssm_conv1d.weight", lambda w: w[:, ::-1]),
    "no bias of taps": changed("ssm_conv1d.bias", lambda b: 0 * b),
    "no bias of steps": changed("ssm_dt.bias", lambda b: 0 * b),
    "slower decays": changed("ssm_a", lambda a: a * np.float32(0.9)),
    "nothing skips": changed("ssm_d", lambda d: 0 * d),
    "no norm": changed("ssm_norm.weight", lambda w: 0 * w + 1),
}


RWKV = {
    "mixes of other parts": changed("time_mix_lerp_fused.weight", lambda w: np.roll(w, 1, 0)),
    "no bias of decays": changed("time_mix_w0.weight", np.zeros_like),
    "no bias of rates": changed("time_mix_a0.weight", np.zeros_like),
    "no values of layer 0": changed("time_mix_v0.weight", lambda b: b - np.float32(30)),
    "keys are read as they are": changed("time_mix_k_k.weight", np.ones_like),
    "keys are written as they are": changed("time_mix_k_a.weight", np.zeros_like),
    "no own value": changed("time_mix_r_k.weight", np.zeros_like),
    "another gate": changed("time_mix_g2.weight", lambda w: w * np.float32(1.02)),
    "no bias of heads": changed("time_mix_ln.bias", np.zeros_like),
    "the layers' epsilon of heads": number("head_eps", 1e-5),
}


def no_tensor(name: str) -> Mistake:
    """Forget a tensor of layer 1."""

    def forget(model: Reference) -> None:
        del model.tensors[f"blk.1.{name}"]

    return forget


BIASES = {
    f"no bias of {name}": no_bias(name)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
}
EVERYWHERE = {"scale": scale, "pairs": pairs, "epsilon": epsilon}
