"""Machine code of x86-64 into its instructions: where each begins, and which extension of the processor it needs.

Reads no operands: only what decides an instruction's length and its extension. The tables are the opcode maps of the
processors' manuals.
"""

from collections.abc import Iterator, Sequence

LEGACY = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")   # prefixes
ONE, TWO, THREE_8, THREE_A = range(4)   # opcode maps: one byte, 0f, 0f 38, 0f 3a
HIGHER = 4   # maps that only EVEX has: FP16


def _rows(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(code for first, last in spans for code in range(first, last + 1))


ARITHMETIC = frozenset(row + column for row in range(0, 0x40, 8) for column in range(4))
MODRM = (
    ARITHMETIC | _rows((0x63, 0x63), (0x69, 0x69), (0x6B, 0x6B), (0x80, 0x8F), (0xC0, 0xC1), (0xC6, 0xC7),
                       (0xD0, 0xD3), (0xD8, 0xDF), (0xF6, 0xF7), (0xFE, 0xFF)),
    _rows((0x00, 0x03), (0x0D, 0x0D), (0x10, 0x2F), (0x40, 0x76), (0x78, 0x7F), (0x90, 0x9F), (0xA3, 0xA5),
          (0xAB, 0xC7), (0xD0, 0xFF)),
    _rows((0, 0xFF)), _rows((0, 0xFF)),
)  # fmt: skip
BYTE = (   # opcodes with an immediate of a byte
    frozenset(row + 4 for row in range(0, 0x40, 8)) | _rows(
        (0x6A, 0x6B), (0x70, 0x7F), (0x80, 0x80), (0x82, 0x83), (0xA8, 0xA8), (0xB0, 0xB7), (0xC0, 0xC1), (0xC6, 0xC6),
        (0xCD, 0xCD), (0xE0, 0xE7), (0xEB, 0xEB)),
    _rows((0x70, 0x73), (0xA4, 0xA4), (0xAC, 0xAC), (0xBA, 0xBA), (0xC2, 0xC2), (0xC4, 0xC6)),
    frozenset[int](), _rows((0, 0xFF)),
)  # fmt: skip
WORD = (   # of four bytes, or of two behind the prefix 66
    frozenset(row + 5 for row in range(0, 0x40, 8)) | _rows((0x68, 0x69), (0x81, 0x81), (0xA9, 0xA9), (0xC7, 0xC7)),
    frozenset[int](), frozenset[int](), frozenset[int](),
)  # fmt: skip
NEAR = (_rows((0xE8, 0xE9)), _rows((0x80, 0x8F)), frozenset[int](), frozenset[int]())   # of four, whatever the prefix
INVALID = _rows((0x06, 0x07), (0x0E, 0x0E), (0x16, 0x17), (0x1E, 0x1F), (0x27, 0x27), (0x2F, 0x2F),
                (0x37, 0x37), (0x3F, 0x3F), (0x60, 0x61), (0x82, 0x82), (0x9A, 0x9A), (0xCE, 0xCE), (0xD4, 0xD6),
                (0xEA, 0xEA))  # fmt: skip

SSE3 = {   # prefix, opcode of 0f
    (0xF2, 0x12), (0xF3, 0x12), (0xF3, 0x16), (0xF2, 0xF0), (0x66, 0x7C), (0x66, 0x7D), (0x66, 0xD0), (0xF2, 0x7C),
    (0xF2, 0x7D), (0xF2, 0xD0),
}   # fmt: skip
FMA = _rows((0x96, 0x9F), (0xA6, 0xAF), (0xB6, 0xBF))
CRYPTO = {(THREE_8, op) for op in (*range(0xDB, 0xE0), 0xCF)} | {(THREE_A, op) for op in (0x44, 0xCE, 0xCF, 0xDF)}
BMI = {(THREE_8, op) for op in (0xF2, 0xF3, 0xF5, 0xF6, 0xF7)} | {(THREE_A, 0xF0)}
ANY = -1   # prefix
EVEX_MORE = {   # what AVX-512 F, BW, VL, DQ and VNNI don't have
    "AVX512-VBMI": [(THREE_8, ANY, op) for op in (0x62, 0x63, 0x70, 0x71, 0x72, 0x73, 0x83)]
    + [(THREE_A, ANY, op) for op in range(0x70, 0x74)],
    "AVX512-BITALG": [(THREE_8, ANY, op) for op in (0x54, 0x55, 0x8F)],
    "AVX512-IFMA": [(THREE_8, ANY, op) for op in (0xB4, 0xB5)],
    "AVX512-BF16": [(THREE_8, 0xF3, 0x52), (THREE_8, 0xF2, 0x72), (THREE_8, 0xF3, 0x72)],
    "AVX512-VP2INTERSECT": [(THREE_8, 0xF2, 0x68)],
    "AVX512-CD": [(THREE_8, 0x66, 0xC4), (THREE_8, 0x66, 0x44), (THREE_8, 0xF3, 0x2A), (THREE_8, 0xF3, 0x3A)],
}
BYTES = {0x75, 0x7D, 0x8D}   # opcodes of 0f 38 that move bytes (VBMI) or words, as the bit W says
EVEX = {(opcode_map, prefix, op): name for name, forms in EVEX_MORE.items() for opcode_map, prefix, op in forms}
Spans = Sequence[tuple[int, int]]
PREFIXES = (0, 0x66, 0xF3, 0xF2)   # as VEX and EVEX number them


class UnreadError(ValueError):
    """Bytes that are no instruction."""


def instructions(code: bytes, spans: Spans = ()) -> Iterator[tuple[int, str]]:
    """Yield (place, extension) of each instruction that the first x86-64 does not have.

    spans: (start, end) of data among the code, in order. UnreadError: of bytes that are no instruction.
    """
    return ((at, extension) for at, extension in _all(code, spans) if extension)


def starts(code: bytes, spans: Spans = ()) -> list[int]:
    """Return the places of all instructions."""
    return [at for at, _ in _all(code, spans)]


def _all(code: bytes, spans: Spans) -> Iterator[tuple[int, str]]:
    at, padded = 0, code + bytes(16)
    for start, end in (*spans, (len(code), len(code))):
        while at < start:
            length, extension = _one(padded, at)
            yield at, extension
            at += length
        at = max(at, end)


def _one(code: bytes, at: int) -> tuple[int, str]:
    """Return an instruction's length and extension ("": the first version has it)."""
    start, wide, repeat, small, short = at, False, 0, False, False
    while (byte := code[at]) in LEGACY:
        small = small or byte == 0x66
        short = short or byte == 0x67
        repeat = byte if byte in (0xF2, 0xF3) else repeat
        at += 1
    if byte & 0xF0 == 0x40:   # REX
        wide = bool(byte & 8)
        at += 1
        byte = code[at]
    if byte in (0xC4, 0xC5, 0x62):
        evex, wide = byte == 0x62, byte != 0xC5 and bool(code[at + 2] & 0x80)
        opcode_map, prefix, at = _vector(code, at)
        extension = _of_vector(evex, wide, opcode_map, prefix, code[at])
        return _end(code, at, opcode_map, False) - start, extension
    opcode_map = ONE
    if byte == 0x0F:
        at += 1
        opcode_map = {0x38: THREE_8, 0x3A: THREE_A}.get(code[at], TWO)
        at += opcode_map != TWO
    elif byte in INVALID:
        raise UnreadError(f"{code[start:start + 8].hex(' ')} at {start:#x} is no instruction")
    opcode = code[at]
    if opcode_map == ONE and 0xA0 <= opcode <= 0xA3:   # mov with an address
        return at + 1 + (4 if short else 8) - start, ""
    if opcode_map == ONE and 0xB8 <= opcode <= 0xBF:   # mov of a constant
        return at + 1 + (8 if wide else 2 if small else 4) - start, ""
    extension = _of_legacy(opcode_map, repeat or (0x66 if small else 0), opcode)
    return _end(code, at, opcode_map, small and not wide) - start, extension


def _vector(code: bytes, at: int) -> tuple[int, int, int]:
    """Return the opcode map, the prefix and the opcode's place of VEX or EVEX."""
    first, second = code[at + 1], code[at + 2]
    if code[at] == 0xC5:
        return TWO, PREFIXES[first & 3], at + 2
    opcode_map = first & (0x1F if code[at] == 0xC4 else 7)
    if opcode_map not in ((1, 2, 3) if code[at] == 0xC4 else (1, 2, 3, 5, 6)):
        raise UnreadError(f"{code[at:at + 8].hex(' ')} at {at:#x} is no instruction")
    return min(opcode_map, HIGHER), PREFIXES[second & 3], at + (3 if code[at] == 0xC4 else 4)


def _end(code: bytes, at: int, opcode_map: int, small: bool) -> int:
    """Return the end of an instruction whose opcode is at `at`: behind its operand in memory and its constant."""
    if opcode_map == HIGHER:
        opcode_map = THREE_8
    opcode, more = code[at], 0
    if opcode in BYTE[opcode_map]:
        more = 1
    elif opcode in WORD[opcode_map]:
        more = 2 if small else 4
    elif opcode in NEAR[opcode_map]:
        more = 4
    elif opcode_map == ONE and opcode in (0xC2, 0xC8):   # ret, enter
        more = 2 + (opcode == 0xC8)
    at += 1
    if opcode not in MODRM[opcode_map]:
        return at + more
    modrm = code[at]
    mode, operation, base = modrm >> 6, modrm >> 3 & 7, modrm & 7
    if opcode_map == ONE and opcode in (0xF6, 0xF7) and operation < 2:   # test
        more = 1 if opcode == 0xF6 else 2 if small else 4
    at += 1
    if mode != 3 and base == 4:
        base = code[at] & 7
        at += 1
    return at + (1 if mode == 1 else 4 if mode == 2 or (mode == 0 and base == 5) else 0) + more


def _of_legacy(opcode_map: int, prefix: int, opcode: int) -> str:
    if opcode_map in (THREE_8, THREE_A):
        return "SSSE3 or SSE4"
    if opcode_map == TWO and (prefix, opcode) in SSE3:
        return "SSE3"
    if opcode_map == TWO and prefix == 0xF3 and opcode in (0xB8, 0xBD):
        return "POPCNT or LZCNT"
    return ""


def _of_vector(evex: bool, wide: bool, opcode_map: int, prefix: int, opcode: int) -> str:
    if opcode_map == HIGHER:
        return "AVX512-FP16"
    if opcode_map == THREE_8 and opcode in FMA:
        return "FMA"
    if (opcode_map, opcode) in CRYPTO:
        return "AES, PCLMUL or GFNI"
    if evex and opcode_map == THREE_8 and opcode in BYTES and not wide:
        return "AVX512-VBMI"
    if evex:
        return EVEX.get((opcode_map, prefix, opcode)) or EVEX.get((opcode_map, ANY, opcode)) or "AVX-512"
    if (opcode_map, opcode) in BMI:
        return "BMI"
    return "AVX-VNNI" if opcode_map == THREE_8 and 0x50 <= opcode <= 0x53 else "AVX or AVX2"
