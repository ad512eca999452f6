"""Machine code of AArch64 into its instructions that ARMv8.0 does not have: their places and extensions.

Each instruction is a word of 32 bits, of which a mask and a value tell the extension, as
the architecture's manual says.
"""

import array
import sys
from collections.abc import Iterator, Sequence

EXTENSIONS = {   # [(mask, value)]; the first that fits
    "": [(0xFFFF7C00, 0x1EE24000)],   # fcvt from half precision, which ARMv8.0 has
    "dot product": [(0x9FE0FC00, 0x0E809400), (0x9FC0F400, 0x0F80E000)],
    "i8mm": [(0xFFE0FC00, 0x4E80A400), (0xFFE0FC00, 0x6E80A400), (0xFFE0FC00, 0x4E80AC00), (0xBFE0FC00, 0x0E809C00),
             (0xBFC0F400, 0x0F80F000), (0xBFC0F400, 0x0F00F000)],
    "BF16": [(0xFFE0FC00, 0x6E40EC00), (0xBFE0FC00, 0x2E40FC00), (0xBFC0F400, 0x0F40F000), (0xBFE0FC00, 0x2EC0FC00),
             (0xBFC0F400, 0x0FC0F000), (0xFFFFFC00, 0x1E634000), (0xBFFFFC00, 0x0EA16800)],
    "FP16": [(0x9F60C400, 0x0E400400), (0x9F7E0C00, 0x0E780800), (0x9FC03400, 0x0F001000), (0xFFC00000, 0x1FC00000),
             (0x7FE00000, 0x1EE00000)],
    "RDM": [(0xBF20F400, 0x2E008400)],
    "LSE": [(0x3FA07C00, 0x08A07C00), (0xBFA07C00, 0x08207C00), (0x3F208C00, 0x38200000), (0x3F20FC00, 0x38208000)],
    "RCPC": [(0x3FFFFC00, 0x38BFC000)],
    "SVE or SME": [(0x1E000000, 0x04000000)],
}   # fmt: skip
FORMS = [(mask, value, name) for name, forms in EXTENSIONS.items() for mask, value in forms]


def instructions(code: bytes, spans: Sequence[tuple[int, int]] = ()) -> Iterator[tuple[int, str]]:
    """Yield (place, extension) of each instruction that ARMv8.0 does not have; spans: (start, end) of data."""
    words = array.array("I", code[: len(code) & ~3])
    if sys.byteorder == "big":
        words.byteswap()
    known: dict[int, str] = {}
    data = {at for start, end in spans for at in range(start, end, 4)}
    for index, word in enumerate(words):
        name = known.get(word)
        if name is None:
            name = known[word] = next((name for mask, value, name in FORMS if word & mask == value), "")
        if name and 4 * index not in data:
            yield 4 * index, name
