"""The types of a KV cache: their names, and their numbers in the core."""

from __future__ import annotations

from typing import Literal, get_args

from ..core import abi
from ..core.checks import wrong_type
from ..core.errors import ArgumentError

KvType = Literal["f32", "f16", "q8_0"]
"""What a KV cache holds: floats (to compare with), f16, or int8 with a scale per 32 values (K) or per head (V);
see docs/bits.md."""
KV_TYPES: tuple[KvType, ...] = get_args(KvType)
KV_NUMBERS: dict[KvType, int] = {"f32": abi.KV_F32, "f16": abi.KV_F16, "q8_0": abi.KV_Q8_0}
KV_SIZES: dict[KvType, int] = {
    "f32": abi.MODEL_KV_SIZE_F32, "f16": abi.MODEL_KV_SIZE_F16, "q8_0": abi.MODEL_KV_SIZE_Q8_0,
}   # fmt: skip


def kv_number(kv_type: KvType | None) -> int:
    """Return the gemel_kv_type of a name, or of None: the model's default. ArgumentError for an unknown name."""
    if kv_type is None:
        return abi.KV_DEFAULT
    wanted = f"one of {', '.join(map(repr, KV_TYPES))}, or None"
    if not isinstance(kv_type, str):
        raise wrong_type("kv_type", kv_type, wanted)
    if kv_type not in KV_NUMBERS:
        raise ArgumentError(f"kv_type={kv_type!r}: must be {wanted}")
    return KV_NUMBERS[kv_type]


def kv_type_of(number: int) -> KvType:
    """Return the name of a gemel_kv_type."""
    return next(name for name, one in KV_NUMBERS.items() if one == number)
