"""The APIs that rank documents: the scores of the package, as clients of Jina, Cohere and llama.cpp read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gemel
import gemel_web
import pytest
from conftest import tiny_bytes
from serving import Asked, error_of

QUERY, TEXTS = "the model", ["reads the tensors", "a file of the model", "x", "the file"]
FIELDS: dict[str, dict[str, Any]] = {
    "bert": {"arch": "bert", "tokenizer": "bert", "scores": 1, "pooling": 4, "n_ctx": 64},
    "qwen3": {"arch": "qwen3", "scores": 2, "rank_dense": False},
    "chat": {},
}


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, gemel.Model]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(gemel.open(tiny_bytes(**fields), threads=1)) for name, fields in FIELDS.items()
        }


@pytest.fixture(params=[True, False], ids=["thread", "loop"])
def app(models: dict[str, gemel.Model], request: pytest.FixtureRequest) -> Iterator[Asked]:
    served = {name: gemel_web.ServedModel(model) for name, model in models.items()}
    with Asked(served, threads=request.param, max_inputs=8) as asked:
        yield asked


def scores_of(answer: Any) -> list[tuple[int, float]]:  # noqa: ANN401
    return [(one["index"], one["relevance_score"]) for one in answer["results"]]


@pytest.mark.parametrize("name", ["bert", "qwen3"])
def test_scores_are_those_of_the_package(app: Asked, models: dict[str, gemel.Model], name: str) -> None:
    body = {"model": name, "query": QUERY, "documents": TEXTS}
    chances = [(one.index, one.score) for one in models[name].rerank(QUERY, TEXTS)]
    raw = [(one.index, one.score) for one in models[name].rerank(QUERY, TEXTS, normalize=False)]
    for path in ("/v1/rerank", "/v2/rerank"):
        assert scores_of(app.good(path, **body)) == chances
    for path in ("/rerank", "/reranking", "/v1/reranking"):
        assert scores_of(app.good(path, **body)) == (raw if name == "bert" else chances)
    assert scores_of(app.good("/v1/rerank", **body, top_n=2)) == chances[:2]


def test_an_answer_has_what_clients_read(app: Asked) -> None:
    documents = [TEXTS[0], {"text": TEXTS[1]}]
    answer = app.good("/v1/rerank", model="bert", query=QUERY, documents=documents, return_documents=True)
    assert (answer["model"], answer["object"]) == ("bert", "list")
    n_tokens = answer["usage"]["total_tokens"]
    assert n_tokens > 20
    assert n_tokens == answer["usage"]["prompt_tokens"] == answer["meta"]["tokens"]["input_tokens"]
    assert {one["document"]["text"] for one in answer["results"]} == set(TEXTS[:2])
    assert all(one["document"]["text"] == TEXTS[one["index"]] for one in answer["results"])
    plain = app.good("/v1/rerank", model="bert", query=QUERY, documents=documents)
    assert not any("document" in one for one in plain["results"])


def test_what_is_wrong_is_named(app: Asked) -> None:
    good: dict[str, Any] = {"model": "bert", "query": QUERY, "documents": TEXTS}
    for more, param, words in (
        ({"documents": []}, "documents", "it is empty"),
        ({"documents": ["a"] * 9}, "documents", "it has 9 items, but at most 8 are allowed"),
        ({"documents": ["a", "word " * 100]}, "documents[1]", "n_ctx is 64, but the query and the document have"),
        ({"model": "chat"}, "model", "has no classifier"),
        ({"rank_fields": ["title"]}, "rank_fields", "a document is a text"),
        ({"max_tokens_per_doc": 4096}, "max_tokens_per_doc", "documents are not truncated"),
        ({"truncation": True}, "truncation", "documents are not truncated"),
    ):
        error = error_of(app.post("/v1/rerank", **{**good, **more}), 400)
        assert (error["param"], words in error["message"]) == (param, True), error
    others: list[dict[str, Any]] = [{"top_n": 0}, {"documents": [3]}, {"documents": [{"title": "x"}]}, {"query": 3}]
    for more in (*others, {"unknown": 1}):
        error_of(app.post("/v1/rerank", **{**good, **more}), 400)
    assert app.good("/v1/rerank", **good, truncation=False, rank_fields=["text"], priority=3)


def test_a_text_longer_than_the_alias_allows_is_refused(models: dict[str, gemel.Model]) -> None:
    with Asked({"small": gemel_web.ServedModel(models["bert"], n_ctx=16)}) as app:
        error = app.bad("/v1/rerank", model="small", query=QUERY, documents=["reads tensors x"])
        assert error["param"] == "documents[0]"
        assert "but 16 fit: split the document" in error["message"]
