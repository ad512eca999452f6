"""What a tiny model is: the fields that tests choose, and what the files of each architecture have where they don't."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archs import ARCHS, Arch
from vocabulary import Pair

PerLayer = int | Sequence[int]  # one number, or an array of the file with one for each layer
SHARPNESS = 1.75  # of q and k: scores of attention are about 3 in size, so that a few positions decide


# What tiny models of an architecture have where their fields are None: its files' keys, in sizes that show in logits.
WINDOW = dict.fromkeys(
    ("gpt-oss", "gemma2", "gemma3", "phi3", "phimoe", "exaone4", "cohere2", "gemma4", "llama4", "modern-bert",
     "gemma-embedding"), 20
)  # fmt: skip
# A window in layer 0, none in layer 1; modern-bert's layers the other way round.
WINDOW_PATTERN = dict.fromkeys(
    ("gemma3", "exaone4", "cohere2", "gemma4", "llama4", "modern-bert", "gemma-embedding"), 2
)
ROPE_BASE_SWA = dict.fromkeys(("gemma3", "gemma4", "modern-bert", "gemma-embedding"), 500.0)
SOFT_CAPS = {"gemma2": (4.0, 3.0)}  # of scores, of logits
SCALES = {  # of embeddings, residuals, scores, logits; logits of granite and minicpm are divided by it
    "granite": (3.0, 0.4, 0.35, 2.0),
    "granitemoe": (3.0, 0.4, 0.35, 2.0),
    "granitehybrid": (3.0, 0.4, 0.35, 2.0),
    "minicpm": (3.0, 0.4, None, 2.0),
    "command-r": (None, None, None, 0.25),
    "cohere2": (None, None, None, 0.25),
}
MAX_ALIBI_BIAS = {"mpt": 8.0}  # bloom's files don't say it
PARALLEL = {"gptneox": True, "stablelm": False}
N_HEAD_KV = {"falcon": 1}
# Keys and values of their files have as many heads as queries.
ALL_HEADS = ("phi2", "gpt2", "gptneox", "mpt", "bloom", "bert", "mpnet", "nomic-bert", "jina-bert-v2", "modern-bert")
XIELU = {  # of layers 0, 1, 2
    "alpha_p": (0.3, -0.2, 0.9), "alpha_n": (-1.1, 0.4, 0.1), "beta": (0.5, 0.4, 0.6), "eps": (-1e-6,) * 3,
}  # fmt: skip
SAYS_HEAD_DIM = (
    "gpt-oss", "gemma4", "openelm", "gemma-embedding",
    "qwen3", "gemma", "gemma2", "gemma3", "ernie4_5", "seed_oss", "hunyuan-dense", "mistral3",
    "qwen35", "qwen35moe", "qwen3next",
    "qwen3moe", "glm4moe", "ernie4_5-moe", "hunyuan-moe", "bailingmoe", "minimax-m2",
)  # fmt: skip
HEAT = {"mistral3": 0.5, "llama4": 0.5}
HEAT_SPAN = {"llama4": 6}  # mistral3's is n_ctx_orig
YARN_LOG = {"mistral3": 1.0}
HALF_ROTATED = (
    "phi2", "gptneox", "stablelm", "nemotron", "glm4", "glm4moe", "minimax-m2", "qwen35", "qwen35moe", "qwen3next",
)


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """What tiny_llama makes. Matrices are of `format`, except those whose name or part of a name is in `formats`."""

    seed: int = 0
    arch: str = "llama"  # a row of archs.py; another name is written as llama's files are
    n_layer: int = 2
    n_embd: int = 64
    n_head: PerLayer = 4
    n_head_kv: PerLayer | None = None  # None: 2, or what the architecture's files have
    head_dim: int | None = None  # None: n_embd / n_head; the file says it only where its architecture's files do
    n_ff: PerLayer = 96
    n_vocab: int | None = None  # None: what the vocabulary has, 323 to 400
    n_ctx: int = 512
    n_rot: int | None = None  # None: head_dim, or half of it
    eps: float = 1e-5
    format: str = "Q4_1"
    formats: Mapping[str, str] | None = None  # {"attn_v": "Q6_K", "token_embd": "Q8_0", "blk.1.ffn_up": "F16"}
    hashed: bool = False  # weights are hashed_numbers, the same with any numpy; formats that hold floats only
    embd_std: float | None = None  # size of token_embd's weights; None: 0.5, and of a tied one 2 / sqrt(n_embd)
    tied: bool = False  # no output.weight
    qk_norm: bool = False  # where the architecture allows it
    biases: bool = False  # of attention's projections, where the architecture allows them
    ffn_biases: bool = False  # of all matrices of feed-forward, allowed or not
    norm_biases: bool = False  # where the architecture allows them
    fused: Sequence[str] = ()  # attn_qkv: rows of q, k, v in one tensor; gate_up: those of gate, up as ffn_up
    rope: str = "none"  # none, linear, yarn, longrope, llama3
    rope_base: float = 10000.0
    rope_factor: float = 4.0
    rope_n_ctx_orig: int | None = None  # None: n_ctx / rope_factor
    rope_attn_factor: float | None = None
    rope_factors: Mapping[str, Sequence[float]] | None = None  # tensors by name; None: made for `rope`
    rope_alpha: float | None = None
    yarn_log: float | None = None  # what YaRN's scale of cos and sin is divided by, as its key says it
    heat: float | None = None  # of attention, past n_ctx_orig or heat_span
    heat_span: int | None = None
    rope_base_swa: float | None = None  # of layers with a window
    window: int | None = None  # positions; 0: none
    window_pattern: int | Sequence[bool] | None = None  # the file's key: every n-th layer has none, or a flag per layer
    soft_cap: float | None = None  # of scores; 0: none
    final_cap: float | None = None  # of logits; 0: none
    embd_scale: float | None = None
    residual_scale: float | None = None
    attn_scale: float | None = None
    logit_scale: float | None = None
    clamp: float | None = None  # of q, k and v
    max_alibi_bias: float | None = None
    taps: int = 3  # positions that a short convolution reads
    recurrent: Sequence[bool] | None = None  # layers with a gated delta net; None: all but every second
    delta_heads: tuple[int, int] = (2, 4)  # its heads of keys, of values
    delta_dims: tuple[int, int] | None = None  # the length of a key, of a value; None: 16, and n_embd in all
    ssm_inner: int | None = None  # channels of Mamba; None: 2 * n_embd
    ssm_state: int = 16
    ssm_heads: int = 8  # of Mamba-2; columns of Mamba-1's ssm_dt
    ssm_groups: int = 1
    ssm_normed: bool = False  # of Mamba-1: steps, and what goes in and out of states
    ssm_norm: bool = True  # where the architecture allows it
    ssm_bias: bool = True  # of convolutions, likewise
    head_size: int | None = None  # of RWKV-7; None: 16, or what divides n_embd
    ranks: tuple[int, int, int, int] = (16, 8, 12, 20)  # between its matrices: of decay, rate, mix, gate; gate 0: none
    time_norm: bool = True  # where the architecture allows it
    kv_rank: int = 64  # of latent attention
    q_rank: int = 0  # 0: queries have one matrix
    v_dim: int | None = None  # of a head of latent attention; None: 2 * n_embd / n_head
    parallel: bool | None = None  # both halves of a layer read the same
    head_norms: bool = False  # command-r: each head of q and k has its own norm
    head_dim_swa: int | None = None  # of gemma4's layers with a window; None: the others'
    k_is_v: bool = False  # gemma4's layers without a window have no attn_v
    shared_kv: int = 0  # that many of gemma4's layers, the last ones, read keys and values of earlier ones
    wide_shared: bool = False  # their feed-forward is twice as long
    per_layer: int = 0  # length of the embeddings that each of gemma4's layers has for itself
    n_types: int = 2  # parts of an encoder's texts; 0: no embeddings of them
    n_buckets: int = 32  # of mpnet's distances
    pooling: int = 1  # an encoder's pooling_type
    scores: int = 0  # of a classifier; 0: there is none
    rank_dense: bool = True  # it has a matrix before the one of scores
    two_norms: bool = False  # falcon: attention's norm is not feed-forward's
    experts: Mapping[str, Any] | None = None  # fields of tiny_experts.Experts; None: what the architecture's files have
    tokenizer: str = "bpe"  # bpe, spm, char_bpe, unigram, bert, world
    pre: str = "gpt-2"
    chat_template: str | None = None
    kv: Sequence[Pair] = ()  # added, or put in the place of the same key's
    without: Container[str | bytes] = ()  # keys and tensors that are left out
    by_name: bool = False  # tensors stored by name (blk.0, blk.1, blk.10, ...), as some writers do

    @property
    def row(self) -> Arch:
        return ARCHS.get(self.arch, ARCHS["llama"])

    @property
    def dim(self) -> int:
        if self.head_dim is None and self.is_latent:
            return 48
        return self.n_embd // of_layer(self.n_head, 0) if self.head_dim is None else self.head_dim

    @property
    def v_length(self) -> int:
        return 2 * self.n_embd // of_layer(self.n_head, 0) if self.v_dim is None else self.v_dim

    @property
    def is_latent(self) -> bool:
        return self.row.mixer == "MLA"

    @property
    def dim_swa(self) -> int:
        return self.dim if self.head_dim_swa is None else self.head_dim_swa

    def has_delta(self, il: int) -> bool:
        """Say whether a layer has a gated delta net in the place of attention."""
        if not self.row.has("DELTA_NET"):
            return False
        return il % 2 == 0 if self.recurrent is None else self.recurrent[il]

    @property
    def delta_lengths(self) -> tuple[int, int]:
        return (16, self.n_embd // self.delta_heads[1]) if self.delta_dims is None else self.delta_dims

    def slides(self, il: int) -> bool:
        """Say whether a layer has a window."""
        pattern = WINDOW_PATTERN.get(self.arch, 0) if self.window_pattern is None else self.window_pattern
        il -= self.arch == "modern-bert" and isinstance(pattern, int)
        return bool(pattern) and ((il + 1) % pattern != 0 if isinstance(pattern, int) else bool(pattern[il]))

    def shares_kv(self, il: int) -> bool:
        """Say whether a layer reads keys and values of an earlier one."""
        return il >= self.n_layer - self.shared_kv

    def ff_of(self, il: int) -> int:
        """Return the length of a layer's feed-forward."""
        if not self.has_ffn(il):
            return 0
        return of_layer(self.n_ff, il) * (2 if self.wide_shared and self.shares_kv(il) else 1)

    def dim_of(self, il: int) -> int:
        """Return the length of a layer's heads."""
        return self.dim_swa if self.arch == "gemma4" and self.slides(il) else self.dim

    @property
    def wkv_size(self) -> int:
        return math.gcd(16, self.n_embd) if self.head_size is None else self.head_size

    @property
    def inner(self) -> int:
        return 2 * self.n_embd if self.ssm_inner is None else self.ssm_inner

    def mixer_of(self, il: int) -> str:
        """Return what joins positions in a layer: ATTENTION, MLA, CONV, DELTA, MAMBA, MAMBA2, BOTH, RWKV, NONE."""
        if self.has_delta(il):
            return "DELTA"
        if self.row.has("ONE_HALF") and self.has_ffn(il):
            return "NONE"
        if self.row.mixer != "ATTENTION" or of_layer(self.heads_kv, il):
            return self.row.mixer
        return "CONV" if self.row.has("SHORT_CONV") else "MAMBA2"

    def mixer_out(self, il: int) -> str:
        """Return the name of the last of a mixer's matrices."""
        names = {"CONV": "shortconv.out_proj", "ATTENTION": "attn_output", "MLA": "attn_output",
                 "RWKV": "time_mix_output"}  # fmt: skip
        return names.get(self.mixer_of(il), "ssm_out")

    def has_ffn(self, il: int) -> bool:
        """Say whether a layer has a feed-forward; of models whose layers have one half, every third has."""
        if self.row.ffn == "NONE" or not self.row.has("ONE_HALF"):
            return self.row.ffn != "NONE"
        return il % 3 == 2 if isinstance(self.n_ff, int) else self.n_ff[il] > 0

    @property
    def rotated(self) -> int:
        if self.n_rot is None and self.is_latent:
            return self.dim // 6 * 2
        if self.n_rot is None:
            return self.dim // 4 * 2 if self.arch in HALF_ROTATED else self.dim
        return self.n_rot

    @property
    def sections(self) -> list[int]:
        """Pairs of RoPE that turn by the time, the height and the width of a place in an image."""
        n = self.rotated // 2
        return [n - 2 * (n // 3), n // 3, n // 3]

    @property
    def n_ctx_orig(self) -> int:
        return int(self.n_ctx / self.rope_factor) if self.rope_n_ctx_orig is None else self.rope_n_ctx_orig

    @property
    def heads_kv(self) -> PerLayer:
        if self.is_latent:
            return 1
        some = self.row.has("SHORT_CONV") or (self.row.has("MAMBA") and self.row.mixer == "ATTENTION")
        if some and not isinstance(self.n_head_kv, Sequence):  # every second layer has attention
            if self.row.has("ONE_HALF"):
                return [0 if self.has_ffn(il) else il % 2 * (self.n_head_kv or 2) for il in range(self.n_layer)]
            return [il % 2 * (self.n_head_kv or 2) for il in range(self.n_layer)]
        if self.n_head_kv is None:
            return self.n_head if self.arch in ALL_HEADS else N_HEAD_KV.get(self.arch, 2)
        return self.n_head_kv

    @property
    def sliding(self) -> int:
        return WINDOW.get(self.arch, 0) if self.window is None else self.window

    @property
    def caps(self) -> tuple[float | None, float | None]:
        """Caps of scores and of logits; None: the file doesn't say it."""
        own = SOFT_CAPS.get(self.arch, (None, None))
        return (
            own[0] if self.soft_cap is None else self.soft_cap,
            own[1] if self.final_cap is None else self.final_cap,
        )

    @property
    def scales(self) -> tuple[float | None, ...]:
        """Scales of embeddings, residuals, scores, logits; None: the file doesn't say it."""
        given = (self.embd_scale, self.residual_scale, self.attn_scale, self.logit_scale)
        own = SCALES.get(self.arch, (None,) * 4)
        return tuple(o if g is None else g for g, o in zip(given, own, strict=True))

    @property
    def heated(self) -> float | None:
        return HEAT.get(self.arch) if self.heat is None else self.heat

    @property
    def heated_by(self) -> int | None:
        """The key of the positions after which attention's temperature grows; None: the file doesn't say it."""
        return HEAT_SPAN.get(self.arch) if self.heat_span is None else self.heat_span

    @property
    def yarn_log_multiplier(self) -> float | None:
        """The key of YaRN's scale for all dimensions; None: the file doesn't say it."""
        return YARN_LOG.get(self.arch) if self.yarn_log is None and self.rope == "yarn" else self.yarn_log

    @property
    def alibi(self) -> float | None:
        return MAX_ALIBI_BIAS.get(self.arch) if self.max_alibi_bias is None else self.max_alibi_bias

    @property
    def is_parallel(self) -> bool | None:
        """Whether both halves read the same; None: the file doesn't say it."""
        return PARALLEL.get(self.arch) if self.parallel is None else self.parallel

    @property
    def embd_factor(self) -> float:
        """What the model multiplies embeddings by."""
        return math.sqrt(self.n_embd) if self.row.has("EMBD_SQRT") else self.scales[0] or 1.0


def of_layer(value: PerLayer, il: int) -> int:
    return value if isinstance(value, int) else value[il]
