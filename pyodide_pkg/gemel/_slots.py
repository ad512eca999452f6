"""What the files of each architecture hold: archs.def and slots.def by core_c/tools/make_slots.py; not to be edited.

ARCHS maps a name in general.architecture to its properties. SLOTS maps a slot's id to (name in the file, room, kind,
required of, allowed for, columns, rows); `first` and `last` are the model's, `layer` is named blk.N.<name>. DEALT maps
a fused tensor's id to (name, the slots that its rows go to).
"""

ARCHS: dict[str, tuple[str, ...]] = {
    "llama": ("MAY_FFN_BIAS", "MAY_OUT_BIAS", "MAY_QKV_BIAS"),
    "qwen2": ("LARGE_KEYS", "QKV_BIAS"),
}

SLOTS: dict[str, tuple[str, str, str, str, str, str, str]] = {
    "TOKEN_EMBD": ("token_embd.weight", "first", "matrix", "HAS_ALL", "HAS_ALL", "EMBD", "VOCAB"),
    "ROPE_FREQS": ("rope_freqs.weight", "first", "factors", "0", "HAS_ALL", "ROT", "ONE"),
    "ROPE_LONG": ("rope_factors_long.weight", "first", "factors", "0", "HAS_ALL", "ROT", "ONE"),
    "ROPE_SHORT": ("rope_factors_short.weight", "first", "factors", "0", "HAS_ALL", "ROT", "ONE"),
    "ATTN_NORM": ("attn_norm.weight", "layer", "vector", "HAS_ALL", "HAS_ALL", "EMBD", "ONE"),
    "ATTN_Q": ("attn_q.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "EMBD", "Q"),
    "ATTN_K": ("attn_k.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "EMBD", "K"),
    "ATTN_V": ("attn_v.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "EMBD", "V"),
    "ATTN_Q_B": ("attn_q.bias", "layer", "vector", "QKV_BIAS", "MAY_QKV_BIAS", "Q", "ONE"),
    "ATTN_K_B": ("attn_k.bias", "layer", "vector", "QKV_BIAS", "MAY_QKV_BIAS", "K", "ONE"),
    "ATTN_V_B": ("attn_v.bias", "layer", "vector", "QKV_BIAS", "MAY_QKV_BIAS", "V", "ONE"),
    "ATTN_OUTPUT": ("attn_output.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "HEADS", "EMBD"),
    "ATTN_OUTPUT_B": ("attn_output.bias", "layer", "vector", "0", "MAY_OUT_BIAS", "EMBD", "ONE"),
    "FFN_NORM": ("ffn_norm.weight", "layer", "vector", "HAS_ALL", "HAS_ALL", "EMBD", "ONE"),
    "FFN_GATE": ("ffn_gate.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "EMBD", "FF"),
    "FFN_UP": ("ffn_up.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "EMBD", "FF"),
    "FFN_GATE_B": ("ffn_gate.bias", "layer", "vector", "0", "MAY_FFN_BIAS", "FF", "ONE"),
    "FFN_UP_B": ("ffn_up.bias", "layer", "vector", "0", "MAY_FFN_BIAS", "FF", "ONE"),
    "FFN_DOWN": ("ffn_down.weight", "layer", "matrix", "HAS_ALL", "HAS_ALL", "FF", "EMBD"),
    "FFN_DOWN_B": ("ffn_down.bias", "layer", "vector", "0", "MAY_FFN_BIAS", "EMBD", "ONE"),
    "OUTPUT_NORM": ("output_norm.weight", "last", "vector", "HAS_ALL", "HAS_ALL", "EMBD", "ONE"),
    "OUTPUT": ("output.weight", "last", "matrix", "0", "HAS_ALL", "EMBD", "VOCAB"),
}

DEALT: dict[str, tuple[str, tuple[str, ...]]] = {
    "ATTN_QKV": ("attn_qkv.weight", ("ATTN_Q", "ATTN_K", "ATTN_V")),
    "ATTN_QKV_B": ("attn_qkv.bias", ("ATTN_Q_B", "ATTN_K_B", "ATTN_V_B")),
    "FFN_GATE_UP": ("ffn_up.weight", ("FFN_GATE", "FFN_UP")),
}
