"""The platforms that have a wheel: what zig calls each, and what pip does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """One wheel.

    Attributes:
        target: zig's name, with the oldest version of the system that is supported
        host: Python's name, as sysconfig.get_platform() returns it there
        tags: of the wheel
        library: the file name of the core
        extensions: of the processor's instructions, which every machine with this system has
    """

    target: str
    host: str
    tags: tuple[str, ...]
    library: str
    extensions: frozenset[str] = frozenset()

    @property
    def machine(self) -> str:
        """x86_64 or aarch64."""
        return self.target.partition("-")[0]

    @property
    def tag(self) -> str:
        """The last part of the wheel's file name."""
        return ".".join(self.tags)


def _linux(machine: str) -> dict[str, Platform]:
    manylinux = (f"manylinux2014_{machine}", f"manylinux_2_17_{machine}")
    host = f"linux-{machine}"
    return {
        host: Platform(f"{machine}-linux-gnu.2.17", host, manylinux, "libgemel.so"),
        f"musl-{machine}": Platform(f"{machine}-linux-musl", host, (f"musllinux_1_2_{machine}",), "libgemel.so"),
    }


AVX2 = frozenset({"SSE3", "SSSE3 or SSE4", "AVX or AVX2"})   # and F16C, which is encoded alike
EXTENSIONS = {   # of the instruction sets of rows.cmake that not every processor has; x86.py and arm64.py name them
    "avx2": AVX2,
    "avxvnni": AVX2 | {"AVX-VNNI"},
    "avx512vnni": AVX2 | {"AVX-512"},
    "neondot": frozenset({"dot product"}),
    "neoni8mm": frozenset({"dot product", "i8mm"}),
}
SECTION_MAX = 7   # characters of a section's name in a DLL, behind the full stop
PLATFORMS = {
    **_linux("x86_64"), **_linux("aarch64"),
    "windows-x64": Platform("x86_64-windows-gnu", "win-amd64", ("win_amd64",), "gemel.dll"),
    "windows-arm64": Platform("aarch64-windows-gnu", "win-arm64", ("win_arm64",), "gemel.dll",
                              frozenset({"LSE"})),   # in zig's own library, which never runs it there
    "macos-x86_64": Platform("x86_64-macos.11.0", "macosx-11.0-x86_64", ("macosx_11_0_x86_64",), "libgemel.dylib",
                             frozenset({"SSE3", "SSSE3 or SSE4"})),   # macOS 11 runs on no older processor
    "macos-arm64": Platform("aarch64-macos.11.0", "macosx-11.0-arm64", ("macosx_11_0_arm64",), "libgemel.dylib",
                            frozenset({"LSE", "dot product"})),   # since the first Mac with arm64
}   # fmt: skip
