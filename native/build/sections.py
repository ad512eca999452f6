"""Which instructions a section of the core's code may have: those of the instruction set that it is named after.

kernels.inc.c names the sections, or marks the parts of the only one. All other code runs on every processor of the
platform, before gemel knows which one it has.
"""

import re
from collections import Counter
from collections.abc import Iterator

import arm64
import lief
import x86
from platforms import EXTENSIONS, SECTION_MAX, Platform

MARK = re.compile("_code_(?:of_kernels_|after_)([a-z0-9]+)$")
READERS = {"x86_64": x86.instructions, "aarch64": arm64.instructions}
CODE = (lief.MachO.Section.FLAGS.PURE_INSTRUCTIONS, lief.MachO.Section.FLAGS.SOME_INSTRUCTIONS)
Spans = list[tuple[int, int]]   # (start, end)
Binary = lief.ELF.Binary | lief.PE.Binary | lief.MachO.Binary


def text(name: str | bytes) -> str:
    """Return a name of a binary: lief gives bytes where it is not UTF-8."""
    return name if isinstance(name, str) else name.decode(errors="replace")


def faults_of_code(binary: Binary, platform: Platform) -> Iterator[str]:
    """Yield a sentence for each extension that a section must not have."""
    sections = list(_code(binary))
    if not any(code for _, code, _ in sections):
        yield "the core has no section of code: what it needs of a processor can't be checked"
    for name, code, data in sections:
        allowed = platform.extensions | _own(name)
        try:
            found = [(at, extension) for at, extension in READERS[platform.machine](code, data)
                     if extension not in allowed]  # fmt: skip
        except x86.UnreadError as error:
            yield f"the core's {name} can't be read: {error}"
            continue
        first = dict(reversed([(extension, at) for at, extension in found]))
        for extension, n in sorted(Counter(extension for _, extension in found).items()):
            many = f"{n} instructions" if n > 1 else "an instruction"
            where = f"in {name}, at byte {first[extension]:#x}"
            yield f"the core has {many} of {extension} {where}: not every {platform.machine} has it"


def _own(section: str) -> frozenset[str]:
    """Return the extensions of the instruction set that a section is named after."""
    name = section.lstrip("._")
    return next((own for row, own in EXTENSIONS.items() if name in (row, row[:SECTION_MAX])), frozenset())


def _code(binary: Binary) -> Iterator[tuple[str, bytes, Spans]]:
    """Yield the name, the bytes and the places of data of each section that is executed."""
    for section in binary.sections:
        name = text(section.name)
        content = bytes(section.content)
        if isinstance(section, lief.ELF.Section):
            if section.has(lief.ELF.Section.FLAGS.EXECINSTR):
                yield name, content, []
        elif isinstance(section, lief.PE.Section):
            if section.has_characteristic(lief.PE.Section.CHARACTERISTICS.MEM_EXECUTE):
                yield name, content[: section.virtual_size], []
        elif isinstance(binary, lief.MachO.Binary) and any(section.has(flag) for flag in CODE):
            yield from _parts(binary, section)


def _parts(binary: lief.MachO.Binary, section: lief.MachO.Section) -> Iterator[tuple[str, bytes, Spans]]:
    """Yield the parts of a section of Mach-O that marks divide it into."""
    content, data = bytes(section.content), _data_of(binary, section)
    found = [(one.value, MARK.match(text(one.name))) for one in binary.symbols]
    marks = {value - section.virtual_address: mark[1] for value, mark in found if mark}
    starts = sorted(at for at in marks if 0 < at < section.size)
    for start, end in zip([0, *starts], [*starts, section.size], strict=True):
        inside = [(first - start, last - start) for first, last in data if start <= first < end]
        yield marks.get(start, text(section.name)), content[start:end], inside


def _data_of(binary: lief.MachO.Binary, section: lief.MachO.Section) -> Spans:
    """Return where a section of Mach-O has tables among its code."""
    listed = binary.data_in_code
    starts = [(entry.offset - section.offset, entry.length) for entry in listed.entries] if listed else []
    return sorted((start, start + length) for start, length in starts if 0 <= start < section.size)
