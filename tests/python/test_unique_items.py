"""Lists that have each item once: what a grammar matches is what Python lists, and masks follow from it."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import gemel
import numpy as np
import pytest
from compact import compact
from conftest import tiny_bytes
from gemel.core.library import check
from gemel.schema.validator import InvalidValueError, validate
from walking import Walker, Words

WORDS = ["".join(one) for n in range(3) for one in itertools.product("ab", repeat=n)] + ["abb", "bbb"]
ENUM = {"enum": WORDS}
PAIRS = [{"a": a, "b": b} for a in ("", "x", "xx") for b in (None, True, False)]
PAIR = {
    "type": "object", "required": ["a", "b"], "additionalProperties": False,
    "properties": {"a": {"enum": ["", "x", "xx"]}, "b": {"enum": [None, True, False]}},
}   # fmt: skip


def lists(items: list[Any], least: int, most: int) -> Iterator[list[Any]]:
    for n in range(least, most + 1):
        yield from map(list, itertools.permutations(items, n))


def unique(items: object, least: int, most: int, **more: object) -> dict[str, Any]:
    return {
        "type": "array", "items": items, "minItems": least, "maxItems": most, "uniqueItems": True, **more,
    }   # fmt: skip


# Finite languages: a schema, and all of its values.
FINITE: dict[str, tuple[Any, list[Any]]] = {
    "strings": (unique(ENUM, 0, 3), list(lists(WORDS, 0, 3))),
    "a pattern with a length": (
        unique({"type": "string", "pattern": "^[ab]*$", "maxLength": 3}, 2, 2),
        list(lists(["".join(one) for n in range(4) for one in itertools.product("ab", repeat=n)], 2, 2)),
    ),
    "a string that ends in one way": (
        unique({"type": "string", "pattern": "^(a|b|c){2}[xyz]?!$"}, 1, 2),
        list(lists([a + b + c + "!" for a in "abc" for b in "abc" for c in ["", *"xyz"]], 1, 2)),
    ),
    "integers": (
        unique({"type": "integer", "minimum": -2, "maximum": 12}, 0, 3), list(lists(list(range(-2, 13)), 0, 3)),
    ),
    "numbers": (
        unique({"enum": [0, 1, 1.5, 1.25, 10, 15, 100, -1, -1.5, 0.5]}, 0, 3),
        list(lists([0, 1, 1.5, 1.25, 10, 15, 100, -1, -1.5, 0.5], 0, 3)),
    ),
    "several kinds": (
        unique({"enum": [None, True, False, 1, 11, "1", "11", "", "t", 2]}, 0, 3),
        list(lists([None, True, False, 1, 11, "1", "11", "", "t", 2], 0, 3)),
    ),
    "objects": (unique(PAIR, 0, 3), list(lists(PAIRS, 0, 3))),
    "one after another": (
        {
            "type": "array", "uniqueItems": True, "minItems": 2, "maxItems": 3,
            "prefixItems": [{"enum": ["a"]}, {"enum": ["a", "b", "ab"]}], "items": ENUM,
        },
        [one for one in lists(WORDS, 2, 3) if one[0] == "a" and one[1] in ("a", "b", "ab")],
    ),
    "lists in lists": (
        unique(unique(ENUM, 1, 1), 0, 2), [[[a], [b]] for a in WORDS for b in WORDS if a != b]
        + [[[a]] for a in WORDS] + [[]],
    ),
    "a list in an object": (
        unique({
            "type": "object", "properties": {"a": unique({"enum": [*"abcdefghi"]}, 1, 2)}, "required": ["a"],
            "additionalProperties": False,
        }, 0, 1),
        [[], *([{"a": one}] for one in lists([*"abcdefghi"], 1, 2))],
    ),
    "unique or not": (
        {"anyOf": [
            unique(ENUM, 0, 3), {"type": "array", "items": {"enum": ["a", "ab"]}, "minItems": 2, "maxItems": 3},
        ]},
        [*lists(WORDS, 0, 3), *(list(one) for n in (2, 3) for one in itertools.product(["a", "ab"], repeat=n))],
    ),
    "of one length": (unique(ENUM, 9, 9), []),
    "some item": (
        {
            "type": "array", "items": ENUM, "uniqueItems": True, "contains": {"enum": ["a", "b"]}, "minContains": 2,
            "maxItems": 3,
        },
        [one for one in lists(WORDS, 0, 3) if "a" in one and "b" in one],
    ),
}   # fmt: skip


@pytest.fixture(scope="module")
def words() -> Iterator[Words]:
    with gemel.open(tiny_bytes(), threads=1) as model:
        yield Words(model)


@pytest.mark.parametrize("name", [name for name, (_, values) in FINITE.items() if values])
def test_what_may_follow_is_what_some_value_goes_on_with(words: Words, name: str) -> None:
    schema, values = FINITE[name]
    texts = {compact(value) for value in values}
    beginnings = {text[:n] for text in texts for n in range(len(text) + 1)}
    signs = sorted({*'[]{},"abx10-.tn', *(sign for text in texts for sign in text)})
    with words.model.grammar(json_schema=schema) as grammar:
        assert not grammar.unenforced
        for text in random.Random(1).sample(sorted(beginnings), min(50, len(beginnings))):
            assert grammar.matches(text) == (text in texts), text
            for sign in signs:
                assert grammar.begins(text + sign) == (text + sign in beginnings), text + sign


@pytest.mark.parametrize("name", FINITE)
def test_a_mask_allows_the_ids_that_go_on(words: Words, name: str) -> None:
    schema, _ = FINITE[name]
    with words.model.grammar(json_schema=schema) as grammar:
        for seed in range(3):
            value = answer(words, grammar, random.Random(seed), is_compared=seed == 0)
            validate(value, schema)


def answer(words: Words, grammar: gemel.Grammar, chance: random.Random, *, is_compared: bool) -> Any:  # noqa: ANN401
    """Return a random answer that ends; compare masks with what the grammar begins with.

    A mask that was compared before, as within a string, is compared each 16th step: that reads the text for every id.
    """
    walker, text = Walker(words.model, grammar), b""
    compared: set[bytes] = set()
    with walker.sampler:
        for step in range(400):
            allowed = walker.allowed()
            mask = np.asarray(allowed).tobytes()
            if is_compared and (step % 16 == 0 or mask not in compared):
                compared.add(mask)
                for id in words.ids:
                    piece = words.pieces[id]
                    if words.has_text[id]:
                        assert allowed[id] == begins(grammar, text + piece), (text, piece)
            if walker.ends() and (walker.ends() == 2 or chance.random() < 0.2):
                break
            ids = [id for id in words.ids if allowed[id] and words.has_text[id]]
            ends = [id for id in ids if words.pieces[id][-1:] in b'"],}']
            id = chance.choice(ends if ends and chance.random() < 0.6 else ids)
            walker.accept(id)
            text += words.pieces[id]
    return json.loads(text)


def begins(grammar: gemel.Grammar, text: bytes) -> bool:
    try:
        return grammar.begins(text.decode())
    except UnicodeDecodeError as error:   # a part of a character
        is_part = error.end == len(text) and error.reason == "unexpected end of data"
        return is_part and grammar.begins(text[: error.start].decode() + "é")


ENDLESS = [
    {"uniqueItems": True, "type": "array"},
    unique({"type": "string"}, 0, 6),
    unique({"type": "number"}, 3, 6),
    unique({"type": "object", "additionalProperties": {"type": "integer"}}, 0, 5),
    unique({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, 1, 5),
    unique({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, 0, 5),
]


@pytest.mark.parametrize("schema", ENDLESS, ids=repr)
@pytest.mark.long
def test_answers_that_end_are_valid(words: Words, schema: Any) -> None:  # noqa: ANN401
    n_ended = 0
    with words.model.grammar(json_schema=schema) as grammar:
        for seed in range(6):
            try:
                value = answer(words, grammar, random.Random(seed), is_compared=seed == 0)
            except json.JSONDecodeError:   # it did not end
                continue
            validate(value, schema)
            n_ended += 1
    assert n_ended


def values(chance: random.Random, depth: int) -> Any:  # noqa: ANN401
    kind = chance.randrange(7 if depth else 5)
    if kind < 5:
        return chance.choice([None, True, False, 0, 1, -1, 1.5, "", "a", "\n", "é", '"', "1", 12, 10**20])
    if kind == 5:
        return [values(chance, depth - 1) for _ in range(chance.randrange(3))]
    names = chance.sample(["a", "b", "é", ""], chance.randrange(3))
    return {name: values(chance, depth - 1) for name in names}


def shuffled(chance: random.Random, value: Any) -> Any:  # noqa: ANN401
    """Return an equal value, with members in another order."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(chance, value[name]) for name in names}
    return [shuffled(chance, one) for one in value] if isinstance(value, list) else value


