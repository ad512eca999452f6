"""Drafts of JSON schema, and what references of a schema mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urldefrag, urljoin

from .errors import refused
from .shape import Place

DRAFTS = {   # what the URI of $schema ends with
    "draft-04": 4, "draft-05": 4, "draft-06": 6, "draft-07": 7, "draft/2019-09": 2019, "draft/2020-12": 2020,
}   # fmt: skip
VALUES = frozenset(("enum", "const", "default", "examples"))   # their contents are no schemas


def draft_of(schema: object) -> int:
    """Return the draft that $schema names; 2020 without it."""
    uri = schema.get("$schema") if isinstance(schema, dict) else None
    if uri is None:
        return 2020
    named = re.fullmatch(r"https?://json-schema\.org/(draft-0\d|draft/20\d\d-\d\d)/schema#?", str(uri))
    if not named or named[1] not in DRAFTS:
        raise refused("#/$schema", f"{str(uri)[:80]!r} is not a draft that is supported: {', '.join(DRAFTS)}")
    return DRAFTS[named[1]]


def escaped(token: str) -> str:
    """Return a step of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


class Places:
    """All schemas of a document, by URI."""

    def __init__(self, document: object, draft: int) -> None:
        self.draft = draft
        self._id = "id" if draft == 4 else "$id"
        self._roots: dict[str, Place] = {}     # by URI without fragment
        self._anchors: dict[str, Place] = {}   # by URI#name
        self._bases: dict[str, str] = {}       # by path, of schemas that have a URI
        self.dynamic: set[str] = set()         # names of dynamic anchors that there are several of
        self.has_recursive_anchor = False
        self.root = Place("#", document, "")
        self._roots[""] = self.root
        seen: set[str] = set()
        for place in self._walk(document, "#", ""):
            name = place.schema.get("$dynamicAnchor")
            if isinstance(name, str):
                self.dynamic |= {name} if name in seen else set()
                seen.add(name)
            self.has_recursive_anchor |= place.schema.get("$recursiveAnchor") is True

    def _walk(self, value: object, path: str, base: str, depth: int = 0) -> Iterator[Place]:
        if depth > 200:
            raise refused(path[:80] + "...", "schemas are nested more than 200 deep")
        if isinstance(value, dict):
            own = value.get(self._id)
            if isinstance(own, str) and (self.draft >= 2019 or "$ref" not in value):
                whole = urljoin(base, own)
                without, fragment = urldefrag(whole)
                if fragment and not fragment.startswith("/"):
                    self._anchors[f"{without}#{fragment}"] = Place(path, value, base)
                if without != base:
                    base = without
                    self._roots.setdefault(base, Place(path, value, base))
                    self._bases[path] = base
            place = Place(path, value, base)
            if path == "#":
                self.root = place
                self._roots[base] = place
            for key in ("$anchor", "$dynamicAnchor"):
                if isinstance(value.get(key), str):
                    self._anchors[f"{base}#{value[key]}"] = place
            yield place
            for key, one in value.items():
                if key not in VALUES:
                    yield from self._walk(one, f"{path}/{escaped(str(key))}", base, depth + 1)
        elif isinstance(value, list):
            for i, one in enumerate(value):
                yield from self._walk(one, f"{path}/{i}", base, depth + 1)

    def base_of(self, path: str, outer: str) -> str:
        """Return the URI that references in the schema at a path are relative to."""
        return self._bases.get(path, outer)

    def find(self, place: Place, reference: object, keyword: str) -> Place:
        """Return the schema that a reference of `place` means."""
        at = f"{place.path}/{keyword}"
        if not isinstance(reference, str):
            raise refused(at, "must be a string")
        without, fragment = urldefrag(urljoin(place.base, reference) if reference else place.base)
        if not reference.startswith("#") or without in self._roots:
            root = self._roots.get(without)
        else:   # "#..." where the base is not a URL that urljoin can handle
            without, root = place.base, self._roots.get(place.base)
        if root is None:
            raise refused(at, f"{reference!r} is outside of this schema: put it into $defs")
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            found = self._anchors.get(f"{without}#{fragment}")
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
            elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]*", key) and int(key) < len(value):
                value = value[int(key)]
            else:
                raise refused(at, f"there is nothing at {pointer!r}")
            path += f"/{escaped(key)}"
            base = self._bases.get(path, base)
        if not isinstance(value, dict | bool):
            raise refused(at, "it refers to something that is not a schema")
        return Place(path, value, base)
