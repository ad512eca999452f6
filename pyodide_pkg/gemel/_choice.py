"""Which core this process uses: on a desktop the shared library, in a tab the one that tab/choice.py picks."""

from __future__ import annotations

import sys

from .core import shared
from .core.cpu import isa_support, pick_isa, pick_threads
from .core.library import Library
from .model.core_model import Info


def load() -> Library:
    """Return the process's library, loaded once; in a tab the threaded engine when it runs already.

    GEMEL_LIBRARY overrides where a shared library or side module is looked for.
    """
    if sys.platform == "emscripten":
        from .tab import choice

        return choice.load()
    return shared.load()


def library_path() -> str:
    """Return the path of the compiled core in use."""
    return load().path


def include_path() -> str:
    """Return the folder of the C API's header, gemel.h. LibraryError in a tab.

    With library_path(), a C program is compiled by: cc -I INCLUDE program.c LIBRARY -Wl,-rpath,FOLDER_OF_LIBRARY

    >>> import os, gemel
    >>> os.listdir(gemel.include_path())
    ['gemel.h']
    """
    return str(shared.include_folder())


def version() -> str:
    """Return the core's version."""
    return str(load().call("gemel_version"))


def isas() -> dict[str, bool]:
    """Return this build's instruction sets, best last, and whether this CPU has each.

    >>> import gemel
    >>> gemel.isas()["scalar"]
    True
    """
    return isa_support(load())


def default_info() -> Info:
    """Return what computes a model that is opened here without options; ArgumentError for a bad GEMEL_* variable.

    >>> import gemel
    >>> gemel.default_info().engine
    'native'
    """
    library = load()
    support, picked = isa_support(library), pick_isa(library, None)
    best = [name for name, usable in support.items() if usable][-1]
    isa = best if picked is None else list(support)[picked]
    return Info(library.engine, isa, pick_threads(None, library), library.why)
