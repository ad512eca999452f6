"""Every error is in the tree drawn in errors.py, says what, where and what to do, and leaves things usable."""

from __future__ import annotations

import inspect
import re
import struct
from collections.abc import Callable
from pathlib import Path

import gemel
import pytest
from conftest import tiny_bytes
from gemel.core import errors

OpenTiny = Callable[..., gemel.Model]
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, gemel.GemelError)]


def test_tree_in_the_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+)(?: \((\w+)\))?", errors.__doc__ or ""))
    real = {
        kind.__name__: next((base.__name__ for base in kind.__bases__ if base is not gemel.GemelError), "")
        for kind in KINDS
        if kind is not gemel.GemelError
    }
    assert drawn == real


def test_every_error_is_public() -> None:
    assert {kind.__name__ for kind in KINDS} <= set(gemel.__all__)


@pytest.mark.parametrize("cut", [4, 10, 100, 2000])
def test_truncated_header_is_a_format_error(cut: int) -> None:
    with pytest.raises(gemel.FormatError, match="<bytes>"):
        gemel.open(tiny_bytes()[:cut])


def test_truncated_weights_are_a_format_error() -> None:
    data = tiny_bytes()
    with pytest.raises(gemel.FormatError, match=r"[a-z_0-9]+\.weight"):
        gemel.open(data[:-100])


def test_wrong_magic_is_a_format_error_that_names_the_offset() -> None:
    with pytest.raises(gemel.FormatError, match="offset 0"):
        gemel.open(b"PK\x03\x04" + bytes(200))


def test_count_that_the_file_cannot_hold_is_a_format_error() -> None:
    with pytest.raises(gemel.FormatError):
        gemel.open(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60) + bytes(100))


def test_architecture_that_is_not_computed_is_unsupported() -> None:
    with pytest.raises(gemel.UnsupportedError, match="mamba9"):
        gemel.open(tiny_bytes(arch="mamba9"))


def test_ids_out_of_range_are_argument_errors(model: gemel.Model) -> None:
    with model.session() as session:
        for bad in ([model.n_vocab], [-1], [2**40]):
            with pytest.raises(gemel.ArgumentError):
                session.sync(bad)
        assert session.sync([1, 2, 3]) == 3   # and it works on


def test_id_that_is_no_integer_is_an_argument_error(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="integers"):
        model.detokenize([1.5])   # type: ignore[list-item]


def test_closed_model_says_so(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    model.close()
    model.close()
    for call in (lambda: model.tokenize("x"), lambda: model.session(), lambda: model.metadata["general.architecture"]):
        with pytest.raises(gemel.ArgumentError, match="model is closed"):
            call()
    assert "closed" in repr(model)


def test_half_a_surrogate_pair_is_an_argument_error(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="character 1"):
        model.tokenize("a\ud800")


def test_unknown_isa_lists_the_usable_ones() -> None:
    with pytest.raises(gemel.ArgumentError, match=r"isa='sse9'.*scalar"):
        gemel.open(tiny_bytes(), isa="sse9")


def test_wrong_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMEL_ISA", "sse9")
    with pytest.raises(gemel.ArgumentError, match="GEMEL_ISA='sse9'"):
        gemel.open(tiny_bytes())
    monkeypatch.delenv("GEMEL_ISA")
    for wrong in ("0", "-1", "four", "257", "1.5"):
        monkeypatch.setenv("GEMEL_THREADS", wrong)
        with pytest.raises(gemel.ArgumentError, match=f"GEMEL_THREADS='{wrong}'.*1 to 256"):
            gemel.open(tiny_bytes())


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, "2x", True])
def test_wrong_threads_are_an_argument_error(threads: object) -> None:
    with pytest.raises(gemel.ArgumentError, match="threads="):
        gemel.open(tiny_bytes(), threads=threads)   # type: ignore[arg-type]


def test_no_module_spells_out_a_path_of_a_machine() -> None:
    for file in Path(gemel.__file__).parent.rglob("*.py"):
        assert "/tmp/" not in file.read_text(encoding="utf-8")
