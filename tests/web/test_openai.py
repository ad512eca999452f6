"""The unmodified openai package against the real server: what its users do works, and errors are its exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemel
import openai
import pytest
from conftest import CHATML, tiny_bytes
from serving import text_of
from web_server import Server

KEY = "a-key"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
GREEDY: dict[str, Any] = {"model": "model", "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openai") / "tiny.gguf"
    path.write_bytes(tiny_bytes(chat_template=CHATML))
    return path


@pytest.fixture(scope="module")
def server(file: Path) -> Iterator[Server]:
    with Server(file, GEMEL_SERVE_API_KEY=KEY) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def opened(file: Path) -> Iterator[gemel.Model]:
    with gemel.open(file, threads=1) as model:
        yield model


def test_models(client: openai.OpenAI) -> None:
    (card,) = client.models.list().data
    assert (card.id, card.object, card.owned_by) == ("model", "model", "gemel")
    assert client.models.retrieve("model") == card


def test_a_chat(client: openai.OpenAI, opened: gemel.Model) -> None:
    with opened.chat() as chat:
        sent = chat.send("Hello", max_tokens=12, temperature=0)
        sent.read()
    text = text_of(opened, sent.ids)
    answer = client.chat.completions.create(**GREEDY, messages=HELLO, user="u", store=False)
    assert answer.choices[0].message.content == text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    history = [*HELLO, answer.choices[0].message, {"role": "user", "content": "More"}]
    assert client.chat.completions.create(**GREEDY, messages=history).choices[0].message.role == "assistant"


def test_a_streamed_chat(client: openai.OpenAI) -> None:
    client.chat.completions.create(**GREEDY, messages=HELLO)   # from here on the prompt is in the cache
    whole = client.chat.completions.create(**GREEDY, messages=HELLO)
    stream = client.chat.completions.create(
        **GREEDY, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage == whole.usage


def test_the_stream_helper(client: openai.OpenAI) -> None:
    text = client.chat.completions.create(**GREEDY, messages=HELLO).choices[0].message.content or ""
    with client.chat.completions.stream(**GREEDY, messages=HELLO, stop=text[-1]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text[: text.index(text[-1])]


def test_stop_seed_and_n(client: openai.OpenAI) -> None:
    text = client.completions.create(**GREEDY, prompt="the model").choices[0].text
    cut = client.completions.create(**GREEDY, prompt="the model", stop=text[3:5]).choices[0]
    assert (cut.text, cut.finish_reason) == (text[: text.index(text[3:5])], "stop")
    body: dict[str, Any] = {**GREEDY, "temperature": 1.5, "prompt": "the model", "n": 3, "seed": 5}
    one, other = (client.completions.create(**body) for _ in range(2))
    assert [c.text for c in one.choices] == [c.text for c in other.choices]
    assert len({c.text for c in one.choices}) == 3


def test_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**GREEDY, messages=HELLO, logprobs=True, top_logprobs=3)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 12
    assert all(token.logprob == token.top_logprobs[0].logprob for token in logprobs.content)
    text = client.completions.create(**GREEDY, prompt="the", logprobs=2).choices[0].logprobs
    assert text is not None
    assert text.top_logprobs is not None
    assert [len(one) for one in text.top_logprobs] == [2] * 12


def test_embeddings(client: openai.OpenAI, opened: gemel.Model) -> None:
    texts = ["the model", "another"]
    expected = opened.embed(texts).tolist()
    packed = client.embeddings.create(model="model", input=texts)   # base64 on the wire
    plain = client.embeddings.create(model="model", input=texts, encoding_format="float")
    ids = client.embeddings.create(model="model", input=[opened.tokenize(text, bos_eos=True) for text in texts])
    for answer in (packed, plain, ids):
        assert [one.embedding for one in answer.data] == expected
        assert [one.index for one in answer.data] == [0, 1]
    short = client.embeddings.create(model="model", input=texts, dimensions=5)
    assert [one.embedding for one in short.data] == opened.embed(texts, truncate_dim=5).tolist()


def test_errors_are_the_packages_exceptions(server: Server, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**{**GREEDY, "model": "other"}, messages=HELLO)
    assert (missing.value.param, missing.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**GREEDY, messages=HELLO, reasoning_effort="low")
    assert refused.value.param == "reasoning_effort"
    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(**GREEDY, prompt="word " * 3000)
    assert long.value.code == "context_length_exceeded"
    with (
        openai.OpenAI(base_url=server.url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_many_clients_at_a_time(server: Server) -> None:
    async def main() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
            asked = [client.chat.completions.create(**GREEDY, messages=HELLO) for _ in range(8)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*asked)]

    assert len(set(asyncio.run(main()))) == 1


def test_leaving_a_stream_early(client: openai.OpenAI) -> None:
    with client.completions.create(
        **{**GREEDY, "max_tokens": 400}, prompt="a", stream=True, logit_bias={"0": -100, "2": -100}
    ) as stream:
        assert next(iter(stream)).choices
    assert client.completions.create(**GREEDY, prompt="a").choices


@pytest.mark.model
@pytest.mark.long
def test_the_real_model(real_path: Path, real_model: gemel.Model) -> None:
    with real_model.chat() as chat:
        sent = chat.send("Hello", max_tokens=16, temperature=0)
        sent.read()
    text = text_of(real_model, sent.ids)
    with Server(real_path) as server, openai.OpenAI(base_url=server.url, api_key="none") as client:
        stream = client.chat.completions.create(**{**GREEDY, "max_tokens": 16}, messages=HELLO, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
