"""The files of _core/, as text or bytes, and web workers started from them.

The wheel has all modules in one compressed file, packed.xz, so that their common parts are downloaded once; packed.json
says where each is: name -> [offset, size].
A worker starts from a script in _core/: from a Blob URL, so that the wheel is enough, or from the folder that
`gemel.browser.configure(base_url=...)` named, for pages whose Content-Security-Policy forbids Blob workers.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ..core.errors import LibraryError
from ..core.shared import FOLDER
from . import kept_code

_base_url: str | None = None
_blobs: dict[str, str] = {}   # name -> Blob URL, which all workers of one script share


def has(name: str) -> bool:
    """Return whether this installation has a file of _core/."""
    return (FOLDER / name).is_file() or name in _packed()


def data(name: str) -> bytes:
    """Return a file of _core/; LibraryError when this installation does not have it."""
    import lzma  # here: only a tab needs it

    try:
        if name in kept_code.modules:
            return kept_code.modules[name]
        if name in _packed() and not (FOLDER / name).is_file():
            offset, size = _packed()[name]
            with lzma.open(FOLDER / "packed.xz") as stream:
                stream.seek(offset)
                return kept_code.note(name, stream.read(size))
        return (FOLDER / name).read_bytes()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise LibraryError(
            f"{FOLDER / name} can't be read ({getattr(error, 'strerror', None) or error}): reinstall gemel"
        ) from error


def path(name: str) -> Path:
    """Return the path of a file of _core/; one that is packed is unpacked first."""
    file = FOLDER / name
    if not file.is_file() and name in _packed():
        try:
            file.write_bytes(data(name))
        except OSError as error:
            raise LibraryError(f"{file} can't be written ({error.strerror or error})") from error
    return file


def text(name: str) -> str:
    """Return a file of _core/ as text."""
    return data(name).decode()


def set_base_url(base_url: str | None) -> None:
    """Start workers from `<base_url>/<name>` from now on; None: from Blob URLs."""
    global _base_url
    _base_url = base_url.rstrip("/") if base_url is not None else None


def start_worker(name: str) -> Any:  # noqa: ANN401
    """Return a new classic Worker that runs a script of _core/.

    It starts when the caller's event loop runs next. LibraryError when the page refuses it; some browsers report that
    later, in the worker's `error` event: first_message turns it into the same error.
    """
    import js  # type: ignore[import-not-found]
    from pyodide.ffi import JsException  # type: ignore[import-not-found]

    if not hasattr(js, "Worker"):
        raise LibraryError(f"gemel's worker {name} can't be started: this host has no web workers")
    try:
        return js.Worker.new(_blob_url(name) if _base_url is None else _address(name))
    except JsException as error:
        raise refused(name, str(error)) from error


def first_message(worker: Any, name: str) -> asyncio.Future[Any]:  # noqa: ANN401
    """Return a future of the data of a new worker's first message; LibraryError when the script could not start."""
    from pyodide.ffi import create_proxy

    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_message(event: Any) -> None:  # noqa: ANN401
        if not arrived.done():
            arrived.set_result(event.data)

    def on_error(event: Any) -> None:  # noqa: ANN401
        if not arrived.done():
            arrived.set_exception(refused(name, getattr(event, "message", None) or "the script could not be loaded"))

    listeners = {"message": create_proxy(on_message), "error": create_proxy(on_error)}

    def remove(_: asyncio.Future[Any]) -> None:
        for kind, listener in listeners.items():
            worker.removeEventListener(kind, listener)
            listener.destroy()

    for kind, listener in listeners.items():
        worker.addEventListener(kind, listener)
    arrived.add_done_callback(remove)
    return arrived


def refused(name: str, why: str) -> LibraryError:
    """Return the error for a worker that can't start."""
    if _base_url is None:
        advice = (
            "the page's Content-Security-Policy must allow `worker-src blob:`; or serve gemel's *.js files from the "
            "page's own origin and pass their folder: gemel.browser.configure(base_url=...)"
        )
    else:
        advice = (
            f"{_base_url}/{name} must be gemel's own file, from the page's origin, served with the page's "
            "Cross-Origin-Embedder-Policy header; or pass another folder: gemel.browser.configure(base_url=...)"
        )
    return LibraryError(f"gemel's worker {name} can't be started: {why}; {advice}")


def _packed() -> dict[str, list[int]]:
    index = FOLDER / "packed.json"
    places: dict[str, list[int]] = json.loads(index.read_bytes()) if index.is_file() else {}
    return places


def _blob_url(name: str) -> str:
    import js
    from pyodide.ffi import to_js

    if name not in _blobs:
        options = to_js({"type": "text/javascript"}, dict_converter=js.Object.fromEntries)
        _blobs[name] = js.URL.createObjectURL(js.Blob.new(to_js([text(name)]), options))
    return _blobs[name]


def _address(name: str) -> str:
    import js

    return str(js.URL.new(f"{_base_url}/{name}", js.location.href).href)
