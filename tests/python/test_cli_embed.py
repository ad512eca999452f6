"""`gemel embed` prints and writes the rows of Model.embed, `gemel rerank` what Model.rerank returns."""

from __future__ import annotations

import json
from pathlib import Path

import gemel
import numpy as np
from command import assert_error, gemel_
from conftest import tiny_bytes


def test_embed_gives_the_rows_of_the_package(tmp_path: Path) -> None:
    path, rows = tmp_path / "bert.gguf", tmp_path / "rows.npy"
    path.write_bytes(tiny_bytes(arch="bert", tokenizer="bert"))
    texts = ["the model", '"a text"', "an object"]
    lines = 'the model\n"\\"a text\\""\n{"text": "an object"}\n'
    with gemel.open(path) as model:
        expected = np.asarray(model.embed(texts, "last", prompt="the: ", truncate_dim=5))
    given = ("embed", path, "-", "--pooling", "last", "--prompt", "the: ", "--dim", "5")
    found = [json.loads(line) for line in gemel_(*given, stdin=lines).out.splitlines()]
    assert [one["index"] for one in found] == [0, 1, 2]
    assert np.array_equal(np.array([one["embedding"] for one in found], np.float32), expected)
    assert gemel_(*given, "-o", rows, stdin=lines).code == 0
    assert np.array_equal(np.load(rows), expected)
    assert_error(gemel_("embed", path, "-", stdin="a\n\nb\n"), 1, "line 2 is empty")
    assert_error(gemel_("embed", path, "-", stdin='{"txt": 3}\n'), 1, 'line 1 is an object without a field "text"')
    assert_error(gemel_("embed", path, "-", stdin=""), 2, "there are no texts to embed")
    assert_error(gemel_("embed", path, "-", stdin='a\n{"text": "b\n'), 1, "line 2 begins with { but is not JSON")
    assert_error(gemel_(*given, "-o", rows, stdin="a\n" + "word " * 10000), 1, "n_ctx is")   # too long: all or nothing
    assert np.array_equal(np.load(rows), expected)
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []


def test_rerank_gives_the_scores_of_the_package(tmp_path: Path) -> None:
    path = tmp_path / "bert.gguf"
    path.write_bytes(tiny_bytes(arch="bert", tokenizer="bert", scores=1, pooling=4))
    texts, lines = ["the model", "a täxt", "one more"], 'the model\n"a täxt"\n{"text": "one more"}\n'
    with gemel.open(path) as model:
        for options, given in (({}, ()), ({"top_n": 2, "normalize": False}, ("-n", "2", "--raw"))):
            expected = [(one.index, one.score, texts[one.index]) for one in model.rerank("the", texts, **options)]   # type: ignore[arg-type]
            out = gemel_("rerank", path, "the", "-", *given, stdin=lines).out
            assert [tuple(json.loads(line).values()) for line in out.splitlines()] == expected
    assert_error(gemel_("rerank", path, "the", "-", stdin=""), 2, "there are no documents to rank")
    assert_error(gemel_("rerank", path, "the", "-", stdin="a\n\n"), 1, "line 2 is empty")