def test_items_are_compared_as_values(bare: gemel.Model) -> None:
    chance, n_valid, schema = random.Random(5), 0, {"type": "array", "uniqueItems": True}
    with bare.grammar(json_schema=schema) as grammar:
        for _ in range(1500):
            value = [values(chance, 2) for _ in range(chance.randrange(6))]
            if value and chance.random() < 0.3:
                value.insert(chance.randrange(len(value)), shuffled(chance, chance.choice(value)))
            try:
                validate(value, schema)
                is_valid = True
            except InvalidValueError:
                is_valid = False
            assert grammar.matches(compact(value)) == is_valid, value
            n_valid += is_valid
        assert 300 < n_valid < 1200
        assert grammar.matches('[{"a":1,"a":2},{"a":1}]')
        assert not grammar.begins('[{"a":1,"a":2},{"a":2}')
        assert not grammar.begins('[{"a":1,"b":{"c":2,"d":3}},{"b":{"d":3,"c":2},"a":1}')
        assert not grammar.matches("[1,1.0]")
        assert not grammar.begins("[0,-0]")
        assert not grammar.begins("[1,1e")


@pytest.mark.parametrize(("items", "limit"), [(ENUM, 0), (unique({"type": "string"}, 2, 4), 40)])
def test_an_answer_goes_on_where_it_was_saved(words: Words, items: Any, limit: int) -> None:  # noqa: ANN401
    library = words.model._library
    with words.model.grammar(json_schema=unique(items, 0, 8)) as grammar:
        one, other = Walker(words.model, grammar), Walker(words.model, grammar)
        for walker in (one, other) if limit else ():
            walker.sampler._close_within(limit)
        with one.sampler, other.sampler:
            chance, steps = random.Random(3), 0
            while one.ends() < 2 and steps < 200:
                ids = [id for id, is_allowed in enumerate(one.allowed()) if is_allowed and words.has_text[id]]
                steps += 1
                with one.sampler.handle as address, other.sampler.handle as second:
                    room = library.alloc(library.call("gemel_sampler_save_size", address))
                    check(library, library.call("gemel_sampler_save", address, room, room.size), "save")
                    code = library.call("gemel_sampler_restore", second, room, room.size, 0, 0)
                    check(library, code, "restore")
                assert one.allowed() == other.allowed()
                one.accept(chance.choice(ids))
        assert steps > 5


