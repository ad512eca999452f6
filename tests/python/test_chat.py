"""A chat renders the file's own template, keeps control tokens out of messages, and survives a hostile template."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import gemel
import jinja2
import pytest
from conftest import CHATML
from gemel.text import sandbox
from gemel.text.sandbox import NONCHARACTERS
from gemel.text.template import MAX_TEMPLATE, Template, compiled
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

OpenTiny = Callable[..., gemel.Model]
MESSAGES = [
    {"role": "system", "content": "Be  brief."},
    {"role": "user", "content": " Hi,\nthere! "},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "{{ 7 * 7 }} <b>&amp;</b>"},
]
# Shaped as the templates of well-known families are.
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
QWEN = (
    "{%- set ns = namespace(multi_step=true, last=messages|length - 1) -%}\n"
    "{%- for message in messages[::-1] -%}\n"
    "    {%- set index = (messages|length - 1) - loop.index0 -%}\n"
    "    {%- if ns.multi_step and message.role == 'user' and message.content is string"
    " and not (message.content.startswith('<tool>') and message.content.endswith('</tool>')) -%}\n"
    "        {%- set ns.multi_step = false -%}{%- set ns.last = index -%}\n    {%- endif -%}\n{%- endfor -%}\n"
    "{%- macro show(content) -%}{{ content|trim }}{%- endmacro -%}\n"
    "{%- for message in messages %}\n"
    "    {%- if loop.index0 > ns.last %}{% continue %}{% endif %}\n"
    "    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ show(message.content) + '<|im_end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if tools %}{{ tools | map(attribute='name') | join(', ') }} {{ tools[0] | tojson(indent=2) }}{% endif -%}\n"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>' }}{%- endif %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"
)
MARKED = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %};{% endfor %}"
TEMPLATES = [CHATML, LLAMA2, QWEN]


def plain_jinja(template: str, **values: Any) -> str:  # noqa: ANN401
    """Render as the hub's own library does, without limits."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return environment.from_string(template).render(**values)


# ---- Rendering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("prompt", [True, False])
def test_limits_do_not_change_what_a_template_renders(template: str, prompt: bool) -> None:
    values = {
        "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": prompt, "enable_thinking": False,
        "tools": [{"name": "été", "parameters": {"a": [1, 2]}}, {"name": "other"}],
    }
    rendered = compiled(template).render(MESSAGES, **values)
    assert rendered == plain_jinja(template, messages=MESSAGES, **values)
    assert "49" not in rendered


@pytest.mark.long
@given(contents=st.lists(st.text(max_size=20), max_size=4))
@pytest.mark.parametrize("template", TEMPLATES[::2])
def test_any_contents_render_as_without_limits(template: str, contents: list[str]) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    values = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
    assert compiled(template).render(messages, **values) == plain_jinja(template, messages=messages, **values)


def test_generation_tag_is_transparent() -> None:
    assert compiled(MARKED).render([{"content": "a"}, {"content": "b"}]) == "a;b;"


def test_json_is_not_escaped_for_html() -> None:
    template = "{{ messages | tojson }} {{ {'k': 'é<'} | tojson(indent=1, ensure_ascii=true) }}"
    assert compiled(template).render([{"a": "<é'>"}]) == '[{"a": "<é\'>"}] {\n "k": "\\u00e9<"\n}'


def test_date_is_to_be_had() -> None:
    assert compiled("{{ strftime_now('%Y')|int > 2000 }}").render([]) == "True"


def test_messages_are_not_changed_by_a_template() -> None:
    messages = [{"role": "user", "content": "x"}]
    with pytest.raises(gemel.TemplateError, match="stopped"):
        compiled("{% do messages.append(1) %}").render(messages)
    with pytest.raises(gemel.TemplateError, match="stopped"):
        compiled("{% do messages[0].update({'role': 'system'}) %}").render(messages)
    assert messages == [{"role": "user", "content": "x"}]


# ---- Hostile templates ----------------------------------------------------------------------------------------------


