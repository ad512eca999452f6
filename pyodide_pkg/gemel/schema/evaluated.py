"""Which members and items the keywords of a schema evaluate, where this does not depend on the value.

What is left is the subject of unevaluatedProperties and unevaluatedItems.
"""

from __future__ import annotations

from .errors import not_enforced
from .keywords import is_of
from .places import Places
from .shape import Place

DEPEND = ("anyOf", "oneOf", "if", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef")


def evaluated_members(place: Place, places: Places) -> tuple[list[str], list[str]] | None:
    """Return the names and patterns of what is evaluated; None: all members. SchemaError: it depends on the value."""
    names: dict[str, None] = {}
    sources: dict[str, None] = {}
    waiting, done = [place], set[Place]()
    while waiting:
        one = waiting.pop()
        schema = one.schema
        if one in done or not isinstance(schema, dict):
            continue
        done.add(one)
        for keyword in DEPEND:
            if keyword in schema and is_of(keyword, places.draft):
                why = f"can't be enforced beside {one.path}/{keyword}: use additionalProperties"
                raise not_enforced(f"{place.path}/unevaluatedProperties", why)
        if "additionalProperties" in schema or (one != place and "unevaluatedProperties" in schema):
            return None
        names.update(dict.fromkeys(schema.get("properties", ())))
        sources.update(dict.fromkeys(schema.get("patternProperties", ())))
        waiting += [places.child(one, "allOf", i) for i in range(len(schema.get("allOf", ())))]
        waiting += [places.find(one, schema["$ref"], "$ref")] if "$ref" in schema else []
    return list(names), list(sources)


def evaluated_items(place: Place, draft: int) -> int | None:
    """Return how many items are evaluated; None: all of them. SchemaError: it depends on the value."""
    schema = place.schema
    for keyword in ("allOf", "$ref", *DEPEND, *(("contains",) if draft >= 2020 else ())):
        if keyword in schema and is_of(keyword, draft):
            raise not_enforced(f"{place.path}/unevaluatedItems", f"can't be enforced beside {keyword}: use items")
    listed = schema.get("prefixItems" if draft >= 2020 else "items", [])
    if not isinstance(listed, list) or ("items" in schema and (draft >= 2020 or "additionalItems" in schema)):
        return None
    return len(listed)
