"""What is not gemel's own: each part that gemel needs or brings, with its licence, where it is, and which version.

    python native/release/licences.py           docs/licences.md
    python native/release/licences.py --check   exit 1 if it is stale

Versions that are locked come from the lock files. gemel's dependencies are not locked: they have a range.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "licences.md"
CORE, ENGINE, SERVE, BROUGHT = "core", "gemel", "gemel[serve]", "page"
PLACES = {
    CORE: "in the wheels' compiled core", ENGINE: "installed with gemel", SERVE: "installed with gemel[serve]",
    BROUGHT: "in gemel's page (the wheel gemel-page, the npm package)",
}   # fmt: skip
DIRECT = {   # of pyproject.toml
    "filelock": "MIT", "jinja2": "BSD-3-Clause", "platformdirs": "MIT", "rich": "MIT", "typer": "MIT",
    "msgspec": "BSD-3-Clause", "prometheus-client": "Apache-2.0 AND BSD-2-Clause", "pydantic-settings": "MIT",
    "starlette": "BSD-3-Clause", "uvicorn": "BSD-3-Clause",
}   # fmt: skip
INDIRECT = {   # what those need
    "annotated-doc": ("MIT", ENGINE), "annotated-types": ("MIT", SERVE), "anyio": ("MIT", SERVE),
    "click": ("BSD-3-Clause", SERVE), "h11": ("MIT", SERVE), "idna": ("BSD-3-Clause", SERVE),
    "markdown-it-py": ("MIT", ENGINE), "markupsafe": ("BSD-3-Clause", ENGINE), "mdurl": ("MIT", ENGINE),
    "pydantic": ("MIT", SERVE), "pydantic-core": ("MIT", SERVE), "pygments": ("BSD-2-Clause", ENGINE),
    "python-dotenv": ("BSD-3-Clause", SERVE), "shellingham": ("ISC", ENGINE), "typing-extensions": ("PSF-2.0", SERVE),
    "typing-inspection": ("MIT", SERVE),
}   # fmt: skip
TAB = {   # the wheels of native/release/page.in and page_built.in
    "jinja2": "BSD-3-Clause", "markupsafe": "BSD-3-Clause", "starlette": "BSD-3-Clause", "anyio": "MIT",
    "idna": "BSD-3-Clause", "msgspec": "BSD-3-Clause",
}   # fmt: skip
OTHER = (   # without a package of a registry
    ("Unicode Character Database", "", "Unicode-3.0", CORE, "tables that core_c/tools/make_unicode.py makes of it"),
    ("compiler-rt", "", "MIT", CORE, "zig's, which links it"),
    ("mingw-w64", "", "ZPL-2.1", CORE, "its start code, linked by zig, on Windows"),
    ("CPython", "3.14", "PSF-2.0", BROUGHT, "in Pyodide"),
    ("Emscripten", "", "MIT", BROUGHT, "its runtime, in Pyodide"),
)


@dataclass(frozen=True)
class Part:
    """A part of another project.

    Attributes:
        version: exact, a range, or "" if unknown
        origin: "pypi", "npm", or "" for what has no package
        place: one of PLACES
        sha512: of its package's file, in Base64 as npm's locks have it, or ""
    """

    name: str
    version: str
    licence: str
    place: str
    origin: str
    note: str = ""
    sha512: str = ""


def parts() -> list[Part]:
    """Return all parts."""
    return sorted([*_dependencies(), *_page(), *(Part(*one[:4], "", one[4]) for one in OTHER)],
                  key=lambda part: (list(PLACES).index(part.place), part.name.lower()))  # fmt: skip


def _dependencies() -> Iterator[Part]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {ENGINE: project["dependencies"], SERVE: project["optional-dependencies"]["serve"]}
    for place, requirements in groups.items():
        for one in requirements:
            found = re.match(r"([A-Za-z0-9_-]+)\s*([^;]*)", one)
            assert found is not None
            if found[1] in DIRECT:
                yield Part(found[1], found[2].strip(), DIRECT[found[1]], place, "pypi")
            elif not found[1].startswith("gemel"):
                raise SystemExit(f"native/release/licences.py: DIRECT has no licence of {found[1]}")
    yield from (Part(name, "", licence, place, "pypi", "indirectly") for name, (licence, place) in INDIRECT.items())


def _page() -> Iterator[Part]:
    for name, version in locked("page.in", "page_built.in").items():
        yield Part(name, version, TAB[name], BROUGHT, "pypi")
    for lock in ("web/build/package-lock.json", "tests/wasm/package-lock.json"):
        packages = json.loads((ROOT / lock).read_text(encoding="utf-8"))["packages"]
        for path, entry in packages.items():
            name = path.removeprefix("node_modules/")
            if name and name in packages[""]["dependencies"]:
                yield Part(name, entry["version"], entry["license"], BROUGHT, "npm",
                           sha512=entry["integrity"].removeprefix("sha512-"))  # fmt: skip


def locked(*names: str) -> dict[str, str]:
    """Return the packages that files of this folder pin, with their versions."""
    texts = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^\s\\;]+)", "\n".join(texts), re.M))


def page() -> str:
    """Return docs/licences.md."""
    lines = [
        "# Licences", "",
        "gemel is under the [MIT licence](../LICENSE). These parts of other projects are in it or come with it.",
        "`python native/release/licences.py` writes this page; `LICENCES.txt` beside the page's files has the texts.",
        "",
    ]   # fmt: skip
    for place, words in PLACES.items():
        lines += [f"## {words[0].upper()}{words[1:]}", "", "| part | version | licence | |", "|---|---|---|---|"]
        lines += [
            f"| {one.name} | {one.version} | {one.licence} | {one.note} |" for one in parts() if one.place == place
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the page, or check it."""
    if sys.argv[1:] == ["--check"]:
        stale = PAGE.read_text(encoding="utf-8") != page()
        sys.exit(stale and "docs/licences.md is stale: run native/release/licences.py")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
