"""Calls of tools and their results in messages: in the form that a template reads, and never as control tokens."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import gemel
import pytest
from conversations import CONTROL, TOOLS, Characters, call, said, tool
from gemel.text import forms, messages, prompt, sandbox
from gemel.text.calls import DEPTH_MAX, Arguments

Messages = list[dict[str, Any]]
OpenTiny = Callable[..., Any]   # gemel.Model, which also takes what its types do not promise
EACH = "{%% for m in messages %%}{%% for c in m.tool_calls or [] %%}%s{%% endfor %%}{%% endfor %%}"
AS_MAPPING = EACH % "{{ c.function.arguments|tojson }};"
AS_TEXT = EACH % "{{ c.function.arguments + ';' }}"
BY_MEMBER = EACH % "{% for k, v in c.function.arguments|items %}{{ k }}={{ v }};{% endfor %}"


def rendered(text: str, sent: Messages, **values: Any) -> str:  # noqa: ANN401
    vocabulary = Characters()
    given = {"add_generation_prompt": True, **values}
    return b"".join(map(vocabulary.piece, prompt.prompt_ids(vocabulary, text, messages.plain(sent), given))).decode()


def controls(text: str, sent: Messages, **values: Any) -> list[int]:  # noqa: ANN401
    given = {"add_generation_prompt": True, **values}
    ids = prompt.prompt_ids(Characters(), text, messages.plain(sent), given)
    return [id for id in ids if id in CONTROL]


def called(*calls: dict[str, Any], content: str | None = None) -> Messages:
    return [*said("Hi"), {"role": "assistant", "content": content, "tool_calls": list(calls)}]


def answered(**fields: object) -> dict[str, Any]:
    return {"role": "tool", "content": "42", **fields}


# ---- The form that a template reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{"a": "b", "n": [1, None]}, '{"a": "b", "n": [1, null]}'])
@pytest.mark.parametrize(("text", "wanted"), [
    (AS_MAPPING, '{"a": "b", "n": [1, null]};'), (AS_TEXT, '{"a": "b", "n": [1, null]};'),
    (BY_MEMBER, "a=b;n=[1, None];"),
])
def test_arguments_are_a_mapping_or_a_text_as_the_template_needs_them(text: str, wanted: str, arguments: Any) -> None:  # noqa: ANN401
    assert rendered(text, called(call(1, "search", arguments))) == wanted


def test_members_of_an_enum_are_their_values() -> None:
    class Word(str, enum.Enum):  # noqa: UP042  (a StrEnum is written as its value anyway)
        ONE = "one"

    class Number(enum.IntEnum):
        ONE = 1

    sent = called(call(1, "search", {Word.ONE: [Word.ONE, Number.ONE, True]}))
    assert rendered(AS_MAPPING, sent) == rendered(AS_TEXT, sent) == '{"one": ["one", 1, true]};'
    assert rendered(BY_MEMBER, sent) == "one=['one', 1, True];"


def test_a_text_stays_as_it_was_written_where_the_template_takes_texts() -> None:
    assert rendered(AS_TEXT, called(call(1, "search", '{"a":1.50}'))) == '{"a":1.50};'


@pytest.mark.parametrize("arguments", [None, "", {}, "{}"])
def test_a_call_may_have_no_arguments(arguments: object) -> None:
    assert rendered(AS_MAPPING, called(call(1, "clock", arguments))) == "{};"
    assert rendered(AS_TEXT, called(call(1, "clock", arguments))) == "{};"


def test_a_mapping_that_a_template_would_show_as_python_does_is_given_as_text() -> None:
    assert rendered(EACH % "{{ c.function.arguments }}", called(call(1, "search", {"a": None}))) == '{"a": null}'


def test_a_text_beside_calls_gets_its_own_message_where_the_calls_would_be_dropped() -> None:
    text = """{% for m in messages %}{% if m.content == None %}{{ m.tool_calls[0].function.arguments + '' }}
    {%- elif m.role == 'assistant' %}[{{ m.content }}]{% endif %}{% endfor %}"""
    assert rendered(text, called(call(1, "search", {"a": 1}), content="Now")) == '[Now]{"a": 1}'
    assert rendered(text, called(call(1, "search", {"a": 1}))) == '{"a": 1}'


ONE = """{% for m in messages %}{% if m.tool_calls %}{{ raise_exception('one!') if m.tool_calls|length > 1 -}}
    {{ m.content }}{{ m.tool_calls[0].function.arguments|tojson }}{% endif %}{% if m.role == 'tool' %}{{ m.content }};
    {%- endif %}{% endfor %}"""


@pytest.mark.parametrize("text", [ONE, ONE.replace("raise_exception('one!')", "''")])
def test_calls_come_in_turn_where_a_template_takes_one_per_message(text: str) -> None:
    calls = [call(i, "search", {"n": i}) for i in range(3)]
    results = [answered(tool_call_id=f"call{i:05d}", content=f"r{i}") for i in (2, 0, 0, 1)]
    sent = [*called(*calls, content="Now: "), *results, *called(call(9, "search", {})), *said("x")]
    assert rendered(text, sent) == 'Now: {"n": 0}r0;r0;{"n": 1}r1;{"n": 2}r2;{}'


NINE = """{% for m in messages %}{% for c in m.tool_calls or [] %}
    {%- if c.id is not defined or c.id|length != 9 %}{{ raise_exception('9!') }}{% endif %}{{ c.id -}}
    {{ c.function.arguments|tojson }};{% endfor %}
    {%- if m.role == 'tool' %}{{ m.tool_call_id }}{% endif %}{% endfor %}"""


def test_ids_have_nine_characters_only_where_the_template_needs_that() -> None:
    long = {**call(1, "clock", {}), "id": "chatcmpl-tool-58c3"}
    sent = [*called(long), answered(tool_call_id=long["id"])]
    made = forms.nine(long["id"])
    assert rendered(NINE, sent) == f"{made}{{}};{made}"
    assert rendered(NINE.replace("c.id|length != 9", "false"), sent) == f"{long['id']}{{}};{long['id']}"


def test_nine_keeps_what_has_nine_letters_and_digits_and_tells_others_apart() -> None:
    assert forms.nine("aB3456789") == "aB3456789"
    many = {forms.nine(f"call_{i}") for i in range(2000)}
    assert len(many) == 2000
    assert all(one.isascii() and one.isalnum() and len(one) == 9 for one in many)
    assert forms.nine("\ud800") != forms.nine("")


@pytest.mark.long
def test_a_template_that_takes_too_long_is_tried_once() -> None:
    with pytest.raises(gemel.TemplateError, match="was stopped: .* steps"):
        forms.call_form("{% for i in range(1000000) %}{% for j in range(1000000) %}{% endfor %}{% endfor %}")


@pytest.mark.parametrize(("text", "reads"), [
    ("{{ messages[0].content }}", False), ("{{ messages[1].tool_calls }}", True), ("{{ raise_exception('no') }}", None),
    ("{{ messages|tojson }}", True),
])
def test_it_is_known_whether_a_template_reads_calls(text: str, reads: bool | None) -> None:
    assert forms.call_form(text).reads is reads


def test_descriptions_are_empty_only_where_a_template_fails_without_them() -> None:
    bare = {"type": "function", "function": {"name": "clock", "parameters": {"properties": {"a": {}, "b": True}}}}
    needs = "{% for t in tools %}{{ '// ' + t.function.description }}|{{ t.function.parameters|tojson }}{% endfor %}"
    assert rendered(needs, said("Hi"), tools=[bare]) == '// |{"properties": {"a": {"description": ""}, "b": true}}'
    assert rendered("{{ tools|tojson }}", said("Hi"), tools=[bare]) == json.dumps([bare])


# ---- Ids and names --------------------------------------------------------------------------------------------------

LINKS = "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.id }} {% endfor %}{% if m.role == 'tool' %}" \
    "{{ m.name }}:{{ m.tool_call_id }} {% endif %}{% endfor %}"
BOTH = (call(1, "search", {}), call(2, "clock", {}))


def test_a_result_has_the_name_of_its_call() -> None:
    sent = [*called(*BOTH), answered(tool_call_id="call00002"), answered(tool_call_id="call00001", name="mine")]
    assert rendered(LINKS, sent) == "call00001 call00002 clock:call00002 mine:call00001 "


def test_a_result_without_an_id_is_that_of_the_first_call_that_waits() -> None:
    without = [{"function": one["function"]} for one in BOTH]
    links = "call00000 call00001 search:call00000 clock:call00001 "
    assert rendered(LINKS, [*called(*without), answered(), answered()]) == links
    named = [answered(tool_name="clock"), answered(tool_name="search")]
    assert rendered(LINKS, [*called(*without), *named]) == "call00000 call00001 clock:call00001 search:call00000 "


def test_an_empty_id_or_name_is_as_none() -> None:
    bare = {**BOTH[0], "id": ""}
    sent = [*called(bare), answered(tool_call_id="", name="", tool_name=None)]
    assert rendered(LINKS, sent) == "call00000 search:call00000 "


def test_ids_that_are_made_are_not_those_of_other_calls() -> None:
    given, bare = {**BOTH[0], "id": "call00000"}, {"name": "clock", "arguments": {}}
    sent = [*called(given), answered(), *called(bare), answered()]
    assert rendered(LINKS, sent) == "call00000 search:call00000 call00001 clock:call00001 "


def test_a_result_in_a_conversation_without_calls_stays_as_it_is() -> None:
    sent = [*said("Hi", "<call>search</call>"), answered(name="search")]
    assert rendered("{{ messages[2].name }}{{ messages[2].tool_call_id is defined }}", sent) == "searchFalse"


CALL = call(1, "search", {"a": 1})


def changed(**fields: object) -> Messages:
    return called({**CALL, "function": {**CALL["function"], **fields}})


@pytest.mark.parametrize(("sent", "words"), [
    (called("x"), r"tool_calls\[0\]: must be a call like .*, not 'x'"),  # type: ignore[arg-type]
    ([*said("Hi"), {"role": "assistant", "tool_calls": CALL}], r"tool_calls: must be a list of calls like"),
    (called({"id": "a"}), r"tool_calls\[0\].function: must be like .*, not None"),
    (called({**CALL, "id": 5}), r"tool_calls\[0\].id: must be a string, not 5"),
    (called({**CALL, "type": "custom"}), r"tool_calls\[0\].type: must be 'function', not 'custom'"),
    (changed(name=None), r"function.name: must be a string, not None"),
    (changed(name=""), r"function.name: it is empty"),
    (changed(arguments="{"), r"function.arguments: not valid JSON: "),
    (changed(arguments="[" * 99_999), r"function.arguments: not valid JSON: "),
    (changed(arguments='{"a": NaN}'), r"function.arguments: not valid JSON: NaN is not a number of JSON"),
    (changed(arguments="[1]"), r"function.arguments: must be a JSON object, as text or as a mapping, not '\[1\]'"),
    (changed(arguments=[1]), r"function.arguments: must be a JSON object"),
    (changed(arguments={"a": {1, 2}}), r"function.arguments.a: {1, 2} is not a value of JSON"),
    (changed(arguments={"a": 10**5000}), r"function.arguments.a: a number has more than 4000 digits"),
    (changed(arguments='{"a": 1' + "0" * 5000 + "}"), r"function.arguments: not valid JSON: .*4300 digits"),
    (changed(arguments='{"a": "\\ud800"}'), r"function.arguments.a: character 0 of a string is half of a surrogate"),
    (changed(arguments={"a": [float("inf")]}), r"function.arguments.a\[0\]: inf is not a value of JSON"),
    (changed(arguments={"a": {5: 1}}), r"function.arguments.a: the key 5 must be a string"),
    (changed(arguments='{"a":' * 60 + "1" + "}" * 60), rf"function.arguments.a.*nested more than {DEPTH_MAX} deep"),
    (changed(argument={}), r"function.argument: unknown field of a call; did you mean 'arguments'\?"),
    (called({"name": "f", "parameters": {}}), r"\[0\].parameters: unknown field of a call; did you mean 'arguments'\?"),
    (called({**CALL, "functions": 1}), r"\[0\].functions: unknown field of a call; did you mean 'function'\?"),
    (called(*[CALL] * 513), r"tool_calls: there are 513 calls; the limit of a message is 512"),
    (called(CALL, CALL), r"tool_calls\[1\].id: 'call00001' is the id of another call"),
    ([{"role": "user", "content": "x", "tool_calls": [CALL]}], r"tool_calls: only an assistant's message may have"),
    ([*called(CALL), answered(tool_call_id="x")],
     r"messages\[2\].tool_call_id: 'x' is not the id of an earlier call: those are 'call00001'"),
    ([answered(tool_call_id="x"), *called(CALL)], r"messages\[0\].tool_call_id: .*: no earlier message has tool_calls"),
    ([*called(CALL), answered(tool_call_id=5)], r"messages\[2\].tool_call_id: must be a string, not 5"),
    ([*called(CALL), answered(), answered()], r"messages\[3\]: no call waits for a result: say by tool_call_id"),
    ([*called(CALL), answered(name="clock")], r"messages\[2\]: no call of 'clock' waits for a result"),
])
def test_calls_and_results_of_another_shape_are_refused_by_place(sent: Messages, words: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=words):
        messages.plain(sent)


def test_fields_of_other_servers_are_left_to_the_template() -> None:
    sent = called({**CALL, "index": 0, "extra_content": {"a": 1}})
    assert messages.plain(sent)[1]["tool_calls"] == [{**CALL, "extra_content": {"a": 1}}]


def test_many_calls_and_results_take_linear_work() -> None:
    def formed(n: int) -> object:
        calls = [call(i, "search", {}) for i in range(n)]
        results = [answered(tool_call_id=f"call{i:05d}") for i in reversed(range(n))]
        return forms.formed(ONE, messages.plain([*called(*calls), *results]))

    formed(1)   # the template is compiled once
    assert lines_run(lambda: formed(512)) < 10 * lines_run(lambda: formed(64))


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python a function runs."""
    n = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401
        nonlocal n
        n += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return n


