"""Messages become the ids of a prompt, by a chat template.

The template renders text in the sandbox. Control tokens that the template writes become control ids; those spelled out
in a message, a tool or a document stay plain text. The latter are found by tokenising each text and are marked before
rendering, so that the marks stay with the text whatever the template does to it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ArgumentError, ArgumentTypeError, TemplateError
from .forms import described, formed, needs_descriptions
from .sandbox import NONCHARACTERS, Value
from .template import Vocabulary, check_fields, compiled

DEPTH_MAX = 250   # a schema of a tool has up to 200
GUARDED = ("tools", "documents")   # values of a template that others may have written


def prompt_ids(
    model: Vocabulary,
    text: str,
    messages: Sequence[dict[str, Any]],
    values: Mapping[str, Any],
    *,
    is_open: bool = False,
) -> list[int]:
    """Render messages of plain() with a template; return the ids, without a BOS that the template does not write.

    is_open: the last message goes on: the prompt ends where its content does, without the spaces at its end if the
    template removes those. TemplateError when the template leaves that content out.
    """
    check_fields(text, messages)
    others = {name: values.get(name) for name in GUARDED}
    if others["tools"] and needs_descriptions(text):
        others["tools"] = [described(tool) for tool in others["tools"]]
    opening, closing, end = marks(text, [*messages, others])
    is_control = functools.cache(model.is_control)
    guarded = functools.cache(lambda part: guard(model, is_control, part, opening, closing))   # many parts are equal
    marked = [
        {key: value if key == "role" else map_texts(value, guarded) for key, value in message.items()}
        for message in formed(text, messages)
    ]
    others = {name: map_texts(value, guarded) for name, value in others.items() if name in values}
    if is_open:
        marked[-1]["content"] += end + " "
    rendered = compiled(text).render_marked(
        opening + closing + end, marked, {**token_texts(model), **values, **others}
    )
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
    others = {str(message.get("content") or "").strip() for message in messages[:-1]} - {""}
    return not any(other in rest and other not in before for other in others)


def token_texts(model: Vocabulary) -> dict[str, str]:
    """Return the tokens that templates may use: bos_token and eos_token."""
    named = {"bos_token": model.bos_id, "eos_token": model.eos_id}
    return {
        name: "" if id is None else model.piece(id, special=True).decode("utf-8", "replace")
        for name, id in named.items()
    }


def guard(model: Vocabulary, is_control: Callable[[int], bool], text: str, opening: str, closing: str) -> str:
    """Return a message's text with marks around everything that would be parsed as a control token."""
    while True:
        found = set()
        for part, special in segments(text, opening, closing):
            if special:
                found |= {id for id in set(model.tokenize(part, special=True)) if is_control(id)}
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
    """Return three characters that neither the template nor a message contains, as such or escaped."""
    texts = [template]
    map_texts(list(messages), lambda part: texts.append(part) or part)   # type: ignore[func-returns-value]
    free = [mark for mark in NONCHARACTERS if not any(mark in text or ascii(mark)[1:-1] in text for text in texts)]
    if len(free) < 3:
        raise TemplateError("the messages use nearly all of the noncharacters U+FDD0 to U+FDEF: remove them")
    return free[0], free[1], free[2]


def map_texts(value: Value, change: Callable[[str], str], depth: int = 0) -> Value:
    """Return a copy of nested lists and mappings with every text in them changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if depth > DEPTH_MAX:
        raise ArgumentError(f"messages, tools and documents may be nested {DEPTH_MAX} deep, and these are deeper")
    if isinstance(value, Mapping):
        return {map_texts(key, change): map_texts(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_texts(item, change, depth + 1) for item in value]
    return value
