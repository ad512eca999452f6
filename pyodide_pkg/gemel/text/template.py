"""A model's chat template and messages become the ids of a prompt.

The template renders text in the sandbox. Control tokens that the template writes become control ids; those spelled out
in a message stay plain text. The latter are found by tokenising each message and are marked before rendering, so that
the marks stay with the text whatever the template does to it.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jinja2
from jinja2 import meta
from jinja2.exceptions import SecurityError

from ..core.checks import sequence, text_or_none
from ..core.errors import ArgumentError, ArgumentTypeError, TemplateError
from ..core.hints import did_you_mean
from .messages import RESERVED
from .sandbox import Counted, Sandbox, Value

FIELDS = (
    "role", "content", "name", "tool_calls", "tool_call_id", "function_call", "reasoning_content", "thinking",
    "reasoning", "annotations", "audio", "cache_control", "id",
)   # fmt: skip   # that clients send whatever the template reads
CALLS = ("tool_calls", "function_call")   # of them, those that ask for something
MAX_TEMPLATE = 1 << 20   # characters
NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]   # never part of text that is exchanged


class Vocabulary(Protocol):
    """What a template needs of a model."""

    name: str

    @property
    def chat_template(self) -> str | None: ...

    @property
    def chat_templates(self) -> Mapping[str, str]: ...

    @property
    def bos_id(self) -> int | None: ...

    @property
    def eos_id(self) -> int | None: ...

    def tokenize(self, text: str, *, special: bool = False) -> list[int]: ...

    def piece(self, id: int, *, special: bool = False) -> bytes: ...

    def is_control(self, id: int) -> bool: ...


class Template:
    """A compiled chat template. TemplateError when it can't be compiled."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEMPLATE:
            raise TemplateError(f"the chat template has {len(text)} characters; the limit is {MAX_TEMPLATE}")
        self._sandbox = Sandbox()
        self._rendering = threading.Lock()   # the sandbox counts one rendering at a time
        self._sandbox.globals["raise_exception"] = _refuse
        try:
            parsed = self._sandbox.parse(text)
            self.names = frozenset(meta.find_undeclared_variables(parsed))   # values that it reads
            tree = Counted().visit(parsed)
            self._template = self._sandbox.from_string(tree)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"the chat template is invalid jinja, line {error.lineno}: {error.message}") from error
        except (jinja2.TemplateError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
            raise TemplateError(f"the chat template can't be compiled: {_said(error)}") from error

    def render(self, messages: Sequence[Mapping[str, Any]], **values: object) -> str:
        """Return the prompt's text. TemplateError when the template refuses, fails, or takes too much."""
        try:
            with self._rendering:
                self._sandbox.begin()
                return self._sandbox.concat(self._template.generate(messages=messages, **values))
        except TemplateError:
            raise
        except SecurityError as error:
            raise TemplateError(f"the chat template was stopped: {_said(error)}{_line(error)}") from error
        except Exception as error:   # a template can raise any exception
            why = _missing(messages) or f"the chat template failed: {_said(error)}{_line(error)}"
            raise TemplateError(why) from error


@functools.lru_cache(maxsize=8)
def compiled(text: str) -> Template:
    """Return the compiled template of a text."""
    return Template(text)


def template_text(model: Vocabulary, template: str | None, tools: Sequence[Any] | None = None) -> str:
    """Return the template to use: the given one, jinja or the name of one of the file's; or else the file's.

    With tools, the file's template "tool_use" comes first.
    """
    text_or_none("template", template)
    if template is not None and "{" in template:
        return template
    named = model.chat_templates
    if template is not None:
        return named.get(template) or _default_named(model, template, named)
    text = named.get("tool_use") if tools else None
    text = text or model.chat_template
    if text is None and named:
        raise TemplateError(f"this file has only named chat templates: pass template= one of {', '.join(named)}")
    if text is None:
        name = model.name.replace("\\", "/").rpartition("/")[2]
        raise TemplateError(
            f"{name} has no chat template (tokenizer.chat_template), so it can't chat. "
            "Use generate() (on the command line: gemel run), or pass a template: chat(template=...)"
        )
    return text


def _default_named(model: Vocabulary, name: str, named: Mapping[str, str]) -> str:
    """Return the file's own template, of the name "default". TemplateError for another name: none has it."""
    text = model.chat_template
    if name == "default" and text is not None:
        return text
    names = ", ".join(["default"] * (text is not None) + sorted(named)) or "none"
    raise TemplateError(
        f"template={name!r:.50} is neither jinja nor the name of a chat template of this file; it has: {names}"
    )


def template_values(tools: Sequence[Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template's values besides messages and tokens. ArgumentError for an option that gemel itself sets.

    Without tools or documents, these are None and not undefined. Transformers does the same.
    """
    if tools is not None:
        sequence("tools", tools, "a list of tools, or None")
    for name in options:
        if name in RESERVED:
            raise ArgumentError(f"{name}: gemel sets this value of the template itself")
    return {"documents": None, **options, "tools": None if tools is None else list(tools)}


def prompt_ids(
    model: Vocabulary,
    text: str,
    messages: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    *,
    is_open: bool = False,
) -> list[int]:
    """Render messages with the template `text` and return the ids, without a BOS that the template does not write.

    is_open: the last message goes on: the prompt ends where its content does, without the spaces at its end if the
    template removes those. TemplateError when the template leaves that content out.
    """
    check_fields(text, messages)
    opening, closing, end = marks(text, messages)
    marked = [
        {
            key: value if key == "role" else map_texts(value, lambda part: guard(model, part, opening, closing))
            for key, value in message.items()
        }
        for message in messages
    ]
    if is_open:
        marked[-1]["content"] += end + " "
    rendered = compiled(text).render(marked, **token_texts(model), **values)
    for i, message in enumerate(messages):   # a template that fails without it has said so
        if "content" not in message and message.get("role") != "assistant":
            raise ArgumentTypeError(f'messages[{i}] has no "content": pass a string')
    if is_open:
        rendered, found, rest = rendered.rpartition(end)
        if not found:
            words = "the prompt does not contain its text"
            raise TemplateError(f"the chat template can't continue the last message: {words}")
        if not is_end(marked, end, rendered, rest):
            words = "the prompt does not end with its text"
            raise TemplateError(f"the chat template can't continue the last message: {words}")
        rendered = rendered if rest.startswith(" ") else rendered.rstrip()
    ids: list[int] = []
    for part, special in segments(rendered, opening, closing):
        ids += model.tokenize(part, special=special)
    return ids


def is_end(messages: Sequence[Mapping[str, Any]], end: str, before: str, rest: str) -> bool:
    """Tell whether a rendering ends with the text of the last message, or a part of it that begins at a word.

    end: the mark behind that text. before, rest: what is rendered before and behind the mark; no other message may be
    in `rest` alone.
    """
    text, shown = messages[-1]["content"].partition(end)[0].rstrip(), before.rstrip()
    pairs = enumerate(zip(reversed(text), reversed(shown), strict=False))
    n = next((i for i, (one, other) in pairs if one != other), min(len(text), len(shown)))   # equal characters
    if text and not any(k == len(text) or not text[-k - 1].isalnum() for k in range(1, n + 1)):
        return False
    others = {str(message.get("content", "")).strip() for message in messages[:-1]} - {""}
    return not any(other in rest and other not in before for other in others)


def check_calls(text: str, messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> None:
    """Raise ArgumentError for calls of tools in a message that a template neither names nor writes."""
    for i, message in enumerate(messages):
        for name in CALLS:
            if not message.get(name) or name in text:
                continue
            bare = {key: value for key, value in message.items() if key != name}
            changed = [*messages[:i], bare, *messages[i + 1 :]]
            template = compiled(text)
            if template.render(messages, **values) == template.render(changed, **values):   # else it writes all fields
                where = f"messages[{i}].{name}"
                raise ArgumentError(f"{where}: this chat template does not read tool calls: leave them out")


def check_tools(tools: Sequence[Any] | None, template: Template) -> None:
    """Raise ArgumentError for tools that a template does not read."""
    if tools and "tools" not in template.names:
        raise ArgumentError("tools: this chat template does not read them: leave them out, or pass another template")


def check_fields(text: str, messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise ArgumentError for a field of a message that is nearly one of FIELDS and that `text` does not name.

    Others are left to the template, which may read them in ways that its text does not show.
    """
    for i, message in enumerate(messages):
        for name in map(str, message):
            hint = "" if name in FIELDS or name in text else did_you_mean(name, FIELDS)
            if hint:
                raise ArgumentError(f"messages[{i}].{name}: this chat template reads no such field{hint}")


def token_texts(model: Vocabulary) -> dict[str, str]:
    """Return the tokens that templates may use: bos_token and eos_token."""
    named = {"bos_token": model.bos_id, "eos_token": model.eos_id}
    return {
        name: "" if id is None else model.piece(id, special=True).decode("utf-8", "replace")
        for name, id in named.items()
    }


def guard(model: Vocabulary, text: str, opening: str, closing: str) -> str:
    """Return a message's text with marks around everything that would be parsed as a control token."""
    while True:
        found = set()
        for part, special in segments(text, opening, closing):
            if special:
                found |= {id for id in set(model.tokenize(part, special=True)) if model.is_control(id)}
        words = {model.piece(id, special=True).decode("utf-8", "replace") for id in found} - {""}
        words = {word for word in words if word in text}
        if not words:
            return text
        pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        fresh = "".join(
            re.sub(pattern, lambda match: opening + match[0] + closing, part) if special else opening + part + closing
            for part, special in segments(text, opening, closing)
        )
        if fresh == text:   # such as a BOS that the tokenizer added itself: it is not in the text
            return text
        text = fresh


def segments(text: str, opening: str, closing: str) -> Iterator[tuple[str, bool]]:
    """Split at the marks into (text, whether special tokens in it count). TemplateError when marks don't pair."""
    for i, part in enumerate(text.split(opening)):
        plain, mark, rest = part.partition(closing)
        if (i > 0) != bool(mark) or closing in rest:
            raise TemplateError("the chat template cuts a message inside a control token: remove the token")
        if i > 0:
            yield plain, False
        if rest if i > 0 else plain:
            yield rest if i > 0 else plain, True


def marks(template: str, messages: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """Return three characters that neither the template nor a message contains."""
    texts = [template]
    for message in messages:
        map_texts(dict(message), lambda part: texts.append(part) or part)   # type: ignore[func-returns-value]
    free = [mark for mark in NONCHARACTERS if not any(mark in text for text in texts)]
    if len(free) < 3:
        raise TemplateError("the messages use nearly all of the noncharacters U+FDD0 to U+FDEF: remove them")
    return free[0], free[1], free[2]


def map_texts(value: Value, change: Callable[[str], str]) -> Value:
    """Return a copy of nested lists and mappings with every text in them changed (keys stay)."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_texts(item, change) for item in value]
    return value


def _missing(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return why a template that failed may have failed: what a message lacks; "" where none lacks anything."""
    for i, message in enumerate(messages):
        if "content" not in message:
            return f'messages[{i}] has no "content", and the chat template fails without it'
    return ""


def _refuse(message: object = "") -> str:
    raise TemplateError(f"the chat template refuses these messages: {str(message)[:500]}")


def _line(error: BaseException) -> str:
    """Return where in the template an error was raised: " (line 3)", or "" where that is unknown."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""


def _said(error: BaseException) -> str:
    words = re.sub(r"\s+", " ", str(error)).strip()
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__
