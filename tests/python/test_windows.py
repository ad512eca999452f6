"""What Windows needs of the Python code, without Windows: paths, names of files, streams and consoles."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import gemel
import pytest
from gemel.source import catalog, paths, sources
from gemel_native import streams
from gemel_native.serving import entry

DRIVE = "C:\\Users\\Jörg 🙂\\models"
LONG = "\\".join([DRIVE, *["folder"] * 40])


# ---- Paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("whole", "begins"), [
    (DRIVE + "\\a.gguf", "as given"),
    (LONG + "\\a.gguf", "\\\\?\\C:\\Users\\Jörg 🙂\\models\\folder"),
    (LONG.replace("\\", "/") + "/./../a.gguf", "\\\\?\\C:\\Users\\Jörg 🙂\\models\\folder"),
    ("\\\\server\\share\\" + "f\\" * 150 + "a.gguf", "\\\\?\\UNC\\server\\share\\f\\f"),
    ("\\\\server\\share\\a.gguf", "as given"),
    ("\\\\?\\" + LONG, "as given"),
    ("\\\\.\\" + "pipe" * 80, "as given"),
])   # fmt: skip
def test_long_paths_of_windows_get_the_form_without_a_limit(whole: str, begins: str) -> None:
    found = paths.without_limit(whole, "as given")
    assert found.startswith(begins)
    assert "/" not in found[2:]
    assert "\\..\\" not in found


def test_room_for_the_names_in_a_folder_counts() -> None:
    whole = "C:\\" + "a" * 120
    assert paths.without_limit(whole, whole) == whole
    assert paths.without_limit(whole, whole, paths.NAMES) == "\\\\?\\" + whole


def test_a_path_is_made_reachable_on_windows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "abspath", lambda path: f"{LONG}\\{path}")
    assert paths.reachable(Path("a.gguf")) == Path("a.gguf")
    monkeypatch.setattr(sys, "platform", "win32")
    assert str(paths.reachable(Path("a.gguf"))) == f"\\\\?\\{LONG}\\a.gguf"


@pytest.mark.parametrize("path", [
    "C:\\m.gguf", "C:/m.gguf", "C:m.gguf", "c://m.gguf", "\\\\server\\share\\m.gguf", "//server/share/m.gguf",
    "\\m.gguf", "\\\\?\\C:\\m.gguf", "D:\\hf\\m.gguf", ".\\m.gguf",
])   # fmt: skip
def test_paths_of_windows_are_no_addresses(path: str) -> None:
    assert not sources.is_address(path)
    assert not entry.is_address(path)


def test_other_schemes_are_still_refused() -> None:
    with pytest.raises(gemel.SourceError, match="ftp: is not supported"):
        sources.is_address("ftp://host/m.gguf")


@pytest.mark.parametrize(("last", "name"), [
    ("con.gguf", "_con.gguf"), ("AUX", "_AUX"), ("com9.gguf", "_com9.gguf"), ("lpt1.a.gguf", "_lpt1.a.gguf"),
    ("com10.gguf", "com10.gguf"), ("nully.gguf", "nully.gguf"), ("m.gguf.", "m.gguf"), ("a%3Ab%5Cc.gguf", "a-b-c.gguf"),
])
def test_downloads_have_names_that_windows_takes(last: str, name: str) -> None:
    assert catalog.file_of(f"https://host/{last}") == name


# ---- Streams and consoles --------------------------------------------------------------------------------------------


class Stream(io.StringIO):
    """A stream of a console, or of a pipe."""

    def __init__(self, *, console: bool) -> None:
        super().__init__()
        self._console = console

    def isatty(self) -> bool:
        return self._console

    def fileno(self) -> int:
        return 7


@pytest.mark.parametrize(("platform", "console", "chosen", "encoding"), [
    ("win32", False, None, "utf-8"), ("win32", False, "cp850", None), ("win32", True, None, None),
    ("linux", False, None, None),
])
def test_pipes_and_files_are_utf_8_on_windows(
    monkeypatch: pytest.MonkeyPatch, platform: str, console: bool, chosen: str | None, encoding: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    if chosen:
        monkeypatch.setenv("PYTHONIOENCODING", chosen)
    assert streams._encoding(Stream(console=console)) == encoding


class Console:
    """Windows' calls for a console, or for none."""

    def __init__(self, *, is_one: bool, takes_codes: bool) -> None:
        self._is_one, self._takes_codes, self.mode = is_one, takes_codes, 3

    def GetConsoleMode(self, handle: ctypes.c_void_p, mode: object) -> int:  # noqa: N802
        assert handle.value == 107
        mode._obj.value = self.mode   # type: ignore[attr-defined]
        return int(self._is_one)

    def SetConsoleMode(self, handle: ctypes.c_void_p, mode: int) -> int:  # noqa: N802
        self.mode = mode if self._takes_codes else self.mode
        return int(self._takes_codes)


@pytest.mark.parametrize(("console", "works", "mode"), [
    (Console(is_one=True, takes_codes=True), True, 7), (Console(is_one=True, takes_codes=False), False, 3),
    (Console(is_one=False, takes_codes=True), False, 3),
])
def test_a_console_is_asked_to_take_escape_codes(
    monkeypatch: pytest.MonkeyPatch, console: Console, works: bool, mode: int
) -> None:
    assert streams.takes_codes(Stream(console=True))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda _: console, raising=False)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(get_osfhandle=lambda number: 100 + number))
    assert streams.takes_codes(Stream(console=True)) is works
    assert console.mode == mode