def repeated(body: str, start: str = "'aaaaaaaa'") -> str:
    """A template that runs `body` 60 times on ns.x."""
    return "{% set ns = namespace(x=" + start + ") %}{% for i in range(60) %}" + body + "{% endfor %}"


HOSTILE = {
    "endless loops": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "loops over text": "{% set s = 'ab' * 4000 %}{% for a in s %}{% for b in s %}{% endfor %}{% endfor %}",
    "one long range": "{% for i in range(10**9) %}{% endfor %}",
    "a range of 10^18": "{{ range(1000000000000000000)|list }}",
    "doubling by ~": repeated("{% set ns.x = ns.x ~ ns.x %}"),
    "doubling by +": repeated("{% set ns.x = ns.x + ns.x %}"),
    "doubling by a block": repeated("{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
    "doubling lists": repeated("{% set ns.x = ns.x + ns.x %}", "[1, 2]"),
    "lists of lists": repeated("{% set ns.x = [ns.x, ns.x] %}", "[1]") + "{{ ns.x }}",
    "dicts of dicts": repeated("{% set ns.x = {1: ns.x, 2: ns.x} %}", "[1]") + "{{ ns.x|tojson }}",
    "lists by macros": (
        "{% set ns = namespace(x=[1]) %}{% macro m() %}{% set ns.x = varargs %}{% endmacro %}"
        "{% for i in range(60) %}{{ m(ns.x, ns.x) }}{% endfor %}{{ ns.x }}"
    ),
    "repeating text": "{{ 'a' * 10000000000 }}",
    "repeating text from the right": "{{ 10000000000 * 'a' }}",
    "repeating a list": "{{ [1] * 10000000000 }}",
    "a power": "{{ 9 ** 9 ** 9 ** 9 }}",
    "squaring": repeated("{% set ns.x = ns.x * ns.x %}", "10") + "{{ ns.x }}",
    "a wide format": "{{ '%1000000000d' % 1 }}",
    "a wide format filter": "{{ '%1000000000d'|format(1) }}",
    "str.format": "{{ '{:1000000000}'.format(1) }}",
    "centring": "{{ 'a'.center(10000000000) }}",
    "centring by filter": "{{ 'a'|center(10000000000) }}",
    "zeros": "{{ 'a'.zfill(10000000000) }}",
    "tabs": "{{ '\\t'.expandtabs(10000000000) }}",
    "replacing": "{% set a = 'a' * 100000 %}{{ a.replace('a', a) }}",
    "replacing by filter": "{% set a = 'a' * 100000 %}{{ a|replace('a', a) }}",
    "joining": "{% set a = 'a' * 100000 %}{{ a.join(a) }}",
    "joining by filter": "{% set a = 'a' * 100000 %}{{ a|join(a) }}",
    "batches": "{{ [1]|batch(1000000000, 0)|list }}",
    "slices": "{{ [1]|slice(1000000000)|list }}",
    "bytes of an int": "{{ (5).to_bytes(1000000000, 'big') }}",
    "indenting": "{{ 'a'|indent(1000000000) }}",
    "indented json": "{{ [1]|tojson(indent=1000000000) }}",
    "rounding": "{{ 1.5|round(1000000000, 'floor') }}",
    "words of Latin": "{{ lipsum(n=100000000) }}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "a recursive loop": "{% for a in [[1]] recursive %}{{ loop([a, a]) }}{% endfor %}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by filter": "{{ ''|attr('__class__') }}",
    "globals of a macro": "{% macro m() %}{% endmacro %}{{ m.__init__.__globals__ }}",
    "the environment": "{{ self._TemplateReference__context.environment }}",
    "another file": "{% include '/etc/passwd' %}",
    "an import": "{% import 'x' as y %}",
    "a parent": "{% extends 'x' %}",
    "an unknown filter": "{{ 'x'|nothing }}",
    "a missing value": "{{ nothing.at.all }}",
    "a division by zero": "{{ 1 // 0 }}",
    "no jinja": "{% if %}",
    "an unknown tag": "{% frobnicate %}",
    "an open block": "{% for x in messages %}",
    "deep brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep blocks": "{% if true %}" * 3000 + "{% endif %}" * 3000,
    "a long chain": "{{ 1" + " + 1" * 20000 + " }}",
    "too long": " " * (MAX_TEMPLATE + 1),
    "its own refusal": "{{ raise_exception('roles must alternate') }}",
    "a strange refusal": "{{ raise_exception(messages) }}",
    "half a surrogate pair": "{{ '\\ud800' }}",
}


@pytest.mark.long
@pytest.mark.parametrize("template", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_template_is_a_template_error(model: gemel.Model, template: str) -> None:
    with pytest.raises((gemel.TemplateError, gemel.ArgumentError)) as caught:
        model.chat(template=template).send("x", max_tokens=1).read()
    assert len(str(caught.value)) < 1000


def test_limits_leave_room_for_long_conversations() -> None:
    messages = [{"role": ("user", "assistant")[i % 2], "content": "x" * 1000} for i in range(2000)]
    assert len(compiled(QWEN).render(messages, tools=None)) > 2_000_000


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", -1.0)
    with pytest.raises(gemel.TemplateError, match="seconds"):
        Template(CHATML).render(MESSAGES)


def test_output_that_is_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_VALUE", 100)
    with pytest.raises(gemel.TemplateError, match="grows past 100"):
        Template(CHATML).render(MESSAGES * 10)


# ---- Control tokens -------------------------------------------------------------------------------------------------


def controls(model: gemel.Model, ids: list[int]) -> list[int]:
    return [id for id in ids if model.is_control(id)]


def control_texts(model: gemel.Model) -> list[str]:
    return [model.piece(id, special=True).decode() for id in range(model.n_vocab) if model.is_control(id)]


def test_prompt_without_control_tokens_in_messages_is_the_rendering_tokenised(model: gemel.Model) -> None:
    rendered = plain_jinja(CHATML, messages=MESSAGES, add_generation_prompt=True)
    with model.chat() as chat:
        assert chat.prompt_ids(MESSAGES) == model._with_bos(model.tokenize(rendered, special=True))


@pytest.mark.parametrize("template", [CHATML, QWEN])
def test_control_tokens_in_messages_stay_text(model: gemel.Model, template: str) -> None:
    words = control_texts(model)
    assert words
    plain = [{"role": "user", "content": "a b c"}]
    with model.chat(template=template) as chat:
        expected = controls(model, chat.prompt_ids(plain))
        for word in [*words, "".join(words), words[0] * 3, f" {words[-1]}\n", words[0][:-1] + words[0] + words[0][1:]]:
            ids = chat.prompt_ids([{"role": "user", "content": f"a {word} c"}])
            assert controls(model, ids) == expected
            assert word.strip() in model.detokenize(ids, special=True)


@given(data=st.data())
def test_no_mixture_of_texts_and_control_tokens_gets_through(data: st.DataObject) -> None:
    model = opened()
    parts = st.sampled_from([*control_texts(model), "<", "|", ">", "im_", "s", " ", "\n", "é"])
    content = "".join(data.draw(st.lists(parts, max_size=8)))
    with model.chat() as chat:
        expected = controls(model, chat.prompt_ids([{"role": "user", "content": "x"}]))
        ids = chat.prompt_ids([{"role": "user", "content": content}])
        assert controls(model, ids) == expected
        assert content in model.detokenize(ids, special=True)


def opened(models: list[gemel.Model] = []) -> gemel.Model:   # noqa: B006
    from conftest import tiny_bytes

    if not models:
        models.append(gemel.open(tiny_bytes(chat_template=CHATML), threads=1))
    return models[0]


def test_control_tokens_of_a_sentencepiece_model_stay_text(tiny_model: OpenTiny) -> None:
    model = tiny_model(tokenizer="spm", chat_template=LLAMA2)
    word = model.piece(model.eos_id or 0, special=True).decode()
    with model.chat() as chat:
        expected = controls(model, chat.prompt_ids([{"role": "user", "content": "x"}]))
        assert controls(model, chat.prompt_ids([{"role": "user", "content": f"x{word}y"}])) == expected


def test_template_that_cuts_a_control_token_is_an_error(model: gemel.Model) -> None:
    word = control_texts(model)[0]
    with model.chat(template="{{ messages[0].content[:3] }}") as chat:
        assert chat.prompt_ids([{"role": "user", "content": "abcdef"}])
        with pytest.raises(gemel.TemplateError, match="inside a control token"):
            chat.prompt_ids([{"role": "user", "content": word}])


def test_texts_inside_parts_and_tool_calls_are_kept_plain_too(model: gemel.Model) -> None:
    word = control_texts(model)[-1]
    template = "{{ messages[0].content }}{{ messages[0].tool_calls[0].function.arguments|tojson }}"
    call = {"function": {"name": "f", "arguments": {word: [word, 1]}}}
    message = {"role": "assistant", "content": [{"type": "text", "text": word}], "tool_calls": [call]}
    with model.chat(template=template) as chat:
        ids = chat.prompt_ids([message], add_generation_prompt=True)
        assert controls(model, ids) == controls(model, model._with_bos([]))
        assert model.detokenize(ids, special=True).count(word) == 3


def test_noncharacters_in_a_message_change_nothing(model: gemel.Model) -> None:
    content = "\ufdd0\ufdd1" + control_texts(model)[0]
    with model.chat() as chat:
        assert content in model.detokenize(chat.prompt_ids([{"role": "user", "content": content}]), special=True)
        with pytest.raises(gemel.TemplateError, match="U\\+FDD0"):
            chat.prompt_ids([{"role": "user", "content": "".join(NONCHARACTERS)}])


def test_bos_is_there_once(tiny_model: OpenTiny) -> None:
    adds = [("tokenizer.ggml.add_bos_token", "bool", True)]
    for template in (CHATML, "{{ bos_token }}" + CHATML):
        model = tiny_model(chat_template=template, kv=adds)
        with model.chat() as chat:
            ids = chat.prompt_ids([{"role": "user", "content": "x"}])
        assert ids[0] == model.bos_id
        assert ids[1] != model.bos_id or "<|im_start|>" in control_texts(model)


# ---- Conversations --------------------------------------------------------------------------------------------------


def test_conversation_grows_and_only_the_new_part_is_evaluated(model: gemel.Model) -> None:
    with model.chat(system="Be brief.") as chat:
        first = chat.send("one", max_tokens=5, temperature=0)
        assert chat.messages[-1] == {"role": "user", "content": "one"}
        text = first.read()
        assert [message["role"] for message in chat.messages] == ["system", "user", "assistant"]
        assert chat.messages[-1]["content"] == text
        second = chat.send("two", max_tokens=5, temperature=0)
        second.read()
        assert second.timings.n_evaluated < second.timings.n_prompt - len(first.prompt_ids) // 2
        assert "5 messages" in repr(chat)


def test_edited_history_answers_as_a_fresh_chat_would(model: gemel.Model) -> None:
    with model.chat(system="S") as chat, model.chat(system="S") as fresh:
        chat.send("one", max_tokens=5, temperature=0).read()
        chat.send("two", max_tokens=5, temperature=0).read()
        chat.messages[2]["content"] = "edited"
        del chat.messages[3:]
        fresh.messages[:] = [dict(message) for message in chat.messages]
        edited = chat.send("three", max_tokens=8, temperature=0)
        anew = fresh.send("three", max_tokens=8, temperature=0)
        assert edited.read() == anew.read()
        assert edited.ids == anew.ids
        assert edited.timings.n_evaluated < anew.timings.n_evaluated


def test_messages_can_be_answered_as_they_stand(model: gemel.Model) -> None:
    with model.chat() as chat:
        with pytest.raises(gemel.ArgumentError, match="no message to answer"):
            chat.send()
        chat.messages.append({"role": "user", "content": "hi"})
        chat.send(max_tokens=3).read()
        assert [message["role"] for message in chat.messages] == ["user", "assistant"]


def words_of_spaces(model: gemel.Model) -> tuple[int, int]:
    """Return the ids of a word with its space, and of a space alone, in a SentencePiece vocabulary."""
    pieces = [model.piece(id) for id in range(model.n_vocab)]
    word = next(id for id, piece in enumerate(pieces) if piece[:1] == b" " and len(piece) > 3)
    return word, max(id for id, piece in enumerate(pieces) if piece == b" ")   # the first one is a byte's


def test_an_answer_begins_without_the_space_of_its_first_piece(tiny_model: OpenTiny) -> None:
    model = tiny_model(tokenizer="spm", chat_template=LLAMA2)
    for id in words_of_spaces(model):
        text = model.piece(id).decode()
        fields: dict[str, Any] = {"max_tokens": 3, "temperature": 0, "logit_bias": {id: 1000}}
        with model.chat() as chat:
            pieces = list(chat.send("Hello", **fields))
            assert "".join(pieces) == (text * 3)[1:]
            assert "" not in pieces
            assert chat.messages[-1]["content"] == (text * 3)[1:]
            assert chat.send("And?", stop=text * 2, **fields).read() == (text * 3)[1:].partition(text * 2)[0]
        assert model.generate("Hello", **fields).read() == text * 3   # which goes on from a text


def test_an_answer_keeps_a_space_that_the_tokenizer_does_not_add(tiny_model: OpenTiny) -> None:
    adds_none = [("tokenizer.ggml.add_space_prefix", "bool", False)]
    model = tiny_model(tokenizer="spm", chat_template=LLAMA2, kv=adds_none)
    id, _ = words_of_spaces(model)
    with model.chat() as chat:
        text = chat.send("Hello", max_tokens=2, temperature=0, logit_bias={id: 1000}).read()
    assert text == 2 * model.piece(id).decode()


def test_closed_answer_stays_as_far_as_it_got(model: gemel.Model) -> None:
    with model.chat() as chat:
        answer = chat.send("hi", temperature=0)
        piece = next(answer)
        second = chat.send("again", max_tokens=2)   # closes the first
        assert answer.stop_reason == "cancelled"
        assert chat.messages[1] == {"role": "assistant", "content": piece}
        assert [message["role"] for message in chat.messages] == ["user", "assistant", "user"]
        second.read()
        assert len(chat.messages) == 4


def test_answer_that_never_began_leaves_no_trace(model: gemel.Model) -> None:
    with model.chat(system="s") as chat:
        chat.send("hi")   # dropped at once
        chat.send("ho").close()
        assert chat.messages == [{"role": "system", "content": "s"}]


def test_threads_may_render_one_template_at_once() -> None:
    template = compiled(QWEN)
    messages = [{"role": "user", "content": str(i)} for i in range(3000)]
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(template.render(messages))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_after_an_error_the_question_is_not_part_of_the_chat(model: gemel.Model) -> None:
    with model.chat(n_ctx=64) as chat:
        chat.send("hi", max_tokens=2).read()
        before = [dict(message) for message in chat.messages]
        with pytest.raises(gemel.ContextError, match="n_ctx is 64"):
            chat.send("q z " * 200)
        assert chat.messages == before
        answer = chat.send("x", max_tokens=2)
        chat.session.cancel()
        with pytest.raises(gemel.CancelledError):
            answer.read()
        assert chat.messages == before
        chat.send("x", max_tokens=2).read()


def test_model_without_a_template_says_what_to_do(tiny_model: OpenTiny) -> None:
    model = tiny_model()
    with pytest.raises(gemel.TemplateError, match=r"no chat template.*generate\(\).*gemel run.*template="):
        model.chat()
    with model.chat(template=CHATML) as chat:
        assert chat.send("x", max_tokens=1).read() is not None


def test_template_gets_tools_and_options(model: gemel.Model) -> None:
    template = "{{ tools[0].function.name }} {{ flag }} {{ messages|length }}"
    with model.chat(template=template, tools=[{"name": "search"}], flag=7) as chat:
        assert model.detokenize(chat.prompt_ids([])).endswith("search 7 0")
    with pytest.raises(gemel.ArgumentError, match="messages: gemel sets this value"):
        model.chat(template=template, messages=[])


def test_system_message_that_a_template_refuses_is_its_own_words(model: gemel.Model) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role here') }}{% endif %}x"
    with model.chat(system="s", template=template) as chat, pytest.raises(gemel.TemplateError, match="no system role"):
        chat.send("x")


def test_jinja_of_this_machine_has_what_the_sandbox_builds_on() -> None:
    assert tuple(map(int, jinja2.__version__.split(".")[:2])) >= (3, 1)


@pytest.mark.model
def test_real_model_answers_a_question(real_model: gemel.Model) -> None:
    with real_model.chat() as chat:
        answer = chat.send("What is the capital of France? One word.", max_tokens=20, temperature=0)
        assert "Paris" in answer.read()
        assert answer.stop_reason == "eos"
        assert "<|im_end|>" not in answer.text


@pytest.mark.model
def test_real_prompt_has_the_ids_of_its_rendering(real_model: gemel.Model) -> None:
    assert real_model.chat_template is not None
    rendered = plain_jinja(real_model.chat_template, messages=MESSAGES, add_generation_prompt=True)
    with real_model.chat() as chat:
        assert chat.prompt_ids(MESSAGES) == real_model.tokenize(rendered, special=True)


# ---- Ids without a chat ---------------------------------------------------------------------------------------------


def test_prompt_ids_of_messages_are_those_of_a_chat_and_open_no_session(
    model: gemel.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = "{{ tools[0].function.name }} {{ flag }} {{ messages|length }}"
    with model.chat() as chat, model.chat(template=template, tools=[{"name": "search"}], flag=7) as other:
        expected = [chat.prompt_ids(MESSAGES), other.prompt_ids(MESSAGES)]
    monkeypatch.setattr(gemel.Session, "__init__", None)
    assert model.prompt_ids(MESSAGES) == expected[0]
    assert model.prompt_ids(MESSAGES, template=template, tools=[{"name": "search"}], flag=7) == expected[1]


def test_prompt_ids_of_a_text_begin_with_bos_and_ids_are_kept(model: gemel.Model) -> None:
    assert model.prompt_ids("hello") == model._with_bos(model.tokenize("hello"))
    word = control_texts(model)[0]
    assert model.prompt_ids(word, special=True) == model._with_bos(model.tokenize(word, special=True))
    assert model.prompt_ids([3, 1, 2]) == [3, 1, 2]


@pytest.mark.parametrize(("prompt", "options", "words"), [
    ([1, MESSAGES[0]], {}, "mixes messages with other items"),
    (MESSAGES, {"special": True}, "special=True has no effect on messages"),
    ([1], {"special": True}, "special=True has no effect on ids"),
    ("hello", {"template": "x"}, "template has no effect without messages"),
    ("hello", {"tools": []}, "tools has no effect without messages"),
    ([1], {"enable_thinking": False}, "enable_thinking has no effect without messages"),
    (MESSAGES, {"bos_token": "x"}, "bos_token: gemel sets this value"),
])
def test_prompt_ids_refuse_options_without_effect(
    model: gemel.Model, prompt: Any, options: dict[str, Any], words: str  # noqa: ANN401
) -> None:
    with pytest.raises(gemel.ArgumentError, match=words):
        model.prompt_ids(prompt, **options)


def test_a_template_that_fails_for_lack_of_content_says_which_message(model: gemel.Model) -> None:
    template = "{% for m in messages %}{{ m.role + m.content }}{% endfor %}"
    messages = [{"role": "user", "content": "hi"}, {"role": "user"}]
    with pytest.raises(gemel.TemplateError, match=r'messages\[1\] has no "content"'):
        model.prompt_ids(messages, template=template)
