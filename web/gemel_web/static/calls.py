"""What the calls of gemel.js take: an unknown option, or a value of the wrong kind, is an error that says what to do.

tab.py asks; what Python checks itself is not repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import gemel

Reads = Callable[[str], bool]
"""reads(name): whether the chat template of a call reads a value of this name."""

SENT = "pass strings, numbers, booleans, arrays and plain objects"
CUTOFF = 0.75    # how similar a name must be to the one that was meant, of 1
BEGINNING = 3    # characters that may stand for a name, if only one name continues them
OF_ANSWERS = (*sorted(gemel.CallFields.__optional_keys__), "max_tokens", "stop", "top_logprobs")
ENDINGS = ("continue_final_message", "add_generation_prompt")
OF_CHAT = ("n_ctx", "kv_type", "template", "tools")   # of Model.chat; the others are Chat.send's
OF_TOOLS = ("tool_choice", "parallel_tool_calls", "reasoning_budget")
IN_PAGE = ("max_rounds", "onCall")   # options of chat that gemel.js keeps
OPTIONS: dict[str, tuple[str, ...]] = {
    "load": ("threads", "isa", "prompt", "cache", "overrides", "draft", "onProgress", "signal"),
    "generate": (*OF_ANSWERS, "special", "n_ctx", "kv_type"),
    "chat": (*OF_ANSWERS, *ENDINGS, *OF_CHAT, *OF_TOOLS, *IN_PAGE, "template_options"),
    "count": ("template", "tools", "template_options", *ENDINGS),
    "embed": ("pooling", "normalize", "truncate_dim", "prompt", "overflow"),
}
BUFFERS = {   # memoryviews' formats
    "b": "an Int8Array", "B": "a Uint8Array", "h": "an Int16Array", "H": "a Uint16Array", "i": "an Int32Array",
    "I": "a Uint32Array", "l": "an Int32Array", "L": "a Uint32Array", "q": "a BigInt64Array", "Q": "a BigUint64Array",
    "f": "a Float32Array", "d": "a Float64Array",
}  # fmt: skip
WANTED = {   # by calls: their subject, where it must not be an array of bytes
    "generate": "pass a string, or ids as an array of integers", "chat": "must be a list of {role, content}",
    "embed": "must be a string or an array of strings", "run": "a program must be a string",
    "delete": "pass a model's name", "offers": "pass hf:owner/repo",
}  # fmt: skip
SYSTEM = 'put a message of role "system" first'
INSTEAD = {   # of unknown options of chat
    "system": f"; {SYSTEM}", "chat_template_kwargs": "; did you mean 'template_options'?",
    "sampling": "; its fields are options themselves, such as temperature",
}  # fmt: skip
OF_PROMPT_IDS = ("self", "prompt", "special", "template", "tools", "continue_final", *ENDINGS)   # its parameters
HI = [{"role": "user", "content": "x"}]
UNREAD = "no_template_reads_this"


def check_subject(call: str, name: str, value: object, kind: str) -> None:
    """Raise a TypeError for an array of bytes as a subject, or inside it. kind: "a Uint8Array", of the subject."""
    if not isinstance(value, memoryview):
        refuse_buffers(value, name)
    elif call in WANTED and (call != "generate" or value.itemsize == 1):
        raise TypeError(f"{name} is {kind}: {WANTED[call]}")


def refuse_buffers(value: object, where: str) -> None:
    """Raise a TypeError for a typed array inside a value: only a prompt may be one."""
    if isinstance(value, memoryview):
        raise TypeError(f"{where} is {BUFFERS.get(value.format, 'an ArrayBuffer')}: {SENT}")
    if isinstance(value, dict):
        for key, one in value.items():
            refuse_buffers(one, f"{where}.{key}")
    elif isinstance(value, list):
        for i, one in enumerate(value):
            refuse_buffers(one, f"{where}[{i}]")


def check_options(call: str, options: Mapping[str, Any], reads: Reads = lambda name: False) -> None:
    """Raise a TypeError for an option that a call does not have, and for a typed array as one."""
    known = OPTIONS.get(call, ())
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"{call}: there is no option {name!r}{_instead(call, name, known, reads)}")
        if name != "prompt" or not isinstance(value, memoryview):
            refuse_buffers(value, name)


def _instead(call: str, name: str, known: tuple[str, ...], reads: Reads) -> str:
    if call == "chat" and name in INSTEAD:
        return INSTEAD[name]
    if call == "chat" and reads(name):
        return f"; the chat template reads it: pass template_options: {{{name}: ...}}"
    meant = _folded(name)
    owners = [other for other, names in OPTIONS.items() if name in names or meant in names]
    if owners and meant not in known:
        return f": it is an option of {' and '.join(owners)}"
    return did_you_mean(name, known)


def _folded(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


def did_you_mean(name: str, known: tuple[str, ...]) -> str:
    """Return the end of an error: a question about the nearest known name, or "" when none is near.

    >>> did_you_mean("kvType", OPTIONS["chat"]), did_you_mean("colour", OPTIONS["chat"])
    ("; did you mean 'kv_type'?", '')
    """
    import difflib  # here: only errors need it, and a tab waits for every import

    meant = _folded(name)
    close = difflib.get_close_matches(meant, known, n=1, cutoff=CUTOFF)
    if not close and len(meant) >= BEGINNING:
        begun = [one for one in known if one.startswith(meant)]
        close = begun if len(begun) == 1 else []
    return f"; did you mean {close[0]!r}?" if close else ""


def check_template_options(values: object, reads: Reads) -> None:
    """Raise a TypeError for a template's options that are not an object, or that are options of the call itself."""
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise TypeError(f"template_options={values!r:.50}: must be an object such as {{enable_thinking: false}}")
    for name in values:
        where = f"template_options.{name}"
        if name == "system":
            raise TypeError(f"{where}: chat does not set it: {SYSTEM}")
        if name in OF_PROMPT_IDS and name not in OPTIONS["chat"]:
            raise TypeError(f"{where}: no template can get a value of this name: leave it out")
        if name in (*OF_CHAT, *ENDINGS) or (name in OPTIONS["chat"] and not reads(name)):
            raise TypeError(f"{where}: {name} is an option of chat: pass it beside template_options")


