"""Calls of tools by a real model on the cases of BFCL: all that are begun and not cut must be valid.

    python tests/bench/tool_calls.py MODEL bfcl_eval/data/BFCL_v4_multiple.json... [--cases 100] [--seeds 3]

The files are in the wheel of bfcl-eval on PyPI. Each case is asked at temperature 1 with tool_choice "required" and
"auto"; then each call gets a result, and the answer goes on. Accuracy is that of the function's name alone: the point
is the form, not the model.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import jsonschema

TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None, "String": "string", "Array": "array"}


def plain(schema: Any) -> Any:  # noqa: ANN401
    """Return a schema of BFCL, whose types are Python's, as JSON schema."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: plain(value) for name, value in schema.items() if name not in ("default", "optional")}
    kind = found.get("type")
    if isinstance(kind, str) and kind in TYPES:
        found["type"] = TYPES[kind]
        if found["type"] is None:
            del found["type"]
    return found


def cases(path: str) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yield the messages and tools of each case."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        tools = [
            {
                "type": "function",
                "function": {
                    "name": one["name"], "description": one["description"], "parameters": plain(one["parameters"]),
                },
            }
            for one in case["function"]
        ]  # fmt: skip
        yield case["question"][0], tools


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--cases", type=int, default=100, help="of each file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=200)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    begun = time.perf_counter()
    with gemel.open(options.model) as model, model.batch(4096) as batch:
        for path in options.files:
            for messages, tools in list(cases(path))[: options.cases]:
                ask(batch, messages, tools, options, counts)
    print(*(f"{name}: {n}" for name, n in sorted(counts.items())), sep="\n")
    print(f"{time.perf_counter() - begun:.0f} s")


def ask(
    batch: gemel.Batch, messages: list[dict[str, Any]], tools: list[dict[str, Any]], options: argparse.Namespace,
    counts: Counter[str],
) -> None:  # fmt: skip
    """Ask one case and count what came of it."""
    counts["cases"] += 1
    try:
        answers = [
            (choice, batch.answer(
                messages, tools=tools, tool_choice=choice, seed=seed, temperature=1.0, max_tokens=options.max_tokens
            ))
            for choice in ("required", "auto") for seed in range(options.seeds)
        ]
    except gemel.GemelError as error:
        counts["refused: " + str(error)[:100]] += 1
        return
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    followed = []
    for choice, answer in answers:
        text = answer.read()
        counts[f"{choice}: answers"] += 1
        for call in answer.calls:
            if not call.is_complete:
                counts["calls cut" if answer.stop_reason == "length" else "CALLS BROKEN"] += 1
                continue
            try:
                jsonschema.validate(call.values, schemas[call.name])
                counts[f"{choice}: valid calls"] += 1
            except (ValueError, KeyError, jsonschema.ValidationError) as error:
                counts["CALLS INVALID: " + str(error)[:100]] += 1
        if choice == "required" and not answer.calls and answer.stop_reason != "length":
            counts["REQUIRED BUT NOT CALLED"] += 1
        if answer.calls and all(call.is_complete for call in answer.calls):
            results = [{"role": "tool", "tool_call_id": call.id, "content": '{"ok": true}'} for call in answer.calls]
            said = {"role": "assistant", "content": text, "tool_calls": [call.as_json() for call in answer.calls]}
            said_all = [*messages, said, *results]
            followed.append(batch.answer(said_all, tools=tools, seed=1, temperature=1.0, max_tokens=20))
    for answer in followed:
        answer.read()
        counts["went on after results"] += 1


if __name__ == "__main__":
    main()
