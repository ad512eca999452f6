"""What a call that generates takes besides its prompt: a limit, stop strings, sampling; also by other programs' names.

And what a chat passes to its template: an option that would have no effect is an error that says where it belongs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.checks import flag, not_whole
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.hints import did_you_mean
from ..core.scalars import whole
from ..text.stops import check_stops
from .grammar import Form, Grammar, form_of
from .sampling import ALIASES, NAMES, Sampling

OTHER_NAMES = {
    "max_new_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "n_predict": "max_tokens",
    "stop_sequences": "stop",
}  # fmt: skip
OF_CHAT = ("system", "n_ctx", "kv_type", "template", "tools")   # parameters of chat()
OF_SEND = (   # of send(), besides COMMON
    "continue_final_message", "add_generation_prompt", "tools", "tool_choice", "parallel_tool_calls",
    "reasoning_budget",
)  # fmt: skip
FORMS = ("grammar", "regex", "choices", "json_schema")   # what an answer may be: one of them
COMMON = ("max_tokens", "stop", "sampling", *FORMS, "strict", "fast_forward", "close_at_max_tokens")   # of every call


@dataclass(frozen=True)
class CallOptions:
    """The options of one call, checked."""

    max_tokens: int | None
    stops: tuple[str, ...]
    sampling: Sampling
    form: Form | Grammar | None = None   # what the answer may be
    fast_forward: bool = True            # evaluate ahead what the form forces
    closes: bool = False                 # end the form's value within max_tokens

    def keywords(self) -> dict[str, Any]:
        """Return these options for another call."""
        return {
            "max_tokens": self.max_tokens, "stop": self.stops, "sampling": self.sampling, "grammar": self.form,
            "fast_forward": self.fast_forward, "close_at_max_tokens": self.closes,
        }  # fmt: skip


def call_options(
    max_tokens: int | None,
    stop: str | Sequence[str] | None,
    sampling: Sampling | None,
    keywords: Mapping[str, object],
    also: Sequence[str] = (),
) -> CallOptions:
    """Return the options of a call. `keywords` are its others; `also` names what else the call takes, for hints.

    TypeError for an unknown keyword, and for two names of one option; None, and -1 of a limit, count as left out.
    """
    fields = dict(keywords)
    given: dict[str, object] = {"max_tokens": None if whole(max_tokens) == -1 else max_tokens, "stop": stop}
    for other, name in OTHER_NAMES.items():
        value = fields.pop(other, None)
        if name == "max_tokens":
            value = limit_of(value, other)
        if value is None:
            continue
        if given[name] is not None:
            raise TypeError(f"{other} is another name of {name}: pass only one of them")
        given[name] = value
    sources = [fields.pop(name, None) for name in FORMS]
    strict = fields.pop("strict", None)
    form = form_of(*sources, strict=True if strict is None else strict)
    fast_forward = flag_of(fields, "fast_forward", default=True)
    closes = flag_of(fields, "close_at_max_tokens", default=False)
    if closes and form is None:
        forms = f"{', '.join(FORMS[:-1])} or {FORMS[-1]}"
        raise ArgumentError(f"close_at_max_tokens: there is nothing to close: pass {forms}")
    check_names(fields, (*COMMON, *also))
    stops = check_stops(given["stop"])   # type: ignore[arg-type]
    return CallOptions(given["max_tokens"], stops, merged(sampling, fields), form, fast_forward, closes)   # type: ignore[arg-type]


def flag_of(fields: dict[str, object], name: str, *, default: bool) -> bool:
    """Take a flag out of the keywords of a call. None counts as left out."""
    value = fields.pop(name, None)
    return default if value is None else flag(name, value)


def limit_of(value: object, name: str = "max_tokens") -> int | None:
    """Return the most ids that a caller wants, None for no limit (None and -1). ArgumentError for anything else.

    name: by which the caller passed it.
    """
    limit = whole(value)
    if value is None or limit == -1:
        return None
    if limit is None or limit < 1:
        raise not_whole(name, value, "an integer of at least 1, or None or -1 (until the context is full)")
    return limit


def check_names(fields: dict[str, object], also: Sequence[str] = ()) -> None:
    """Raise a TypeError for a keyword that is not a field of Sampling."""
    for name in fields:
        if name not in NAMES and name not in ALIASES:
            raise TypeError(f"there is no option {name!r}{did_you_mean(name, (*NAMES, *also, *OTHER_NAMES, *ALIASES))}")


def check_template_options(options: Mapping[str, object], read: Collection[str]) -> None:
    """Raise a TypeError for an option that the chat template does not read. read: the names that it reads."""
    from ..text.messages import RESERVED

    for name in options:
        if name in read and name not in OF_SEND:
            continue
        if name in (*OF_SEND, *COMMON, *OTHER_NAMES, *NAMES, *ALIASES):
            raise TypeError(f"{name} is an option of the answer, not of the chat: pass it to send()")
        hint = did_you_mean(name, [*sorted(set(read).difference(RESERVED, OF_SEND)), *OF_CHAT])
        raise TypeError(f"{name}: this chat template reads no such option{hint}")


def merged(sampling: Sampling | None, changes: dict[str, object]) -> Sampling:
    """Return the Sampling of a call: the given one or the default, with the fields that the call names."""
    if sampling is not None and not isinstance(sampling, Sampling):
        raise ArgumentTypeError(f"sampling must be a gemel.Sampling, not {type(sampling).__name__}")
    return (sampling or Sampling()).with_fields(**changes)   # type: ignore[arg-type]  # it checks
