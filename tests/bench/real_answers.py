"""Answer real JSON schemas, and check the answers and the masks that led to them.

    python tests/bench/real_answers.py MODEL.gguf FOLDER [-n 200] [--skip 0] [--seeds 3] [--max-tokens 120] [--close]

Of the schemas *.json in FOLDER that compile, -n are taken, the same for each run. Each is answered at temperature 1, in
a batch with the others. jsonschema validates each answer that did not end by its length. Each valid answer is written
again as compact JSON and walked id by id in three tokenisations: as the model writes it, in bytes, and cut at random.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import jsonschema
from gemel.schema.compiler import compile_schema


def compiling(folder: Path, skip: int, n: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield schemas that compile, with their names."""
    paths = sorted(folder.glob("*.json"))
    random.Random(1).shuffle(paths)
    for path in paths:
        schema = json.loads(path.read_text(encoding="utf-8"))
        try:
            compile_schema(schema)
            jsonschema.validators.validator_for(schema).check_schema(schema)
        except (gemel.SchemaError, jsonschema.SchemaError):
            continue
        if skip:
            skip -= 1
            continue
        yield path.stem, schema
        n -= 1
        if not n:
            return


def is_walked(model: gemel.Model, grammar: gemel.Grammar, ids: list[int]) -> bool:
    """Whether a grammar allows ids, one after another, and the end behind them."""
    library = model._library
    with model.sampler(temperature=0, grammar=grammar) as sampler, sampler.handle as address:
        if any(library.call("gemel_sampler_accept", address, id) for id in ids):
            return False
        return bool(library.call("gemel_sampler_ends", address))


def tokenisations(model: gemel.Model, text: str, byte_ids: dict[bytes, int], chance: random.Random) -> list[list[int]]:
    """Return the ids of a text: the model's, one per byte, and those of pieces of up to 12 characters."""
    pieces = []
    at = 0
    while at < len(text):
        size = chance.randrange(1, 13)
        pieces += model.tokenize(text[at : at + size])
        at += size
    whole = model.tokenize(text)
    return [list(whole), [byte_ids[bytes([byte])] for byte in text.encode()], pieces]


def main() -> None:
    """Answer, check and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model", type=Path)
    options.add_argument("folder", type=Path)
    options.add_argument("-n", type=int, default=200)
    options.add_argument("--skip", type=int, default=0, help="schemas that compile and are left out")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--max-tokens", type=int, default=120)
    options.add_argument("--close", action="store_true", help="close answers within --max-tokens")
    given = options.parse_args()
    found: Counter[str] = Counter()
    chance = random.Random(2)
    with gemel.open(given.model) as model:
        pieces = {model.piece(id): id for id in range(model.n_vocab)}
        byte_ids = {piece: id for piece, id in pieces.items() if len(piece) == 1}
        for name, schema in compiling(given.folder, given.skip, given.n):
            try:
                grammar = model.grammar(json_schema=schema)
            except gemel.GrammarError:
                found["refused by the core"] += 1
                continue
            with grammar, model.batch(n_ctx=4096) as batch:
                answers = [
                    batch.generate(
                        "A JSON document:\n", grammar=grammar, temperature=1, top_k=0, top_p=1, min_p=0, seed=seed,
                        max_tokens=given.max_tokens, close_at_max_tokens=given.close,
                    )
                    for seed in range(given.seeds)
                ]  # fmt: skip
                for answer in answers:
                    try:
                        text = answer.read()
                    except gemel.GemelError as error:
                        found["failed"] += 1
                        print(f"{name}: {error}")
                        continue
                    found[str(answer.stop_reason)] += 1
                    if answer.stop_reason == "length":
                        continue
                    value = json.loads(text)
                    if not jsonschema.validators.validator_for(schema)(schema).is_valid(value):
                        found["invalid"] += 1
                        print(f"{name}: not valid: {text}")
                        continue
                    found["valid"] += 1
                    for ids in tokenisations(model, text, byte_ids, chance):
                        found["walked"] += 1
                        if not is_walked(model, grammar, ids):
                            found["wrong masks"] += 1
                            print(f"{name}: a mask refuses {text}")
            print(f"{name}: {dict(found)}", flush=True)
    print(dict(found))


if __name__ == "__main__":
    main()
