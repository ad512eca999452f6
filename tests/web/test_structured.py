"""Answers of the server keep the form that a request asks for: OpenAI's response_format, llama.cpp's two fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pydantic
import pytest
from conftest import CHATML, tiny_bytes
from web_server import Server

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
ASKED: dict[str, Any] = {"model": "model", "temperature": 1.2, "max_tokens": 80}
SCHEMA = {
    "type": "object", "properties": {"on": {"type": "boolean"}, "size": {"enum": ["S", "M"]}},
    "required": ["on", "size"], "additionalProperties": False,
}  # fmt: skip
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "switch", "schema": SCHEMA, "strict": True}}


class Switch(pydantic.BaseModel):
    """What a parsed answer is."""

    on: bool
    size: Literal["S", "M"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    path = tmp_path_factory.mktemp("structured") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    with Server(path) as server, openai.OpenAI(base_url=server.url, api_key="unused", max_retries=0) as client:
        yield client


def is_switch(text: str | None) -> bool:
    value = json.loads(text or "")
    return set(value) == {"on", "size"} and value["size"] in ("S", "M") and isinstance(value["on"], bool)


def test_a_schema_is_kept_whole_streamed_and_several_times(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**ASKED, messages=HELLO, response_format=FORMAT, n=2)
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
    assert all(is_switch(choice.message.content) for choice in answer.choices)
    stream = client.chat.completions.create(**ASKED, messages=HELLO, response_format=FORMAT, stream=True)
    assert is_switch("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))


def test_pydantic_models_are_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(**ASKED, messages=HELLO, response_format=Switch)
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, Switch)
    assert parsed.size in ("S", "M")


def test_llama_cpps_fields_and_completions(client: openai.OpenAI) -> None:
    extra = ({"json_schema": SCHEMA}, {"response_format": {"type": "json_object", "schema": SCHEMA}})
    for body in extra:
        assert is_switch(client.completions.create(**ASKED, prompt="a", extra_body=body).choices[0].text)
    grammar = 'root ::= "yes" | "no"'
    answer = client.chat.completions.create(**ASKED, messages=HELLO, extra_body={"grammar": grammar})
    assert answer.choices[0].message.content in ("yes", "no")


def test_json_object_begins_an_object(client: openai.OpenAI) -> None:
    asked = {**ASKED, "max_tokens": 12}
    answer = client.chat.completions.create(**asked, messages=HELLO, response_format={"type": "json_object"})
    assert (answer.choices[0].message.content or "").startswith("{")


def test_strict_false_says_which_answers_are_invalid(client: openai.OpenAI) -> None:
    schema = {"enum": [["a"], ["a", "a"]], "not": {"uniqueItems": True}}
    loose: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": False}}
    asked = {**ASKED, "temperature": 2}
    answer = client.chat.completions.create(**asked, messages=HELLO, response_format=loose, n=16, seed=1)
    told = {(one.message.content, getattr(one, "invalid", None)) for one in answer.choices}
    assert {text: bool(words) for text, words in told} == {'["a","a"]': False, '["a"]': True}
    assert all("#/not" in words for text, words in told if words)
    for chunk in client.completions.create(**asked, prompt="a", stream=True, extra_body={"response_format": {
        **loose, "json_schema": {**loose["json_schema"], "schema": {**schema, "enum": [["a"]]}}}}):
        assert hasattr(chunk.choices[0], "invalid") == (chunk.choices[0].finish_reason is not None)


def test_what_cannot_be_enforced_names_the_path(client: openai.OpenAI) -> None:
    schema = {"properties": {"a": {"pattern": "(?=x)"}}}
    bad: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError, match="#/properties/a/pattern: .*look-around") as raised:
        client.chat.completions.create(**ASKED, messages=HELLO, response_format=bad)
    assert raised.value.param == "response_format"


def test_an_answer_is_closed_within_its_limit(client: openai.OpenAI) -> None:
    extra: dict[str, Any] = {"json_schema": True, "close_at_max_tokens": True, "temperature": 2.0}
    for seed in range(6):
        answer = client.chat.completions.create(
            model="model", messages=HELLO, max_tokens=12, seed=seed, extra_body=extra
        )
        assert answer.choices[0].finish_reason == "stop"
        json.loads(answer.choices[0].message.content or "")
    same = [
        client.chat.completions.create(
            **ASKED, seed=3, messages=HELLO, response_format=FORMAT, extra_body={"fast_forward": fast}, logprobs=True
        ).choices[0].model_dump()
        for fast in (True, False)
    ]  # fmt: skip
    assert same[0] == same[1]
    for wanted, body in (
        ("the shortest answer takes", {"response_format": FORMAT, "max_tokens": 2}), ("nothing to close", {}),
    ):  # fmt: skip
        with pytest.raises(openai.BadRequestError, match=wanted):
            client.chat.completions.create(
                model="model", messages=HELLO, extra_body={"close_at_max_tokens": True, **body}
            )