def reads(model: gemel.Model | None, name: str, options: Mapping[str, Any]) -> bool:
    """Tell whether the template that a chat's options choose reads a value of this name."""
    if model is None or not name.isidentifier() or name in OF_PROMPT_IDS:
        return False
    return _passes(model, name, options) and not _passes(model, UNREAD, options)


def _passes(model: gemel.Model, name: str, options: Mapping[str, Any]) -> bool:
    """Tell whether a template takes an option, or fails for another reason."""
    option: dict[str, Any] = {name: False}
    try:
        model.prompt_ids(HI, template=options.get("template"), tools=options.get("tools"), **option)
    except TypeError:
        return False
    except gemel.GemelError:
        return True
    return True


def continued(messages: list[Any], options: dict[str, Any]) -> list[Any]:
    """Return messages without `prefix`; that of the last one, the assistant's, sets continue_final_message.

    As the server does: an option of the call decides first. ArgumentError for another's `prefix: true`.
    """
    for i, message in enumerate(messages):
        prefix = message.get("prefix") if isinstance(message, dict) else None
        if prefix is not None and not isinstance(prefix, bool):
            raise gemel.ArgumentTypeError(f"messages[{i}].prefix: must be true or false, not {prefix!r:.50}")
        if prefix and message.get("role") != "assistant":
            raise gemel.ArgumentError(f"messages[{i}].prefix: only the assistant's last message can be continued")
    last = messages[-1] if messages and isinstance(messages[-1], dict) else {}
    is_open = options.get("continue_final_message") is None
    if is_open and last.get("role") == "assistant" and last.get("prefix") is not None:
        options["continue_final_message"] = last["prefix"]
    return [
        {key: value for key, value in message.items() if key != "prefix"} if isinstance(message, dict) else message
        for message in messages
    ]
