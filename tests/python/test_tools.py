"""Tools as callers write them: functions, gemel.Tool and dicts; what calls pass to functions; results as texts."""

from __future__ import annotations

import asyncio
import copy
import enum
import functools
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import gemel
import numpy as np
import pydantic
import pytest
from gemel.schema.compiler import compile_schema
from gemel.tools.docstring import described
from gemel.tools.given import N_MAX, SIZE_MAX, tools_of
from gemel.tools.results import result_text

EMPTY = {"type": "object", "properties": {}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclass
class Place:
    city: str
    at: tuple[float, float] | None = None


class Range(TypedDict):
    first: int
    last: int


def weather(place: Place, days: int = 1, unit: Unit = Unit.C, hours: Range | None = None) -> str:
    """Tell the weather of a place.

    It is known for a week, and
    not longer.

    place: where
    days: how many; `days: 7`
        is the most
    """
    return f"{place.city} {days} {unit.name} {hours} {place.at}"


async def later(query: str) -> list[str]:
    """Search."""
    await asyncio.sleep(0)
    return [query]


class Shop:
    """A shop."""

    def order(self, item: Literal["tea", "milk"], n: Annotated[int, "how many"]) -> dict[str, Any]:
        """Order.

        n: not used, for the hint has a text
        """
        return {"item": item, "n": n}

    def __call__(self, item: str) -> str:
        return item


# ---- Functions ------------------------------------------------------------------------------------------------------


def test_a_functions_hints_and_docstring_become_a_tool() -> None:
    (found,) = tools_of([weather])
    assert (found.name, found.function, found.strict) == ("weather", weather, True)
    assert found.description == "Tell the weather of a place.\n\nIt is known for a week, and not longer."
    place = {
        "type": "object", "required": ["city"], "additionalProperties": False,
        "properties": {"city": {"type": "string"}, "at": {"anyOf": [
            {"type": "array", "prefixItems": [{"type": "number"}] * 2, "minItems": 2, "maxItems": 2}, {"type": "null"},
        ]}},
    }  # fmt: skip
    assert found.parameters["properties"] == {
        "place": {"$ref": "#/$defs/Place", "description": "where"},
        "days": {"type": "integer", "description": "how many; `days: 7` is the most", "default": 1},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "hours": {"anyOf": [{"$ref": "#/$defs/Range"}, {"type": "null"}]},
    }
    assert (found.parameters["required"], found.parameters["additionalProperties"]) == (["place"], False)
    assert found.parameters["$defs"]["Place"] == place
    assert compile_schema(found.parameters).warnings == ()


def test_methods_partials_and_objects_are_functions_too() -> None:
    shop = Shop()
    order, called, part = tools_of([shop.order, shop, functools.partial(weather, days=3)])
    assert (order.name, order.description) == ("order", "Order.")
    assert order.parameters["properties"] == {
        "item": {"type": "string", "enum": ["tea", "milk"]}, "n": {"type": "integer", "description": "how many"},
    }
    assert (called.name, called.description, list(called.parameters["properties"])) == ("Shop", "A shop.", ["item"])
    assert (part.name, list(part.parameters["properties"])) == ("weather", ["place", "unit", "hours"])
    assert part.call({"place": {"city": "Oslo"}}) == "Oslo 3 C None None"
    assert called.call({"item": "tea"}) == "tea"


class Leaf(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=3)
    below: list[Leaf] = []


class Box(pydantic.BaseModel):
    first: Place
    leaf: Leaf | None = None


def grow(
    leaf: Leaf, place: Place, box: Box, names: Sequence[str] = (), more: Mapping[str, Sequence[int]] | None = None
) -> list[Any]:
    return [leaf, place, box, names, more]


def test_models_of_pydantic_are_types_of_parameters() -> None:
    (found,) = tools_of([grow])
    places = {name: schema for name, schema in found.parameters["$defs"].items() if name.startswith("Place")}
    assert len(places) == 2   # the dataclass as it is read here, and as pydantic reads it
    assert compile_schema(found.parameters).warnings == ()
    values = {
        "leaf": {"name": "a", "below": [{"name": "b"}]}, "place": {"city": "x"}, "box": {"first": {"city": "y"}},
        "names": ["z"], "more": {"m": [1.0]},
    }
    leaf, place, box, names, more = found.call(values)
    assert (leaf.below[0], place, box.first, names, more) == (Leaf(name="b"), Place("x"), Place("y"), ["z"], {"m": [1]})
    with pytest.raises(gemel.AnswerError, match="#/leaf: Leaf refuses it: #/name: .* at most 3 characters"):
        found.call({**values, "leaf": {"name": "long"}})


def test_a_function_without_parameters_or_docstring_is_a_tool() -> None:
    def now() -> str:
        return "12:00"

    (found,) = tools_of([now])
    parameters = {"type": "object", "properties": {}, "additionalProperties": False}
    assert found.as_json() == {"type": "function", "function": {"name": "now", "parameters": parameters}}
    assert found.call({}) == "12:00"


def test_a_function_is_a_tool_by_itself_too() -> None:
    assert (gemel.Tool.of(weather),) == tools_of([weather])
    with pytest.raises(gemel.ArgumentTypeError, match=r"^function=5 \(int\): must be a function with type hints"):
        gemel.Tool.of(5)  # type: ignore[arg-type]


def bare(city) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    ...


def positional(city: str, /) -> None: ...
def many(*cities: str) -> None: ...
def named(**cities: str) -> None: ...
def of_set(cities: set[str]) -> None: ...
def of_unknown(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(("function", "words"), [
    (bare, r"tools\[0\] \(bare\): the parameter city has no type: write, for example, city: str"),
    (Shop.order, r"tools\[0\] \(order\): the parameter self has no type"),
    (positional, "the parameter city: 'str' is positional-only, but a call has names: leave the / out"),
    (many, "the parameter .*cities: 'str' takes any number of arguments"),
    (named, "the parameter .*cities: 'str' takes any names"),
    (of_set, r"tools\[0\] \(of_set\): the parameter cities: the type set\[str\] has no schema here"),
    (of_unknown, "its types can't be read: name 'Nowhere' is not defined: define what they name at the top"),
    (lambda: 1, r"tools\[0\]: a lambda has no name"),
    (Place, r"tools\[0\]=<class .* \(type\): must be a function with type hints, a gemel.Tool, or a dict like"),
    (print, r"tools\[0\] \(print\): the parameter \*args takes any number"),
    (5, r"tools\[0\]=5 \(int\): must be a function"),
])
def test_what_no_call_can_pass_is_refused_by_name(function: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(gemel.ArgumentTypeError if "Nowhere" not in words else gemel.ArgumentError, match=words):
        tools_of([function])


@pytest.mark.parametrize(("doc", "description", "texts"), [
    (None, "", {}),
    ("Add.", "Add.", {}),
    ("Add.\n\nArgs:\n    a: one\n        more: text\n    b (int, optional): two\n\nReturns:\n    a: sum\n", "Add.",
     {"a": "one more: text", "b": "two"}),
    ("Add.\n\nArguments:\n    a: one\nNot of a.\n", "Add.", {"a": "one"}),
    ("Add\nthem.\n\nParameters\n----------\na : int\n    one\n    more\n\n    and more\nb, c\n    two\n\n"
     "Returns\n-------\nint\n    a sum", "Add them.", {"a": "one more and more", "b": "two", "c": "two"}),
    ("Add.\n\n:param a: one\n    more\n:param int b: two\n:returns: a sum\n:rtype: int", "Add.",
     {"a": "one more", "b": "two"}),
    ("Add.\n\na: one\nmore\nb, c: two\n\nMore about it.\n", "Add.", {"a": "one more", "b": "two", "c": "two"}),
    ("Add:\n- this\n- that\n\nNote: x: y\n\nx: z", "Add:\n- this\n- that\n\nNote: x: y\n\nx: z", {}),
    ("Add.\n\nExamples:\n    a: one", "Add.", {}),
    ("\n    Add.\n\n    Args:\n        *a: one\n    ", "Add.", {"a": "one"}),
])
def test_docstrings_of_the_usual_styles_are_read(doc: str | None, description: str, texts: dict[str, str]) -> None:
    assert described(doc, ["a", "b", "c"]) == (description, texts)


# ---- Calls ----------------------------------------------------------------------------------------------------------


def test_a_call_gets_the_types_of_the_function() -> None:
    (found,) = tools_of([weather])
    values = {
        "place": {"city": "Oslo", "at": [59.9, 10]}, "days": 2.0, "unit": "fahrenheit",
        "hours": {"first": 1, "last": 2},
    }
    assert found.call(values) == "Oslo 2 F {'first': 1, 'last': 2} (59.9, 10.0)"
    assert found.call({"place": {"city": "Oslo"}}) == "Oslo 1 C None None"


@pytest.mark.parametrize(("values", "words"), [
    ({}, "the call of weather does not fit its function: there is no 'place'"),
    ({"place": {"city": 5}}, "#/place/city: 5 is not of type str"),
    ({"place": {"city": "x"}, "day": 1}, r"there is no parameter 'day'; did you mean 'days'\?"),
    ({"place": {"city": "x"}, "unit": "K"}, "#/unit: 'K' is not one of the constants"),
    ([1], r"the call of weather has \[1\] as arguments, not an object"),
])
def test_arguments_that_do_not_fit_are_an_answer_error(values: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(gemel.AnswerError, match=words):
        tools_of([weather])[0].call(values)


def test_an_async_function_gives_what_is_awaited() -> None:
    (found,) = tools_of([later])
    assert asyncio.run(found.call({"query": "sky"})) == ["sky"]


def test_a_tool_may_have_a_schema_and_a_function() -> None:
    def search(query, **more):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        return query, more

    found = gemel.Tool("search", "Search.", {"properties": {"query": {}}}, function=search)
    assert found.call({"query": [1], "n": 2}) == ([1], {"n": 2})
    assert gemel.Tool("w", parameters=SCHEMA, function=weather).call({"place": {"city": "x"}}) == "x 1 C None None"
    with pytest.raises(gemel.ArgumentError, match="the tool clock has no function: answer its calls by messages"):
        gemel.Tool("clock").call({})
    with pytest.raises(ZeroDivisionError):   # what a function raises is the caller's
        gemel.Tool("divide", function=lambda: 1 // 0).call({})


def test_tools_are_values() -> None:
    found = gemel.Tool("clock", parameters=SCHEMA)
    assert found == gemel.Tool("clock", parameters=dict(SCHEMA)) != gemel.Tool("clock")
    assert len({found, gemel.Tool("clock", parameters=SCHEMA)}) == 1
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
    with pytest.raises(AttributeError):
        found.name = "x"  # type: ignore[misc]


# ---- Dicts ----------------------------------------------------------------------------------------------------------


def test_dicts_have_openais_form_or_its_inner_part() -> None:
    inner = {"name": "weather", "description": "Tell it.", "parameters": SCHEMA}
    outer = {"type": "function", "function": inner}
    wanted = (gemel.Tool("weather", "Tell it.", SCHEMA),)
    for one in (outer, inner, {"type": "function", **inner}, wanted[0]):
        assert tools_of([one]) == wanted
    assert wanted[0].as_json() == outer
    assert list(wanted[0].as_json()["function"]) == ["name", "description", "parameters"]
    assert tools_of(None) == tools_of([]) == ()


@pytest.mark.parametrize("parameters", [None, {}, EMPTY, {"properties": {}}])
def test_parameters_may_be_missing(parameters: object) -> None:
    assert tools_of([{"name": "clock", "parameters": parameters}])[0].parameters == EMPTY
    assert tools_of([{"name": "clock"}])[0].as_json()["function"] == {"name": "clock", "parameters": EMPTY}


def test_strict_stands_inside_or_beside() -> None:
    one = {"name": "clock"}
    for loose in ({**one, "strict": False}, {"function": {**one, "strict": False}}, {"function": one, "strict": False}):
        assert not tools_of([loose])[0].strict
    assert tools_of([{**one, "strict": None}])[0].strict
    assert tools_of([{**one, "cache_control": {"type": "ephemeral"}}])[0].strict


def test_a_schema_may_lead_to_its_object() -> None:
    schema = {"$ref": "#/$defs/a~1b", "$defs": {"a/b": SCHEMA}}
    assert tools_of([{"name": "x", "parameters": schema}])[0].parameters == schema


def inside(**fields: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "x", **fields}}


@pytest.mark.parametrize(("one", "words"), [
    ({"type": "function"}, r"tools\[1\].function=None \(NoneType\): must be like"),
    ({"function": "x"}, r"tools\[1\].function='x' \(str\): must be like"),
    ({"type": "web_search"}, r"tools\[1\].type: must be 'function', not 'web_search'"),
    ({"description": "x"}, r"tools\[1\]: it has no name: add one"),
    (inside(name=5), r"tools\[1\].function.name=5 \(int\): must be a string"),
    (inside(description=5), r"tools\[1\].function.description=5 \(int\): must be a string, or None"),
    (inside(description="\ud800"), r"tools\[1\].function.description: character 0 of a string is half of a surrogate"),
    (inside(parameters=[1]), r"tools\[1\].function.parameters=\[1\] \(list\): must be the JSON schema of an object"),
    (inside(parameters={"type": "array"}), r"function.parameters: the schema has the type 'array': arguments are an"),
    (inside(parameters={"type": ["object", "null"]}), r"the schema has the type \['object', 'null'\]"),
    (inside(parameters={"enum": [1]}), r"function.parameters: the schema has no type"),
    (inside(parameters={"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), r"\$ref: '#/\$defs/a' leads to"),
    (inside(parameters={"type": "object", "properties": [1]}), r"function.parameters.properties=\[1\]"),
    (inside(parameters={"properties": {"a": {"enum": [{1}]}}}), r"properties.a.enum\[0\]: \{1\} is not a val"),
    (inside(parameters={"properties": {5: {}}}), r"function.parameters.properties: the key 5 must be a string"),
    (inside(strict="yes"), r"tools\[1\].function.strict='yes' \(str\): must be True or False"),
    (inside(paramters={}), r"tools\[1\].function.paramters: unknown field of a tool; did you mean 'parameters'\?"),
    ({"name": "x", "input_schema": {}}, r"tools\[1\].input_schema: unknown field of a tool; did you mean 'parameters'"),
    ({"type": "function", "function": {"name": "x"}, "functions": 1}, r"tools\[1\].functions: unknown field of a tool"),
    ({"name": "clock"}, r"tools\[1\]: 'clock' is also the name of tools\[0\]: give each tool its name"),
])
def test_dicts_of_another_shape_are_refused_by_place(one: dict[str, Any], words: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=words):
        tools_of([{"name": "clock"}, one])


@pytest.mark.parametrize("name", [
    "", " ", "a b", "a\n", "a\x00", "<tool_call>", "a\"b", "a'b", "é", "a" * 129, "[TOOL_CALLS]", "a/b", "\ud800", "{",
    "a,b",
])
def test_names_that_would_be_more_than_a_name_are_refused(name: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=r"^tools\[0\].name: .* is not a tool's name: it must"):
        tools_of([{"name": name}])
    with pytest.raises(gemel.ArgumentError, match=r"^name: .* is not a tool's name"):
        gemel.Tool(name)


@pytest.mark.parametrize("name", ["a", "server.tool", "mcp__files__read-file", "9", "a" * 128])
def test_names_of_other_clients_are_names(name: str) -> None:
    assert tools_of([{"name": name}])[0].name == name


def test_the_number_and_the_size_of_tools_are_limited() -> None:
    many_tools = [{"name": f"t{i}"} for i in range(N_MAX + 1)]
    assert len(tools_of(many_tools[:-1])) == N_MAX
    with pytest.raises(gemel.ArgumentError, match="^tools: there are 513 tools; the limit is 512: pass fewer"):
        tools_of(many_tools)
    with pytest.raises(gemel.ArgumentError, match=f"characters as JSON; the limit is {SIZE_MAX}: make them smaller"):
        tools_of([{"name": f"t{i}", "description": "x" * (SIZE_MAX // 4)} for i in range(4)])


def test_schemas_without_an_end_are_refused() -> None:
    endless: dict[str, Any] = {"type": "object", "properties": {}}
    endless["properties"]["a"] = endless
    with pytest.raises(gemel.ArgumentError, match="is nested more than 200 deep"):
        tools_of([{"name": "x", "parameters": endless}])


@pytest.mark.parametrize("wrong", ["x", {"name": "x"}, weather, 5])
def test_tools_are_a_list(wrong: object) -> None:
    with pytest.raises(gemel.ArgumentTypeError, match="^tools=.*must be a list of functions, gemel.Tool or dicts"):
        tools_of(wrong)


def test_a_tool_does_not_change_with_what_it_was_made_of() -> None:
    schema = json.loads(json.dumps(SCHEMA))
    (found,) = tools_of([{"name": "x", "parameters": schema}])
    schema["properties"].clear()
    assert found.parameters == SCHEMA


# ---- Results --------------------------------------------------------------------------------------------------------


class Model(pydantic.BaseModel):
    at: Place


@pytest.mark.parametrize(("value", "text"), [
    ("a \"b\"\n", "a \"b\"\n"), (None, "null"), (True, "true"), (1.5, "1.5"),
    ({"é": [1, (2, None)]}, '{"é":[1,[2,null]]}'),
    (Place("Oslo", (1.0, 2.0)), '{"city":"Oslo","at":[1.0,2.0]}'), ([Unit.F], '["fahrenheit"]'), (Unit.C, "celsius"),
    ({Unit.C: 1}, '{"celsius":1}'), (10**400, "1" + "0" * 400), (Model(at=Place("x")), '{"at":{"city":"x","at":null}}'),
    ([Model(at=Place("x"))], '[{"at":{"city":"x","at":null}}]'),
    ([np.int64(3), np.float32(0.5), np.bool_(True)], "[3,0.5,true]"),
])
def test_results_are_texts_or_compact_json(value: object, text: str) -> None:
    assert result_text(value) == text


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(("value", "words"), [
    ({"a": {1, 2}}, r"^the result of search.a: {1, 2} is not a value of JSON: let the function return a text"),
    (b"x", "^the result of search: b'x' is not a value of JSON"), (float("nan"), "nan is not a value of JSON"),
    ({1: 2}, "the key 1 must be a string"), (later, "is not a value of JSON"), (Place, "is not a value of JSON"),
    (endless(), "is nested more than 200 deep"), ("\ud800", "character 0 of a string is half of a surrogate pair"),
    ([[[]]] * 3 + [object()], r"search\[3\]: <object"),
])
def test_what_json_can_not_hold_is_refused_by_the_tools_name(value: object, words: str) -> None:
    with pytest.raises(gemel.ArgumentError, match=words):
        result_text(value, "search")
