"""With close_at_max_tokens an answer ends whole within its limit; without, it may be cut, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gemel
import pytest
from conftest import CHATML

OpenTiny = Callable[..., gemel.Model]
TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            "required": ["b"], "additionalProperties": False,
        },
    },
    "$ref": "#/$defs/tree",
}  # fmt: skip
SCHEMAS: dict[str, Any] = {
    "any": True,
    "flat": {
        "type": "object",
        "properties": {"the": {"type": "string"}, "n": {"type": "integer"}, "e": {"enum": ["there", "the other"]}},
        "required": ["the", "n"], "additionalProperties": False,
    },
    "tree": TREE,
    "list": {"type": "array", "items": {"type": "string", "minLength": 3, "maxLength": 9}, "minItems": 1},
    "number": {"type": "number"},
    "date": {"type": "string", "format": "date"},
}  # fmt: skip
SHORTEST = {"any": 1, "flat": 14, "tree": 8, "list": 7, "number": 1, "date": 12}   # tokens of the tiny vocabulary


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("temperature", [0, 0.8, 3])
def test_json_is_whole_at_any_limit(model: gemel.Model, name: str, temperature: float) -> None:
    n_closed = 0
    with model.grammar(json_schema=SCHEMAS[name]) as grammar:
        for limit in range(8, 61, 4):
            options: dict[str, Any] = {
                "max_tokens": limit, "temperature": temperature, "top_k": 0, "seed": limit, "grammar": grammar,
            }  # fmt: skip
            if limit < SHORTEST[name]:
                wanted = f"the shortest answer takes {SHORTEST[name]} tokens, .* leave {limit}:"
                with pytest.raises(gemel.ArgumentError, match=wanted):
                    model.generate("Once", **options, close_at_max_tokens=True)
                continue
            answer = model.generate("Once", **options, close_at_max_tokens=True)
            text = answer.read()
            assert grammar.matches(text)
            json.loads(text)
            assert answer.stop_reason in ("stop", "eos")
            assert len(answer.ids) <= limit
            n_closed += model.generate("Once", **options).read() != text
    if temperature == 3 and name in ("list", "tree"):
        assert n_closed   # without, some of these are cut


def test_a_limit_that_is_far_changes_nothing(model: gemel.Model) -> None:
    n = 0
    for seed in range(8):
        options: dict[str, Any] = {"json_schema": SCHEMAS["flat"], "seed": seed, "temperature": 0.7, "max_tokens": 400}
        answer = model.generate("Once", **options)
        text = answer.read()
        if answer.stop_reason == "stop" and len(answer.ids) < 200:
            n += 1
            assert model.generate("Once", **options, close_at_max_tokens=True).read() == text
    assert n >= 2


def test_the_shortest_answer_fits_exactly(model: gemel.Model) -> None:
    forms: list[tuple[int, dict[str, Any]]] = [
        (4, {"regex": "(the )?[0-9]{3}-x{0,9}"}), (1, {"grammar": 'root ::= "(" root ")" | <[70]> | "x" root'}),
    ]  # fmt: skip
    for shortest, form in forms:
        for limit in range(1, 30):
            options: dict[str, Any] = {"max_tokens": limit, "temperature": 2, "seed": limit, **form}
            if limit < shortest:
                with pytest.raises(gemel.ArgumentError, match=f"takes {shortest} tokens, .* leave {limit}:"):
                    model.generate("a", **options, close_at_max_tokens=True)
                continue
            answer = model.generate("a", **options, close_at_max_tokens=True)
            answer.read()
            assert answer.stop_reason in ("stop", "eos")


def test_the_context_is_a_limit_too(model: gemel.Model) -> None:
    ids = model.tokenize("Once")
    with model.session(len(ids) + 20) as session:
        answer = session.generate(ids, json_schema=TREE, temperature=2, seed=1, close_at_max_tokens=True)
        json.loads(answer.read())
        assert answer.stop_reason in ("stop", "eos")
    wanted = r"the shortest answer takes \d+ tokens, .* leave 3: allow more"
    with model.session(len(ids) + 2) as session, pytest.raises(gemel.ArgumentError, match=wanted):
        session.generate(ids, json_schema=TREE, close_at_max_tokens=True)


@pytest.mark.parametrize("tokenizer", ["spm", "bpe"])
def test_every_call_that_generates_closes(tiny_model: OpenTiny, tokenizer: str) -> None:
    model = tiny_model(tokenizer=tokenizer, chat_template=CHATML)
    options: dict[str, Any] = {
        "json_schema": SCHEMAS["list"], "max_tokens": 24, "temperature": 2, "seed": 2, "close_at_max_tokens": True,
    }  # fmt: skip
    with model.batch() as batch, model.chat() as chat:
        texts = [
            *model.generate_many(["a", "b"], **options), model.ask("q", **options), chat.send("q", **options).read(),
            batch.generate("a", **options).read(), batch.answer([{"role": "user", "content": "q"}], **options).read(),
        ]  # fmt: skip
    for text in texts:
        assert isinstance(json.loads(text), list)
    assert texts[0] == texts[4] == model.generate("a", **options, fast_forward=False).read()


@pytest.mark.parametrize(
    ("form", "shortest"),
    [({"choices": [" the"]}, 2), ({"regex": " a"}, 2), ({"choices": ["the"]}, 1), ({"choices": [" ab"]}, 3)],
)
def test_a_message_lacks_its_first_space(tiny_model: OpenTiny, form: dict[str, Any], shortest: int) -> None:
    model = tiny_model(tokenizer="spm", chat_template=CHATML)
    for limit in range(1, shortest):
        wanted = f"takes {shortest} tokens, .* leave {limit}:"
        with pytest.raises(gemel.ArgumentError, match=wanted):
            model.ask("q", **form, max_tokens=limit, close_at_max_tokens=True)
        with model.session() as session, pytest.raises(gemel.ArgumentError, match=wanted):   # before it is read
            session.generate("q", is_answer=True, **form, max_tokens=limit, close_at_max_tokens=True)
        with model.batch() as batch, pytest.raises(gemel.ArgumentError, match=wanted):
            batch.generate("q", is_answer=True, **form, max_tokens=limit, close_at_max_tokens=True)
    text = model.ask("q", **form, max_tokens=shortest, temperature=2, seed=1, close_at_max_tokens=True)
    assert text == (form["choices"][0] if "choices" in form else form["regex"])


def test_without_it_an_answer_is_cut(model: gemel.Model) -> None:
    answer = model.generate("a", json_schema=TREE, max_tokens=3)
    answer.read()
    assert answer.stop_reason == "length"


def test_mistakes_are_named(model: gemel.Model) -> None:
    with pytest.raises(gemel.ArgumentError, match="close_at_max_tokens: there is nothing to close: pass grammar"):
        model.generate("a", max_tokens=3, close_at_max_tokens=True)
    with pytest.raises(TypeError, match="close_at_max_tokens"):
        model.generate("a", regex="a", close_at_max_tokens="yes")   # type: ignore[arg-type]
    model.generate("a", max_tokens=3, close_at_max_tokens=None).close()


@pytest.mark.parametrize("in_a_batch", [False, True])
def test_a_grammar_is_set_up_once(model: gemel.Model, monkeypatch: pytest.MonkeyPatch, *, in_a_batch: bool) -> None:
    names: list[str] = []
    call = model._library.call

    def noted(name: str, *arguments: Any) -> Any:  # noqa: ANN401
        names.append(name)
        return call(name, *arguments)

    monkeypatch.setattr(model._library, "call", noted)
    with model.batch() as batch:
        generate = batch.generate if in_a_batch else model.generate
        generate("Once", json_schema={"type": "integer"}, max_tokens=9, close_at_max_tokens=True).read()
    assert names.count("gemel_sampler_use") == 1
    assert names.count("gemel_sampler_close_within") == 1