def test_a_list_that_would_get_stuck_is_refused(bare: gemel.Model) -> None:
    for schema, path in [
        (unique(ENUM, 10, 20), "#/uniqueItems"),
        (unique({"type": "string", "pattern": "^[ab]{1,30}$"}, 10**8, 10**9), "#/uniqueItems"),   # not counted so far
        (unique({"type": "object", "maxProperties": 2}, 0, 5), "#/items/maxProperties"),
        (unique({"type": "object", "propertyNames": {"enum": ["a", "b"]}}, 0, 5), "#/items"),
    ]:
        with pytest.raises(gemel.SchemaError) as caught:
            bare.grammar(json_schema=schema)
        assert caught.value.path == path


CLOSED: dict[str, tuple[Any, int]] = {   # and how many tokens the shortest answer takes
    "strings": (unique({"type": "string"}, 3, 9), 12),
    "words": (unique(ENUM, 8, 9), 38),
    "digits": (unique({"type": "integer", "minimum": 0, "maximum": 12}, 12, 13), 27),
    "lists in lists": (unique(unique({"type": "string"}, 2, 4), 2, 9), 19),
    "objects": (
        unique({
            "type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "null"},
        }, 2, 5), 13,
    ),
    "beside others": (
        {"type": "object", "properties": {"a": {"type": "string"}, "b": unique(PAIR, 0, 9), "c": unique({}, 2, 9)},
         "required": ["a", "b", "c"], "additionalProperties": False}, 25,
    ),
}   # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_an_answer_is_closed_within_a_limit(words: Words, name: str) -> None:
    schema, shortest = CLOSED[name]
    chance, n_full = random.Random(3), 0
    with words.model.grammar(json_schema=schema) as grammar:
        with pytest.raises(gemel.ArgumentError, match=f"the shortest answer takes {shortest} tokens"):
            Walker(words.model, grammar).sampler._close_within(shortest - 1)
        for limit in [*range(shortest, shortest + 12), *range(shortest + 12, shortest + 60, 8)]:
            walker, ids = Walker(words.model, grammar), list[int]()
            walker.sampler._close_within(limit)
            while walker.ends() < 2:
                allowed = walker.allowed()
                options = [id for id in words.ids if allowed[id]]
                for id in chance.sample([id for id in words.ids if not allowed[id]], 9):
                    with pytest.raises(gemel.ArgumentError):
                        walker.accept(id)
                signs = [id for id in options if words.pieces[id][-1:] in b'",:[]{}']
                ids.append(chance.choice(signs if signs and chance.random() < 0.5 else options))
                walker.accept(ids[-1])
            n_full += len(ids) == limit
            text = b"".join(words.pieces[id] for id in ids if words.has_text[id]).decode()
            assert len(ids) <= limit
            validate(json.loads(text), schema)
            assert grammar.matches(text)
    assert n_full


