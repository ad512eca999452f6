"""Classes as json_schema: their schema, and answers as their instances; `parsed` of answers that have no value."""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Dict, Generic, List, Literal, NotRequired, Optional, Tuple, TypedDict, TypeVar, Union  # noqa: UP035

import gemel
import pydantic
import pydantic.dataclasses
import pytest
from conftest import CHATML, tiny_bytes
from gemel.schema.classes import class_of
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

T = TypeVar("T")


class Size(enum.Enum):
    SMALL = "S"
    LARGE = "L"


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


@dataclass
class Point:
    x: int
    y: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)
    parent: Tree | None = None


class Words(TypedDict):
    first: str
    second: NotRequired[bool]


@dataclass
class All:
    a: str
    b: bool
    c: None
    d: Literal["x", 1, None, True]
    e: Size
    f: Optional[Number]  # noqa: UP045
    g: Union[int, str, Point]  # noqa: UP007
    h: dict[str, Point]
    i: tuple[int, ...]
    j: tuple[str, Point]
    k: list[list[bool]]
    l: Words  # noqa: E741
    m: Any
    n: list  # type: ignore[type-arg]
    o: dict  # type: ignore[type-arg]
    p: tuple  # type: ignore[type-arg]
    q: Annotated[str, "what it is called"]
    s: Sequence[Point]
    t: Mapping[str, bool]
    u: Sequence  # type: ignore[type-arg]
    r: int | float | None = None


VALUE: dict[str, Any] = {
    "a": "é", "b": True, "c": None, "d": True, "e": "L", "f": 2, "g": {"x": 1}, "h": {"one": {"x": 1, "y": 2}},
    "i": [1, 2.0], "j": ["a", {"x": 3}], "k": [[True], []], "l": {"first": "w"}, "m": {"any": [1]}, "n": [1, "a"],
    "o": {"z": 1}, "p": [1], "q": "q", "r": 1.5,
    "s": [{"x": 1}], "t": {"a": True}, "u": [1, "a"],
}  # fmt: skip
MADE = All(
    "é", True, None, True, Size.LARGE, Number.TWO, Point(1), {"one": Point(1, 2.0)}, (1, 2), ("a", Point(3)),
    [[True], []], {"first": "w"}, {"any": [1]}, [1, "a"], {"z": 1}, (1,), "q", [Point(1)], {"a": True}, [1, "a"], 1.5,
)  # fmt: skip


def made(kind: type, value: object) -> Any:  # noqa: ANN401
    found = class_of(kind)
    assert found is not None
    return found.made(value, json.dumps(value))


def schema(kind: type) -> Any:  # noqa: ANN401
    found = class_of(kind)
    assert found is not None
    Draft202012Validator.check_schema(found.schema)
    return found.schema


