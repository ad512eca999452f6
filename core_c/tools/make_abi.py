"""gemel.h -> pyodide_pkg/gemel/core/abi.py: constants and prototypes as plain data, from which every binding is built.

The header is the only source: enumerators become integers, functions become strings of one-letter codes. Knows the
header's own regular style (GEMEL_API prototypes, `typedef enum`), not C; anything else in it is an error.
    python core_c/tools/make_abi.py           write the file
    python core_c/tools/make_abi.py --check   exit 1 when it is stale
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "core_c" / "include" / "gemel.h"
OUTPUT = ROOT / "pyodide_pkg" / "gemel" / "core" / "abi.py"
SCALARS = {"int": "i", "int32_t": "i", "uint32_t": "i", "float": "f", "double": "d", "size_t": "z", "void": "v"}

HEAD = '''"""The core's constants and prototypes, generated from gemel.h by core_c/tools/make_abi.py; not to be edited.

FUNCTIONS maps a name to (result code, argument codes): v nothing, i int (of uint32_t: the signed int of the same bits),
f float, d double, z size_t, p address (0 or None: NULL), s address of terminated UTF-8 text.
"""

'''


def type_code(declaration: str) -> str:
    """Return the code of `const char *text` or `size_t n`; a pointer is "p" whatever it points to."""
    if "*" in declaration:
        return "p"
    words = [word for word in declaration.split() if word != "const"]
    if words[0] not in SCALARS:
        raise SystemExit(f"gemel.h: no code for the type in {declaration!r}")
    return SCALARS[words[0]]


def result_code(result: str, arguments: list[str]) -> str:
    """Text comes back terminated unless the function also reports its length."""
    if result.replace(" ", "") == "constchar*" and not any("size_t *" in argument for argument in arguments):
        return "s"
    return type_code(result)


def parse_functions(text: str) -> dict[str, tuple[str, str]]:
    """Return name -> (result code, argument codes) of every GEMEL_API prototype."""
    functions = {}
    for result, name, inside in re.findall(r"GEMEL_API\s+([\w\s]+?\*?)\s*(gemel_\w+)\(([^)]*)\);", text):
        arguments = [] if inside.strip() == "void" else [argument.strip() for argument in inside.split(",")]
        functions[name] = (result_code(result, arguments), "".join(type_code(argument) for argument in arguments))
    expected = len(re.findall(r"GEMEL_API\s", text))
    if len(functions) != expected:
        raise SystemExit(f"gemel.h: {expected} prototypes, of which {len(functions)} could be read")
    return functions


def parse_constants(text: str) -> dict[str, int]:
    """Return every enumerator without its GEMEL_ prefix."""
    constants = {}
    for body in re.findall(r"typedef enum \w+\s*\{([^}]*)\}", text):
        for item in filter(None, (item.strip() for item in body.split(","))):
            name, _, value = item.partition("=")
            constants[name.strip().removeprefix("GEMEL_")] = int(value)
    return constants


def render(header: str) -> str:
    """Return the whole text of abi.py."""
    numbers = dict(re.findall(r"^#define GEMEL_(ABI|BITS) (\d+)\b", header, re.M))
    if set(numbers) != {"ABI", "BITS"}:
        raise SystemExit("gemel.h: no GEMEL_ABI, or no GEMEL_BITS")
    text = re.sub(r"//[^\n]*", "", header)
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    lines = [*(f"{name} = {number}" for name, number in numbers.items()), ""]
    lines += [f"{name} = {value}" for name, value in parse_constants(text).items()]
    lines += ["", "FUNCTIONS: dict[str, tuple[str, str]] = {"]
    lines += [f'    "{name}": ("{result}", "{codes}"),' for name, (result, codes) in parse_functions(text).items()]
    return HEAD + "\n".join(lines) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Write the file, or check it."""
    fresh = render(HEADER.read_text(encoding="utf-8"))
    if arguments == ["--check"]:
        stale = not OUTPUT.exists() or OUTPUT.read_text(encoding="utf-8") != fresh
        if stale:
            print(f"{OUTPUT.relative_to(ROOT)} is stale: run python core_c/tools/make_abi.py", file=sys.stderr)
        return int(stale)
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    OUTPUT.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
