"""The audit's readers of machine code: which extension an instruction needs, and in which section it may be."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import arm64
import building
import pytest
import x86
import zig_build
from platforms import EXTENSIONS, PLATFORMS, SECTION_MAX

pytestmark = [pytest.mark.cross, pytest.mark.slow]

X86 = {   # extension: instructions
    "": """
        addps %xmm1, %xmm2; pmaddwd (%rax,%rbx,4), %xmm9; movabsq $0x1122334455667788, %rax; movw $4, 8(%rsp)
        testl $7, 4(%rcx); testb $1, %dl; notl %eax; bsfq %rax, %rbx; shldl $3, %eax, %ebx; imulq $1000, %rax, %rcx
        cmpps $2, 64(%rip), %xmm3; lock; cmpxchg %ecx, (%rdx); rep; movsb; cpuid; xgetbv; jne .+100; call .+1000
        movabsb 0x1122334455667788, %al; enter $16, $0; ret $8; nopw 512(%rax,%rax); fldl 8(%rsp)
        pextrw $1, %xmm0, %eax
        """,
    "SSE3": "haddps %xmm0, %xmm1; movddup %xmm0, %xmm1; movshdup %xmm0, %xmm1; lddqu (%rax), %xmm1",
    "SSSE3 or SSE4": "pshufb %xmm0, %xmm1; pmulld 8(%rip), %xmm1; roundps $1, %xmm0, %xmm1; crc32b %al, %ecx",
    "POPCNT or LZCNT": "popcntq %rax, %rbx; lzcntl 4(%rax), %ebx",
    "AVX or AVX2": """
        vaddps %ymm1, %ymm2, %ymm3; vpmaddubsw 32(%rax), %ymm8, %ymm9; vcvtph2ps %xmm0, %ymm1; vzeroupper
        vinserti128 $1, %xmm0, %ymm1, %ymm2; vcmpps $3, %xmm1, %xmm2, %xmm3; vpslld $4, %ymm1, %ymm2
        """,
    "FMA": "vfmadd231ps %ymm1, %ymm2, %ymm3; vfnmsub132sd %xmm1, %xmm2, %xmm3; vfmadd213ps %zmm1, %zmm2, %zmm3",
    "BMI": "andnl %eax, %ebx, %ecx; rorxq $3, %rax, %rbx; pextl %eax, %ebx, %ecx",
    "AES, PCLMUL or GFNI": "vaesenc %ymm0, %ymm1, %ymm2; vpclmulqdq $0, %xmm0, %xmm1, %xmm2; "
                            "vgf2p8mulb %zmm1, %zmm2, %zmm3",
    "AVX-VNNI": "{vex} vpdpbusd %ymm1, %ymm2, %ymm3; {vex} vpdpwssds 64(%rax), %ymm2, %ymm3",
    "AVX-512": """
        vpdpbusd %zmm1, %zmm2, %zmm3; vaddps 64(%rax){1to16}, %zmm2, %zmm3{%k1}; vpternlogd $7, %zmm1, %zmm2, %zmm3
        vcvtps2ph $0, %zmm1, 32(%rax); vpermw %zmm1, %zmm2, %zmm3
        """,
    "AVX512-VBMI": "vpermb %zmm1, %zmm2, %zmm3; vpcompressb %zmm1, %zmm2; vpshldd $1, %zmm1, %zmm2, %zmm3",
    "AVX512-IFMA": "vpmadd52luq %zmm1, %zmm2, %zmm3",
    "AVX512-BF16": "vdpbf16ps %zmm1, %zmm2, %zmm3; vcvtneps2bf16 %zmm1, %ymm2",
    "AVX512-BITALG": "vpopcntd %zmm1, %zmm2; vpopcntb %zmm1, %zmm2",
    "AVX512-CD": "vpconflictd %zmm1, %zmm2; vplzcntd %zmm1, %zmm2",
    "AVX512-FP16": "vaddph %zmm1, %zmm2, %zmm3; vfmadd213ph %zmm1, %zmm2, %zmm3",
}   # fmt: skip
ARM64 = {
    "": """
        nop; fcvt s0, h1; fcvt h0, s1; fcvtl v0.4s, v1.4h; fcvtn v0.4h, v1.4s; fmul v0.4s, v1.4s, v2.4s; ldxr w0, [x1]
        ldr w0, [x1, x2]; str q0, [x1, x2]; stlxr w0, w1, [x2]; stlr w0, [x1]; mla v0.8h, v1.8h, v2.8h
        fmadd s0, s1, s2, s3; tbl v0.16b, {v1.16b}, v2.16b; smull v0.8h, v1.8b, v2.8b; ldursb w0, [x1, #-3]
        fcsel s0, s1, s2, eq
        """,
    "dot product": """
        sdot v0.4s, v1.16b, v2.16b; udot v0.2s, v1.8b, v2.8b; sdot v0.4s, v1.16b, v2.4b[3]; udot v0.4s, v1.16b, v2.4b[1]
        """,
    "i8mm": """
        smmla v0.4s, v1.16b, v2.16b; ummla v0.4s, v1.16b, v2.16b; usmmla v0.4s, v1.16b, v2.16b
        usdot v0.4s, v1.16b, v2.16b; usdot v0.4s, v1.16b, v2.4b[2]; sudot v0.4s, v1.16b, v2.4b[1]
        """,
    "BF16": "bfdot v0.4s, v1.8h, v2.8h; bfdot v0.4s, v1.8h, v2.2h[1]; bfmmla v0.4s, v1.8h, v2.8h; bfcvt h0, s1; "
            "bfmlalb v0.4s, v1.8h, v2.8h; bfmlalt v0.4s, v1.8h, v2.h[3]; bfcvtn v0.4h, v1.4s",
    "FP16": "fadd v0.8h, v1.8h, v2.8h; fmax v3.8h, v1.8h, v2.8h; fabs v0.8h, v1.8h; scvtf v0.8h, v1.8h; fcmp h0, h1; "
            "fmadd h0, h1, h2, h3; fadd h0, h1, h2; fcsel h0, h1, h2, eq; fmov h0, w1; fmul v0.8h, v1.8h, v2.h[3]",
    "RDM": "sqrdmlah v0.8h, v1.8h, v2.8h",
    "LSE": "ldadd w0, w1, [x2]; swpalb w0, w1, [x2]; casal x0, x1, [x2]; casp x0, x1, x2, x3, [x4]; "
           "ldumaxl x0, x1, [x2]",
    "RCPC": "ldapr w0, [x1]",
    "SVE or SME": "ptrue p0.b; fadd z0.s, z1.s, z2.s; ld1w {z0.s}, p0/z, [x0]; cntb x0",
}
READ = """   # a binary's section and symbols, in another process: lief complains at the end of some
import json, lief, sys
binary = lief.parse(sys.argv[1])
section = binary.get_section(sys.argv[2])
size = section.virtual_size if isinstance(binary, lief.PE.Binary) else section.size
start = section.virtual_address + (binary.imagebase if isinstance(binary, lief.PE.Binary) else 0)
symbols = {str(one.name): one.value for one in binary.symbols}
print(json.dumps([bytes(section.content)[:size].hex(), start, symbols]))
"""
Reader = Callable[[bytes], Iterator[tuple[int, str]]]


def section(path: Path, name: str) -> tuple[bytes, int, dict[str, int]]:
    """Return a section's bytes and address, and the binary's symbols."""
    done = building.execute([sys.executable, "-c", READ, path, name])
    code, start, symbols = json.loads(done.stdout.splitlines()[0])
    return bytes.fromhex(code), start, symbols


@pytest.mark.parametrize(("target", "listed", "reader"), [
    ("x86_64-linux-musl", X86, x86.instructions), ("aarch64-linux-musl", ARM64, arm64.instructions),
])  # fmt: skip
def test_a_reader_names_the_extension_of(target: str, listed: dict[str, str], reader: Reader, tmp_path: Path) -> None:
    lines = [(name, line.strip()) for name, text in listed.items() for line in re.split(r"; |\n", text) if line.strip()]
    source, made = tmp_path / "all.s", tmp_path / "all.o"
    more = ".arch armv8.6-a+fp16+sve+lse+rcpc+i8mm+bf16\n" * target.startswith("aarch64")
    source.write_text(more + "".join(f"at{index}: {line}\n" for index, (_, line) in enumerate(lines)) + "end: nop\n")
    done = building.execute([zig_build.zig(), "cc", "-target", target, "-c", source, "-o", made])
    assert done.returncode == 0, done.stdout
    code, _, symbols = section(made, ".text")
    places = {name: at for name, at in symbols.items() if re.fullmatch(r"at\d+|end", name)}
    found = dict(reader(code))
    wanted = {places[f"at{index}"]: name for index, (name, _) in enumerate(lines) if name}
    assert len(places) == len(lines) + 1
    assert found == wanted


def test_bytes_that_are_no_instruction_are_an_error() -> None:
    for code in (b"\x90\x06", b"\x62\xf4\x7c\x48\x58\xc1", b"\xc4\xe7\x7c\x58\xc1"):
        with pytest.raises(x86.UnreadError, match="is no instruction"):
            list(x86.instructions(code))


def test_data_among_code_is_left_out() -> None:
    assert list(x86.instructions(b"\x90\x06\x06\xc5\xf4\x58\xc2", [(1, 3)])) == [(3, "AVX or AVX2")]
    words = bytes.fromhex("2094824e") * 3   # sdot
    assert [at for at, _ in arm64.instructions(words, [(4, 8)])] == [0, 8]


def test_each_instruction_set_that_needs_more_than_its_processor_has_its_extensions() -> None:
    rows = (building.ROOT / "core_c" / "cmake" / "rows.cmake").read_text()
    flagged = set(re.findall(r'^set\(row_(\w+)\s+(?:x86_64|arm64)\s+"[^"]', rows, re.MULTILINE))
    assert {"avx2", "neondot"} <= flagged <= set(EXTENSIONS)
    assert len({row[: SECTION_MAX] for row in EXTENSIONS}) == len(EXTENSIONS)


def test_instructions_begin_where_objdump_says() -> None:
    objdump = zig_build.tool("llvm-objdump")
    if objdump is None:
        building.lacking("llvm-objdump is not installed (Debian: llvm)")
    folder = building.cross(PLATFORMS["windows-x64"].target)
    building.build(folder, "gemel")
    listed = building.execute([objdump, "-d", "--no-show-raw-insn", "--section=.avx2", folder / "gemel.dll"]).stdout
    wanted = {int(at, 16) for at in re.findall(r"^\s*([0-9a-f]+):\s", listed, re.MULTILINE)}
    code, start, _ = section(folder / "gemel.dll", ".avx2")
    assert {start + at for at in x86.starts(code)} == wanted
    assert len(wanted) > 10000
