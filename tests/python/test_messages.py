"""What a chat template would drop, or read wrongly, is an error: messages without a role, tools, what can't go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gemel
import pytest
from gemel.dialect.rows import CALLS
from gemel.model.as_text import instructions

OpenTiny = Callable[..., Any]   # gemel.Model, which also takes what its types do not promise
SHOWN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
ALTERNATING = (
    "{% for m in messages %}{% if m.role != ['user', 'assistant'][loop.index0 % 2] %}{{ raise_exception('no') }}"
    "{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
)
HI = {"role": "user", "content": "Hi"}
CALL = {"id": "call1", "type": "function", "function": {"name": "search", "arguments": {"query": "sky"}}}
ASKED = [HI, {"role": "assistant", "content": "", "tool_calls": [CALL]}, HI]
TOOLS = [{"type": "function", "function": {"name": "search"}}]


@pytest.mark.parametrize(("message", "words"), [
    ({"content": "x"}, r"^messages\[1\].role: it is missing: say who speaks"),
    ({"role": "", "content": "x"}, r"^messages\[1\].role: it is empty: say who speaks"),
    ({"role": None, "content": "x"}, r"^messages\[1\].role: must be a string, such as 'user', not None"),
    ({**HI, "name": 5}, r"^messages\[1\].name: must be a string, not 5"),
    ({**HI, "name": ["Ann"]}, r"^messages\[1\].name: must be a string, not \['Ann'\]"),
])
def test_a_message_says_who_speaks(tiny_model: OpenTiny, message: dict[str, Any], words: str) -> None:
    model = tiny_model(chat_template=SHOWN)
    with pytest.raises(gemel.ArgumentError, match=words):
        model.prompt_ids([HI, message])
    with model.chat() as chat:
        chat.messages += [HI, message]
        with pytest.raises(gemel.ArgumentError, match=words):
            chat.send()


def test_tools_that_a_template_does_not_read_are_texts(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=SHOWN)
    for asked in ([HI], [{"role": "system", "content": "Be brief."}, HI]):
        text = model.detokenize(model.prompt_ids(asked, tools=TOOLS))
        assert '{"name": "search", "parameters": {"type": "object", "properties": {}}}' in text
        assert '<tool_call>\n{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}\n</tool_call>' in text
        assert text.endswith(model.detokenize(model.prompt_ids([HI])))
    assert model.prompt_ids([HI], tools=[]) == model.prompt_ids([HI])
    assert model.prompt_ids([HI], tools=TOOLS, template="{{ tools|length }}") == model.prompt_ids("1")


def test_calls_and_results_that_a_template_does_not_read_are_texts(tiny_model: OpenTiny) -> None:
    model = tiny_model(chat_template=ALTERNATING)
    calls = [{**CALL, "id": "call_1"}, {**CALL, "id": "call_2"}]
    results = [{"role": "tool", "tool_call_id": f"call_{i}", "content": f"{i} found"} for i in (1, 2)]
    text = model.detokenize(
        model.prompt_ids([HI, {"role": "assistant", "content": "Now.", "tool_calls": calls}, *results])
    )
    written = '<tool_call>\n{"name": "search", "arguments": {"query": "sky"}}\n</tool_call>'
    responses = "\n".join(f"<tool_response>\n{i} found\n</tool_response>" for i in (1, 2))
    assert text == f"user: Hi\nassistant: Now.\n{written}\n{written}\nuser: {responses}\n"


@pytest.mark.parametrize("field", ["tool_calls", "function_call"])
def test_calls_that_a_template_reads_in_any_way_reach_it(tiny_model: OpenTiny, field: str) -> None:
    model = tiny_model(chat_template=SHOWN)
    asked: list[dict[str, Any]] = [HI, {"role": "assistant", "content": "", field: [CALL]}, HI]
    model.prompt_ids([HI, {**asked[1], field: []}, HI])
    for template in (f"{{{{ messages[1].{field} }}}}", "{{ messages|tojson }} {# function_call #}"):
        model.prompt_ids(asked, template=template)
    assert json.dumps(CALL["function"]["name"]) in model.detokenize(  # type: ignore[index]
        model.prompt_ids(ASKED, template="{{ messages|tojson }}")
    )


def test_a_function_call_that_a_template_does_not_read_is_refused(tiny_model: OpenTiny) -> None:
    asked: list[dict[str, Any]] = [HI, {"role": "assistant", "content": "", "function_call": CALL["function"]}, HI]
    words = r"^messages\[1\].function_call: this chat template does not read it: pass tool_calls instead"
    with pytest.raises(gemel.ArgumentError, match=words):
        tiny_model(chat_template=SHOWN).prompt_ids(asked)


SAID = [{"role": "user", "content": "Why is it blue?"}, {"role": "assistant", "content": "The light"}]


@pytest.mark.parametrize("template", [
    "{% for m in messages|reverse %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    "{% for m in messages %}{{ m.role }} {{ m.content|reverse }}\n{% endfor %}",
    "{% for m in messages %}{{ m.content|upper }}\n{% endfor %}",
    "{{ messages[1].content }}{{ messages[0].content }}",
])
def test_a_prompt_that_does_not_end_with_the_last_text_is_not_continued(tiny_model: OpenTiny, template: str) -> None:
    model = tiny_model(chat_template=template)
    words = "can't continue the last message: the prompt does not end with its text"
    with pytest.raises(gemel.TemplateError, match=words):
        model.prompt_ids(SAID)
    model.prompt_ids(SAID, add_generation_prompt=True)


@pytest.mark.parametrize(("template", "wanted"), [
    ("{{ messages[1].content }}</s>", "<think>a</think>\n\nThe light"),
    ("{{ messages[1].content.split('</think>')[-1]|trim }}</s>", "The light"),
    ("{{ messages[0].content }}|{{ messages[1].content.split('</think>')[-1].lstrip() }} .",
     "Why is it blue?|The light"),
    ("{{ messages[1].content.split('\\n')[-1] }}{{ 'it' }}", "The light"),
])
def test_a_prompt_may_end_with_a_part_of_the_last_text(tiny_model: OpenTiny, template: str, wanted: str) -> None:
    model = tiny_model(chat_template=template)
    thought = {"role": "assistant", "content": "<think>a</think>\n\nThe light"}
    assert model.prompt_ids([SAID[0], thought]) == model.prompt_ids(wanted)


@pytest.mark.parametrize("gap", ["", "\n", "\n\n", " "])
def test_thoughts_may_be_dropped_behind_a_mark_that_ends_like_theirs(tiny_model: OpenTiny, gap: str) -> None:
    cut = "{% for m in messages %}<{{ m.role }}>{{ m.content.split('</think>')[-1].lstrip() }}{% endfor %}"
    thought = {"role": "assistant", "content": f"<think>\nok then\n</think>{gap}The light"}
    asked = SAID[0]["content"]
    found = tiny_model(chat_template=cut).prompt_ids([SAID[0], thought])
    assert found == tiny_model(chat_template=cut).prompt_ids(f"<user>{asked}<assistant>The light")


@pytest.mark.parametrize("dialect", [row.name for row in CALLS])
def test_instructions_are_written_in_every_dialect(dialect: str) -> None:
    calls = next(row for row in CALLS if row.name == dialect)
    tool = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
    text = instructions([tool], calls)
    assert all(word in text for word in ("search", "NAME", "ARGUMENT", "VALUE"))
