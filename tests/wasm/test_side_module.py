"""The core as a Pyodide side module gives native's bits: one script, run by this Python and by Pyodide under node."""

import functools
import shutil
import sys
from pathlib import Path
from typing import Any

import building
import pyodide_files
import pytest
import tiny

pytestmark = [pytest.mark.wasm, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
PACKAGE = building.ROOT / "pyodide_pkg"
FLAVOURS = ("simd128", "relaxed")
ROWS = [("simd128", "wasm128"), ("relaxed", "wasmrelaxed")]   # a module is as small as can be: one row
# Each format is somewhere in these; a K-quant needs rows of a multiple of 256.
MODELS: list[dict[str, Any]] = [
    {"format": "Q4_1", "formats": {"token_embd": "Q8_0"}, "tied": True},
    {"format": "Q4_0", "formats": {"attn_k": "Q5_0", "attn_v": "Q5_1", "ffn_down": "IQ4_NL", "output": "MXFP4"}},
    {"format": "Q4_K", "formats": {"attn_v": "Q6_K", "ffn_down": "Q5_K", "output": "F16"}, "n_embd": 256, "n_ff": 256},
    {"format": "Q2_K", "formats": {"attn_v": "Q3_K", "ffn_up": "IQ4_XS", "output": "BF16"}, "n_embd": 256, "n_ff": 256},
    {"format": "F32", "rope": "llama3", "head_dim": 24, "tokenizer": "spm"},
]


@functools.cache
def stage() -> Path:
    """Return the folder that becomes a script's working directory: the staged package and the scripts."""
    out = pyodide_files.stage()
    for script in ("formats.py", "library.py", "logits.py"):
        shutil.copyfile(HERE / script, out / script)
    return out


def in_pyodide(flavour: str, *command: str, **env: str) -> bytes:
    """Run a staged script on one flavour of the side module ("": the package chooses); return what it wrote to OUT."""
    folder = stage()
    out = folder / "OUT"
    out.unlink(missing_ok=True)
    library = f"/mnt/site/gemel/_core/libgemel_{flavour}.wasm" if flavour else ""
    program: list[str | Path] = [building.node(), HERE / "run_pyodide.mjs", pyodide_files.pyodide(), folder, *command]
    done = building.execute(program, env={"GEMEL_LIBRARY": library, **env})
    assert done.returncode == 0, done.stdout
    return out.read_bytes()


def natively(folder: Path, script: str, *arguments: str, **env: str) -> bytes:
    """Run a script on this machine's build of the core; return what it wrote to the file OUT."""
    build = building.native("plain")
    building.build(build, "gemel")
    library = next(build / name for name in ("libgemel.so", "libgemel.dylib") if (build / name).is_file())
    command: list[str | Path] = [sys.executable, HERE / script, *(str(folder / name) for name in arguments)]
    done = building.execute(command, env={"GEMEL_LIBRARY": str(library), "PYTHONPATH": str(PACKAGE), **env})
    assert done.returncode == 0, done.stdout
    return (folder / "OUT").read_bytes()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_formats_unpack_to_natives_bits(flavour: str, tmp_path: Path) -> None:
    wanted = natively(tmp_path, "formats.py", "OUT")
    assert len(wanted) > 10_000
    assert in_pyodide(flavour, "formats.py", "OUT") == wanted


@pytest.fixture(scope="module")
def models() -> list[str]:
    """Write the tiny models into the staged folder and return their names there."""
    for number, fields in enumerate(MODELS):
        tiny.tiny_llama(stage() / f"tiny{number}.gguf", seed=number, n_layer=2, **fields)
    return [f"tiny{number}.gguf" for number in range(len(MODELS))]


@pytest.fixture(scope="module")
def native_logits(models: list[str], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    paths = [str(stage() / name) for name in models]
    return natively(tmp_path_factory.mktemp("native"), "logits.py", "OUT", *paths, GEMEL_ISA="scalar")


@pytest.mark.parametrize(("flavour", "row"), ROWS)
def test_logits_are_natives_to_the_bit(flavour: str, row: str, models: list[str], native_logits: bytes) -> None:
    assert len(native_logits) > 8 * 4 * 300 * len(models)  # eight rows a model, of 300 ids or more
    assert in_pyodide(flavour, "logits.py", "OUT", *models, GEMEL_ISA=row) == native_logits


def test_the_package_loads_the_best_module_the_engine_takes() -> None:
    name, *rows = in_pyodide("", "library.py", "OUT").decode().split()
    assert (name, rows[-1]) == ("libgemel_relaxed.wasm", "wasmrelaxed")
