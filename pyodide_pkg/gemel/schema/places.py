"""Drafts of JSON schema, and what references of a schema mean."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .document import DEPTH_MAX, escaped
from .errors import refused
from .keywords import checked
from .shape import Place
from .work import spend

DRAFTS = {   # what the URI of $schema ends with
    "draft-04": 4, "draft-05": 4, "draft-06": 6, "draft-07": 7, "draft/2019-09": 2019, "draft/2020-12": 2020,
}   # fmt: skip
ONE = frozenset((      # keywords whose value is a schema
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
))   # fmt: skip
LISTS = frozenset(("allOf", "anyOf", "items", "oneOf", "prefixItems"))   # ... a list of schemas
NAMED = frozenset((    # ... an object of schemas
    "$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties",
))   # fmt: skip


def draft_of(schema: object) -> int:
    """Return the draft that $schema names; 2020 without it."""
    uri = schema.get("$schema") if isinstance(schema, dict) else None
    if uri is None:
        return 2020
    named = re.fullmatch(r"https?://json-schema[.-]org/(?:(draft-0\d|draft/20\d\d-\d\d)/)?schema#?", str(uri))
    if named and named[1] is None:   # the newest one
        return 2020
    if not named or named[1] not in DRAFTS:
        raise refused("#/$schema", f"{str(uri)[:80]!r} is not a draft that is supported: {', '.join(DRAFTS)}")
    return DRAFTS[named[1]]


class Places:
    """All schemas of a document, by URI."""

    def __init__(self, document: object, draft: int) -> None:
        self.draft = draft
        self._id = "id" if draft == 4 else "$id"
        self._roots: dict[str, Place] = {}     # by URI without fragment
        self._anchors: dict[str, Place] = {}   # by URI#name
        self._bases: dict[str, str] = {}       # by path, of schemas that have a URI
        self._checked: set[int] = set()        # the ids of schemas, all of which the document keeps
        self._dynamic: dict[str, Place] = {}   # dynamic anchors, by URI#name
        if not isinstance(document, dict | bool):
            kind = "null" if document is None else type(document).__name__
            raise refused("#", f"a schema must be an object, true or false, not {kind}")
        self.root = Place("#", document, "")
        self._roots[""] = self.root
        self._walk(document, "#", "", 0)

    def _walk(self, schema: object, path: str, base: str, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise refused(path[:80] + "...", f"schemas are nested too deep: more than {DEPTH_MAX} deep")
        if not isinstance(schema, dict):
            return
        spend(5)
        self._check(schema, path)
        base = self._named(schema, path, base)
        for keyword in ("$anchor", "$dynamicAnchor") if self.draft >= 2019 else ():
            name = schema.get(keyword)
            if isinstance(name, str):
                place = self._anchors[f"{base}#{name}"] = Place(path, schema, base)
                if keyword == "$dynamicAnchor":
                    self._dynamic[f"{base}#{name}"] = place
        if not depth:
            self.root = self._roots[base] = Place(path, schema, base)
        for keyword, value in schema.items():   # keywords that have schemas need no escapes
            if type(value) is dict:
                if keyword in NAMED:
                    for name, one in value.items():
                        if type(one) is dict:
                            self._walk(one, f"{path}/{keyword}/{escaped(name)}", base, depth + 1)
                elif keyword in ONE:
                    self._walk(value, f"{path}/{keyword}", base, depth + 1)
            elif type(value) is list and keyword in LISTS:
                for i, one in enumerate(value):
                    if type(one) is dict:
                        self._walk(one, f"{path}/{keyword}/{i}", base, depth + 1)

    def _check(self, schema: dict[str, object], path: str) -> None:
        if id(schema) not in self._checked:
            self._checked.add(id(schema))
            checked(schema, path, self.draft)

    def _named(self, schema: dict[str, object], path: str, base: str) -> str:
        """Note the URI that a schema has; return what its references are relative to."""
        own = schema.get(self._id)
        if not isinstance(own, str) or (self.draft <= 7 and "$ref" in schema):
            return base
        uri, _, fragment = _join(base, own, f"{path}/{self._id}").partition("#")
        if fragment and not fragment.startswith("/"):
            self._anchors[f"{uri}#{fragment}"] = Place(path, schema, base)
        if uri == base:
            return base
        self._roots.setdefault(uri, Place(path, schema, uri))
        self._bases[path] = uri
        return uri

    def child(self, place: Place, *steps: str | int) -> Place:
        """Return a schema that is part of another one."""
        value, path = place.schema, place.path
        for step in steps:
            value = value[step]
            path = f"{path}/{step if isinstance(step, int) else escaped(step)}"
        return Place(path, value, self._bases.get(path, place.base) if self._bases else place.base)

    def find(self, place: Place, reference: object, keyword: str) -> Place:
        """Return the schema that a reference of `place` means."""
        at = f"{place.path}/{keyword}"
        if not isinstance(reference, str):
            raise refused(at, "must be a string")
        spend((len(place.base) + len(reference)) // 64)
        uri, _, fragment = (_join(place.base, reference, at) if reference else place.base).partition("#")
        root = self._roots.get(uri)
        if root is None:
            raise refused(at, f"{reference[:200]!r} is outside of this schema: put it into $defs")
        if "%" in fragment:
            from urllib.parse import unquote  # here: it takes a tab 60 ms to import

            fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            found = self._anchors.get(f"{uri}#{fragment}")
            if found is None:
                raise refused(at, f"there is no anchor {fragment!r}")
            return found
        return self._pointed(root, fragment, at)

    def _pointed(self, root: Place, pointer: str, at: str) -> Place:
        path, value, base = root.path, root.schema, root.base
        for token in pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,8}", key) and int(key) < len(value):
                value = value[int(key)]
            else:
                raise refused(at, f"there is nothing at {pointer[:200]!r}")
            path += f"/{escaped(key)}"
            base = self._bases.get(path, base)
        if not isinstance(value, dict | bool):
            raise refused(at, "it refers to something that is not a schema")
        if isinstance(value, dict):
            self._check(value, path)
        return Place(path, value, base)

    # ---- References whose meaning depends on the schemas that led there ---------------------------------------------

    def dynamic_targets(self, place: Place, reference: object) -> list[Place]:
        """Return all schemas that a $dynamicRef may mean; the first is what it means as a $ref."""
        found = self.find(place, reference, "$dynamicRef")
        name = str(reference).partition("#")[2]
        if not name or name.startswith("/") or self._dynamic.get(f"{found.base}#{name}") != found:
            return [found]
        spend(len(self._dynamic))
        return [found, *(one for key, one in self._dynamic.items() if key.endswith(f"#{name}") and one != found)]

    def dynamic_target(self, place: Place, reference: object, scope: Sequence[str]) -> Place:
        """Return the schema that a $dynamicRef means. scope: URIs of the schemas that led here, the outermost first."""
        return _outermost(self.dynamic_targets(place, reference), scope)

    def recursive_targets(self, place: Place, reference: object) -> list[Place]:
        """Return all schemas that a $recursiveRef may mean; the first is what it means as a $ref."""
        found = self.find(place, reference, "$recursiveRef")
        if not isinstance(found.schema, dict) or found.schema.get("$recursiveAnchor") is not True:
            return [found]
        spend(len(self._roots))
        others = (one for one in self._roots.values() if one != found and isinstance(one.schema, dict))
        return [found, *(one for one in others if one.schema.get("$recursiveAnchor") is True)]

    def recursive_target(self, place: Place, reference: object, scope: Sequence[str]) -> Place:
        """Return the schema that a $recursiveRef means."""
        return _outermost(self.recursive_targets(place, reference), scope)


def _outermost(targets: list[Place], scope: Sequence[str]) -> Place:
    """Return the first target of the outermost URI that has one; without any, the first target."""
    spend(len(targets) + len(scope))
    by_base = {one.base: one for one in reversed(targets)}
    return next((by_base[uri] for uri in scope if uri in by_base), targets[0])


def _join(base: str, reference: str, at: str) -> str:
    if reference.startswith("#"):   # urljoin knows no URNs
        return base + reference
    from urllib.parse import urljoin  # here, too

    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise refused(at, f"{reference[:200]!r} is not a URI: {error}") from None
