"""Answers in each dialect: grammars allow what tools allow and nothing else, and what is written is read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import dialects
import gemel
import pytest
from dialects import CLOCK, SEARCH, TOOLS, Answer, Model, read_text
from gemel.dialect import grammar
from gemel.dialect.dialect import Dialect
from gemel.schema.validator import validate
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary import USER_DEFINED

ALL = dialects.dialects()
WAYS = 3   # of writing what may be written in several ways


def name_of(dialect: Dialect) -> str:
    return f"{dialect.calls.name if dialect.calls else None}+{dialect.thoughts.name}"


every_dialect = pytest.mark.parametrize("dialect", ALL, ids=name_of)


@pytest.fixture(scope="module", params=["control", "text"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    """A model whose vocabulary has the markers as control tokens, or as text."""
    made = Model(dialects.vocabulary() if request.param == "control" else ())
    yield made
    made.model.close()


def said(answer: Answer) -> tuple[str, str, list[Any]]:
    return answer.reasoning, answer.text, [(name, values, True) for name, values in answer.calls]


@every_dialect
def test_what_a_model_writes_is_allowed_and_read(model: Model, dialect: Dialect) -> None:
    rng = random.Random(1)
    with model.grammar(dialect) as allowing:
        for answer in dialects.answers(dialect):
            for which in range(WAYS if len(answer.calls) == 1 and not answer.text else 1):
                written = answer.written(dialect, which)
                ids = model.ids(written, rng)
                assert model.allows(allowing, ids), written
                reader, text = model.read(dialect, ids)
                calls = [(call.name, call.values, call.is_complete) for call in reader.calls]
                assert (reader.reasoning, text.strip(), calls) == said(answer), written


def test_markers_may_be_tokens_that_are_text() -> None:
    rng, user = random.Random(9), Model(dialects.vocabulary(USER_DEFINED))
    with user.model:
        for dialect in ALL:
            answer = list(dialects.answers(dialect))[-1]
            ids = user.ids(answer.written(dialect), rng)
            with user.grammar(dialect) as allowing:
                assert user.allows(allowing, ids), name_of(dialect)
            reader, text = user.read(dialect, ids)
            calls = [(call.name, call.values, call.is_complete) for call in reader.calls]
            assert (reader.reasoning, text.strip(), calls) == said(answer)


@pytest.mark.parametrize("dialect", [one for one in ALL if one.thoughts.leads], ids=name_of)
def test_the_prompt_may_open_the_reasoning(model: Model, dialect: Dialect) -> None:
    rng = random.Random(6)
    with model.grammar(dialect, at=0) as allowing:
        for answer in [one for one in dialects.answers(dialect) if one.reasoning]:
            ids = model.ids(answer.written(dialect).removeprefix(dialect.thoughts.leads[0].opens), rng)
            assert model.allows(allowing, ids)
            reader, text = model.read(dialect, ids, at=0)
            calls = [(call.name, call.values, call.is_complete) for call in reader.calls]
            assert (reader.reasoning, text.strip(), calls) == said(answer)


def test_the_prompt_may_open_the_text(model: Model) -> None:
    (dialect,) = [one for one in ALL if one.thoughts.name == "kimi-k3"]
    rest = "<|close|>response<|sep|><|close|>message<|sep|>"
    for written, wanted in [("Well" + rest, "Well"), ("Well", None)]:
        ids = model.ids(written, random.Random(7))
        with model.grammar(dialect, at=-1) as allowing:
            assert model.allows(allowing, ids) == (wanted is not None)
        assert model.read(dialect, ids, at=-1)[1] == "Well"


BOUNDED: dict[str, dict[str, Any]] = {
    "search": {
        "type": "object", "required": ["query"], "additionalProperties": False,
        "properties": {
            "query": {"type": ["string", "null"], "maxLength": 9}, "limit": {"enum": [1, "one", True]},
            "among": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
        },
    },
    "clock": {"type": "object", "properties": {}, "additionalProperties": False},
}  # fmt: skip


@every_dialect
def test_calls_that_are_not_cut_are_read_and_valid(model: Model, dialect: Dialect) -> None:
    """Whatever a model writes: here, ids that are drawn at random."""
    n, ends = 0, ("eos", "stop")
    with model.grammar(dialect, choice="required", tools=BOUNDED, thinks=False) as allowing:
        for seed in range(3):
            generation = model.model.generate("the", grammar=allowing, max_tokens=400, seed=seed, temperature=1.5)
            generation.read()
            reader, text = model.read(dialect, generation.ids, BOUNDED)
            for call in reader.calls:
                if call.is_complete:
                    validate(BOUNDED[call.name], call.values)
                    n += 1
            assert not text.strip()
            assert generation.stop_reason not in ends or all(call.is_complete for call in reader.calls)
    assert n > 0


def test_nothing_may_be_between_what_the_prompt_begins_and_a_name(model: Model) -> None:
    (dialect,) = [one for one in ALL if one.thoughts.begun]
    with model.grammar(dialect) as allowing:
        for answer in (Answer(text="Well"), Answer(calls=[CLOCK])):
            written = answer.written(dialect)
            assert model.allows(allowing, model.ids(written, random.Random(11)))
            assert not model.allows(allowing, model.ids("\n" + written, random.Random(11)))


def test_what_may_be_absent_may_be_absent(model: Model) -> None:
    by_name = {name_of(dialect): dialect for dialect in ALL}
    k3 = "<|close|>message<|sep|>"
    for name, written, wanted in [
        ("generic+minimax-m3", "</mm:think>Well", Answer(text="Well")),
        ("granite3+granite3", "Well", Answer(text="Well")),
        ("granite3+granite3", "<think>Hm</think> Well", Answer("Hm", "Well")),
        ("kimi-k3+kimi-k3", Answer(calls=[CLOCK]).written(by_name["kimi-k3+kimi-k3"]) + k3, Answer(calls=[CLOCK])),
    ]:
        ids = model.ids(written, random.Random(10))
        with model.grammar(by_name[name]) as allowing:
            assert model.allows(allowing, ids), written
        reader, text = model.read(by_name[name], ids)
        calls = [(call.name, call.values, call.is_complete) for call in reader.calls]
        assert (reader.reasoning, text, calls) == said(wanted)


@every_dialect
def test_a_choice_is_kept(model: Model, dialect: Dialect) -> None:
    rng = random.Random(2)
    one, text = Answer(calls=[SEARCH]), Answer(text="Well")
    written = {name: model.ids(answer.written(dialect), rng) for name, answer in {
        "text": text, "one": one, "other": Answer(calls=[CLOCK]),
        "thought": Answer("Hm", calls=[SEARCH]) if dialect.thoughts.leads else one,
    }.items()}   # fmt: skip
    with model.grammar(dialect, choice="required") as allowing:
        allowed = {name for name, ids in written.items() if model.allows(allowing, ids)}
        assert allowed == {"one", "other", "thought"}
    with model.grammar(dialect, choice="required", tools={"search": TOOLS["search"]}) as allowing:
        allowed = {name for name, ids in written.items() if model.allows(allowing, ids)}
        assert allowed == {"one", "thought"}
    with model.grammar(dialect, choice="none") as allowing:
        assert {name for name, ids in written.items() if model.allows(allowing, ids)} == {"text"}


@every_dialect
def test_one_call_alone_may_be_asked_for(model: Model, dialect: Dialect) -> None:
    rng = random.Random(3)
    one, two = Answer(calls=[SEARCH]).written(dialect), Answer(calls=[SEARCH, CLOCK]).written(dialect)
    with model.grammar(dialect, is_parallel=False) as allowing:
        assert model.allows(allowing, model.ids(one, rng))
        assert not model.allows(allowing, model.ids(two, rng))


@every_dialect
def test_other_calls_are_refused(model: Model, dialect: Dialect) -> None:
    assert dialect.calls is not None
    names = [("find", {}), ("searc", {"query": "a"})] if dialect.calls.marker else []   # else such a text is a text
    values: list[dialects.Call] = [
        ("search", {}), ("search", {"query": "a", "limit": 1.5}), ("search", {"query": "a", "limit": 0}),
        ("search", {"query": "a", "more": 1}), ("search", {"query": "a", "among": [1]}), ("clock", {"query": "a"}),
    ]  # fmt: skip
    with model.grammar(dialect) as allowing:
        for call in [*names, *values]:
            written = Answer(calls=[call]).written(dialect)
            assert not model.allows(allowing, model.ids(written, random.Random(4))), written


def test_equal_tools_share_their_rules(model: Model) -> None:
    tools = {f"tool{i}": TOOLS["search"] for i in range(1000)}
    answer = Answer(calls=[("tool789", {"query": "a"})])
    with model.grammar(ALL[0], tools=tools) as allowing:
        assert model.allows(allowing, model.ids(answer.written(ALL[0]), random.Random(8)))
    with pytest.raises(gemel.ArgumentError, match="tools: there is none that may be called"):
        model.grammar(ALL[0], tools={})


def test_the_schemas_of_all_tools_together_take_limited_work(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "ALL_STEPS", 50_000)
    tools = {f"tool{i}": {"properties": {"a": {"pattern": f"^a{{{i + 30}}}$"}}} for i in range(100)}
    with model.grammar(ALL[0], tools={"tool0": tools["tool0"]}):   # one of them is no problem
        pass
    with pytest.raises(gemel.SchemaError, match=r"tool 'tool\d+': .* it takes too many steps"):
        model.grammar(ALL[0], tools=tools)


# ---- Any split, any end, any text ------------------------------------------------------------------------------------


def joined(dialect: Dialect, pieces: list[str]) -> Any:   # noqa: ANN401
    parts, calls = read_text(dialect, pieces)
    texts = {kind: "".join(part.text for part in parts if part.kind == kind) for kind in ("text", "reasoning")}
    streamed = {call.index: "".join(part.text for part in parts if part.call is call) for call in calls}
    assert streamed == {call.index: call.arguments for call in calls}
    return texts, [(call.name, call.arguments, call.is_complete) for call in calls]


@every_dialect
@given(st.data())
@settings(max_examples=4)
def test_an_answer_is_the_same_however_it_is_split(dialect: Dialect, data: st.DataObject) -> None:
    answer = data.draw(st.sampled_from(list(dialects.answers(dialect))))
    written = answer.written(dialect, data.draw(st.integers(0, WAYS - 1)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(written)))))
    pieces = [written[a:b] for a, b in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    assert joined(dialect, pieces) == joined(dialect, [written]) == joined(dialect, list(written))


@every_dialect
def test_an_answer_that_is_cut_has_the_beginning_of_what_it_says(dialect: Dialect) -> None:
    answer = list(dialects.answers(dialect))[-1]
    written = answer.written(dialect)
    for end in random.Random(5).sample(range(len(written)), min(80, len(written))):
        texts, calls = joined(dialect, [written[:end]])
        for text in texts.values():   # they may have the beginning of a marker, if it ends there
            assert text.strip() in written[:end]
        assert len(calls) <= len(answer.calls)
        for (name, arguments, is_complete), (wanted, values) in zip(calls, answer.calls, strict=False):
            assert name == wanted
            if is_complete:
                assert json.loads(arguments) == values


@every_dialect
@given(st.data())
@settings(max_examples=4)
def test_any_text_is_read(dialect: Dialect, data: st.DataObject) -> None:
    marks = [answer.written(dialect) for answer in dialects.answers(dialect)]
    parts = st.one_of(st.text(max_size=5), st.sampled_from(marks).flatmap(
        lambda mark: st.tuples(st.integers(0, len(mark)), st.integers(0, 30)).map(lambda n: mark[n[0] : n[0] + n[1]])
    ))   # fmt: skip
    pieces = data.draw(st.lists(parts, max_size=8))
    whole = "".join(pieces)
    assert joined(dialect, pieces) == joined(dialect, [whole])