def test_each_type_of_a_field_has_a_schema_and_a_value() -> None:
    assert Draft202012Validator(schema(All)).is_valid(VALUE)
    found = made(All, VALUE)
    assert found == MADE
    assert type(found.h["one"].y) is float
    assert [type(one) for one in found.i] == [int, int]
    assert found.d is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", 1), ("b", 1), ("c", 0), ("d", 2), ("d", False), ("e", "M"), ("f", 3), ("f", True), ("g", 1.5),
        ("g", True), ("g", {"y": 1}), ("g", {"x": 1, "z": 1}), ("h", {"one": 1}), ("i", [1.5]), ("i", {}),
        ("j", ["a"]), ("j", ["a", 1]), ("k", [[1]]), ("l", {}), ("l", {"first": "a", "third": 1}), ("n", {}),
        ("o", []), ("p", None), ("q", None), ("r", "1"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_invalid_and_refused(name: str, value: object) -> None:
    wrong = {**VALUE, name: value}
    assert not Draft202012Validator(schema(All)).is_valid(wrong)
    with pytest.raises(gemel.AnswerError, match=f"the answer is not a All: #/{name}"):
        made(All, wrong)


def test_fields_with_defaults_may_be_left_out() -> None:
    assert schema(Point)["$defs"]["Point"]["required"] == ["x"]
    assert made(Point, {"x": 1}) == Point(1, 0.5)
    with pytest.raises(gemel.AnswerError, match="its members are not those of Point"):
        made(Point, {"y": 1})


def test_a_class_may_have_fields_of_itself() -> None:
    value = {"name": "a", "children": [{"name": "b", "parent": {"name": "c"}}]}
    assert Draft202012Validator(schema(Tree)).is_valid(value)
    assert made(Tree, value) == Tree(name="a", children=[Tree(name="b", parent=Tree(name="c"))])


def test_a_number_that_is_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(gemel.AnswerError, match="#/y: .* is too large for a float"):
        made(Point, {"x": 1, "y": 10**400})


def test_bare_containers_of_typing_and_none_in_others_have_schemas() -> None:
    @dataclass
    class Kinds:
        a: List  # type: ignore[type-arg]  # noqa: UP006
        b: Tuple  # type: ignore[type-arg]  # noqa: UP006
        c: Dict  # type: ignore[type-arg]  # noqa: UP006
        d: Optional[List]  # type: ignore[type-arg]  # noqa: UP006, UP045
        e: list[None]
        f: dict[str, None]
        g: tuple[int, None]
        h: tuple[()]
        i: Tuple[()]  # noqa: UP006

    value = {
        "a": [1], "b": [1, "x"], "c": {"k": 1}, "d": None, "e": [None], "f": {"k": None}, "g": [1, None], "h": [],
        "i": [],
    }  # fmt: skip
    found = schema(Kinds)
    assert found["$defs"]["Kinds"]["properties"]["b"] == {"type": "array"}
    Draft202012Validator(found).validate(value)
    assert made(Kinds, value) == Kinds([1], (1, "x"), {"k": 1}, None, [None], {"k": None}, (1, None), (), ())
    for name in ("e", "g", "h", "i"):
        wrong = {**value, name: [1]}
        assert not Draft202012Validator(found).is_valid(wrong)
        with pytest.raises(gemel.AnswerError):
            made(Kinds, wrong)


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_a_class_that_refuses_its_values_is_named(error: type[Exception]) -> None:
    @dataclass
    class Even:
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise error("it is odd")

    assert made(Even, {"n": 2}) == Even(2)
    with pytest.raises(gemel.AnswerError, match="#: Even refuses it: it is odd"):
        made(Even, {"n": 1})


@dataclass
class OfBytes:
    a: bytes


@dataclass
class OfSet:
    a: list[set[int]]


@dataclass
class OfKeys:
    a: dict[int, str]


@dataclass
class OfBounds:
    a: Annotated[int, range(3)]


@dataclass
class OfGeneric(Generic[T]):
    a: T


@dataclass
class OfInit:
    a: InitVar[int]


@pydantic.dataclasses.dataclass
class Bounded:
    a: int = pydantic.Field(ge=3)


@dataclass
class OfBounded:
    a: list[Bounded]


@dataclass
class OfUnknown:
    a: Nowhere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (OfBytes, "OfBytes.a: the type bytes has no schema here: str, int"), (OfSet, r"OfSet.a: the type set\[int\]"),
        (OfKeys, r"OfKeys.a: the type dict\[int, str\]"), (OfBounds, r"OfBounds.a: range\(0, 3\) of Annotated"),
        (OfGeneric, "OfGeneric: a generic class has no schema"), (OfInit, "OfInit.a: an InitVar has no schema"),
        (OfUnknown, "json_schema: OfUnknown: its types can't be read: name 'Nowhere'"),
        (Bounded, "Bounded: Bounded is a pydantic dataclass: pass a BaseModel"),
        (OfBounded, "OfBounded.a: Bounded is a pydantic dataclass"),
        (int, "json_schema=int: of classes only dataclasses"), (Size, "json_schema=Size: of classes only"),
    ],
)  # fmt: skip
def test_other_types_are_refused_by_name(model: gemel.Model, kind: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(gemel.ArgumentError, match=words):
        model.generate("the", json_schema=kind)


def test_an_instance_is_refused(model: gemel.Model) -> None:
    instance: Any = Point(1)
    with pytest.raises(gemel.ArgumentTypeError, match="json_schema is an instance of Point: pass the class Point"):
        model.generate("the", json_schema=instance)


# ---- Answers ---------------------------------------------------------------------------------------------------------


class Switch(pydantic.BaseModel, extra="forbid"):
    on: bool
    size: Literal["S", "M"] = pydantic.Field(alias="Size")

    @pydantic.field_validator("on")
    @classmethod
    def only_on(cls, on: bool) -> bool:
        if not on:
            raise ValueError("it is off")
        return on


@dataclass
class Shirt:
    size: Size
    fits: bool


@given(st.integers(0, 2**32), st.sampled_from([Shirt, Words, Switch]))
@settings(max_examples=25)
def test_an_answer_is_an_instance(model_of_all: gemel.Model, seed: int, kind: Any) -> None:  # noqa: ANN401
    generation = model_of_all.generate("the", json_schema=kind, max_tokens=150, seed=seed, temperature=1)
    text = generation.read()
    if generation.stop_reason == "length":
        with pytest.raises(gemel.AnswerError, match="not whole: max_tokens or n_ctx ended it"):
            _ = generation.parsed
    elif kind is Switch and not json.loads(text)["on"]:
        words = "Switch refuses the answer: #/on: Value error, it is off$"
        with pytest.raises(gemel.AnswerError, match=words) as raised:
            _ = generation.parsed
        assert isinstance(raised.value.__cause__, pydantic.ValidationError)
    else:
        assert isinstance(generation.parsed, dict if kind is Words else kind)


@pytest.fixture(scope="module")
def model_of_all() -> Any:  # noqa: ANN401
    with gemel.open(tiny_bytes(chat_template=CHATML), threads=1) as model:
        yield model


def test_chats_batches_sessions_and_grammars_have_parsed_answers(model_of_all: gemel.Model) -> None:
    model, asked = model_of_all, [{"role": "user", "content": "Which?"}]
    with model.chat() as chat, model.batch() as batch, model.session() as session:
        with model.grammar(json_schema=Shirt) as grammar:
            made = [
                chat.send("Which?", json_schema=Shirt, temperature=0),
                batch.answer(asked, json_schema=Shirt, temperature=0),
                batch.generate("the", json_schema=Shirt),
                session.generate("the", json_schema=Shirt),
                model.generate("the", grammar=grammar),
            ]
        for generation in made:
            generation.read()
            assert isinstance(generation.parsed, Shirt)
        assert made[0].parsed == made[1].parsed
        assert json.loads(model.ask("Which?", json_schema=Shirt, temperature=0)) == json.loads(made[0].text)


def test_an_async_answer_is_parsed(model_of_all: gemel.Model) -> None:
    async def answer() -> object:
        generation = model_of_all.generate("the", json_schema={"enum": [[1, {"a": None}]]})
        with pytest.raises(gemel.ArgumentError, match="the answer is not complete"):
            _ = generation.parsed
        async for _ in generation:
            pass
        return generation.parsed

    assert asyncio.run(answer()) == [1, {"a": None}]


def test_equal_schemas_of_two_classes_give_their_own_instances(model_of_all: gemel.Model) -> None:
    def kind(prefix: str) -> type:
        @dataclass
        class Same:
            size: Size

            def __str__(self) -> str:
                return prefix + self.size.value

        return Same

    for one in (kind("a"), kind("b")):
        generation = model_of_all.generate("the", json_schema=one, temperature=0)
        generation.read()
        assert type(generation.parsed) is one


def test_what_has_no_value_says_so(model_of_all: gemel.Model) -> None:
    model = model_of_all
    free = model.generate("the", max_tokens=3)
    free.read()
    chosen = model.generate("the", choices=["1"])
    chosen.read()
    for generation, words in ((free, "no json_schema: use its text"), (chosen, "choices: only an answer to json")):
        with pytest.raises(gemel.ArgumentError, match=words):
            _ = generation.parsed
    stopped = model.generate("the", json_schema={"const": "abc"}, stop="bc")
    assert stopped.read() == '"a'
    with pytest.raises(gemel.AnswerError, match="not whole: a stop string ended it"):
        _ = stopped.parsed
    for seed in range(20):   # what is left of 100 to 9999 is JSON, too, but not the value
        number = {"type": "integer", "minimum": 100, "maximum": 9999}
        cut = model.generate("a", json_schema=number, stop=["3"], seed=seed)
        if len(cut.read()) < 3:
            break
    assert cut.text.isdigit()
    assert len(cut.text) < 3
    with pytest.raises(gemel.AnswerError, match="not whole: a stop string ended it"):
        _ = cut.parsed
    large = model.generate("the", json_schema={"type": "number", "pattern": "x"}, max_tokens=3)
    with pytest.raises(gemel.AnswerError, match="1e999 is too large for a float"):
        large._run.stages.form.value("[1e999]")   # type: ignore[union-attr]
    closed = model.generate("the", json_schema=True)
    closed.close()
    with pytest.raises(gemel.AnswerError, match="not whole: it was stopped"):
        _ = closed.parsed


def test_values_that_json_lacks_are_refused(tiny_model: Callable[..., gemel.Model]) -> None:
    for wrong in ({"const": float("nan")}, {"const": {1}}, {"const": b"a"}):
        with pytest.raises(gemel.SchemaError, match="json_schema: #/const: "):
            tiny_model().generate("the", json_schema=wrong)
