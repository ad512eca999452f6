"""abi.py is what make_abi.py makes of gemel.h, and a library of another ABI is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gemel
import pytest
from gemel._choice import load
from gemel.core import abi, shared
from gemel.core.ctypes_library import open_library
from gemel.core.library import check_abi

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tool", ["make_abi.py", "make_slots.py"])
def test_generated_tables_are_not_stale(tool: str) -> None:
    command = [sys.executable, str(ROOT / "core_c/tools" / tool), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_table_knows_every_exported_function() -> None:
    library = load()
    assert len(abi.FUNCTIONS) > 60
    assert library.call("gemel_abi") == abi.ABI
    assert abi.FUNCTIONS["gemel_session_next"] == ("i", "ppiipzp")
    assert abi.FUNCTIONS["gemel_error_name"] == ("s", "i")   # terminated
    assert abi.FUNCTIONS["gemel_gguf_key"] == ("p", "pip")   # with a length


def test_abi_mismatch_names_both_numbers() -> None:
    class Older:
        path = "/somewhere/libgemel.so"
        size_size = 8

        def call(self, name: str, *arguments: object) -> int:
            assert name == "gemel_abi"
            return 7

    with pytest.raises(gemel.LibraryError, match=rf"libgemel\.so has ABI 7, this package needs ABI {abi.ABI}"):
        check_abi(Older())   # type: ignore[arg-type]


def test_missing_library_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMEL_LIBRARY", str(tmp_path / "nowhere.so"))
    with pytest.raises(gemel.LibraryError, match=r"not at .*nowhere\.so.*GEMEL_LIBRARY"):
        open_library(*shared.native())


def test_file_that_is_no_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "text.so"
    fake.write_text("not a library")
    monkeypatch.setenv("GEMEL_LIBRARY", str(fake))
    with pytest.raises(gemel.LibraryError, match=r"text\.so can't be loaded"):
        open_library(*shared.native())


def test_every_error_code_has_an_exception_of_its_own() -> None:
    from gemel.core.errors import BY_CODE, error_of

    codes = {value for name, value in vars(abi).items() if name.startswith("E_")}
    assert set(BY_CODE) == codes
    assert len(set(BY_CODE.values())) == len(codes)
    for code in codes:
        assert load().call("gemel_error_name", code).startswith("GEMEL_E_")
        assert "here: " in str(error_of(code, "here"))
