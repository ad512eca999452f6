"""archs.def, slots.def -> pyodide_pkg/gemel/_slots.py: what each architecture's files hold, as plain data.

    python core_c/tools/make_slots.py           write the file
    python core_c/tools/make_slots.py --check   exit 1 when it is stale
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "core_c" / "src" / "arch"
OUTPUT = ROOT / "pyodide_pkg" / "gemel" / "_slots.py"

HEAD = '''"""What the files of each architecture hold: archs.def and slots.def by core_c/tools/make_slots.py; not to be edited.

ARCHS maps a name in general.architecture to its properties. SLOTS maps a slot's id to (name in the file, room, kind,
required of, allowed for, columns, rows); `first` and `last` are the model's, `layer` is named blk.N.<name>. DEALT maps
a fused tensor's id to (name, the slots that its rows go to).
"""

'''


def rows_of(text: str, macro: str) -> list[list[str]]:
    """Return the arguments of each row `macro(...)`, without quotes."""
    text = re.sub(r"//[^\n]*", "", text)
    found = re.findall(rf"^{macro}\((.*)\)$", text, re.M)
    return [[part.strip().strip('"') for part in row.split(",")] for row in found]


def properties_of(cell: str) -> tuple[str, ...]:
    """Return the names of `A | B`, in order; none of `0`."""
    return () if cell == "0" else tuple(sorted(part.strip() for part in cell.split("|")))


def render() -> str:
    """Return the whole text of _slots.py."""
    archs = rows_of((TABLES / "archs.def").read_text(encoding="utf-8"), "ARCH")
    slots = (TABLES / "slots.def").read_text(encoding="utf-8")
    lines = ["ARCHS: dict[str, tuple[str, ...]] = {"]
    lines += [f'    "{row[0]}": {properties_of(row[6])!r},'.replace("'", '"') for row in archs]
    lines += ["}", "", "SLOTS: dict[str, tuple[str, str, str, str, str, str, str]] = {"]
    for room in ("FIRST", "LAYER", "LAST"):
        for id, name, _, kind, must, may, columns, count in rows_of(slots, room):
            cells = (name, room.lower(), kind.lower(), must, may, columns, count)
            lines.append(f'    "{id}": ({", ".join(f"{cell!r}" for cell in cells)}),'.replace("'", '"'))
    lines += ["}", "", "DEALT: dict[str, tuple[str, tuple[str, ...]]] = {"]
    for id, name, *parts in rows_of(slots, "DEALT"):
        kept = ", ".join(f'"{part}"' for part in parts if part != "NONE")
        lines.append(f'    "{id}": ("{name}", ({kept})),')
    return HEAD + "\n".join([*lines, "}", ""])


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    fresh = render()
    if arguments == ["--check"]:
        stale = not OUTPUT.exists() or OUTPUT.read_text(encoding="utf-8") != fresh
        if stale:
            print(f"{OUTPUT.relative_to(ROOT)} is stale: run python core_c/tools/make_slots.py", file=sys.stderr)
        return int(stale)
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    OUTPUT.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
