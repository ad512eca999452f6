"""What a request says about tools, thinking and the form of its answer becomes keywords and values of Model.turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import gemel

from ..http.errors import invalid, refused
from ..jobs.turns import Reads
from . import wire

OF_TOOL = ("name", "description", "input_schema", "strict")
NEUTRAL = ("type", "cache_control", "input_examples", "eager_input_streaming", "defer_loading", "allowed_callers")
CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "required"}
THINKING = ("enabled", "adaptive", "disabled")
DISPLAYS = (None, "summarized", "omitted")


def tools_of(body: wire.Prompt) -> list[dict[str, Any]]:
    """Return a request's tools in gemel's form. strict: a schema is enforced wholly, or refused."""
    found = []
    for i, tool in enumerate(body.tools or ()):
        if (kind := tool.get("type")) not in (None, "custom"):
            words = f"{str(kind)[:50]!r} is no tool of this server's: send one with an input_schema"
            raise refused(f"tools[{i}].type", words)
        for name in tool:
            if name not in (*OF_TOOL, *NEUTRAL):
                raise invalid(f"tools[{i}].{name[:50]}", f"there is no such field: {', '.join(OF_TOOL)} are allowed")
        if "input_schema" not in tool:
            raise invalid(f"tools[{i}].input_schema", "this parameter is required")
        given = {name: tool[name] for name in ("name", "description") if tool.get(name) is not None}
        found.append({**given, "parameters": tool["input_schema"], "strict": tool.get("strict") or False})
    return found


def choice_of(body: wire.Prompt) -> dict[str, Any]:
    """Return the keywords of Model.turn for tool_choice."""
    choice = body.tool_choice
    if choice is None:
        return {}
    kind = choice.get("type")
    if not isinstance(kind, str) or kind not in CHOICES:
        raise invalid("tool_choice.type", f"must be one of {', '.join(CHOICES)}")
    known = ("type", "disable_parallel_tool_use", *(["name"] if kind == "tool" else []))
    if unknown := next((name for name in choice if name not in known), None):
        raise invalid(f"tool_choice.{unknown[:50]}", f"there is no such field: {', '.join(known)} are allowed")
    if not body.tools:
        if kind in ("any", "tool"):
            raise invalid("tool_choice", "there are no tools: send tools, or leave it out")
        return {}
    is_single = choice.get("disable_parallel_tool_use")
    if not isinstance(is_single, bool | None):
        raise invalid("tool_choice.disable_parallel_tool_use", "must be true or false")
    found: dict[str, Any] = {"tool_choice": CHOICES[kind], "parallel_tool_calls": not is_single}
    if kind == "tool":
        names = [tool.get("name") for tool in body.tools]
        if (name := choice.get("name")) not in names or not isinstance(name, str):
            known_names = ", ".join(str(one) for one in names[:20])
            raise invalid("tool_choice.name", f"must be one of the tools: {known_names[:1000]}")
        found["allowed_tools"] = [name]
    return found


class Thinking:
    """What a request says about thinking.

    Attributes:
        budget: the most tokens of it; None: any number
        is_shown: whether the answer has its text
    """

    def __init__(self, body: wire.Prompt) -> None:
        given = body.thinking or {}
        self._kind = given.get("type") if given else None
        if body.thinking is not None and self._kind not in THINKING:
            raise invalid("thinking.type", f"must be one of {', '.join(THINKING)}")
        known = {"enabled": ("type", "budget_tokens", "display"), "adaptive": ("type", "display")}
        for name in given:
            if name not in known.get(str(self._kind), ("type",)):
                raise invalid(f"thinking.{name[:50]}", f"there is no such field where the type is {self._kind}")
        self.budget: int | None = given.get("budget_tokens")
        if self.budget is not None and (type(self.budget) is not int or self.budget < 1):
            raise invalid("thinking.budget_tokens", "must be an integer of at least 1")
        if given.get("display") not in DISPLAYS:
            raise invalid("thinking.display", 'must be "summarized" (all of it) or "omitted"')
        self.is_shown = given.get("display") != "omitted"
        self._effort = (body.output_config or {}).get("effort")

    def values(self, model_reasons: Callable[[], bool], reads: Reads) -> Mapping[str, Any]:
        """Return values of the template. Without `thinking` there is none, where the template can turn it off."""
        found: dict[str, Any] = {}
        wants = self._kind in ("enabled", "adaptive")
        if reads("enable_thinking"):
            found["enable_thinking"] = wants
        elif wants and not model_reasons():
            raise refused("thinking", "this model does not reason: leave it out")
        if self._effort is not None:
            if not reads("reasoning_effort"):
                raise refused("output_config.effort", "this model's chat template does not read it: leave it out")
            found["reasoning_effort"] = self._effort
        return found


def form_of(body: wire.Prompt) -> tuple[dict[str, Any], str]:
    """Return the keywords of Batch.generate for the form of the answer, and the parameter that they come from."""
    config = body.output_config or {}
    for name in config:
        if name not in ("effort", "format"):
            raise invalid(f"output_config.{name[:50]}", "there is no such field: effort and format are allowed")
    if not isinstance(config.get("effort"), str | None):
        raise invalid("output_config.effort", "must be a string")
    sent = {"output_config.format": config.get("format"), "output_format": body.output_format}
    named = {name: value for name, value in sent.items() if value is not None}
    if len(named) > 1:
        raise invalid("output_format", "it can't be combined with output_config.format: send only one of them")
    for name, value in named.items():
        if not isinstance(value, Mapping) or value.get("type") != "json_schema" or set(value) != {"type", "schema"}:
            raise invalid(name, 'must be {"type": "json_schema", "schema": ...}')
        if not isinstance(value["schema"], Mapping | bool):
            raise invalid(f"{name}.schema", "must be a JSON schema: an object, true or false")
        return {"json_schema": value["schema"]}, f"{name}.schema"
    return {}, ""


def placed(words: str) -> str:
    """Return an error's words with the request's names for what gemel calls otherwise."""
    if words.startswith("reasoning_budget"):
        return "thinking.budget_tokens" + words.removeprefix("reasoning_budget")
    return re.sub(r"^(tools\[\d+\])\.parameters", r"\1.input_schema", words)


def reasons(model: gemel.Model) -> bool:
    """Tell whether a model's answers may have reasoning."""
    return bool(model.info.reasoning)
