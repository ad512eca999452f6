"""Saved sessions that tests change."""

from __future__ import annotations

import struct

CHECKSUM = slice(16, 24)
BITS_AT = 52   # the number of the bits that a session has
MASK = 2**64 - 1


def sealed(state: bytearray) -> bytearray:
    """Put the checksum in that fits: FNV-1a over words of 8 bytes, each folded once; its own place counts as 0."""
    state[CHECKSUM] = bytes(8)
    h = 0xCBF29CE484222325
    for (word,) in struct.iter_unpack("<Q", state[: len(state) // 8 * 8]):
        h = (h ^ word) * 0x100000001B3 & MASK
        h ^= h >> 29
    state[CHECKSUM] = struct.pack("<Q", h)
    return state
