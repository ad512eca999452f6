"""A model's chat template: which one, compiled, and what it reads; its texts are rendered in the sandbox."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jinja2
from jinja2 import meta
from jinja2.exceptions import SecurityError

from ..core.checks import sequence, text_or_none
from ..core.errors import ArgumentError, TemplateError
from ..core.hints import did_you_mean
from .messages import RESERVED
from .sandbox import Counted, Sandbox

FIELDS = (
    "role", "content", "name", "tool_calls", "tool_call_id", "function_call", "reasoning_content", "thinking",
    "reasoning", "annotations", "audio", "cache_control", "id", "tool_name",
)   # fmt: skip   # that clients send whatever the template reads
MAX_TEMPLATE = 1 << 20   # characters


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
        return self.render_marked("", messages, values)

    def render_marked(self, marks: str, messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> str:
        """As render(). marks: noncharacters in the texts, which are kept where `tojson` or Python would escape them."""
        try:
            with self._rendering:
                self._sandbox.begin(marks)
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


def check_fields(text: str, messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise ArgumentError for a field of a message that is nearly one of FIELDS and that `text` does not name.

    Others are left to the template, which may read them in ways that its text does not show.
    """
    for i, message in enumerate(messages):
        if message.get("function_call") and "function_call" not in text:
            where = f"messages[{i}].function_call"
            raise ArgumentError(f"{where}: this chat template does not read it: pass tool_calls instead")
        for name in map(str, message):
            hint = "" if name in FIELDS or name in text else did_you_mean(name, FIELDS)
            if hint:
                raise ArgumentError(f"messages[{i}].{name}: this chat template reads no such field{hint}")


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
