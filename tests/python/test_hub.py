"""hf:owner/repo and hf:owner/repo:QUANT: what a repository has, which file is taken, what the cache does offline."""

from __future__ import annotations

import asyncio
import doctest
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import command
import gemel
import hub as local
import pytest
import tiny
from conftest import tiny_bytes
from gemel.source import hub_address, paths, repository
from gemel.source.hub import HUB

DATA = tiny_bytes()
SIZE = repository.size_text(len(DATA))
REPO = "owner/repo@main"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.Hub]:
    """A hub that HF_ENDPOINT names, and an empty cache."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with local.serving() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


def fill(hub: local.Hub, *paths: str, repository: str = REPO) -> None:
    hub.files[repository] = dict.fromkeys(paths, DATA)


def test_examples_in_docstrings_hold() -> None:
    for module in (hub_address, paths, repository):
        assert doctest.testmod(module).failed == 0


# ---- Which file is taken ---------------------------------------------------------------------------------------------

QUANTS = ("m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-Q8_0.gguf", "m-IQ4_NL.gguf", "m-f16.gguf", "m-BF16.gguf")
BESIDE = ("README.md", "mmproj-m-Q4_K_M.gguf", "m.imatrix", "m-imatrix-Q4_K_M.gguf", "mtp-m-Q4_K_M.gguf")


@pytest.mark.parametrize(("files", "asked", "taken"), [
    (QUANTS, "", "m-Q4_K_M.gguf"),
    (QUANTS, ":latest", "m-Q4_K_M.gguf"),
    (QUANTS, ":q4_k_m", "m-Q4_K_M.gguf"),
    (QUANTS, ":Q4_0", "m-Q4_0.gguf"),
    (QUANTS, ":Q8_0", "m-Q8_0.gguf"),
    (QUANTS, ":F16", "m-f16.gguf"),
    (QUANTS, ":bf16", "m-BF16.gguf"),
    (QUANTS, ":M-q8_0.gguf", "m-Q8_0.gguf"),
    (("m-Q8_0.gguf", "m-Q5_K.gguf"), "", "m-Q8_0.gguf"),
    (("m_q5_k.gguf",), "", "m_q5_k.gguf"),
    (("m_q5_k.gguf",), ":Q5_K", "m_q5_k.gguf"),
    (("m.Q5_K.GGUF",), ":q5_k", "m.Q5_K.GGUF"),
    (("Q2_K/m.gguf", "Q3_K/m.gguf"), ":q3_k", "Q3_K/m.gguf"),
    (("m-Q4_K_M.gguf", *BESIDE), "", "m-Q4_K_M.gguf"),
])
def test_the_quantisation_in_the_files_name_decides(
    hub: local.Hub, files: tuple[str, ...], asked: str, taken: str
) -> None:
    fill(hub, *files, *BESIDE)
    path = gemel.pull(f"hf:owner/repo{asked}")
    assert path.name == taken.rpartition("/")[2]
    assert gemel.cache.list()[0].name == f"hf:owner/repo/{taken}"


@pytest.mark.parametrize(("files", "asked", "words"), [
    (QUANTS, ":Q4_K", f"no file has the quantisation Q4_K; there are m-BF16.gguf ({SIZE}), m-IQ4_NL.gguf ({SIZE}), "),
    (QUANTS, ":nl", "no file has the quantisation nl; there are "),
    (("a-Q4_K_M.gguf", "b-Q4_K_M.gguf", "c.gguf"), "",
     f"2 files have the quantisation Q4_K_M: a-Q4_K_M.gguf ({SIZE}), b-Q4_K_M.gguf ({SIZE}); "
     "name one, hf:owner/repo/a-Q4_K_M.gguf"),
    (("a-Q6_K.gguf", "b-Q6_K.gguf"), ":q6_k",
     f"2 files have the quantisation q6_k: a-Q6_K.gguf ({SIZE}), b-Q6_K.gguf ({SIZE}); name"),
    (("a-Q6_K.gguf", "a-Q5_K.gguf"), "",
     f"there are 2 models, and none has a default quantisation: a-Q5_K.gguf ({SIZE}), a-Q6_K"),
    (("model.safetensors",), "", "there is no GGUF model in it, only model.safetensors; repositories with GGUF files"),
    (("mmproj.gguf",), "", "there is no GGUF model in it, only mmproj.gguf"),
    ((), "", "there is no GGUF model in it; "),
])
def test_nothing_is_guessed(hub: local.Hub, files: tuple[str, ...], asked: str, words: str) -> None:
    fill(hub, *files)
    with pytest.raises(gemel.SourceError) as raised:
        gemel.open(f"hf:owner/repo{asked}")
    assert words in str(raised.value)
    assert gemel.cache.list() == []


def test_a_split_model_is_one_model(hub: local.Hub) -> None:
    names = [f"q/m-Q4_K_M-0000{no}-of-00003.gguf" for no in (1, 2, 3)]
    parts = dict(zip(names, tiny.tiny_split(n_parts=3), strict=True))
    hub.files[REPO] = {**parts, "m-Q8_0.gguf": DATA}
    with gemel.open("hf:owner/repo") as model:
        assert model.name.endswith("m-Q4_K_M-00001-of-00003.gguf")
    assert [entry.size for entry in gemel.cache.list()] == [sum(map(len, parts.values()))]
    size = repository.size_text(sum(map(len, parts.values())))
    assert f"using q/m-Q4_K_M-00001-of-00003.gguf (3 parts, {size})" in command.gemel_("pull", "hf:owner/repo").err


def test_the_list_is_read_to_its_end(hub: local.Hub) -> None:
    fill(hub, *(f"m{no}.bin" for no in range(9)), "z-Q4_K_M.gguf")
    hub.per_page = 3
    assert gemel.pull("hf:owner/repo").name == "z-Q4_K_M.gguf"
    assert sum("/api/" in path for path, _ in hub.requests) == 4


def test_a_list_that_goes_on_elsewhere_or_for_ever_is_an_error(hub: local.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(hub, "m-Q4_K_M.gguf")
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.link = '<http://127.0.0.1:9/api/models/owner/repo/tree/main?cursor=1>; rel="next"'
    with pytest.raises(gemel.SourceError, match="continues on another host"):
        gemel.pull("hf:owner/repo")
    hub.link = f'<{hub.url}/api/models/owner/repo/tree/main?recursive=1>; rel="next"'
    with pytest.raises(gemel.SourceError, match="over 100 pages"):
        gemel.pull("hf:owner/repo")


# ---- Addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("revision", "address"), [
    ("v1.0", "hf:owner/repo@v1.0"),
    ("v1.0", "hf:owner/repo@v1.0:q8_0"),
    ("v1.0", "hf:owner/repo@v1.0/m-Q8_0.gguf"),
    ("refs/pr/3", "hf:owner/repo@refs/pr/3"),
    ("refs/pr/3", "hf:owner/repo@refs/pr/3:Q8_0"),
    ("refs/pr/3", "hf:owner/repo@refs/pr/3/m-Q8_0.gguf"),
])
def test_a_revision_follows_the_repository(hub: local.Hub, revision: str, address: str) -> None:
    fill(hub, "m-Q4_0.gguf")
    fill(hub, "m-Q8_0.gguf", repository=f"owner/repo@{revision}")
    gemel.pull(address)
    (entry,) = gemel.cache.list()
    assert entry.name == f"hf:owner/repo@{revision}/m-Q8_0.gguf"


def test_a_file_is_downloaded_once_under_all_its_addresses(hub: local.Hub) -> None:
    fill(hub, *QUANTS)
    names = ("hf:owner/repo", "hf:owner/repo:q4_k_m", "hf:owner/repo/m-Q4_K_M.gguf", "HF:owner/repo@main/m-Q4_K_M.gguf")
    assert len({gemel.pull(name) for name in names}) == 1
    assert sum("/resolve/" in path for path, _ in hub.requests) == 1
    assert len({gemel.cache.path(name) for name in names}) == 1
    assert gemel.cache.delete("hf:owner/repo:Q4_K_M") > len(DATA)
    assert gemel.cache.path("hf:owner/repo") is None
    with pytest.raises(gemel.SourceError, match="not in the cache"):
        gemel.cache.delete("hf:owner/repo:Q4_K_M")


def test_deleting_one_of_several_that_fit_names_them(hub: local.Hub) -> None:
    fill(hub, "a-Q6_K.gguf", "b-Q6_K.gguf")
    for name in ("a", "b"):
        gemel.pull(f"hf:owner/repo/{name}-Q6_K.gguf")
    command.assert_error(command.gemel_("rm", "hf:owner/repo:Q6_K"), 1, "a-Q6_K.gguf", "b-Q6_K.gguf", "name one")


@pytest.mark.parametrize(("given", "meant"), [
    ("owner/repo", "hf:owner/repo"), ("owner/repo:Q4_K_M", "hf:owner/repo:Q4_K_M"),
    ("hf.co/owner/repo:Q8_0", "hf:owner/repo:Q8_0"), ("huggingface.co/owner/repo", "hf:owner/repo"),
])
def test_what_other_programs_write_is_suggested_as_written_here(given: str, meant: str) -> None:
    with pytest.raises(gemel.SourceError) as raised:
        gemel.open(given)
    assert f"did you mean '{meant}', of the Hugging Face hub?" in str(raised.value)


def test_the_page_of_a_repository_is_refused_with_the_address_to_write(hub: local.Hub) -> None:
    hub.files["owner/repo@main"] = {}
    hub.status, hub.body = 200, b"<!doctype html><title>owner/repo</title>"
    with pytest.raises(gemel.SourceError, match="a web page .*: write hf:owner/repo for a file of this repository"):
        gemel.open(f"{hub.url}/owner/repo")


# ---- Said, and offline -----------------------------------------------------------------------------------------------


def test_the_file_that_was_taken_is_said_with_sizes_and_what_else_there_is(
    hub: local.Hub, caplog: pytest.LogCaptureFixture
) -> None:
    fill(hub, "m-Q4_K_M.gguf", "m-Q8_0.gguf")
    said = f"hf:owner/repo: using m-Q4_K_M.gguf ({SIZE}); also there: m-Q8_0.gguf ({SIZE})"
    assert command.gemel_("pull", "hf:owner/repo").err.splitlines() == [said]
    asked = command.gemel_("inspect", "hf:owner/repo", "--json")
    assert (asked.code, asked.err.splitlines()) == (0, [said])
    caplog.clear()
    with caplog.at_level(logging.INFO, "gemel"), gemel.open("hf:owner/repo") as model:
        assert Path(model.name).name == "m-Q4_K_M.gguf"
    assert [record.getMessage() for record in caplog.records] == [said]


def test_asynchronous_opening_takes_the_same_file(hub: local.Hub) -> None:
    fill(hub, "m-Q4_K_M.gguf", "m-Q8_0.gguf")

    async def main() -> str:
        model = await gemel.open_async("hf:owner/repo:q8_0")
        model.close()
        return Path(model.name).name

    assert asyncio.run(main()) == "m-Q8_0.gguf"


@pytest.mark.parametrize("status", [0, 404, 503, 429])
def test_offline_the_cache_decides_and_it_is_said(
    hub: local.Hub, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    fill(hub, "m-Q4_K_M.gguf", "m-Q5_K.gguf", "m-Q6_K.gguf")
    path = gemel.pull("hf:owner/repo:Q5_K")
    if status:
        hub.status = status
    else:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("hf:owner/repo", "hf:owner/repo:q5_k"):
        caplog.clear()
        assert gemel.pull(name) == path
        (record,) = caplog.records
        assert f"m-Q5_K.gguf ({SIZE}) is used, which is in the cache" in record.getMessage()
        assert "the hub does not list its files" in record.getMessage()
    for name in ("hf:owner/repo:Q6_K", "hf:owner/other", "hf:owner/repo@v1"):
        with pytest.raises(gemel.SourceError, match="the hub does not list its files"):
            gemel.pull(name)


def test_offline_several_that_fit_are_named(hub: local.Hub) -> None:
    fill(hub, "m-Q5_K.gguf", "m-Q6_K.gguf")
    for name in ("m-Q5_K.gguf", "m-Q6_K.gguf"):
        gemel.pull(f"hf:owner/repo/{name}")
    hub.status = 404
    with pytest.raises(gemel.SourceError, match=r"HTTP 404 .*; in the cache, .*: there are 2 models.*m-Q5_K.*m-Q6_K"):
        gemel.pull("hf:owner/repo")


@pytest.mark.parametrize(("status", "body", "words"), [
    (401, b"", "HTTP 401 Unauthorized; the repository is private, gated or misspelt: accept the model's terms on {}"),
    (404, b"", "HTTP 404 Not Found; check owner, repository and revision"),
    (200, b"<html>log in</html>", "sent no list of files, but '<html>log in</html>': check the network"),
    (200, b'{"error": "x"}', "sent no list of files"),
])
def test_what_is_no_list_says_what_to_do(hub: local.Hub, status: int, body: bytes, words: str) -> None:
    hub.status, hub.body = status, body
    with pytest.raises(gemel.SourceError) as raised:
        gemel.open("hf:owner/repo")
    assert words.format(f"{hub.url}/owner/repo and set HF_TOKEN") in str(raised.value)


def test_the_token_goes_with_the_list(hub: local.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(hub, "m-Q4_K_M.gguf")
    monkeypatch.setenv("HF_TOKEN", "right")
    gemel.pull("hf:owner/repo")
    assert {token for _, token in hub.requests} == {"Bearer right"}
    hub.status = 403
    gemel.cache.delete("hf:owner/repo")
    with pytest.raises(gemel.SourceError, match="HTTP 403 Forbidden; the token that was sent gives no access"):
        gemel.pull("hf:owner/repo")


# ---- What a repository offers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "address"), [
    ("/owner/repo", "hf:owner/repo"),
    ("/owner/repo/tree/refs%2Fpr%2F1/folder", "hf:owner/repo@refs/pr/1"),
    ("/owner/repo/blob/main/a%20b/m.gguf?download=true", "hf:owner/repo/a b/m.gguf"),
    ("/owner/repo/resolve/v1/m.gguf", "hf:owner/repo@v1/m.gguf"),
    ("/owner/repo/discussions/1", "hf:owner/repo"),
    ("/owner", None),
])  # fmt: skip
def test_a_page_of_the_hub_is_an_address(hub: local.Hub, path: str, address: str | None) -> None:
    for home in (HUB, hub.url):
        found = hub_address.page_address(home + path)
        assert (None if found is None else str(found)) == address
    assert hub_address.page_address("https://example.org" + path) is None


@pytest.mark.parametrize(("asked", "meant"), [
    ("hf:owner/repo", "m-Q4_K_M.gguf"), ("hf:owner/repo:Q8_0", "m-Q8_0.gguf"), ("hf:owner/repo:Q4", None),
    ("hf:owner/repo/m-f16.gguf", "m-f16.gguf"),
])  # fmt: skip
def test_a_repository_offers_all_its_models_and_says_which_is_meant(asked: str, meant: str | None) -> None:
    address = hub_address.hub_address(asked)
    assert address is not None
    steps = repository.offers(address)
    next(steps)
    files = [{"type": "file", "path": name, "size": 7} for name in (*QUANTS, *BESIDE)]
    with pytest.raises(StopIteration) as end:
        steps.send(repository.Answer(200, json.dumps(files).encode()))
    found = end.value.value
    assert [one.name for one in found] == sorted(f"hf:owner/repo/{name}" for name in QUANTS)
    assert [one.name for one in found if one.is_meant] == ([f"hf:owner/repo/{meant}"] if meant else [])


def test_a_repository_without_models_says_what_it_has() -> None:
    steps = repository.offers(hub_address.HubAddress("owner", "repo"))
    next(steps)
    with pytest.raises(gemel.SourceError, match="there is no GGUF model in it, only README.md"):
        steps.send(repository.Answer(200, b'[{"type": "file", "path": "README.md", "size": 1}]'))
