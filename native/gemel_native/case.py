"""One configuration that `gemel bench` measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Case:
    """What to measure, and with which options."""

    test: Literal["prefill", "decode"]
    n: int         # tokens measured
    depth: int     # tokens in the KV cache before them
    threads: int
    isa: str
