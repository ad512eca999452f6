"""Paths as people write them: folders, slips, ~ and variables; and what errors about cached files advise."""

from __future__ import annotations

import asyncio
import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command
import gemel
import hub as local
import pytest
from conftest import tiny_bytes
from gemel.source import no_file, paths

DATA = tiny_bytes()
Open = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GEMEL_CACHE", str(tmp_path / "cache"))


def error_of(model: Any) -> str:  # noqa: ANN401
    with pytest.raises(gemel.SourceError) as raised:
        gemel.open(model)
    return str(raised.value)


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(paths).failed == doctest.testmod(no_file).failed == 0


# ---- Folders and slips -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "words"), [
    ((), "there is no .gguf file in it"),
    (("model.safetensors", "a.bin", "x.txt"), "in it, only .bin and .safetensors: gemel opens GGUF files"),
    (("a.gguf",), "pass the .gguf file in it (a.gguf)"),
    (("a.gguf", "B.GGUF"), "pass one of the 2 models in it: B.GGUF, a.gguf"),
    (tuple(f"{no}.gguf" for no in range(9)), "pass one of the 9 models in it: 0.gguf, 1.gguf, 2.gguf, 3.gguf, 4.gguf, "
     "5.gguf, 6.gguf, 7.gguf, 8.gguf"),
    (("s-00001-of-00002.gguf", "s-00002-of-00002.gguf"), "(s-00001-of-00002.gguf and its 1 other part)"),
    (("s-00001-of-00003.gguf", "s-00002-of-00003.gguf", "t.gguf"), "s-00001-of-00003.gguf and its 2 other parts, t."),
])  # fmt: skip
@pytest.mark.parametrize("name", [".", "there", "there/", Path("there")])
def test_a_folder_names_the_models_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], words: str, name: str | Path
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    for file in files:
        (folder / file).touch()
    if name == ".":
        monkeypatch.chdir(folder)
    assert words in error_of(name)
    command.assert_error(command.gemel_("run", name, "x"), 1, "a folder, not a file", words)


@pytest.mark.parametrize(("asked", "meant"), [
    ("model", "model.gguf"), ("Model.gguf", "model.gguf"), ("modle.gguf", "model.gguf"), ("model.ggu", "model.gguf"),
    ("sub/othr.gguf", "sub/other.gguf"), (Path("sub/other"), "sub/other.gguf"),
])
def test_a_missing_file_names_what_is_beside_it(asked: str | Path, meant: str) -> None:
    Path("sub").mkdir()
    for file in ("model.gguf", "sub/other.gguf", "unlike.txt"):
        Path(file).touch()
    assert f"did you mean '{meant}'?" in error_of(asked)
    assert "short name" not in error_of(asked)


def test_an_address_as_a_path_object_says_so() -> None:
    for address in ("https://example.org/x.gguf", "hf:owner/repo/x.gguf"):
        assert "an address is a str, not a Path" in error_of(Path(address))
    words = r"name=(Posix|Windows)Path\(.*must be a short name, a URL or an hf: address, as a str"
    with pytest.raises(TypeError, match=words):
        gemel.pull(Path("x.gguf"))   # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "unknown"), [
    ("$NOT_SET/x.gguf", "$NOT_SET"), ("a/${NOT_SET}/x.gguf", "${NOT_SET}"), ("~nobody-here/x.gguf", "~nobody-here"),
])
def test_what_a_path_names_but_nothing_defines_is_said(path: str, unknown: str) -> None:
    assert f"{unknown} does not exist" in error_of(path)
    assert f"{unknown} does not exist" in error_of(Path(path))


# ---- ~ and variables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["~/kept", "$HOME/kept", "${HOME}/kept"])
def test_the_cache_may_be_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("GEMEL_CACHE", given)
    assert gemel.cache.folder() == tmp_path / "kept" / "models"


@pytest.mark.parametrize(("given", "unknown"), [("$NOT_SET/x", "$NOT_SET"), ("~nobody-here/x", "~nobody-here")])
def test_a_cache_below_what_is_not_known_is_an_error(
    monkeypatch: pytest.MonkeyPatch, given: str, unknown: str
) -> None:
    monkeypatch.setenv("GEMEL_CACHE", given)
    with pytest.raises(gemel.SourceError, match=rf"GEMEL_CACHE is .*{re.escape(unknown)} does not exist"):
        gemel.pull("https://example.org/x.gguf")
    command.assert_error(command.gemel_("list"), 1, "GEMEL_CACHE", unknown)
    assert not list(Path().iterdir())