def test_a_limit_that_is_far_leaves_a_mask(words: Words) -> None:
    schema, chance = CLOSED["beside others"][0], random.Random(4)
    with words.model.grammar(json_schema=schema) as grammar:
        near, free = Walker(words.model, grammar), Walker(words.model, grammar)
        near.sampler._close_within(1000)
        for _ in range(60):
            allowed = near.allowed()
            assert allowed == free.allowed()
            id = chance.choice([id for id in words.ids if allowed[id] and words.has_text[id]])
            near.accept(id)
            free.accept(id)


def test_an_answer_that_can_not_be_closed_is_refused(bare: gemel.Model) -> None:
    schema = unique({"type": "string", "pattern": "^a*$"}, 300, 300)   # its last items are long
    with pytest.raises(gemel.ArgumentError, match="close_at_max_tokens: .*uniqueItems.*: ask for fewer items"):
        bare.generate("a", json_schema=schema, max_tokens=20, close_at_max_tokens=True)


@pytest.mark.parametrize("kind", ["numbers", "strings", "objects", "one long beginning"])
def test_many_items_take_bounded_time(bare: gemel.Model, kind: str) -> None:
    n = 100_000 if kind != "one long beginning" else 3000
    items = {
        "numbers": range(n), "strings": map(str, range(n)), "objects": ({"a": i} for i in range(n)),
        "one long beginning": ("a" * (i // 2) + "b" * (i % 2) for i in range(n)),
    }[kind]   # fmt: skip
    text = compact(list(items))
    with bare.grammar(json_schema={"type": "array", "uniqueItems": True}) as grammar:
        before = time.process_time()
        assert grammar.matches(text)
        again = text[1:].partition("," if kind != "objects" else "},")[0] + ("}" if kind == "objects" else "")
        assert not grammar.begins(f"{text[:-1]},{again}]")
        assert time.process_time() - before < 20
