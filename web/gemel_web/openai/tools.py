"""What a request says about tools becomes keywords of Model.turn, which checks the tools themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..http.errors import invalid
from . import wire

CHOICES = ("auto", "none", "required")
FORMS = (
    '"auto", "none", "required", {"type": "function", "function": {"name": ...}}, '
    'or {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [...]}}'
)


def tools_of(body: wire.ChatRequest) -> dict[str, Any]:
    """Return the keywords of Model.turn for a request's tools."""
    if not body.tools:
        if body.tool_choice not in (None, "auto", "none"):
            raise invalid("tool_choice", "there are no tools: send tools, or leave it out")
        return {}
    choice, allowed = _choice(body.tool_choice, names_of(body.tools))
    return {
        "tools": body.tools, "tool_choice": choice, "allowed_tools": allowed,
        "parallel_tool_calls": body.parallel_tool_calls,
    }  # fmt: skip


def names_of(tools: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Return the names of tools; "" where one has none."""
    found = []
    for tool in tools or ():
        inner = tool.get("function", tool)
        name = inner.get("name") if isinstance(inner, dict) else None
        found.append(name if isinstance(name, str) else "")
    return found


def _choice(given: str | dict[str, Any] | None, names: Sequence[str]) -> tuple[str, list[str] | None]:
    """Return tool_choice and allowed_tools of Model.turn."""
    if given is None or isinstance(given, str):
        if given not in (None, *CHOICES):
            raise invalid("tool_choice", f"must be {FORMS}, not {given[:50]!r}")
        return given or "auto", None
    kind = given.get("type")
    if kind == "function":
        _check(given, ("type", "function"), "tool_choice")
        return "required", [_name(given, "tool_choice", names)]
    if kind != "allowed_tools":
        raise invalid("tool_choice.type" if "type" in given else "tool_choice", f"must be {FORMS}")
    _check(given, ("type", "allowed_tools"), "tool_choice")
    where, allowed = "tool_choice.allowed_tools", given.get("allowed_tools")
    if not isinstance(allowed, dict):
        raise invalid(where, 'must be an object: {"mode": "auto" or "required", "tools": [...]}')
    _check(allowed, ("mode", "tools"), where)
    mode, listed = allowed.get("mode"), allowed.get("tools")
    if mode not in ("auto", "required"):
        raise invalid(f"{where}.mode", 'must be "auto" or "required"')
    if not isinstance(listed, list) or not listed:
        raise invalid(f"{where}.tools", "must be a list of at least one of the request's tools")
    return mode, [_name(one, f"{where}.tools[{i}]", names) for i, one in enumerate(listed)]


def _name(given: object, where: str, names: Sequence[str]) -> str:
    """Return the name in {"type": "function", "function": {"name": ...}}, which must be one of `names`."""
    inner = given.get("function") if isinstance(given, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str) or not isinstance(given, dict) or given.get("type", "function") != "function":
        raise invalid(where, 'must be {"type": "function", "function": {"name": ...}}')
    if name not in names:
        known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise invalid(f"{where}.function.name", f"{name[:100]!r} is not one of the tools: {known[:1000]}")
    return name


def _check(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise invalid(f"{where}.{name[:50]}", f"there is no such field: {', '.join(known)} are allowed")
