"""Compare which texts grammars of a file match, with what llama.cpp's match.

    python tests/golden/make_grammars.py VOCABULARY.gguf FOLDER OUT.json     FOLDER has *.gbnf, such as llama.cpp's
    python tests/bench/llama_grammars.py OUT.json
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gemel
from languages import found_in, read_golden, texts_of
from tiny import tiny_llama

if __name__ == "__main__":
    with gemel.open(tiny_llama(), threads=1) as model:
        for name, golden in read_golden(Path(sys.argv[1]))["matched"].items():
            texts, wanted = texts_of(name, golden["drawn"]), found_in(golden["bits"])
            with model.grammar(golden["grammar"]) as grammar:
                other = [one for one, is_match in zip(texts, wanted, strict=True) if grammar.matches(one) != is_match]
            print(f"{name}: {len(texts)} texts, {sum(wanted)} match, {len(other)} differ", *map(repr, other[:3]))
