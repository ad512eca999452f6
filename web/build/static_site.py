"""Writes gemel's page as a static site: a folder for any host, under any path.

    python web/build/static_site.py [--out build/site] [--model MODEL ...]
    python -m http.server -d build/site

    <out>/               the page and what `make assets` gathered, large texts also as FILE.gz
    <out>/models/        each MODEL's file: a GGUF file, a URL, hf:owner/repo/file.gguf, or a short name
    <out>/config.json    lists these models and says that there is no API server

Any server of files will do: sw.js adds the headers that threads need.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "site"
OURS = ("config.json", "assets.json", "gemel.js")   # in each folder that an earlier run wrote

try:
    import gemel
    import msgspec
    from compress import write_compressed
    from gemel_native.progress import Bar
    from gemel_native.serving.page import needed_page
    from gemel_web.http.pages import PageConfig, PageModel, page_model
    from gemel_web.models import alias_of, file_names
except ImportError as error:
    sys.exit(f"{error}: pip install -e '.[dev]' first, as make does")


def write(out: Path, models: Sequence[str]) -> PageConfig:
    """Write the site, which replaces an earlier one once it is complete. Return its config.json."""
    source = needed_page()
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not all((out / name).exists() for name in OURS):
        raise gemel.ArgumentError(f"--out {out} exists and is not a site of gemel: name a new folder")
    files = files_of(models)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "site"
        shutil.copytree(source, made, ignore=shutil.ignore_patterns(".*", "__pycache__"), copy_function=shutil.copyfile)
        copied = [copy_model(made / "models", alias, parts) for alias, parts in files.items()]
        config = PageConfig(native=False, key=False, models=copied)
        write_compressed([path for path in made.rglob("*") if path.is_file() and made / "models" not in path.parents])
        (made / "config.json").write_bytes(msgspec.json.encode(config) + b"\n")
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    return config


def files_of(models: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Return the models' files by alias, downloading them if necessary."""
    found: dict[str, tuple[Path, ...]] = {}
    for model in models:
        alias = alias_of(model)
        if alias in found:
            raise gemel.ArgumentError(f"--model {model}: two models are called {alias}; rename one of the files")
        with Bar(log=True) as bar:
            found[alias] = gemel.model_files(model, on_progress=bar)
        for part in found[alias]:
            check(part)
    return found


def check(path: Path) -> None:
    """Raise GemelError if a file is not GGUF."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise gemel.SourceError(f"{path} can't be read: {error.strerror}") from None
    if magic != b"GGUF":
        raise gemel.FormatError(f"{path} is not a GGUF file: it does not begin with 'GGUF'")


def copy_model(folder: Path, alias: str, parts: Sequence[Path]) -> PageModel:
    """Copy a model's files under the names in their URLs; return what config.json says about it."""
    folder.mkdir(exist_ok=True)
    for name, part in zip(file_names(alias, parts), parts, strict=True):
        shutil.copyfile(part, folder / name)
    return page_model(alias, parts)


def main() -> int:
    """Write the site and print its contents; on failure print the reason and return 1."""
    parser = argparse.ArgumentParser(description="Write gemel's page as a static site.")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder to write")
    parser.add_argument("--model", action="append", default=[], help="a model to include; may be given repeatedly")
    options = parser.parse_args()
    out = options.out.resolve()
    try:
        config = write(out, options.model)
    except (gemel.GemelError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    for model in config.models:
        print(f"{model.size:13,}  {model.url}")
    print(f"{size:13,}  {out} in all; to view it: python -m http.server -d {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
