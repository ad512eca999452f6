"""What a request says about reasoning becomes values of the chat template, and a budget of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..http.errors import invalid, refused
from . import wire
from .sampling import sent

INSTEAD = "limit it with reasoning_budget, or leave it out"


def budget_of(body: wire.ChatRequest) -> int | None:
    """Return the most tokens of reasoning; None: any number."""
    budget: int | None = sent(body, "reasoning_budget")[1]
    return None if budget == -1 else budget


def thinking(body: wire.ChatRequest, options: dict[str, Any], reads: Callable[[str], bool]) -> dict[str, Any]:
    """Return the template's options with those that `think` and `reasoning_effort` mean.

    reads: tells whether the template reads a value. ApiError where nothing reads what is asked for.
    """
    found = dict(options)
    if body.think is not None:
        if not reads("enable_thinking"):
            raise refused("think", f"this model's chat template does not read enable_thinking: {INSTEAD}")
        _put(found, "enable_thinking", body.think, "think")
    effort = body.reasoning_effort
    if effort is not None:
        can_end = effort == "none" and reads("enable_thinking")
        if can_end:
            _put(found, "enable_thinking", False, "reasoning_effort")
        if reads("reasoning_effort"):
            _put(found, "reasoning_effort", effort, "reasoning_effort")
        elif not can_end:
            also = ' It can be "none".' if reads("enable_thinking") else ""
            raise refused("reasoning_effort", f"this model's chat template does not read it: {INSTEAD}.{also}")
    return found


def _put(options: dict[str, Any], name: str, value: object, param: str) -> None:
    if name in options and options[name] != value:
        words = f"it means {name}={value!r}, but another field says {name}={options[name]!r:.50}: send only one"
        raise invalid(param, words)
    options[name] = value
