"""Ollama's API: whole answers, lines that add up to them, its client, models, and what is refused, in its shape."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import gemel
import gemel_web
import httpx
import ollama
import pytest
from gemel_web.jobs.turns import turns
from gemel_web.ollama import api
from serving import Asked
from tool_chats import ASKED, BOTH, CLOCK, THINKS, chat_models, is_call

CHAT, TEXT = "/api/chat", "/api/generate"
GREEDY = {"temperature": 0, "num_predict": 12}
BODY: dict[str, Any] = {"model": "plain", "messages": ASKED, "options": GREEDY, "stream": False}
WIDE = {"temperature": 4.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
MEASURED = ("total_duration", "prompt_eval_duration", "eval_duration", "load_duration")


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, gemel_web.ServedModel]]:
    with chat_models(1024) as opened:
        yield opened


@pytest.fixture(scope="module", params=[True, False], ids=["thread", "loop"])
def app(models: dict[str, gemel_web.ServedModel], request: pytest.FixtureRequest) -> Iterator[Asked]:
    with Asked(models, threads=request.param) as asked:
        yield asked


def error_of(response: httpx.Response, status: int = 400) -> str:
    """Return the message of an error, which has Ollama's shape."""
    assert response.status_code == status, response.text
    (pair,) = response.json().items()
    assert pair[0] == "error"
    return str(pair[1])


