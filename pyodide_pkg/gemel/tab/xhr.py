"""A URL becomes a Source by synchronous requests, which a worker may make where Python can't wait for a promise.

All ranges are of one version of the file. A server without ranges, or whose ranges don't name their version, sends the
whole file once. Nothing is cached.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..core.errors import SourceError
from ..source.not_gguf import what_instead
from ..source.piece_order import Data
from ..source.validators import Validators, validators_of

PROBE = 1 << 16
START = 1 << 12     # bytes that tell what is not a GGUF file
ATTEMPTS = 5


@dataclass
class _Remote:
    url: str
    size: int
    version: Validators
    whole: Any   # the Uint8Array of all of it, or None
    is_begun: bool = False   # a range of this version was read


class XhrSource:
    """A Source of one file, or of a split model's files."""

    def __init__(self, name: str, urls: Sequence[str], size: int | None) -> None:
        self.name = name
        self._files = [self._probe(url, size) for url in urls]
        self.sizes = tuple(file.size for file in self._files)
        self.size = sum(self.sizes)
        self._starts = [0, *accumulate(self.sizes)]

    def read(self, offset: int, size: int) -> Data:
        part = bisect_right(self._starts, offset) - 1
        file, start = self._files[part], offset - self._starts[part]
        if file.whole is None:
            request, data = self._request(file.url, start, start + size)
            same = file.version.same(_version(request))
            if request.status == 206 and same is None:
                request, data = self._request(file.url)
                same = file.version.same(_version(request))
            if same is None and file.is_begun:
                words = "the server no longer sends the file's ETag or Last-Modified: open it again"
                raise SourceError(f"{self.name}: {words}")
            if same is False or data.byteLength != (size if request.status == 206 else file.size):
                raise SourceError(f"{self.name}: the file on the server changed meanwhile: open it again")
            if request.status == 206:
                file.is_begun = True
                return data
            file.whole = data
        return file.whole.subarray(start, start + size)

    def close(self) -> None:
        self._files.clear()

    def _probe(self, url: str, expected: int | None) -> _Remote:
        request, data = self._request(url, 0, PROBE)
        if request.status == 206 and not _version(request).strongest:   # ranges might be of two versions
            request, data = self._request(url)
        if instead := what_instead(data.subarray(0, START).to_bytes(), url):
            raise SourceError(f"{url}: the server sent {instead}")
        size = int(data.byteLength)
        if request.status == 206:
            span = re.fullmatch(r"bytes \d+-\d+/(\d{1,15})", request.getResponseHeader("Content-Range") or "")
            if span is None:
                raise SourceError(
                    f"{self.name}: the server does not show the file's size: let it send "
                    "Access-Control-Expose-Headers: Content-Range, ETag, Last-Modified"
                )
            size = int(span[1])
        if expected not in (None, size):
            raise SourceError(f"{self.name}: the server has {size} bytes, expected {expected}: it is a different file")
        return _Remote(url, size, _version(request), None if request.status == 206 else data)

    def _request(self, url: str, start: int = 0, end: int = 0) -> tuple[Any, Any]:
        """Ask for bytes [start, end), or for the whole file; return the request that was answered and its bytes."""
        import js  # type: ignore[import-not-found]
        from pyodide.ffi import JsException  # type: ignore[import-not-found]

        for attempt in range(ATTEMPTS):
            request = js.XMLHttpRequest.new()
            request.open("GET", url, False)
            request.responseType = "arraybuffer"
            if end:
                request.setRequestHeader("Range", f"bytes={start}-{end - 1}")
            try:
                request.send()
            except JsException as error:
                why = f"{error}; check the address, the network, and that the server allows this page (CORS)"
            else:
                if request.status == 200 or (request.status == 206 and end):
                    return request, js.Uint8Array.new(request.response)
                why = f"HTTP {request.status} {request.statusText}; check the address"
                if request.status < 500 and request.status not in (408, 429):
                    break
            if attempt < ATTEMPTS - 1:
                time.sleep(0.25 * 2**attempt)
        raise SourceError(f"{self.name}: the download failed: {why}")


def _version(request: Any) -> Validators:  # noqa: ANN401
    return validators_of(request.getResponseHeader)