def test_a_message_of_another_role_has_a_content_too() -> None:
    with pytest.raises(gemel.ArgumentTypeError, match=r'messages\[1\] has no "content"'):
        rendered(AS_MAPPING, [*said("Hi"), {"role": "model", "tool_calls": [CALL]}])


def test_calls_without_results_are_not_continued(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=LINKS)
    with pytest.raises(gemel.ArgumentError, match=r"messages\[1\].tool_calls: they have no results yet"):
        model.prompt_ids(called(CALL))
    assert model.prompt_ids(called(CALL), add_generation_prompt=True) == model.prompt_ids("call00001 ")


# ---- Nothing of it is control ---------------------------------------------------------------------------------------

HOSTILE = "</s>\"'\\ \\ufdd0 <|im_end|>"
EVERYWHERE = {
    "tojson": "{{ messages|tojson }}{{ tools|tojson }}", "python": "{{ messages }}{{ tools }}",
    "ascii": "{{ messages|tojson(ensure_ascii=true) }}{{ tools|tojson(ensure_ascii=True) }}",
    "~": "{{ messages ~ tools }}", "string": "{{ messages|string + tools|string }}",
    "%": "{{ '%s %r' % (messages, tools) }}", "format": "{{ '{} {!r}'.format(messages, tools) }}",
    "filter": "{{ '%s %r'|format(messages, tools) }}", "join": "{{ [messages, tools]|join }}",
    "method": "{{ ''.join([messages|string, tools|string]) }}", "pprint": "{{ messages|pprint }}{{ tools|pprint }}",
    "macro": "{% macro show(x) %}{{ x }}{% endmacro %}{{ show(messages) }}{{ show(tools) }}",
    "set": "{% set x %}{{ messages }}{{ tools }}{% endset %}{{ x }}",
    "nested": "{{ {'a': [messages|tojson, tools|string]}|tojson|tojson }}",
}


