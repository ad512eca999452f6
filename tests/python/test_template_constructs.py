"""Everything that jinja's own immutable sandbox renders is rendered alike; what could grow without bound is refused."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemel
import jinja2
import llama_vectors
import pytest
from gemel.text.sandbox import GenerationTag
from gemel.text.template import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

VALUES: dict[str, Any] = {
    "text": "  The quick brown fox, x=1.  ", "number": 7, "share": 2.5,
    "rows": [{"a": 2, "b": "y"}, {"a": 1, "b": "x"}, {"a": 2, "b": "z"}], "mapping": {"b": 1, "a": "<&>"},
}   # fmt: skip
CONSTRUCTS = [
    # methods of texts, also inside loops, blocks and macros, where jinja adds private keywords to a call
    "{{ text.replace('quick', 'slow').strip().split(',')[0] }}",
    "{% for x in [1, 2] %}{{ text.replace('quick', x|string, 1) }}{{ ', '.join(['a', 'b']) }}{% endfor %}",
    "{% block body %}{{ text.strip().replace('x', 'y') }}{{ '-'.join(mapping) }}{% endblock %}",
    "{% macro m(t) %}{% for c in t %}{{ c.replace('x', 'y') }}{% endfor %}{% endmacro %}{{ m(text) }}",
    "{{ 'ab'.center(9, '*') }}|{{ 'ab'.ljust(5) }}|{{ 'ab'.rjust(5) }}|{{ '7'.zfill(3) }}|{{ 'a\tb'.expandtabs(4) }}",
    "{{ text.title() }}{{ text.find('q') }}{{ text.startswith('  T') }}{{ text.upper().count('O') }}",
    "{{ '{0:>8}|{a!r:^9}|{0:.3f}'.format(share, a='b') }}{{ '{a}-{b}'.format_map(mapping) }}",
    "{% for row in rows %}{{ '{b}={a:03d}'.format(**row) }};{% endfor %}",
    # operators
    "{{ '%5.2f|%-4s|%03d%%' % (share, 'x', 7) }}",
    "{{ '%(a)s-%(b)s' % mapping }}{{ 7 % 3 }}{{ 2 ** 10 }}{{ 2.0 ** 0.5 }}{{ 7 // 2 }}{{ 'a' ~ 1 ~ none }}",
    # filters
    "{{ '%s and %s'|format('a', 5) }}{{ '%(x)s'|format(x=5) }}",
    "{% for key, group in rows|groupby('a') %}{{ key }}:{{ group|map(attribute='b')|join(',') }};{% endfor %}",
    "{% for group in rows|groupby('b') %}{{ group.grouper }}:{{ group.list|length }};{% endfor %}",
    "{% for part in range(7)|batch(3, '-') %}{{ part|join(' ') }}|{% endfor %}",
    "{% for part in range(7)|slice(3) %}{{ part|join(' ') }}|{% endfor %}",
    "{{ 'x'|center(7) }}|{{ 1234567|filesizeformat }}|{{ '<b>'|forceescape }}|{{ mapping|pprint }}",
    "{{ '<p>one</p> two'|striptags }}|{{ text|truncate(9) }}|{{ 'a b/c'|urlencode }}|{{ mapping|urlencode }}",
    "{{ text|wordwrap(10) }}|{{ text|wordwrap(9, wrapstring='+') }}|{{ {'class': 'a', 'id': 1}|xmlattr }}",
    "{{ 'see https://example.org now'|urlize }}|{{ text|indent(2) }}|{{ 2.567|round(1) }}|{{ [3, 1]|sum }}",
    "{{ text|wordcount }}{{ rows|map(attribute='a')|unique|list }}{{ mapping|dictsort }}{{ mapping|items|list }}",
    "{{ rows|selectattr('a', 'equalto', 2)|map(attribute='b')|list }}{{ rows|rejectattr('a', 'odd')|list|length }}",
    # statements
    "{% set ns = namespace(n=0) %}{% for x in range(4) if x % 2 %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
    "{% for row in rows recursive %}{{ loop.index }}{{ loop.last }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% filter upper %}{{ text }}{% endfilter %}{% with a = 1 %}{{ a }}{% endwith %}{% set b %}x{% endset %}{{ b }}",
    "{% macro m2() %}{{ caller(5) }}{% endmacro %}{% call(x) m2() %}{{ x.bit_length() }}{% endcall %}",
    "{{ share.is_integer() }}{{ (1, 2).index(2) }}{{ [1, 1].count(1) }}{{ mapping.get('c', 'none') }}",
    "{{ [[1, 2], [3]]|sum(start=[]) }}{{ [(1,), (2,)]|sum(start=()) }}{{ rows|sum('a') }}{{ [0.5]|sum(start=1) }}",
    "{{ 'abc'.translate({97: 'zz', 98: none}) }}{{ 'abc'.translate(''.maketrans('a', 'x')) }}{{ 'a'.isprintable() }}",
    "{{ 'é'.encode().decode() }}{{ 'a'.encode().hex() }}{{ (5).numerator }}{{ share.as_integer_ratio() }}",
    "{{ ''.__class__ }}{{ '{0.__class__}'.format(1) }}{{ [].append }}: attributes that are not safe are empty",
]
TOOLS = [{"type": "function", "function": {
    "name": "search", "description": "Searches.", "parameters": {
        "type": "object", "properties": {"q": {"type": "string", "description": "what"}, "n": {"type": "integer"}},
        "required": ["q"],
    },
}}]   # fmt: skip
CALLS = [{"id": "call00001", "type": "function", "function": {"name": "search", "arguments": {"q": "x", "n": 2}}}]


def said(*texts: str, system: bool = False) -> list[dict[str, Any]]:
    """Return a conversation: user and assistant in turn."""
    roles = ("user", "assistant")
    first = [{"role": "system", "content": "Be brief."}] if system else []
    return first + [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


CALLED = [*said("Hi"), {"role": "assistant", "content": "", "tool_calls": CALLS},
          {"role": "tool", "content": "42", "tool_call_id": "call00001", "name": "search"}]   # fmt: skip
CONVERSATIONS: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    (said("Hi"), {}),
    (said("Hi", system=True), {}),
    (said("Hi", "Hello", "Why?"), {}),
    (said("a", "b", "c", "d", " e \n", system=True), {}),
    (said("Hi"), {"tools": TOOLS}),
    (said("Hi", system=True), {"tools": TOOLS}),
    (CALLED, {"tools": TOOLS}),
    ([*CALLED, {"role": "assistant", "content": "It is 42."}, *said("ok")], {"tools": TOOLS}),
    ([*said("Hi"), {"role": "assistant", "content": "ok", "reasoning_content": "Hm"}, *said("x")], {}),
    (said("Hi"), {"enable_thinking": False}),
    (said("Hi", "<think>\nHm\n</think>\n\nok", "x"), {}),
    ([*said("a"), *said("b")], {}),
]
REFUSED = [
    ("{{ 'x'.center(10 ** 9) }}", "center takes numbers up to 65536"),
    ("{{ 'x'.ljust(width=10 ** 9) }}", "ljust takes"),
    ("{{ '7'.zfill(10 ** 9) }}", "zfill takes numbers up to 65536"),
    ("{{ '\t'.expandtabs(10 ** 9) }}", "expandtabs takes numbers up to 65536"),
    ("{{ '{:999999999}'.format(1) }}", "str.format takes numbers up to 65536"),
    ("{{ '{:{w}}'.format(1, w=999999999) }}", "str.format takes numbers up to 65536"),
    ("{{ '%999999999d' % 1 }}", "the operator % takes numbers up to 65536"),
    ("{{ '%.999999999f' % 1.5 }}", "the operator % takes numbers up to 65536"),
    ("{{ '%*d' % (999999999, 1) }}", r"takes no width from its arguments \(\*\)"),
    ("{{ '%999999999d'|format(1) }}", "the operator % takes numbers up to 65536"),
    ("{{ 'x'|center(10 ** 9) }}", "center takes numbers up to 65536"),
    ("{{ [1]|batch(10 ** 9, 'x')|list }}", "batch takes numbers up to 65536"),
    ("{{ [1]|slice(10 ** 9)|list }}", "slice takes numbers up to 65536"),
    ("{{ ('x ' * 5000)|wordwrap(1, wrapstring='x' * 5000) }}", "grows past"),
    ("{{ 2 ** 100000 }}", "an integer grows too large"),
    ("{{ ('a' * 10000).translate({97: 'b' * 10000}) }}", "grows past"),
    ("{{ 'é'.encode('punycode') }}", "encode does not take punycode"),
    ("{{ 'a'.encode().decode(encoding='PunyCode') }}", "decode does not take PunyCode"),
    ("{{ 'a'.translate(namespace()) }}", "translate takes a dict, a list or a string"),
    ("{{ ([[1] * 60000] * 200)|sum(start=[]) }}", "a list grows too large"),
]
LINES = [
    ("a\n{{ 'x'.center(10 ** 9) }}", 2), ("a\n{% set l = [] %}\n{{ l.append(1) }}", 3), ("a\n\n{{ 1 / 0 }}", 3),
    ("{% for x in [1] %}\n\n{{ [x]|sum(start='') }}\n{% endfor %}", 3), ("a\n{{ no.such.thing }}", 2),
]   # fmt: skip


@pytest.mark.parametrize(("text", "line"), LINES)
def test_a_failed_template_says_its_line(text: str, line: int) -> None:
    with pytest.raises(gemel.TemplateError, match=rf"the chat template (failed|was stopped): .* \(line {line}\)$"):
        Template(text).render([])


def plain_jinja() -> ImmutableSandboxedEnvironment:
    """Return jinja's sandbox with what transformers adds to it."""
    plain = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do", GenerationTag]
    )

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    plain.filters["tojson"] = lambda value, **more: json.dumps(value, **{"ensure_ascii": False, **more})
    plain.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.datetime.now().strftime(form)}
    return plain


