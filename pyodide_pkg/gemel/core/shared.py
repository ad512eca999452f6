"""One shared library per process: where a desktop's core is, and the one that is loaded.

In a tab the library is a side module, which tab/choice.py finds.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .errors import LibraryError
from .library import Library, check_abi

FOLDER = Path(__file__).resolve().parents[1] / "_core"   # of the compiled core, and of a tab's worker scripts
NAMES = {"darwin": "libgemel.dylib", "win32": "gemel.dll"}

_loaded: Library | None = None
_loading = threading.Lock()


def include_folder() -> Path:
    """Return the folder of gemel.h: the package's, or the source tree's where the package is used in place.

    LibraryError where neither is there: in a tab, which has no compiler.
    """
    for folder in (FOLDER / "include", FOLDER.parents[2] / "core_c" / "include"):
        if (folder / "gemel.h").is_file():
            return folder
    if sys.platform == "emscripten":
        raise LibraryError("gemel.h is only in the packages for desktops: a tab has no C compiler")
    raise LibraryError(f"gemel.h is not in {FOLDER / 'include'}: reinstall gemel")


class Found(NamedTuple):
    """A library that can be loaded."""

    path: Path
    engine: str   # as Library.engine
    why: str      # as Library.why


def native() -> Found:
    """Return a desktop's library: GEMEL_LIBRARY, or the one in _core/."""
    path = named_library() or FOLDER / NAMES.get(sys.platform, "libgemel.so")
    return Found(path, "native", "outside a browser the core is a native library")


def named_library() -> Path | None:
    """Return the library that GEMEL_LIBRARY names, or None."""
    named = os.environ.get("GEMEL_LIBRARY")
    return Path(named) if named else None


def load(find: Callable[[], Found] = native) -> Library:
    """Return the process's library; the first call loads what `find` returns."""
    global _loaded
    with _loading:
        if _loaded is None:
            from .ctypes_library import open_library  # here: ctypes takes its time, and `import gemel` needs none

            _loaded = check_abi(open_library(*find()))
        return _loaded
