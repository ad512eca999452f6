"""Ids become keys of KV cache pages: pages with equal keys hold equal bits, whatever session they are in."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256

PAGE = 64
"""Positions of a page of the KV cache."""


def page_keys(
    ids: Sequence[int],
    *,
    kv_type: int,
    rope_table: int,
    adapters: Sequence[tuple[bytes, float]] = (),
    salt: bytes = b"",
) -> list[bytes]:
    """Return a 32-byte key for each whole page of one model's `ids`: SHA-256 of everything that determines its bits.

    A page depends on every id up to its end, so each key includes the key before it. kv_type: a gemel_kv_type.
    rope_table: 0 or 1, which of the model's RoPE tables rotated the keys. adapters: (digest, scale) of each, in the
    order in which they are applied. salt: pages of different salts have different keys, so that response times do not
    reveal what others have asked.

    The keys end before the first id below 0: such a position was given as an embedding, which has no id.
    """
    head = struct.pack("<4sii", b"kv1\0", kv_type, rope_table)
    for part in (*(digest + struct.pack("<d", scale) for digest, scale in adapters), salt):
        head += struct.pack("<q", len(part)) + part
    key = sha256(struct.pack("<q", len(adapters)) + head).digest()
    keys = []
    for start in range(0, len(ids) - PAGE + 1, PAGE):
        page = ids[start : start + PAGE]
        if min(page) < 0:
            break
        key = sha256(key + struct.pack(f"<{PAGE}i", *page)).digest()
        keys.append(key)
    return keys
