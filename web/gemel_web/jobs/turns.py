"""Messages and tools of a request become the next message of a chat, by the model's chat template.

It happens where the model is evaluated, because a long chat takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gemel

from ..http.errors import invalid
from .answer import Prompts

HI = [{"role": "user", "content": "x"}]
Reads = Callable[[str], bool]
"""Tells whether the chat template reads a value."""


def turns(
    messages: Sequence[Mapping[str, Any]], *, options: Mapping[str, Any],
    values: Callable[[Reads], Mapping[str, Any]], instead: str, values_param: str = "messages",
) -> Prompts:  # fmt: skip
    """Return a function that makes the next message.

    options: keywords of Model.turn, such as tools. values: makes those of the template. instead: what to do with a
    model that has no template. values_param: the request's parameter that values of the template come from.
    """

    def prompts(model: gemel.Model) -> Iterator[gemel.Turn]:
        if not has_template(model):
            raise invalid("messages", f"this model has no chat template: {instead}")
        tools = options.get("tools")
        found = values(lambda name: reads(model, name, tools))
        try:
            yield _turn(model, messages, options, found)
        except gemel.ArgumentTypeError:   # of a message or a tool
            raise
        except TypeError as error:
            raise invalid(values_param, str(error)) from None

    return prompts


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
    """Tell whether the chat template reads a value."""
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