def lines_of(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def joined(lines: list[Any]) -> dict[str, Any]:
    """Return the answer that lines add up to, without the times."""
    *parts, last = lines
    assert not any(part["done"] for part in parts)
    fields = {"model", "created_at", "message", "response", "thinking", "logprobs", "done"}
    assert all(set(part) <= fields for part in parts)
    out: dict[str, Any] = {"content": "", "thinking": "", "tool_calls": [], "logprobs": []}
    for part in lines:
        message = part.get("message") or {"content": part["response"], "thinking": part.get("thinking", "")}
        out["content"] += message["content"]
        out["thinking"] += message.get("thinking", "")
        out["tool_calls"] += message.get("tool_calls", [])
        out["logprobs"] += part.get("logprobs", [])
    return {**out, **{name: last[name] for name in ("done", "done_reason", "prompt_eval_count", "eval_count")}}


def test_a_chat_is_what_gemel_answers(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    with models["plain"].model.chat(system="Be brief.") as chat:
        sent = chat.send("A shirt, please.", max_tokens=12, temperature=0)
        text = sent.read()
    system = {"role": "system", "content": "Be brief."}
    answer = app.good(CHAT, **{**BODY, "messages": [system, *ASKED]})
    times = [answer.pop(name) for name in MEASURED]
    assert all(isinstance(time, int) and time >= 0 for time in times)
    assert times[0] >= max(times)
    assert times[2] > 0
    assert answer == {
        "model": "plain", "created_at": "1970-01-01T00:00:00Z", "message": {"role": "assistant", "content": text},
        "done": True, "done_reason": "length", "prompt_eval_count": len(sent.prompt_ids), "eval_count": 12,
    }
    text_of = {**BODY, "prompt": "A shirt, please.", "system": "Be brief."}
    del text_of["messages"]
    assert app.good(TEXT, **text_of)["response"] == text
    raw = models["plain"].model.generate("the model", max_tokens=12, temperature=0).read()
    for model in ("plain", "bare"):
        asked = {"model": model, "prompt": "the model", "options": GREEDY, "raw": model == "plain", "stream": False}
        assert app.good(TEXT, **asked)["response"] == raw


def some_request(seed: int) -> tuple[str, dict[str, Any]]:
    rng = random.Random(seed)
    body: dict[str, Any] = {"model": rng.choice(["tools", "thinks", "plain"])}
    options: dict[str, Any] = {"seed": seed, "num_predict": rng.choice([1, 5, 20, 60, 150])}
    options |= rng.choice([WIDE, {"temperature": 1.0}])
    if rng.random() < 0.5:
        options["stop"] = rng.sample(["e", "th", "a", " ", "\n", "zz", "tion", "}", "</", ">"], 3)
    if rng.random() < 0.5:
        body |= {"logprobs": True, "top_logprobs": rng.choice([0, 2])}
    if body["model"] == "thinks":
        body["think"] = rng.choice([True, False, None])
    body["options"] = options
    if rng.random() < 0.3:
        is_raw = rng.choice([True, False])
        if is_raw:
            body.pop("think", None)
        return TEXT, {**body, "prompt": "the model", "raw": is_raw}
    if tools := rng.choice([BOTH, [CLOCK], []]):
        body["tools"] = tools
    return CHAT, {**body, "messages": ASKED}


@pytest.mark.parametrize("part", range(4))
def test_whatever_is_asked_for_lines_add_up_to_the_whole_answer(app: Asked, part: int) -> None:
    seen = set()
    for seed in range(30 * part, 30 * part + 30):
        path, body = some_request(seed)
        whole = joined([app.good(path, **body, stream=False)])
        assert joined(lines_of(app.post(path, **body))) == whole, (path, body)
        if body.get("logprobs"):
            assert len(whole["logprobs"]) <= whole["eval_count"]
            assert whole["logprobs"] or not whole["content"]
        seen |= {name for name in ("content", "thinking", "tool_calls") if whole[name]} | {whole["done_reason"]}
    assert {"content", "thinking", "stop", "length"} <= seen


def must_call(messages: Any, *, options: dict[str, Any], **more: Any) -> Any:  # noqa: ANN401
    """Make turns that call a tool: the tiny models do not on their own, and the API has no tool_choice."""
    return turns(messages, options={**options, "tool_choice": "required"}, **more)


def test_calls_are_whole_in_lines_and_go_back_to_the_model(app: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "turns", must_call)
    n_calls = []
    for seed in range(10):
        body = {"model": "tools", "messages": ASKED, "tools": BOTH, "options": {
            **WIDE, "seed": seed, "num_predict": 40 if seed % 3 == 2 else 200,
        }}  # fmt: skip
        whole = app.good(CHAT, **body, stream=False)
        assert joined(lines_of(app.post(CHAT, **body))) == joined([whole])
        calls = whole["message"].get("tool_calls", [])
        for i, call in enumerate(calls):
            assert call["function"]["index"] == i
            assert is_call(call["function"]["name"], json.dumps(call["function"]["arguments"]))
        n_calls.append(len(calls))
        if calls:
            results = [{"role": "tool", "tool_name": call["function"]["name"], "content": "done"} for call in calls]
            again = {**body, "messages": [*ASKED, whole["message"], *results], "stream": False}
            assert app.good(CHAT, **again)["prompt_eval_count"] > whole["prompt_eval_count"]
    assert {0, 1, 2} <= set(n_calls)   # 0: the limit cut the first one


def total(answer: dict[str, Any]) -> int:
    return int(answer["prompt_eval_count"] + answer["eval_count"])


def test_num_ctx_is_the_context_of_a_request(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    """The last token is drawn and not evaluated, so that it needs no room."""
    model = models["plain"].model
    form = {"format": {"type": "string", "minLength": 5000}, "stream": False}   # it never ends by itself
    body: dict[str, Any] = {**BODY, **form}
    for n, limit in ((64, 64), (1024, 1024), (32768, 1024), (0, 1024)):   # more than the model has: all of it
        answer = app.good(CHAT, **{**body, "options": {"temperature": 0, "num_ctx": n}})
        assert (total(answer), answer["done_reason"]) == (limit + 1, "length")
    long = [{"role": "user", "content": "word " * 40}]
    why = error_of(app.post(CHAT, **{**BODY, "messages": long, "options": {"num_ctx": 64}}))
    n_prompt = len(model.prompt_ids(long))
    assert why.startswith(f"num_ctx is 64, but the prompt has {n_prompt} tokens: shorten it, or send options.num_ctx: ")
    assert "but 4 fit" in error_of(app.post("/api/embed", model="plain", input="word " * 9, options={"num_ctx": 4}))

    size = models["plain"].cache_of(128)
    served = {"small": gemel_web.ServedModel(model, n_ctx=64, cache_memory=size)}
    with Asked(served) as small:
        asked = {**body, "model": "small"}
        for options, limit in (({}, 64), ({"num_ctx": 128}, 128), ({}, 64)):
            assert total(small.good(CHAT, **{**asked, "options": options})) == limit + 1
        why = error_of(small.post(CHAT, **{**asked, "options": {"num_ctx": 512}}))
        assert why.startswith("num_ctx=512 needs ")
        assert why.endswith("ask for at most 128")


def test_thinking_is_turned_on_and_off(app: Asked) -> None:
    body = {**BODY, "model": "thinks", "options": {"seed": 1, "num_predict": 8}}
    assert "thinking" in app.good(CHAT, **body, think=True)["message"]
    assert "thinking" not in app.good(CHAT, **body, think=False)["message"]
    assert error_of(app.post(CHAT, **{**body, "model": "plain"}, think=True)).startswith("think: this model does not")
    assert app.good(CHAT, **{**body, "model": "plain"}, think=False)["message"]["content"]
    assert error_of(app.post(CHAT, **body, think="high")).startswith("think: this model's chat template reads no")


def test_an_answer_has_a_form(app: Asked) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    many = {**BODY, "options": {**GREEDY, "num_predict": 200}}
    assert json.loads(app.good(CHAT, **many, format=schema)["message"]["content"])["a"] in (1, 2)
    assert app.good(CHAT, **BODY, format="json")["message"]["content"].startswith("{")
    assert error_of(app.post(CHAT, **BODY, format={"type": "x"})).startswith("format: #/type")


def test_models_are_described(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    listed = app.get("/api/tags").json()["models"]
    assert [one["name"] for one in listed] == list(models)
    assert len({one["digest"] for one in listed}) == len(models)
    assert listed[0]["details"]["family"] == "llama"
    assert listed[0]["size"] == models["tools"].model.weight_size
    running = app.get("/api/ps").json()["models"]
    assert [one["context_length"] for one in running] == [1024] * 4
    shown = app.good("/api/show", model="thinks:latest")
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    assert shown["template"] == THINKS
    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["model_info"]["tokenizer.ggml.tokens"] is None
    tokens = app.good("/api/show", name="bare", verbose=True)["model_info"]["tokenizer.ggml.tokens"]
    assert len(tokens) == models["bare"].model.n_vocab
    assert app.get("/api/version").json()["gemel"] == gemel.__version__


def test_a_request_without_a_prompt_asks_for_the_model_to_be_loaded(app: Asked) -> None:
    assert app.good(TEXT, model="plain", keep_alive="5m")["done_reason"] == "load"
    assert app.good(CHAT, model="plain", messages=[])["message"]["content"] == ""
    for never in (0, "0", "0s"):
        assert error_of(app.post(TEXT, model="plain", keep_alive=never)).startswith("keep_alive: models can't be")
    assert app.good(TEXT, model="plain", keep_alive=10)["done"]


def test_texts_are_embedded(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    rows = [bytes(row) for row in models["plain"].model.embed(["the model", "other"])]
    answer = app.good("/api/embed", model="plain", input=["the model", "other"])
    assert [packed(row) for row in answer["embeddings"]] == rows
    assert answer["prompt_eval_count"] > 2
    one = app.good("/api/embeddings", model="plain", prompt="other")["embedding"]
    assert one == answer["embeddings"][1]


def packed(row: list[float]) -> bytes:
    from array import array

    return array("f", row).tobytes()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, "messages[0].images: images are not"),
    (CHAT, {"messages": [{"role": "x", "content": "x"}]}, "messages[0].role: 'x' must be one of"),
    (CHAT, {"messages": [{"role": "tool", "tool_name": "f", "content": "x"}, *ASKED], "tools": 5}, "tools: must be a"),
    (CHAT, {"colour": 1}, "colour: unknown parameter"), (CHAT, {"option": {}}, "option: unknown parameter; did"),
    (CHAT, {"options": {"temprature": 1}}, "options.temprature: unknown parameter; did you mean temperature?"),
    (CHAT, {"options": {"num_predict": 0}}, "options.num_predict: must be"),
    (CHAT, {"options": {"temperature": -1}}, "options.temperature"), (CHAT, {"options": {"top_p": 7}}, "options.top_p"),
    (CHAT, {"options": {"mirostat": 1}}, "options.mirostat"), (CHAT, {"options": {"tfs_z": 0.5}}, "options.tfs_z"),
    (CHAT, {"options": {"penalize_newline": False}}, "options.penalize_newline"),
    (CHAT, {"options": {"stop": ""}}, "options.stop"), (CHAT, {"keep_alive": "soon"}, "keep_alive: must be a number"),
    (CHAT, {"format": 5}, "format: must be"), (CHAT, {"truncate": True}, "truncate: a prompt that does not fit"),
    (CHAT, {"shift": True}, "shift: the context is not shifted"), (CHAT, {"top_logprobs": 2}, "top_logprobs: it needs"),
    (CHAT, {"model": "bare"}, "messages: this model has no chat template"),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]}, "tools[0]"),
    (CHAT, {"messages": [{"role": "user", "content": "word " * 900}]}, "num_ctx is 1024, but the prompt has"),
    (TEXT, {"prompt": "x", "suffix": "y"}, "suffix: this model has no"),
    (TEXT, {"prompt": "x", "template": "y"}, "template:"),
    (TEXT, {"prompt": "x", "context": [1]}, "context: not"), (TEXT, {"prompt": "x", "images": ["y"]}, "images"),
    (TEXT, {"prompt": "x", "raw": True, "system": "y"}, "system: it can't be combined with raw"),
    (TEXT, {"prompt": "x", "raw": True, "think": True}, "think: it can't be combined with raw"),
    (TEXT, {"prompt": "x", "suffix": "z", "system": "y"}, "system: it can't be combined with suffix"),
    (TEXT, {"prompt": "x", "model": "bare", "think": "high"}, "think: this model has no chat template"),
    (TEXT, {"prompt": "x", "keep_alive": 0}, "keep_alive: models can't be unloaded"),
    ("/api/embed", {"input": []}, "input: it is empty"),
    ("/api/embed", {"input": "x", "dimensions": 65}, "dimensions:"),
    ("/api/embed", {"input": ["x"] * 300}, "input: it has 300 items"), ("/api/embeddings", {"prompt": ""}, "prompt:"),
    ("/api/embed", {"input": "word " * 2000}, "the text has "),
    ("/api/create", {}, "create: not supported"), ("/api/copy", {}, "copy: not"), ("/api/push", {}, "push: not"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "more", "start"), REFUSED, ids=range(len(REFUSED)))
