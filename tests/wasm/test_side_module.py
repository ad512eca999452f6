"""The core as a Pyodide side module gives native's bits: one script, run by this Python and by Pyodide under node."""

import functools
import shutil
from pathlib import Path
from typing import Any

import building
import pyodide_files
import pytest
import tiny

pytestmark = [pytest.mark.wasm, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
COMPILERS = ("emcc", "zig")
ROWS = [("simd128", "wasm128"), ("pairs", "wasmpairs"), ("relaxed", "wasmrelaxed")]   # a module is as small as can be
FLAVOURS = [flavour for flavour, _ in ROWS]
# Each format is somewhere in these; a block of 256 weights needs rows of a multiple of that.
MODELS: list[dict[str, Any]] = [
    {"format": "Q4_1", "formats": {"token_embd": "Q8_0"}, "tied": True},
    {"format": "Q4_0", "formats": {"attn_k": "Q5_0", "attn_v": "Q5_1", "ffn_down": "IQ4_NL", "output": "MXFP4"}},
    {"format": "Q4_K", "formats": {"attn_v": "Q6_K", "ffn_down": "Q5_K", "output": "F16"}, "n_embd": 256, "n_ff": 256},
    {"format": "Q2_K", "formats": {"attn_v": "Q3_K", "ffn_up": "IQ4_XS", "output": "BF16"}, "n_embd": 256, "n_ff": 256},
    {"format": "F32", "rope": "llama3", "head_dim": 24, "tokenizer": "spm"},
    {"arch": "gemma4", "format": "Q4_0", "k_is_v": True, "experts": {"n": 8, "n_used": 3, "n_ff": 64}},
    {
        "format": "IQ2_XS", "n_embd": 256, "n_ff": 256, "formats": {
            "attn_q": "IQ2_XXS", "attn_k": "IQ2_S", "attn_v": "IQ3_S", "ffn_up": "IQ1_S", "ffn_down": "IQ3_XXS",
            "output": "IQ1_M",
        },
    },
    {
        "format": "TQ1_0", "n_embd": 256, "n_ff": 256, "formats": {
            "attn_v": "TQ2_0", "ffn_up": "Q2_0", "ffn_down": "Q1_0", "output": "NVFP4",
        },
    },
    {"arch": "rwkv7", "format": "Q8_0", "ranks": (32, 8, 12, 20)},
]  # fmt: skip
MODEL_NAMES = tuple(f"tiny{number}.gguf" for number in range(len(MODELS)))


@functools.cache
def stage(compiler: str) -> Path:
    """Return the folder that becomes a script's working directory: the package, the scripts and the models."""
    out = pyodide_files.stage(compiler)
    for script in ("formats.py", "library.py", "logits.py", "masks.py"):
        shutil.copyfile(HERE / script, out / script)
    for number, fields in enumerate(MODELS):
        tiny.tiny_llama(out / MODEL_NAMES[number], seed=number, n_layer=2, **fields)
    return out


def in_pyodide(compiler: str, flavour: str, *command: str, **env: str) -> bytes:
    """Run a staged script on one flavour of the side module ("": the package chooses); return what it wrote to OUT."""
    folder = stage(compiler)
    out = folder / "OUT"
    out.unlink(missing_ok=True)
    library = f"/mnt/site/gemel/_core/libgemel_{flavour}.wasm" if flavour else ""
    program: list[str | Path] = [building.node(), HERE / "run_pyodide.mjs", pyodide_files.pyodide(), folder, *command]
    done = building.execute(program, env={"GEMEL_LIBRARY": library, **env})
    assert done.returncode == 0, done.stdout
    return out.read_bytes()


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_formats_unpack_to_natives_bits(compiler: str, flavour: str, tmp_path: Path) -> None:
    wanted = building.natively(tmp_path, HERE / "formats.py", "OUT")
    assert len(wanted) > 10_000
    assert in_pyodide(compiler, flavour, "formats.py", "OUT") == wanted


@functools.cache
def native_logits(folder: Path) -> bytes:
    """Return what this machine's scalar core says of the models that are written into a folder."""
    for number, fields in enumerate(MODELS):
        tiny.tiny_llama(folder / MODEL_NAMES[number], seed=number, n_layer=2, **fields)
    return building.natively(folder, HERE / "logits.py", "OUT", *MODEL_NAMES, GEMEL_ISA="scalar")


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(("flavour", "row"), ROWS)
def test_logits_are_natives_to_the_bit(
    compiler: str, flavour: str, row: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = native_logits(tmp_path_factory.getbasetemp())
    assert len(wanted) > 8 * 4 * 300 * len(MODELS)  # eight rows per model, of 300 ids or more
    assert in_pyodide(compiler, flavour, "logits.py", "OUT", *MODEL_NAMES, GEMEL_ISA=row) == wanted


@pytest.mark.parametrize("compiler", COMPILERS)
def test_twelve_thousand_masks_of_grammars_are_natives(compiler: str, tmp_path: Path) -> None:
    tiny.tiny_llama(tmp_path / MODEL_NAMES[0], seed=0, n_layer=2, **MODELS[0])
    wanted = building.natively(tmp_path, HERE / "masks.py", "OUT", MODEL_NAMES[0])
    assert wanted.startswith(b"12000 ")
    assert in_pyodide(compiler, "simd128", "masks.py", "OUT", MODEL_NAMES[0]) == wanted


def test_the_package_loads_the_best_module_the_engine_takes() -> None:
    name, *rows = in_pyodide("", "", "library.py", "OUT").decode().split()
    assert (name, rows[-1]) in [(f"libgemel_{flavour}.wasm", row) for flavour, row in ROWS if flavour != "simd128"]
