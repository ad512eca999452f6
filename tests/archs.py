"""Every supported architecture, one row each: the twin of core_c/src/arch/archs.def, for the tests.

tiny.py writes models by these rows, reference.py computes by them, and test_archs.py holds the two tables equal. What a
file says itself (sizes, RoPE's scaling) has no column; nor has archs.def's `tune`, which is C.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """What the files of one architecture take for granted."""

    name: str  # of general.architecture
    rope: str  # NORM: pairs (2i, 2i + 1); NEOX: pairs (i, i + n_rot / 2)
    norm: str  # RMS
    act: str  # SILU
    mixer: str  # ATTENTION
    ffn: str  # GATED: act(gate) * up
    properties: str = "0"  # X_BIAS: required; MAY_X_BIAS: allowed; LARGE_KEYS: F16 is the default cache

    def has(self, name: str) -> bool:
        return name in self.properties.split(" | ")


# fmt: off
_ROWS = (
    #    name     rope    norm   act     mixer        ffn      properties
    Arch("llama", "NORM", "RMS", "SILU", "ATTENTION", "GATED", "MAY_QKV_BIAS | MAY_OUT_BIAS | MAY_FFN_BIAS"),
    Arch("qwen2", "NEOX", "RMS", "SILU", "ATTENTION", "GATED", "QKV_BIAS | LARGE_KEYS"),
)
# fmt: on
ARCHS = {row.name: row for row in _ROWS}
