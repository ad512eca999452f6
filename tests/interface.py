"""What gemel promises, as lines of text: names and parameters of Python, C prototypes, options, fields of requests.

A line is one promise: a parameter, a field, an option. What is added is a line more; what is removed or changed is a
line that the tree lacks. tests/golden/0.1 keeps the lines of a version; docs/compatibility.md says what happens then.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import typer
from gemel_native import cli
from gemel_web.anthropic import wire as anthropic
from gemel_web.llama_cpp import wire as llama_cpp
from gemel_web.ollama import wire as ollama
from gemel_web.openai import wire as openai
from gemel_web.rerank import wire as rerank
from gemel_web.responses import wire as responses

ROOT = Path(__file__).parents[1]
HEADER = ROOT / "core_c" / "include" / "gemel.h"
STATIC = ROOT / "web" / "gemel_web" / "static"
MODULES = ("gemel", "gemel.browser", "gemel.cache", "gemel.profiling", "gemel_web", "gemel_native")
APIS = {
    "openai": openai, "responses": responses, "anthropic": anthropic, "ollama": ollama, "llama_cpp": llama_cpp,
    "rerank": rerank,
}   # fmt: skip
KINDS: dict[Any, str] = {
    inspect.Parameter.POSITIONAL_ONLY: "{at}", inspect.Parameter.POSITIONAL_OR_KEYWORD: "{at} or keyword",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
}   # fmt: skip
REST = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
MADE = ("gemel.Sampling", "gemel.Tool", "gemel_web.Config", "gemel_web.ServedModel", "gemel_web.Served")   # by programs
PROTOCOLS = {"__enter__", "__aenter__", "__iter__", "__aiter__", "__next__", "__len__", "__getitem__", "__await__"}
PRIVATE = {"copy_hint"}


# ---- Python ---------------------------------------------------------------------------------------------------------


def python() -> list[str]:
    """Return the names of the public modules, and what belongs to them."""
    return sorted({line for name in MODULES for line in _module(name)})


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    for one in module.__all__:
        yield from _value(f"{name}.{one}", getattr(module, one))


def _value(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    if inspect.isclass(value) and typing.get_origin(value) is None:
        yield from _class(name, value)
    elif inspect.isroutine(value):
        yield from _function(name, value)
    elif inspect.ismodule(value):
        yield f"{name}: module"
    elif isinstance(value, Mapping | tuple):   # of which programs name members
        yield f"{name}: {type(value).__name__}"
        yield from (f"{name}: has {one!r}" for one in value if isinstance(one, str | int))
    elif typing.get_origin(value) is typing.Literal:
        yield from (f"{name}: may be {one!r}" for one in typing.get_args(value))
    else:
        yield f"{name}: {'type' if typing.get_origin(value) else type(value).__name__}"


def _class(name: str, kind: type) -> Iterator[str]:
    bases = [base.__name__ for base in kind.__mro__[1:] if issubclass(kind, BaseException | Warning)]
    yield f"{name}: class" + (f" of {', '.join(bases[:-1])}" if bases else "")
    if typing.is_typeddict(kind):
        yield from (f"{name}[{field!r}]" for field in typing.get_type_hints(kind))
        return
    if name in MADE:
        yield from _parameters(name, inspect.signature(kind))
    for one in _members(kind):
        found = inspect.getattr_static(kind, one)
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
        if inspect.isfunction(found) and one not in getattr(kind, "__dataclass_fields__", {}):
            yield from _function(f"{name}.{one}", found)
        else:
            yield f"{name}.{one}"
    yield from (f"{name}.{field}" for field in _attributes(kind))


def _members(kind: type) -> list[str]:
    """Return what gemel's classes define: public names, and the methods of Python's protocols."""
    ours = [base for base in kind.__mro__ if base.__module__.partition(".")[0].startswith("gemel")]
    names = {name for base in ours for name in vars(base)}
    return sorted(name for name in names - PRIVATE if not name.startswith("_") or name in PROTOCOLS)


def _attributes(kind: type) -> list[str]:
    """Return the names in the docstrings' Attributes."""
    found = set()
    for base in kind.__mro__:
        docs = inspect.cleandoc(base.__doc__ or "") if base.__module__.startswith("gemel") else ""
        for line in docs.partition("Attributes:\n")[2].partition("\n\n")[0].splitlines():
            found |= set(re.sub(r"^ {4}((?:\w+, )*\w+): .*|.*", r"\1", line).split(", "))
    return sorted(found - {""})


def _function(name: str, function: Any) -> Iterator[str]:  # noqa: ANN401
    kind = "async " if inspect.iscoroutinefunction(function) else ""
    signature = inspect.signature(function)
    result = signature.return_annotation
    yield f"{name}(): {kind}{'' if result is inspect.Signature.empty else result}".rstrip()
    yield from _parameters(name, signature)