def test_what_cant_be_honoured_is_refused_by_its_name(app: Asked, path: str, more: dict[str, Any], start: str) -> None:
    usual = {"model": "plain", **({"messages": ASKED} if path == CHAT else {})}
    assert error_of(app.post(path, **{**usual, **more})).startswith(start)


def test_errors_of_every_kind_have_the_shape_of_the_api(app: Asked) -> None:
    assert "other" in error_of(app.post(CHAT, **{**BODY, "model": "other"}), 404)
    assert "gemel pull" in error_of(app.post("/api/pull", model="other"), 404)
    assert error_of(app.get(CHAT), 405)
    assert error_of(app.get("/api/nothing"), 404)
    assert error_of(app.ask("DELETE", "/api/delete", json={"model": "plain"})).startswith("delete: not supported")
    assert error_of(app.ask("POST", CHAT, content=b"{", headers={"content-type": "application/json"}))
    assert error_of(app.ask("POST", CHAT, content=b"{}", headers={"content-type": "text/plain"}), 415)


def test_bodies_need_not_be_declared_as_json_but_pages_of_others_are_refused(app: Asked) -> None:
    body = json.dumps(BODY).encode()
    for headers in ({}, {"content-type": "application/x-www-form-urlencoded"}):
        assert app.ask("POST", CHAT, content=body, headers=headers).status_code == 200
        page = {**headers, "origin": "https://example.org"}
        assert error_of(app.ask("POST", CHAT, content=body, headers=page), 403)


