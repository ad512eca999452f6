"""Random JSON schemas and values, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

NAMES = ["a", "b", "c"]
TEXTS = ["", "a", "ab", "b", "abc", "2024-01-01"]
KINDS = ["null", "boolean", "number", "integer", "string", "array", "object", ["string", "null"], ["array", "object"]]


class Maker:
    """Makes schemas and values from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, values: list[Any]) -> Any:  # noqa: ANN401
        return self.random.choice(values)

    def value(self, depth: int = 3) -> Any:  # noqa: ANN401
        kind = self.random.randrange(8 if depth else 6)
        if kind < 6:
            return self.pick([None, True, False, 0, 1, 3, -1, 10, 1.0, 2.5, -0.5, *TEXTS, *TEXTS])
        if kind == 6:
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        chosen = self.random.sample([*NAMES, "d", "xa"], self.random.randrange(4))
        return {name: self.value(depth - 1) for name in chosen}

    def some(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.random.randrange(1, 4))]

    def schema(self, depth: int = 3) -> Any:  # noqa: ANN401
        if not depth or self.random.random() < 0.1:
            return self.pick([True, False, {}, {"type": "integer"}, {"type": "string"}])

        def inner() -> Any:  # noqa: ANN401
            return self.schema(depth - 1)

        def count() -> int:
            return self.random.randrange(3)

        makers: dict[str, Callable[[], Any]] = {
            "type": lambda: self.pick(KINDS), "enum": lambda: self.some(lambda: self.value(1)),
            "const": lambda: self.value(1), "minimum": lambda: self.pick([0, 1, 2.5]),
            "exclusiveMaximum": lambda: self.pick([3, 2.5]), "multipleOf": lambda: self.pick([1, 2, 0.5]),
            "minLength": count, "maxLength": count, "minItems": count, "maxItems": count, "minProperties": count,
            "maxProperties": count, "pattern": lambda: self.pick(["a", "^a", "b$", "^[ab]*$", "^(?!a)b?"]),
            "items": inner, "prefixItems": lambda: self.some(inner), "contains": inner, "not": inner,
            "properties": lambda: {name: inner() for name in self.some(lambda: self.pick(NAMES))},
            "patternProperties": lambda: {self.pick(["a", "^x"]): inner()}, "additionalProperties": inner,
            "required": lambda: self.random.sample(NAMES, 2), "propertyNames": lambda: {"pattern": "^[a-c]$"},
            "anyOf": lambda: self.some(inner), "oneOf": lambda: self.some(inner), "allOf": lambda: self.some(inner),
            "dependentRequired": lambda: {self.pick(NAMES): self.random.sample(NAMES, 1)},
            "dependentSchemas": lambda: {self.pick(NAMES): inner()}, "unevaluatedProperties": inner,
            "unevaluatedItems": inner, "uniqueItems": lambda: True, "if": inner, "then": inner, "else": inner,
        }  # fmt: skip
        return {keyword: makers[keyword]() for keyword in self.some(lambda: self.pick(list(makers)))}
