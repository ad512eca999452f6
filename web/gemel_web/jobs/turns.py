"""Messages and tools of a request become the next message of a chat, by the model's chat template.

It happens where the model is evaluated, because a long chat takes time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import gemel

from ..http.errors import invalid
from ..models import NO_DEFAULTS, Defaults
from .answer import Prompts

MOST_READ = 1000   # names that are remembered for a model: clients choose them
_READ: WeakKeyDictionary[gemel.Model, dict[tuple[str, bool], bool]] = WeakKeyDictionary()
HI = [{"role": "user", "content": "x"}]
Reads = Callable[[str], bool]
"""Tells whether the chat template reads a value."""


def turns(
    messages: Sequence[Mapping[str, Any]], *, options: Mapping[str, Any],
    values: Callable[[Reads], Mapping[str, Any]], instead: str, values_param: str = "messages",
    defaults: Defaults = NO_DEFAULTS,
) -> Prompts:  # fmt: skip
    """Return a function that makes the next message.

    options: keywords of Model.turn, such as tools. values: makes those of the template. instead: what to do with a
    model that has no template. values_param: the request's parameter that values of the template come from.
    defaults: of the model, whose messages precede these.
    """
    has_system = any(message.get("role") == "system" for message in messages)
    first = [one for one in defaults.messages if not (has_system and one["role"] == "system")]

    def prompts(model: gemel.Model) -> Iterator[gemel.Turn]:
        if not has_template(model):
            raise invalid("messages", f"this model has no chat template: {instead}")
        tools = options.get("tools")
        found = values(lambda name: reads(model, name, tools))
        try:
            yield _turn(model, [*first, *messages], options, found)
        except gemel.GemelError as error:   # also of a message or a tool
            if not first:
                raise
            raise _shifted(error, len(first)) from error
        except TypeError as error:
            raise invalid(values_param, str(error)) from None

    return prompts


def _shifted(error: gemel.GemelError, n: int) -> gemel.GemelError:
    """Return an error with the request's place of a message, which n of the model's own precede."""
    def place(found: re.Match[str]) -> str:
        i = int(found[1]) - n
        return f"messages[{i}]" if i >= 0 else f"the model's own message {int(found[1])}"

    return type(error)(re.sub(r"^messages\[(\d+)\]", place, str(error)))


def has_template(model: gemel.Model) -> bool:
    """Tell whether a model has a chat template."""
    return model.chat_template is not None or bool(model.chat_templates)


def _turn(
    model: gemel.Model, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any], values: Mapping[str, Any]
) -> gemel.Turn:
    """Return the next message. TypeError for a value that the template does not read, unless it is false or null."""
    try:
        return model.turn(messages, **options, **values)
    except gemel.ArgumentTypeError:
        raise
    except TypeError:
        tools = options.get("tools")
        kept = {
            name: value for name, value in values.items()
            if not (value is None or value is False) or reads(model, name, tools)
        }
        return model.turn(messages, **options, **kept)


def reads(model: gemel.Model, name: str, tools: Sequence[Any] | None = None) -> bool:
    """Tell whether the chat template reads a value, with tools or without. It is rendered once for that."""
    known, key = _READ.setdefault(model, {}), (name, bool(tools))
    if key not in known:
        if len(known) >= MOST_READ:
            known.clear()
        known[key] = _reads(model, name, tools)
    return known[key]


def _reads(model: gemel.Model, name: str, tools: Sequence[Any] | None) -> bool:
    option: dict[str, Any] = {name: False}
    try:
        model.turn(HI, tools=tools, **option)
    except gemel.ArgumentTypeError:   # of a tool
        raise
    except TypeError:
        return False
    except gemel.TemplateError:   # it does not take these messages
        return True
    return True