def _parameters(name: str, signature: inspect.Signature) -> Iterator[str]:
    at = 0
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind in REST:
            yield f"{name}({REST[parameter.kind]})"
            continue
        at += parameter.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD
        kind = KINDS[parameter.kind].format(at=at)
        default = "" if parameter.default is inspect.Parameter.empty else f" = {_default(parameter.default)}"
        yield f"{name}({parameter.name}{default}): {kind}"


def _default(value: object) -> str:
    return re.sub(r" at 0x[0-9a-f]+|^<(function|class|object) .*", "...", repr(value))


# ---- C --------------------------------------------------------------------------------------------------------------


def c() -> list[str]:
    """Return the prototypes, types and enumerators of gemel.h."""
    text = re.sub(r"//[^\n]*", "", HEADER.read_text(encoding="utf-8"))
    found = [re.sub(r"\s+", " ", one).strip() for one in re.findall(r"GEMEL_API\s+([^#;]+);", text)]
    found += [f"typedef struct {name}" for name in re.findall(r"typedef struct \w+ (\w+);", text)]
    for body, name in re.findall(r"typedef enum \w+\s*\{([^}]*)\}\s*(\w+);", text):
        found += [f"{name}: {re.sub(chr(92) + 's+', ' ', one).strip()}" for one in body.split(",") if one.strip()]
    return sorted(found)


# ---- JavaScript -----------------------------------------------------------------------------------------------------


def javascript() -> list[str]:
    """Return what the declarations export: types, and the members of interfaces and classes."""
    return sorted({line for name in ("gemel", "gemel-chat") for line in _declared(name)})


def _declared(name: str) -> Iterator[str]:
    text = (STATIC / f"{name}.d.ts").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    for part in re.split(r"^export ", text, flags=re.M)[1:]:
        head, brace, body = part.partition("{\n")
        if not brace or not re.match(r"(interface|(declare )?class)\b", head):
            yield f"{name}.js {' '.join(part.split())}"
            continue
        kind = head.split("extends")[0].split()[-1].partition("<")[0]
        yield f"{name}.js {' '.join(head.split())}"
        yield from (f"{name}.js {kind}.{' '.join(one.split())}" for one in _members_of(body))


def _members_of(body: str) -> Iterator[str]:
    """Yield what semicolons of the outermost level end."""
    depth, start = 0, 0
    for at, character in enumerate(body):
        depth += (character in "({[") - (character in ")}]")
        if depth < 0:
            return
        if depth == 0 and character == ";":
            yield body[start:at]
            start = at + 1


# ---- The command line -----------------------------------------------------------------------------------------------


def commands() -> list[str]:
    """Return the commands, their arguments and options. Every name of an option is a line."""
    group: Any = typer.main.get_command(cli.app)
    return sorted({line for name in group.commands for line in _command(name, group.commands[name])})


def _command(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401
    at = 0
    yield f"gemel {name}"
    for one in command.params:
        repeated = ", repeated" if one.multiple or one.nargs == -1 else ""
        if one.param_type_name == "argument":
            at += 1
            yield f"gemel {name}: {'needs' if one.required else 'takes'} argument {at}{repeated}"
            continue
        default = "" if callable(one.default) or one.default in (None, ()) else f" = {one.default}"
        value = "" if one.is_flag else " VALUE"
        for option in one.opts:
            yield f"gemel {name} {option}{value}{default}{repeated}{', needed' if one.required else ''}"
        yield from (f"gemel {name} {option}" for option in one.secondary_opts)


# ---- Requests -------------------------------------------------------------------------------------------------------


def requests(api: str) -> list[str]:
    """Return the fields of an API's requests, with the types of JSON that they take."""
    kinds = [kind for name, kind in vars(APIS[api]).items() if name.endswith("Request") and _is_here(kind, api)]
    kinds += [kind for name, kind in vars(APIS[api]).items() if name == "Named" and _is_here(kind, api)]
    _, parts = msgspec.json.schema_components(kinds, ref_template="{name}")
    return sorted({line for name, part in parts.items() for line in _fields(f"{api} {name}", part)})


def _is_here(kind: Any, api: str) -> bool:  # noqa: ANN401
    return inspect.isclass(kind) and kind.__module__ == APIS[api].__name__


def _fields(name: str, schema: dict[str, Any]) -> Iterator[str]:
    needed = schema.get("required", ())
    for field, kind in schema.get("properties", {}).items():
        yield f"{name}.{field}: {_type(kind)}{', needed' if field in needed else ''}"


def _type(schema: dict[str, Any]) -> str:
    """Return a JSON schema in a few words.

    >>> _type({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]})
    'integer >= 1 | null'
    """
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(repr(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"[{_type(schema.get('items', {}))}]"
    bounds = {"minimum": ">=", "maximum": "<=", "maxLength": "length <="}
    words = [f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema]
    return " ".join([schema.get("type") or schema.get("$ref") or "any", *words])
