"""Turns: an answer's text, reasoning and calls of tools are apart, and calls have the form of their tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gemel
import jsonschema
import pytest
from gemel.model.grammar import Form

OpenTiny = Callable[..., gemel.Model]
CHAT = (
    "{{% for tool in tools or [] %}}{{{{ tool.function.name }}}} {{% endfor %}}"
    "{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{{{{ m.content }}}}"
    "{{% for c in m.tool_calls or [] %}}{{{{ c.function.arguments | tojson }}}}{{% endfor %}}<|im_end|>\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n{end}{{% endif %}}{{# {notes} #}}"
)
NOTES = {   # what tells a dialect, as templates say it
    "hermes": '<tool_call> "arguments"',
    "mistral": "[TOOL_CALLS]",
    "harmony": "<|channel|> <|message|> <|call|>",
    "llama3": "dictionary of argument name and its value",
}
ASKED = [{"role": "user", "content": "the"}]
SHIRT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "order_shirt",
        "description": "Order a shirt.",
        "parameters": {
            "type": "object",
            "properties": {
                "size": {"enum": ["S", "M", "L"]}, "price": {"type": "integer", "minimum": 0, "maximum": 999},
            },
            "required": ["size", "price"],
            "additionalProperties": False,
        },
    },
}  # fmt: skip
CLOCK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "additionalProperties": False}},
}
PARAMETERS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in (SHIRT, CLOCK)}


def template(dialect: str = "hermes", *, thinks: bool = False, end: str = "") -> str:
    """Return a template in a dialect. end: what it writes where an answer begins."""
    return CHAT.format(notes=NOTES[dialect] + " <think> </think>" * thinks, end=end)


def check(generation: gemel.Generation) -> None:
    """Check the calls of an answer."""
    for call in generation.calls:
        if call.is_complete:
            jsonschema.validate(call.values, PARAMETERS[call.name])
        else:
            assert generation.stop_reason == "length"


@pytest.mark.parametrize("dialect", ["hermes", "mistral", "llama3"])
def test_calls_have_the_form_of_their_tools(tiny_model: OpenTiny, dialect: str) -> None:
    model, n_complete = tiny_model(), 0
    for seed in range(5):
        with model.chat(template=template(dialect)) as chat:
            generation = chat.send(
                "the", tools=[SHIRT, CLOCK], tool_choice="required", max_tokens=200, seed=seed, temperature=1.5
            )
            parts = list(generation.parts())
        check(generation)
        assert generation.text == ""
        assert generation.calls
        assert {part.kind for part in parts} == {"call"}
        for call in generation.calls:
            assert "".join(part.text for part in parts if part.call is call) == call.arguments
        n_complete += sum(call.is_complete for call in generation.calls)
    assert n_complete >= 5


@pytest.mark.parametrize(("parameters", "others"), [
    ({"type": "object", "properties": {}}, False), (None, False), ({"type": "object", "required": ["x"]}, True),
    ({"type": "object", "properties": {}, "additionalProperties": True}, True),
    ({"type": "object", "properties": {}, "anyOf": [{"required": ["x"]}]}, True),
])
def test_arguments_without_a_name_are_passed_only_where_the_parameters_speak_of_them(
    tiny_model: OpenTiny, parameters: dict[str, Any] | None, others: bool
) -> None:
    model, tool = tiny_model(), {"type": "function", "function": {"name": "f", "parameters": parameters}}
    form = model.turn(ASKED, template=template(), tools=[tool], tool_choice="required").script(None).first
    assert isinstance(form, Form)
    assert isinstance(form.source, str)
    with model.grammar(form.source) as grammar:
        assert grammar.matches('<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>') == others


def test_a_named_tool_is_the_only_one_that_is_called(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    turn = model.turn(ASKED, template=template(), tools=[SHIRT, CLOCK], tool_choice="clock")
    with model.batch() as batch:
        generation = batch.generate(turn, max_tokens=120, seed=1, temperature=1.0)
        generation.read()
    assert {call.name for call in generation.calls} == {"clock"}


def test_an_answer_may_have_one_call_alone(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template()) as chat:
        generation = chat.send("the", tools=[CLOCK], tool_choice="required", parallel_tool_calls=False, seed=3)
        generation.read()
    assert [call.name for call in generation.calls] == ["clock"]


def test_a_marker_begins_a_whole_call_or_is_never_written(tiny_model: OpenTiny) -> None:
    model, call = tiny_model(), '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'
    allowed = {"auto": (True, True), "required": (False, True), "none": (True, False)}
    for choice, (is_text, is_call) in allowed.items():
        form = model.turn(ASKED, template=template(), tools=[CLOCK], tool_choice=choice).script(None).first
        assert isinstance(form, Form)
        with model.grammar(str(form.source)) as grammar:
            found = [grammar.matches(text) for text in ("a <tool", call, f"{call}\n{call}")]
            assert found == [is_text, is_call, is_call]
            assert not grammar.begins("<tool_call>a")
            assert not grammar.begins(call.replace("clock", "cloak"))
            assert not grammar.begins(f"{call} more")


def test_ids_after_the_end_of_reasoning_are_not_counted(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    reader = model.turn(ASKED, template=template(thinks=True, end="<think>\n"), tools=[CLOCK]).reader(0)
    counts, kinds = [], []
    assert reader is not None
    for id in model.tokenize("hm</think>\n\n<tool_call>"):
        reader.take(id, model.piece(id).decode())
        counts.append(reader.n_reasoning)
        kinds.append(reader.kind)
    closed = len(model.tokenize("hm</think>"))
    assert counts == [*range(1, closed), *[closed - 1] * (len(counts) - closed + 1)]
    assert reader.reasoning == "hm"
    assert "reasoning" not in kinds[closed - 1 :]   # a budget that ends there has nothing to close


def test_reasoning_that_the_prompt_opens_is_apart(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template(thinks=True, end="<think>\n")) as chat:
        generation = chat.send("the", max_tokens=30, reasoning_budget=4, seed=2)
        parts = list(generation.parts())
    assert "".join(part.text for part in parts if part.kind == "reasoning") == generation.reasoning != ""
    assert "".join(part.text for part in parts if part.kind == "text") == generation.text != ""
    assert "think>" not in generation.text + generation.reasoning
    assert chat.messages[-1] == {
        "role": "assistant", "content": generation.text, "reasoning_content": generation.reasoning,
    }  # fmt: skip


@pytest.mark.parametrize("budget", [0, 1, 7])
def test_a_budget_ends_reasoning(tiny_model: OpenTiny, budget: int) -> None:
    model = tiny_model()
    cases: list[dict[str, Any]] = [{}, {"tools": [CLOCK], "tool_choice": "required"}]
    for options in cases:
        with model.chat(template=template(thinks=True, end="<think>\n")) as chat:
            generation = chat.send("the", max_tokens=budget + 60, reasoning_budget=budget, seed=4, **options)
            generation.read()
        raw = model.detokenize(generation.ids)
        assert len(model.tokenize(raw.partition("</think>")[0])) <= budget + 2
        assert bool(generation.reasoning) == bool(budget)
        check(generation)


def test_a_form_is_that_of_the_text_behind_the_reasoning(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template(thinks=True, end="<think>")) as chat:
        generation = chat.send("the", json_schema={"enum": [1, 2]}, reasoning_budget=6, seed=1, max_tokens=60)
        assert generation.read() in ("1", "2")
    assert generation.parsed in (1, 2)
    assert generation.reasoning


def test_the_same_seed_gives_the_same_parts_alone_and_beside_strangers(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    options: dict[str, Any] = {"max_tokens": 80, "temperature": 1.2, "seed": 11}
    text = template(thinks=True, end="<think>")
    made: dict[str, Any] = {"template": text, "tools": [SHIRT, CLOCK], "reasoning_budget": 5}
    turns = [model.turn(ASKED, tool_choice=choice, **made) for choice in ("required", "auto", "none")]
    alone = []
    for turn in turns:
        with model.session() as session:
            generation = session.generate(turn, **options)
            alone.append([(part.kind, part.text) for part in generation.parts()])
    for fast_forward in (True, False):
        with model.batch() as batch:
            many = [batch.generate(turn, fast_forward=fast_forward, **options) for turn in turns]
            for generation, wanted in zip(many, alone, strict=True):
                generation.read()
                assert [(part.kind, part.text) for part in generation.new_parts(0)] == wanted


def test_a_call_that_is_cut_is_no_part_of_the_message(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template()) as chat:
        options: dict[str, Any] = {"tools": [CLOCK], "tool_choice": "required", "parallel_tool_calls": False, "seed": 1}
        whole = chat.send("the", **options)
        whole.read()
        del chat.messages[:]
        generation = chat.send("the", max_tokens=len(whole.ids) - 3, **options)
        generation.read()
    assert generation.stop_reason == "length"
    assert [call.is_complete for call in generation.calls] == [False]
    assert chat.messages[-1] == {"role": "assistant", "content": ""}


def test_a_conversation_goes_on_with_results(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template(), tools=[CLOCK]) as chat:
        chat.send("the", tool_choice="required", parallel_tool_calls=False, seed=1).read()
        call = chat.messages[-1]["tool_calls"][0]
        assert call["function"] == {"name": "clock", "arguments": "{}"}
        chat.messages.append({"role": "tool", "tool_call_id": call["id"], "content": "noon"})
        answer = chat.send(tool_choice="none", max_tokens=5, seed=1)
        answer.read()
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "tool", "assistant"]


def test_a_message_that_goes_on_gets_its_calls(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template(), tools=[CLOCK]) as chat:
        chat.messages += [*ASKED, {"role": "assistant", "content": "Now:"}]
        answer = chat.send(tool_choice="required", parallel_tool_calls=False, seed=1)
        answer.read()
    assert chat.messages[1:] == [
        {"role": "assistant", "content": "Now:", "tool_calls": [answer.calls[0].as_json()]},
    ]  # fmt: skip


def test_stop_strings_are_those_of_the_text(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template(thinks=True, end="<think>")) as chat:
        options: dict[str, Any] = {"reasoning_budget": 6, "max_tokens": 40, "temperature": 1.0, "seed": 6}
        free = chat.send("the", **options, regex=".{20}")
        free.read()
        del chat.messages[:]
        stop = free.text[3:6]
        cut = chat.send("the", **options, regex=".{20}", stop=[stop, free.reasoning[1:3]])
        assert cut.read() == free.text[: free.text.index(stop)]
    assert cut.reasoning == free.reasoning
    assert cut.stop_reason == "stop"


@pytest.mark.parametrize(("options", "words"), [
    ({"tool_choice": "required"}, "there are no tools: pass tools"),
    ({"tools": [CLOCK], "tool_choice": "watch"}, 'must be "auto", "required", "none" or the name of a tool: clock'),
    ({"tools": [CLOCK], "allowed_tools": ["watch"]}, "'watch' is not one of the tools: clock"),
    ({"reasoning_budget": -1}, "reasoning_budget=-1: must be an integer of at least 0"),
])  # fmt: skip
def test_what_has_no_meaning_is_refused(tiny_model: OpenTiny, options: dict[str, Any], words: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=words.replace("(", r"\(")):
        tiny_model().turn(ASKED, template=template(), **options)


def test_a_turn_belongs_to_its_model(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    turn = model.turn(ASKED, template=template())
    with tiny_model().batch() as batch, pytest.raises(gemel.ArgumentError, match="another model's"):
        batch.generate(turn)
    with model.session() as session, pytest.raises(gemel.ArgumentError, match="is_answer has no effect on a turn"):
        session.generate(turn, is_answer=True)
    with pytest.raises(gemel.ArgumentError, match="choices: it can't be combined with tools; a json_schema can be"):
        model.chat(template=template(), tools=[CLOCK]).send("the", choices=["a"])
    with pytest.raises(gemel.ArgumentError, match="json_schema: this model's calls look like other JSON"):
        model.chat(template=template("llama3"), tools=[CLOCK]).send("the", json_schema=True)


def test_an_answer_calls_or_has_the_form_of_its_schema(tiny_model: OpenTiny) -> None:
    model, schema = tiny_model(), {"enum": ["<tool_call>", "a"]}
    found = set()
    with model.batch() as batch:
        for seed in range(6):
            turn = model.turn(ASKED, template=template(), tools=[CLOCK], parallel_tool_calls=False)
            answer = batch.generate(turn, json_schema=schema, seed=seed, temperature=2.0, max_tokens=150)
            answer.read()
            check(answer)
            found.add("call" if answer.calls else answer.parsed)
            if answer.calls:
                with pytest.raises(gemel.AnswerError, match="it calls tools"):
                    _ = answer.parsed
    assert "call" in found
    assert found - {"call"} <= {"<tool_call>", "a"} != found


def test_a_form_is_that_of_the_text_behind_its_marker(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template("harmony")) as chat:
        generation = chat.send("the", json_schema={"enum": [1, 2]}, reasoning_budget=0, seed=1, max_tokens=60)
        generation.read()
        with pytest.raises(gemel.ArgumentError, match="reasoning_budget: with this model"):
            chat.send("the", json_schema={"enum": [1, 2]}, reasoning_budget=5)
    raw = generation._run.model.detokenize(generation.ids)
    assert raw.rpartition("<|message|>")[2] == generation.text
    assert generation.parsed in (1, 2)


def test_arguments_are_read_as_json(tiny_model: OpenTiny) -> None:
    with tiny_model().chat(template=template()) as chat:
        generation = chat.send("the", tools=[SHIRT], tool_choice="required", parallel_tool_calls=False, seed=2)
        generation.read()
    call = generation.calls[0]
    assert call.values == json.loads(call.arguments)
    assert call.as_json()["function"]["name"] == "order_shirt"
