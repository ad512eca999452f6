"""gemel.js's load takes a draft: a smaller model or a file of gemel draft-cache. Answers stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gemel
import pytest
import tiny
from browser.pages import ApiPage

if TYPE_CHECKING:
    from browser.server import Served, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OpenPage = Callable[..., ApiPage]
PROMPT = "Once the other there, once the other was there"
OPTIONS: dict[str, Any] = {"max_tokens": 40, "seed": 3}
ANSWER = "const answer = async () => (await gemel.generate(v.prompt, v.options).result).text;"


@pytest.fixture(scope="module")
def data() -> bytes:
    return tiny.tiny_llama(n_layer=2, n_ctx=512)


@pytest.fixture(scope="module")
def native(data: bytes) -> gemel.Model:
    return gemel.open(data)


def test_a_draft_of_any_form_changes_no_answer(
    loaded: ApiPage, server: Server, file: Served, native: gemel.Model
) -> None:
    smaller, ngrams = tiny.tiny_llama(n_layer=1, n_ctx=512, seed=7), native.draft_cache([PROMPT * 9])
    wanted = native.generate(PROMPT, **OPTIONS).read()
    found = loaded.js(
        ANSWER + "const blob = async (url) => new Blob([await (await fetch(url)).arrayBuffer()]);"
        "const found = [];"
        "for (const draft of [false, v.smaller, await blob(v.smaller), await blob(v.ngrams),"
        "                     await (await blob(v.ngrams)).arrayBuffer(), true]) {"
        "    await gemel.load(v.url, {draft});"
        "    found.push(await answer());"
        "}"
        "return found",
        url=file.url, smaller=server.file(smaller).url, ngrams=server.file(ngrams).url, prompt=PROMPT, options=OPTIONS,
    )  # fmt: skip
    assert found == [wanted] * 6


def test_the_progress_of_a_draft_follows_that_of_the_model(
    loaded: ApiPage, server: Server, data: bytes
) -> None:
    smaller = tiny.tiny_llama(n_layer=1, n_ctx=512, seed=8)
    found = loaded.js(
        "const seen = [];"
        "await gemel.load(v.url, {draft: v.draft, onProgress: (one) => seen.push(one)});"
        "return seen.filter(({stage}) => stage === 'download')",
        url=server.file(data).url, draft=server.file(smaller).url,
    )  # fmt: skip
    assert [one["total"] for one in found if one["done"] == one["total"]] == [len(data), len(smaller)]
    assert all(one["speed"] >= 0 and (one["left"] or 0) >= 0 for one in found)


def test_the_element_has_a_draft_and_counts_its_download(
    api_page: OpenPage, server: Server, data: bytes, native: gemel.Model
) -> None:
    one = api_page(new=True, module="gemel-chat.js")
    model, draft = server.file(data), server.file(tiny.tiny_llama(n_layer=1, n_ctx=512, seed=9))
    text = one.js(
        "const chat = document.createElement('gemel-chat');"
        "Object.entries({model: v.model, draft: v.draft, 'ask-above': '0'}).forEach((of) => chat.setAttribute(...of));"
        "document.querySelector('main').append(chat);"
        "const box = chat.shadowRoot.querySelector('textarea'), offer = chat.shadowRoot.querySelector('.offer');"
        "box.value = 'Hi';"
        "box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}));"
        "while (offer.hidden) await new Promise((go) => setTimeout(go, 10));"
        "window.offered = offer.textContent;"
        "await chat.load();"
        "return (await chat.generate(v.prompt, v.options).result).text",
        model=model.url, draft=draft.url, prompt=PROMPT, options=OPTIONS,
    )  # fmt: skip
    assert text == native.generate(PROMPT, **OPTIONS).read()
    assert sum(request.sent for request in draft.requests) >= len(draft.data)
    wanted = one.js("return (v.size / 1e6).toFixed(1)", size=len(model.data) + len(draft.data))
    assert wanted in one.js("return window.offered")
    one.close()


def test_what_can_not_draft_is_an_error_that_says_why(loaded: ApiPage, server: Server, file: Served) -> None:
    other = server.file(tiny.tiny_llama(n_layer=1, tokenizer="spm"))
    found = loaded.js(
        "const told = [];"
        "for (const draft of [5, v.other, 'smoll', new Uint8Array([1, 2, 3]), 'no.gguf'])"
        "    told.push((await caught(gemel.load(v.url, {draft}))).slice(0, 2));"
        "await gemel.load(v.url); return told",
        url=file.url, other=other.url,
    )  # fmt: skip
    assert [name for name, _ in found] == ["TypeError", "UnsupportedError", "SourceError", "FormatError", "SourceError"]
    parts = ["load: draft: a model is", "token", "short name", "GGUF", "404"]
    for (_, message), part in zip(found, parts, strict=True):
        assert part in message
