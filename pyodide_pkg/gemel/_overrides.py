"""Values in place of what a file's metadata says: a caller's mapping is checked and given to the core's loader.

A key that begins with a dot belongs to the file's architecture: ".rope.freq_base" of a llama is "llama.rope.freq_base".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from . import _abi
from ._errors import ArgumentError
from ._gguf import Metadata
from ._library import ERROR_SIZE, Library, check
from ._text import encode

Override = bool | int | float | str
Overrides = Mapping[str, Override]

CHAT_TEMPLATE = "tokenizer.chat_template"   # the one key that Python reads, and the core does not
EXACT = 1 << 53                             # integers up to here are what a double holds
_TYPES = {bool: _abi.OVERRIDE_BOOL, int: _abi.OVERRIDE_INT, float: _abi.OVERRIDE_FLOAT, str: _abi.OVERRIDE_STRING}


def checked(overrides: Overrides | None) -> dict[str, Override]:
    """Return a copy, each value of one of the four types; what can't be one is an error before anything is read."""
    found: dict[str, Override] = {}
    for key, value in (overrides or {}).items():
        if not isinstance(key, str):
            raise TypeError(f"overrides has the key {key!r}: keys are texts, such as 'llama.rope.freq_base'")
        kind = next((kind for kind in _TYPES if isinstance(value, kind)), None)
        if kind is None:
            raise TypeError(f"the override of {key} is {value!r}: bool, int, float or str is wanted")
        wanted = _wanted(key, value)
        if wanted:
            raise ArgumentError(f"the override of {key} is {_shown(value)}, and {wanted} is wanted")
        found[key] = kind(value)
    return found


def give(
    library: Library, loader: int, metadata: Metadata, overrides: Mapping[str, Override], where: str
) -> dict[str, Override]:
    """Give a loader whose headers are whole what `checked` returned; return it with the keys' full names."""
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
    """Make a loader read its file as it is."""
    error = library.alloc(ERROR_SIZE)
    code = library.call("gemel_loader_override", loader, None, 0, 0, 0.0, None, 0, error, error.size)
    check(library, code, "overrides", error)


def _wanted(key: str, value: Override) -> str | None:
    """Return what a value should be that is not it, or None."""
    if key == CHAT_TEMPLATE:
        return None if isinstance(value, str) else "a text"
    if isinstance(value, int):
        return None if abs(value) <= EXACT else "an integer from -2^53 to 2^53"
    return "a finite number" if isinstance(value, float) and not math.isfinite(value) else None


def _shown(value: Override) -> str:
    if isinstance(value, int) and value.bit_length() > 100:
        return f"an integer of {value.bit_length()} bits"
    return str(value)
