"""What a tab's first start makes, kept for the next: gemel's compiled Python and the engine's module, unpacked.

In the origin's private file system, gemel-code/ has one file. Its name has the wheel's checksum and Python's version,
so that another wheel or Python makes its own. What is missing, damaged or refused is made again, as without it.
"""

from __future__ import annotations

import marshal
import zlib
from typing import Any

from ..core import packed

NAME = "gemel-code"   # of the folder
modules: dict[str, bytes] = {}   # files of _core/ that were unpacked, here or before

_restored = False   # this process has read the file, or found none
_kept = 0           # how many parts are in the file, or were when this process could not write it


def note(name: str, module: bytes) -> bytes:
    """Return a module that was unpacked, after noting it for the file."""
    if packed.archive is not None:
        modules[name] = module
    return module


async def restore() -> None:
    """Read the file, once, if this origin has it."""
    global _restored, _kept
    if _restored or packed.archive is None:
        return
    _restored = True
    try:
        folder = await _folder()
        handle = await folder.getFileHandle(packed.archive.version)
        file = await handle.getFile()
        whole = (await file.arrayBuffer()).to_bytes()
    except Exception:   # the first start, or no private file system
        return
    if len(whole) > 4 and zlib.crc32(memoryview(whole)[4:]) == int.from_bytes(whole[:4], "little"):
        code, files = marshal.loads(memoryview(whole)[4:])
        packed.archive.code = code | packed.archive.code
        modules.update(files)
        _kept = len(code) + len(files)


async def keep() -> None:
    """Write the file if more was made than it holds, and delete those of other versions."""
    global _kept
    if packed.archive is None or len(packed.archive.code) + len(modules) <= _kept:
        return
    _kept = len(packed.archive.code) + len(modules)
    from pyodide.ffi import to_js  # type: ignore[import-not-found]

    body = marshal.dumps((packed.archive.code, modules))
    whole = zlib.crc32(body).to_bytes(4, "little") + body
    try:
        folder = await _folder(create=True)
        old = [name async for name in folder.keys() if name != packed.archive.version]   # noqa: SIM118
        for name in old:
            await folder.removeEntry(name)
        handle = await folder.getFileHandle(packed.archive.version, create=True)
        stream = await handle.createWritable()
        await stream.write(to_js(whole))
        await stream.close()
    except Exception:   # full, or refused: the next start compiles again
        return


async def _folder(*, create: bool = False) -> Any:  # noqa: ANN401
    import js  # type: ignore[import-not-found]

    root = await js.navigator.storage.getDirectory()
    return await root.getDirectoryHandle(NAME, create=create)
