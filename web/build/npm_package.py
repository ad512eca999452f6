"""Builds the npm package `gemel`: gemel's files for pages, with types, Pyodide and wheels.

    python native/build/wheels.py npm

A page imports it from any host of npm's files, or through a bundler, for which `npx gemel-files FOLDER` copies what the
worker loads. package.json is web/build/npm/package.json, with the version of pyproject.toml.
"""

import gzip
import io
import json
import re
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "pyodide_pkg" / "build"))

import pyodide_wheel
import zig_build

ROOT = zig_build.ROOT
SOURCES = Path(__file__).resolve().parent / "npm"
MOMENT = 499162500   # what npm pack writes as the time of all files: in 1985, as zip files can name it, too
BINARY = (".gz",)    # of the page's folder, for gemel's own server: hosts of npm's files compress by themselves
PROGRAMS = ("files.mjs",)
IMPORTED = re.compile(r"""(?:from|import)\s*\(?\s*"(\.[^"]+)\"""")


def files_of(page: Path) -> dict[str, bytes]:
    """Return the package's files, given the page's folder."""
    paths = [path for path in sorted(page.rglob("*")) if path.is_file() and path.suffix not in BINARY]
    files = {path.relative_to(page).as_posix(): path.read_bytes() for path in paths}
    described = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    described["version"] = pyodide_wheel.project()["version"]
    for name in ("README.md", *PROGRAMS):
        files[name] = (SOURCES / name).read_bytes()
    files["package.json"] = (json.dumps(described, indent=2) + "\n").encode()
    files["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    return files


def faults(files: dict[str, bytes]) -> list[str]:
    """Return a sentence for each thing that is wrong with a package's files."""
    described = json.loads(files["package.json"])
    named = [described["types"], *described["bin"].values()]
    for entry in described["exports"].values():
        named += [entry] if isinstance(entry, str) else entry.values()
    found = [f"package.json names {name}, which is not there" for name in named
             if "*" not in name and name.removeprefix("./") not in files]  # fmt: skip
    for name, data in files.items():
        if name.endswith((".js", ".mjs", ".ts")) and not name.startswith(("pyodide/", "vendor/")):
            for path in IMPORTED.findall(data.decode()):
                target = (Path("/") / Path(name).parent / path).resolve().relative_to("/").as_posix()
                if target not in files and target.removesuffix(".js") + ".d.ts" not in files:
                    found.append(f"{name} imports {path}, which is not there")
        if str(ROOT).encode() in data:
            found.append(f"{name} has a path of the machine that built it: {ROOT}")
    assets = json.loads(files["assets.json"])
    listed = [one for group in assets.values() for one in group]
    found += [f"assets.json lists {one['name']}, of another size" for one in listed
              if len(files.get(one["name"], b"")) != one["size"]]  # fmt: skip
    return found


def write(page: Path, out: Path) -> Path:
    """Write gemel-VERSION.tgz of a page's folder into `out`, and return its path. Equal files give equal bytes."""
    files = files_of(page)
    if found := faults(files):
        raise zig_build.BuildError("\n".join(f"the npm package: {fault}" for fault in found))
    version = json.loads(files["package.json"])["version"]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mtime, entry.mode = len(files[name]), MOMENT, 0o755 if name in PROGRAMS else 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    out.mkdir(parents=True, exist_ok=True)
    made = out / f"gemel-{version}.tgz"
    made.write_bytes(gzip.compress(tar.getvalue(), 9, mtime=0))
    return made