def test_saved_sessions_have_such_paths_too(tmp_path: Path) -> None:
    with gemel.open(DATA) as model, model.session() as session:
        session.sync([1, 2, 3])
        for path in ("~/a.session", "$HOME/b.session", Path("~/c.session")):
            session.save(path)
            session.restore(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.session", "b.session", "c.session"]


def test_restore_speaks_of_sessions_not_of_models(tmp_path: Path) -> None:
    with gemel.open(DATA) as model, model.session() as session:
        with pytest.raises(gemel.SourceError, match=r"there is no file 'nope' .*pass a file that session.save"):
            session.restore("nope")
        with pytest.raises(gemel.SourceError, match=r"a folder, not a file: pass a file that session.save"):
            session.restore(tmp_path)
        session.save("kept.session")
        for near in ("kept", "kept.sesion"):
            with pytest.raises(gemel.SourceError, match="did you mean 'kept.session'"):
                session.restore(near)
        for wrong in ("smollm2", "nope-00001-of-00002.gguf", "a/b"):
            with pytest.raises(gemel.SourceError) as raised:
                session.restore(wrong)
            assert not re.search(r"short name|hf:|model", str(raised.value))


# ---- The hub's address and token -------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with local.serving() as made:
        made.files["o/r@main"] = {"m.gguf": DATA}
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


@pytest.mark.parametrize(("file", "variables"), [
    (".cache/huggingface/token", {}),
    ("xdg/huggingface/token", {"XDG_CACHE_HOME": "~/xdg"}),
    ("home/token", {"HF_HOME": "$HOME/home"}),
    ("home/token", {"HF_HOME": "~/home", "XDG_CACHE_HOME": "~/xdg"}),
    ("my token", {"HF_TOKEN_PATH": "~/my token", "HF_HOME": "~/home"}),
    ("my token", {"HF_TOKEN_PATH": "$HOME/my token", "HF_TOKEN": " "}),
])
def test_the_token_file_of_the_hubs_tools_is_found(
    hub: local.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, variables: dict[str, str]
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("hf_fromfile\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    gemel.pull("hf:o/r/m.gguf")
    assert hub.requests == [("/o/r/resolve/main/m.gguf", "Bearer hf_fromfile")]


def test_a_token_that_is_none_is_an_error_that_does_not_show_it(
    hub: local.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_a\nhf_b")
    with pytest.raises(gemel.SourceError, match="the token in HF_TOKEN contains") as raised:
        gemel.pull("hf:o/r/m.gguf")
    assert "hf_a" not in str(raised.value)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("two words", encoding="utf-8")
    with pytest.raises(gemel.SourceError, match=r"the token in .*token contains"):
        gemel.open("hf:o/r")


@pytest.mark.parametrize(("endpoint", "words"), [
    ("hf-mirror.example", "HF_ENDPOINT is 'hf-mirror.example': it must begin with https://"),
    ("file:///etc", "it must begin with https://"),
])
def test_an_endpoint_that_is_no_address_is_an_error(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, words: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    for name in ("hf:o/r", "hf:o/r/m.gguf"):
        assert words in error_of(name)


def test_an_empty_endpoint_is_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from gemel.source.catalog import url_of

    monkeypatch.setenv("HF_ENDPOINT", "")
    assert url_of("hf:o/r@v1/m.gguf") == "https://huggingface.co/o/r/resolve/v1/m.gguf"


@pytest.mark.parametrize("url", ["http://[x/y.gguf", "http://host:port/y.gguf", "http:///y.gguf"])
def test_what_is_no_url_is_an_error_without_a_request(url: str) -> None:
    assert re.search("is not a URL|has no host name", error_of(url))


# ---- Cached files ----------------------------------------------------------------------------------------------------


def every_way(model: Any) -> list[str]:  # noqa: ANN401
    """Return the errors of all calls that read a model's file."""
    calls: list[Open] = [
        gemel.open, lambda one: asyncio.run(gemel.open_async(one)), lambda one: gemel.plan(one, n_ctx=8),
    ]
    errors = []
    for call in calls:
        with pytest.raises(gemel.GemelError) as raised:
            call(model)
        errors.append(str(raised.value))
    return errors


@pytest.mark.parametrize("data", [b"GGUF" + bytes(60), tiny_bytes(arch="mamba9")], ids=["malformed", "unsupported"])
def test_errors_about_a_cached_file_say_how_to_be_rid_of_it(hub: local.Hub, data: bytes) -> None:
    hub.files["o/r@main"] = {"m-Q8_0.gguf": data}
    path = gemel.pull("hf:o/r/m-Q8_0.gguf")
    advice = "gemel rm hf:o/r/m-Q8_0.gguf, or in Python gemel.cache.delete('hf:o/r/m-Q8_0.gguf'), then open it"
    for model in ("hf:o/r/m-Q8_0.gguf", "hf:o/r:q8_0", str(path), path, f"~/{path.relative_to(Path.home())}"):
        for error in every_way(model):
            assert error.count("gemel rm") == 1
            assert advice in error
    assert "gemel rm" not in every_way(data)[0]
    Path("copy.gguf").write_bytes(data)
    assert "gemel rm" not in every_way("copy.gguf")[0]
    assert advice in command.gemel_("run", "hf:o/r:q8_0", "x").err
    assert command.gemel_("rm", "hf:o/r/m-Q8_0.gguf").code == 0
    assert not path.exists()


def test_a_page_in_place_of_the_rest_keeps_what_is_there(hub: local.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    where = gemel.cache.entry_folder("hf:o/r/m.gguf")
    where.mkdir(parents=True)
    (where / "m.gguf.part").write_bytes(DATA[:1000])
    note = f'{{"url": "{hub.url}/o/r/resolve/main/m.gguf", "etag": "\\"1\\"", "date": "", "size": {len(DATA)}}}'
    (where / "m.gguf.part.json").write_text(note)
    hub.status, hub.body = 200, b"<html><title>Maintenance</title>"
    with pytest.raises(gemel.SourceError, match=r"a web page \('Maintenance'\)"):
        gemel.pull("hf:o/r/m.gguf")
    assert (where / "m.gguf.part").read_bytes() == DATA[:1000]
    assert (where / "m.gguf.part.json").read_text() == note
    hub.status, hub.body = 0, b""
    assert gemel.pull("hf:o/r/m.gguf").read_bytes() == DATA