def outcome(render: Callable[..., str], messages: list[dict[str, Any]], values: dict[str, Any]) -> str:
    """Return a rendering, or that there was none."""
    try:
        return render(messages=messages, bos_token="<s>", eos_token="</s>", **values)
    except (jinja2.TemplateError, gemel.TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError):
        return "an error"


def rendered(template: str) -> str:
    return Template(template).render([], **VALUES)


@pytest.mark.parametrize("template", CONSTRUCTS)
def test_a_construct_is_rendered_as_jinjas_sandbox_renders_it(template: str) -> None:
    wanted = plain_jinja().from_string(template).render(messages=[], **VALUES)
    assert wanted
    assert rendered(template) == wanted


@pytest.mark.parametrize(("template", "words"), REFUSED)
def test_what_could_grow_without_bound_is_refused_by_name(template: str, words: str) -> None:
    with pytest.raises(gemel.TemplateError, match=words):
        rendered(template)


def test_an_unknown_filter_is_named_with_its_line() -> None:
    with pytest.raises(gemel.TemplateError, match="line 2: No filter named 'frobnicate'"):
        Template("{{ 1 }}\n{{ 2|frobnicate }}")


@pytest.mark.model
@pytest.mark.long
def test_published_templates_are_rendered_as_jinjas_sandbox_renders_them(vocabularies: Path) -> None:
    n_texts = 0
    for path in llama_vectors.templates(vocabularies):
        text = path.read_text(encoding="utf-8")
        ours, plain = Template(text), plain_jinja().from_string(text)
        for messages, values in CONVERSATIONS:
            for is_prompt in (True, False):
                more = {**values, "add_generation_prompt": is_prompt}
                wanted = outcome(plain.render, messages, more)
                assert outcome(ours.render, messages, more) == wanted, (path.name, messages)
                n_texts += wanted != "an error"
    assert n_texts > 1000