def test_ollamas_client(app: Asked, models: dict[str, gemel_web.ServedModel]) -> None:
    async def main() -> None:
        client = ollama.AsyncClient("http://localhost", transport=httpx.ASGITransport(app.app))
        options: Any = {**GREEDY, "stop": ["zzz"]}
        whole = await client.chat("plain", messages=ASKED, options=options)
        parts = [part async for part in await client.chat("plain", messages=ASKED, options=options, stream=True)]
        assert "".join(part.message.content or "" for part in parts) == whole.message.content
        assert (parts[-1].done_reason, parts[-1].eval_count) == (whole.done_reason, whole.eval_count)

        def clock() -> str:
            """Tell the time."""
            return ""

        called = await client.chat("tools", messages=ASKED, tools=[clock], options=GREEDY)
        assert called.message.role == "assistant"
        assert (await client.generate("plain", "the model", raw=True, options=GREEDY)).response
        assert len((await client.embed("plain", ["a", "b"])).embeddings) == 2
        assert [model.model for model in (await client.list()).models] == list(models)
        assert len((await client.ps()).models) == 4
        assert (await client.show("thinks")).capabilities == ["completion", "tools", "thinking"]
        assert (await client.pull("plain")).status == "success"
        with pytest.raises(ollama.ResponseError, match="there is no model 'other'"):
            await client.chat("other", messages=ASKED)
        with pytest.raises(ollama.ResponseError, match="not supported"):
            await client.delete("plain")

    app.run(main())
