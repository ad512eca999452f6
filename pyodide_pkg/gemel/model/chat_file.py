"""A chat becomes bytes and back: its messages and template as JSON, and what its session holds.

    8 bytes    "gemelch1": the last character counts up with the layout
    8 bytes    size of the JSON, little endian
    8 bytes    size of the session
    32 bytes   SHA-256 of the JSON
    JSON       {"messages", "template", "tools", "options", "n_ctx", "kv_type"}, UTF-8
    session    what Session.save returns, with its own checks

Nothing here trusts the bytes. The JSON's values are checked; the template runs in the sandbox, as a file's does.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..core.checks import shown
from ..core.errors import ArgumentTypeError, StateError
from .kv import KV_TYPES

MAGIC = b"gemelch1"
HEAD = struct.Struct("<8sQQ32s")
DEPTH = 64   # of lists and mappings in each other
KINDS: dict[str, tuple[type, ...]] = {
    "messages": (list,), "template": (str,), "tools": (list, type(None)), "options": (dict,), "n_ctx": (int,),
    "kv_type": (str,),
}   # fmt: skip


@dataclass(frozen=True)
class SavedChat:
    """What a saved chat holds."""

    facts: dict[str, Any]   # of KINDS
    session: Any            # bytes-like


def pack(facts: Mapping[str, Any], session: bytes) -> bytes:
    """Return a chat's bytes. ArgumentTypeError for a value that JSON can't hold."""
    plain = {name: _plain(value, name) for name, value in facts.items()}
    text = json.dumps(plain, ensure_ascii=True, allow_nan=False).encode("ascii")
    return HEAD.pack(MAGIC, len(text), len(session), sha256(text).digest()) + text + session


def unpack(data: Any) -> SavedChat:  # noqa: ANN401
    """Return what pack() was given. StateError says what is wrong with the bytes."""
    view = memoryview(data).cast("B")
    if view.nbytes < HEAD.size or bytes(view[:7]) != MAGIC[:7]:
        raise StateError("this is not a saved chat: pass what Chat.save() returned or wrote")
    magic, size, session_size, digest = HEAD.unpack(view[: HEAD.size])
    if magic != MAGIC:
        raise StateError(f"the saved chat has layout {magic[7:]!r}, but this version of gemel reads {MAGIC[7:]!r}")
    if view.nbytes != HEAD.size + size + session_size:
        kind = "cut" if view.nbytes < HEAD.size + size + session_size else "longer than it was"
        raise StateError(f"the saved chat has {view.nbytes} bytes, not {HEAD.size + size + session_size}: it is {kind}")
    text = bytes(view[HEAD.size : HEAD.size + size])
    if sha256(text).digest() != digest:
        raise StateError("the saved chat is damaged: its messages don't match their checksum")
    return SavedChat(_facts(text), view[HEAD.size + size :])


def _facts(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
        _plain(found, "it")
    except (ValueError, RecursionError, ArgumentTypeError) as error:
        raise StateError(f"the saved chat is corrupt: {error}") from None
    if not isinstance(found, dict) or set(found) != set(KINDS):
        raise StateError(f"the saved chat is corrupt: it does not hold {', '.join(KINDS)}")
    for name, kinds in KINDS.items():
        if not isinstance(found[name], kinds) or isinstance(found[name], bool):
            raise StateError(f"the saved chat is corrupt: {name} is {shown(found[name])}")
    if found["kv_type"] not in KV_TYPES or found["n_ctx"] < 1:
        raise StateError(f"the saved chat is corrupt: n_ctx={found['n_ctx']}, kv_type={found['kv_type']!r}")
    for i, message in enumerate(found["messages"]):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise StateError(f"the saved chat is corrupt: messages[{i}] is {shown(message)}")
    return found


def _plain(value: object, where: str, depth: int = 0) -> Any:  # noqa: ANN401
    """Return a value as JSON gives it back: tuples become lists. ArgumentTypeError names what can't be saved."""
    if depth > DEPTH:
        raise ArgumentTypeError(f"{where[:80]} is nested more than {DEPTH} deep, which a saved chat can't hold")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentTypeError(f"{where} has the key {shown(key)}: keys must be strings")
        return {key: _plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise ArgumentTypeError(f"{where} is {shown(value)}: a chat is saved as JSON, which can't hold it")
