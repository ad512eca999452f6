"""Values that replace a file's metadata: the caller's mapping is checked and passed to the core's loader.

A key that begins with a dot belongs to the file's architecture: ".rope.freq_base" means "llama.rope.freq_base" for a
llama.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..core import abi
from ..core.checks import wrong_type
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.library import ERROR_SIZE, Library, check
from ..text.ids import encode
from .gguf import Metadata

Override = bool | int | float | str
Overrides = Mapping[str, Override]

CHAT_TEMPLATE = "tokenizer.chat_template"   # the one key that Python reads, not the core
EXACT = 1 << 53                             # a double holds integers up to here exactly
_TYPES = {bool: abi.OVERRIDE_BOOL, int: abi.OVERRIDE_INT, float: abi.OVERRIDE_FLOAT, str: abi.OVERRIDE_STRING}


def check_overrides(overrides: Overrides | None) -> dict[str, Override]:
    """Return a copy with each value as a bool, int, float or str. TypeError or ArgumentError for an invalid value.

    Whether a model has the keys is checked when it is opened.

    >>> check_overrides({".rope.freq_base": 5e5})
    {'.rope.freq_base': 500000.0}
    """
    if overrides is not None and not isinstance(overrides, Mapping):
        raise wrong_type("overrides", overrides, "a mapping from metadata keys to values, or None")
    found: dict[str, Override] = {}
    for key, value in (overrides or {}).items():
        if not isinstance(key, str):
            raise ArgumentTypeError(f"overrides has the key {key!r}: keys are strings, such as 'llama.rope.freq_base'")
        kind = next((kind for kind in _TYPES if isinstance(value, kind)), None)
        if kind is None:
            raise ArgumentTypeError(f"the override of {key} is {value!r}: must be a bool, int, float or str")
        wanted = _wanted(key, value)
        if wanted:
            raise ArgumentError(f"the override of {key} is {_shown(value)}: must be {wanted}")
        found[key] = kind(value)
    return found


def give(
    library: Library, loader: int, metadata: Metadata, overrides: Mapping[str, Override], where: str
) -> dict[str, Override]:
    """Pass what `check_overrides` returned to a loader whose headers are complete; return it with full key names."""
    arch = overrides.get("general.architecture", metadata.get("general.architecture", ""))
    error = library.alloc(ERROR_SIZE)
    full: dict[str, Override] = {}
    for given, value in overrides.items():
        key = f"{arch}{given}" if given.startswith(".") else given
        full[key] = value
        if key == CHAT_TEMPLATE:
            continue
        name = encode(key, "the key of an override")
        text = encode(value, f"the override of {key}") if isinstance(value, str) else None
        number = 0.0 if isinstance(value, str) else float(value)
        pair = name, len(name), _TYPES[type(value)], number, text, len(text or b"")
        code = library.call("gemel_loader_override", loader, *pair, error, error.size)
        check(library, code, where, error)
    return full


def forget(library: Library, loader: int) -> None:
    """Let a loader read its file without overrides."""
    error = library.alloc(ERROR_SIZE)
    code = library.call("gemel_loader_override", loader, None, 0, 0, 0.0, None, 0, error, error.size)
    check(library, code, "overrides", error)


def _wanted(key: str, value: Override) -> str | None:
    """Return what an invalid value must be; None for a valid one."""
    if key == CHAT_TEMPLATE:
        return None if isinstance(value, str) else "a string"
    if isinstance(value, int):
        return None if abs(value) <= EXACT else "an integer from -2^53 to 2^53"
    return "a finite number" if isinstance(value, float) and not math.isfinite(value) else None


def _shown(value: Override) -> str:
    if isinstance(value, int) and value.bit_length() > 100:
        return f"an integer of {value.bit_length()} bits"
    return str(value)
