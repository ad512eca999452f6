"""What clients of other servers send by habit: addresses, histories, models that are not named, misspelt fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import tiny_bytes
from gemel_web.http.connection import PING, with_pings
from serving import BASE, Asked, error_of

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HELLO = [{"role": "user", "content": "Hello"}]
SHORT: dict[str, Any] = {"max_tokens": 1, "temperature": 0}
SHOWN = (   # a template that writes all that a message may bring
    "{% for m in messages %}{{ m.role }}/{{ m.name or '-' }}/{{ m.reasoning_content or '-' }}: {{ m.content }}\n"
    "{% endfor %}"
)


@pytest.fixture(scope="module")
def model() -> Iterator[gemel.Model]:
    with gemel.open(tiny_bytes(chat_template=SHOWN), threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(model: gemel.Model) -> Iterator[Asked]:
    with Asked({"tiny": gemel_web.ServedModel(model)}) as asked:
        yield asked


# ---- Addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions", "/v1/chat//completions//",
])
def test_a_doubled_or_trailing_slash_is_the_same_address(app: Asked, path: str) -> None:
    assert app.good(BASE + path, **SHORT, messages=HELLO)["object"] == "chat.completion"
    assert app.get("/v1/models/").json() == app.get("/v1/models").json()


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings"])
def test_an_address_without_v1_says_where_the_api_is(app: Asked, path: str) -> None:
    assert f"/v1{path}" in app.bad(path, 404, **SHORT)["message"]


def test_a_403_names_the_option_that_would_allow_it(model: gemel.Model) -> None:
    with Asked({"tiny": gemel_web.ServedModel(model)}, allowed_hosts=()) as app:
        foreign = error_of(app.get("/v1/models", headers={"host": "example.org"}), 403)
        assert "--allowed-host" in foreign["message"]
        page = error_of(app.get("/v1/models", headers={"origin": "https://example.org"}), 403)
        assert "--allowed-origin" in page["message"]


@pytest.mark.parametrize(("header", "value", "option"), [
    ("origin", "null", "--allowed-origin"), ("origin", "file://", "--allowed-origin"),
    ("origin", "https://a/page", "--allowed-origin"), ("host", "a b", "--allowed-host"), ("host", "", "--allowed-host"),
])
def test_a_403_names_a_value_that_the_option_takes_and_that_works(
    model: gemel.Model, header: str, value: str, option: str
) -> None:
    served = {"tiny": gemel_web.ServedModel(model)}
    with Asked(served, allowed_hosts=()) as app:
        message = error_of(app.get("/v1/models", headers={header: value}), 403)["message"]
        assert f"allow {'it' if header == 'host' else 'them'} with {option} '*' (all: " in message
    with Asked(served, allowed_hosts=None, allowed_origins=("*",)) as app:
        assert app.get("/v1/models", headers={header: value}).status_code == 200


@pytest.mark.parametrize("origin", ["https://example.org", "http://localhost:8000", "chrome-extension://abc"])
def test_a_403_of_a_page_with_a_name_needs_no_star(model: gemel.Model, origin: str) -> None:
    with Asked({"tiny": gemel_web.ServedModel(model)}) as app:
        message = error_of(app.get("/v1/models", headers={"origin": origin}), 403)["message"]
        assert message.endswith(f"{origin!r} may not use this API: allow them with --allowed-origin")


# ---- Models ----------------------------------------------------------------------------------------------------------


def test_without_a_name_the_only_model_answers(app: Asked) -> None:
    assert app.good(CHAT, **SHORT, messages=HELLO)["model"] == "tiny"
    assert app.good(TEXT, **SHORT, prompt="a", model=None)["model"] == "tiny"
    assert app.good(EMBED, input="a")["model"] == "tiny"


def test_without_a_name_and_with_several_models_the_error_names_them(model: gemel.Model) -> None:
    served = gemel_web.ServedModel(model)
    with Asked({"one": served, "two": served}) as app:
        error = app.bad(CHAT, **SHORT, messages=HELLO)
    assert (error["param"], error["code"]) == ("model", "missing_parameter")
    assert "one, two" in error["message"]


# ---- Limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{}, {"max_tokens": -1}, {"max_completion_tokens": 32_000}, {"n_predict": 4096}])
def test_no_limit_and_a_large_one_mean_until_the_context_is_full(app: Asked, limit: dict[str, int]) -> None:
    endless = {"0": -100, "2": -100}
    answer = app.good(CHAT, temperature=0, logit_bias=endless, messages=HELLO, **limit)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 513   # the last token is drawn, not evaluated


def test_a_completion_without_a_limit_has_sixteen_tokens_and_more_when_told(app: Asked) -> None:
    more = {"temperature": 0, "logit_bias": {"0": -100, "2": -100}, "prompt": "a"}
    assert app.good(TEXT, **more)["usage"]["completion_tokens"] == 16
    assert app.good(TEXT, **more, max_tokens=None)["usage"]["completion_tokens"] == 16
    assert app.good(TEXT, **more, max_tokens=-1)["usage"]["total_tokens"] == 513


# ---- Histories -------------------------------------------------------------------------------------------------------


def n_prompt(app: Asked, *messages: dict[str, Any]) -> int:
    answer = app.good(CHAT, **SHORT, messages=list(messages))
    return int(answer["usage"]["prompt_tokens"])


def shown(model: gemel.Model, text: str) -> int:
    return len(model.prompt_ids(text))


def test_names_and_reasoning_reach_the_template(app: Asked, model: gemel.Model) -> None:
    said = {"role": "assistant", "content": "Yes", "reasoning_content": "Hm"}
    got = n_prompt(app, {"role": "user", "content": "Hi", "name": "Ann"}, said)
    assert got == shown(model, "user/Ann/-: Hi\nassistant/-/Hm: Yes")


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_an_assistants_message_may_lack_a_text(app: Asked, model: gemel.Model, content: dict[str, Any]) -> None:
    got = n_prompt(app, *HELLO, {"role": "assistant", **content}, *HELLO)
    assert got == shown(model, "user/-/-: Hello\nassistant/-/-: \nuser/-/-: Hello\n")


def test_a_refusal_stands_for_the_text_that_is_missing(app: Asked, model: gemel.Model) -> None:
    got = n_prompt(app, *HELLO, {"role": "assistant", "content": None, "refusal": "No."}, *HELLO)
    assert got == shown(model, "user/-/-: Hello\nassistant/-/-: No.\nuser/-/-: Hello\n")


def test_text_parts_are_joined_and_their_neutral_fields_ignored(app: Asked, model: gemel.Model) -> None:
    parts = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]
    messages = [{"role": "user", "content": parts}]
    assert n_prompt(app, *messages) == shown(model, "user/-/-: a\nb\n")
    assert len(model.prompt_ids(messages)) == n_prompt(app, *messages)


@pytest.mark.parametrize(("part", "place"), [
    ({"type": "image_url", "image_url": {"url": "x"}}, "messages[0].content[1]"),
    ({"type": "text", "text": "a", "colour": 1}, "messages[0].content[1].colour"),
    ({"type": "text", "text": 5}, "messages[0].content[1].text"),
])
def test_what_is_no_text_is_refused_by_its_place(
    app: Asked, model: gemel.Model, part: dict[str, Any], place: str
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]
    assert app.bad(CHAT, **SHORT, messages=messages)["param"] == place
    with pytest.raises(gemel.ArgumentError) as raised:
        model.prompt_ids(messages)
    assert str(raised.value).startswith(f"{place}: ")


# ---- The assistant's last message ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [{}, {"continue_final_message": True}, {"add_generation_prompt": False}])
def test_a_last_message_of_the_assistants_is_continued(app: Asked, model: gemel.Model, flags: dict[str, bool]) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "The sky is"}]
    answer = app.good(CHAT, max_tokens=6, temperature=0, messages=messages, **flags)
    plain = model.generate("user/-/-: Hello\nassistant/-/-: The sky is", max_tokens=6, temperature=0)
    assert answer["choices"][0]["message"]["content"].rstrip("\ufffd") == plain.read().rstrip("\ufffd")
    assert answer["usage"]["prompt_tokens"] == len(plain.prompt_ids)


@pytest.mark.parametrize("flags", [{"continue_final_message": False}, {"add_generation_prompt": True}])
def test_a_new_message_begins_when_that_is_asked_for(app: Asked, model: gemel.Model, flags: dict[str, bool]) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "The sky is"}]
    answer = app.good(CHAT, **SHORT, messages=messages, **flags)
    assert answer["usage"]["prompt_tokens"] == shown(model, "user/-/-: Hello\nassistant/-/-: The sky is\n")


@pytest.mark.parametrize(("messages", "flags", "param"), [
    (HELLO, {"continue_final_message": True}, "continue_final_message"),
    (HELLO, {"add_generation_prompt": False}, "add_generation_prompt"),
    ([{"role": "assistant", "content": "x"}], {"continue_final_message": True, "add_generation_prompt": True},
     "continue_final_message"),
])
def test_flags_that_exclude_each_other_are_refused(
    app: Asked, messages: list[dict[str, Any]], flags: dict[str, bool], param: str
) -> None:
    assert app.bad(CHAT, **SHORT, messages=messages, **flags)["param"] == param


# ---- Fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "meant"), [
    ("max_token", "max_tokens"), ("maxTokens", "max_tokens"), ("temprature", "temperature"), ("Stop", "stop"),
    ("repeat_last", "repeat_last_n"),
])
def test_a_misspelt_field_suggests_the_field_that_was_meant(app: Asked, sent: str, meant: str) -> None:
    assert app.bad(CHAT, messages=HELLO, **{sent: 1})["message"].endswith(f"unknown parameter; did you mean {meant}?")


def test_a_field_that_is_like_none_gets_no_suggestion(app: Asked) -> None:
    assert app.bad(CHAT, messages=HELLO, colour=1)["message"] == "colour: unknown parameter"


def test_minus_1_draws_a_seed_and_negative_seeds_are_64_bits(app: Asked) -> None:
    def text(seed: int) -> str:
        answer = app.good(TEXT, prompt="a", max_tokens=12, temperature=2, seed=seed)
        return str(answer["choices"][0]["text"])

    assert text(-2) == text(2**64 - 2)
    assert len({text(-1) for _ in range(4)}) > 1


# ---- Streams ---------------------------------------------------------------------------------------------------------


async def slow() -> AsyncGenerator[bytes, None]:
    await asyncio.sleep(0.3)
    yield b"one"
    yield b"two"


def test_a_silent_stream_sends_comments() -> None:
    async def pieces() -> list[bytes]:
        return [piece async for piece in with_pings(slow(), 0.05)]

    *pings, one, two = asyncio.run(pieces())
    assert len(pings) >= 2
    assert set(pings) == {PING}
    assert PING.startswith(b":")
    assert (one, two) == (b"one", b"two")


def test_a_stream_that_is_never_silent_has_no_comments(app: Asked) -> None:
    response = app.post(CHAT, **{**SHORT, "stream": True}, messages=HELLO)
    assert PING not in response.content