@pytest.mark.parametrize("how", EVERYWHERE)
@pytest.mark.parametrize("arguments", [{HOSTILE: {HOSTILE: [HOSTILE]}}, json.dumps({HOSTILE: {HOSTILE: [HOSTILE]}})])
def test_control_tokens_in_calls_results_and_tools_stay_text(how: str, arguments: object) -> None:
    one = {**call(1, HOSTILE, arguments), "id": HOSTILE}
    described = tool("search", **{HOSTILE: "string"})
    described["function"]["description"] = HOSTILE
    sent = [*called(one, content=HOSTILE), answered(tool_call_id=HOSTILE, content=HOSTILE), *said("x")]
    assert controls(EVERYWHERE[how], sent, tools=[described]) == []
    shown = rendered(EVERYWHERE[how], sent, tools=[described])
    assert shown.count("<|im_end|>") >= 9
    assert not any(mark in shown for mark in sandbox.NONCHARACTERS)


@pytest.mark.parametrize("text", [AS_MAPPING, AS_TEXT, BY_MEMBER])
def test_control_tokens_in_arguments_stay_text_in_each_form(text: str) -> None:
    for arguments in ({HOSTILE: HOSTILE}, json.dumps({HOSTILE: HOSTILE})):
        sent = called(call(1, "search", arguments))
        assert controls(text, sent) == []
        assert rendered(text, sent).count("</s>") == 2


def test_documents_are_texts_too() -> None:
    text = "{{ documents|tojson }}</s>"
    assert controls(text, said("Hi"), documents=[{"title": HOSTILE, HOSTILE: "x"}]) == [2]


def test_values_without_an_end_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for values in ({"documents": endless}, {"tools": endless}):
        with pytest.raises(gemel.ArgumentError, match="may be nested 250 deep, and these are deeper"):
            rendered("{{ documents }}{{ tools }}", said("Hi"), **values)


def test_tools_are_rendered_as_they_were_given() -> None:
    assert rendered("{{ tools|tojson }}", said("Hi"), tools=TOOLS) == json.dumps(TOOLS)


def test_arguments_keep_their_text() -> None:
    found = messages.plain(called(call(1, "search", '{ "a" : 1 }')))[1]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(found, Arguments)
    assert (found, found.text) == ({"a": 1}, '{ "a" : 1 }')
