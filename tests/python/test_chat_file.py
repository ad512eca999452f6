"""A chat is saved and resumed by one call each: the same bits go on, and changed bytes are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import gemel
import pytest
from conftest import CHATML, tiny_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

OpenTiny = Callable[..., gemel.Model]
TEMPLATE = CHATML + "{% if deep %}{{ deep }}{% endif %}{{ (tools or [])|length }}"
HEAD = struct.Struct("<8sQQ32s")
OPTIONS: dict[str, Any] = {"temperature": 0.9, "seed": 7, "max_tokens": 6}


def begun(model: gemel.Model, **options: Any) -> gemel.Chat:  # noqa: ANN401
    chat = model.chat("Be brief.", n_ctx=256, kv_type="f16", template=TEMPLATE, **options)
    chat.send("Why is the sky blue?", **OPTIONS).read()
    return chat


@pytest.fixture(scope="module")
def saved() -> Iterator[tuple[gemel.Model, bytes]]:
    with gemel.open(tiny_bytes(chat_template=CHATML), threads=1) as model, begun(model) as chat:
        yield model, chat.save()


def changed(data: bytes, **facts: object) -> bytes:
    """Return a saved chat with other facts, and the sizes and checksum that fit."""
    magic, size, session_size, _ = HEAD.unpack(data[: HEAD.size])
    text = json.dumps(json.loads(data[HEAD.size : HEAD.size + size]) | facts).encode()
    return HEAD.pack(magic, len(text), session_size, sha256(text).digest()) + text + data[HEAD.size + size :]


def test_a_resumed_chat_goes_on_with_the_bits_of_the_saved_one(model: gemel.Model, tmp_path: Path) -> None:
    tools = ({"name": "search", "parameters": {"type": "object", "examples": [1, 2.5, None, True]}},)
    with begun(model, tools=tools, deep={"a": ["b"]}) as chat:
        chat.save(tmp_path / "chat.bin")
        data = chat.save()
        assert (tmp_path / "chat.bin").read_bytes() == data
        assert list(tmp_path.iterdir()) == [tmp_path / "chat.bin"]
        messages = [dict(message) for message in chat.messages]
        wanted = chat.send("And the sea?", **OPTIONS)
        wanted.read()
        logits = bytes(memoryview(chat.session.logits()))
    for form in (data, bytearray(data), memoryview(data), tmp_path / "chat.bin", str(tmp_path / "chat.bin")):
        with model.resume_chat(form) as again:
            assert again.messages == messages
            assert (again.session.n_ctx, again.session.kv_type) == (256, "f16")
            answer = again.send("And the sea?", **OPTIONS)
            answer.read()
            assert (answer.ids, answer.text, answer.prompt_ids) == (wanted.ids, wanted.text, wanted.prompt_ids)
            assert answer.timings.n_evaluated == wanted.timings.n_evaluated < len(answer.prompt_ids)
            assert bytes(memoryview(again.session.logits())) == logits
    with gemel.open(tiny_bytes(chat_template=CHATML), threads=2) as other, other.resume_chat(data) as again:
        assert again.send("And the sea?", **OPTIONS).read() == wanted.text


def test_a_chat_that_was_edited_or_is_empty_is_saved_too(model: gemel.Model) -> None:
    with model.chat() as chat, model.resume_chat(chat.save()) as again:
        assert (again.messages, again.session.ids) == ([], [])
        assert again.send("Hi", **OPTIONS).read() == chat.send("Hi", **OPTIONS).read()
        del chat.messages[-1]
        with model.resume_chat(chat.save()) as third:
            assert third.messages == [{"role": "user", "content": "Hi"}]
            third.messages.append({"role": "user", "content": ({"type": "text", "text": "\ud800"},)})
            with model.resume_chat(third.save()) as fourth:
                assert fourth.messages[1]["content"] == [{"type": "text", "text": "\ud800"}]


def test_a_larger_context_may_be_asked_for(saved: tuple[gemel.Model, bytes]) -> None:
    model, data = saved
    with model.resume_chat(data, n_ctx=300) as chat:
        assert chat.session.n_ctx == 300
    with pytest.raises(gemel.ContextError):
        model.resume_chat(data, n_ctx=8)
    with pytest.raises(gemel.ArgumentError, match="n_ctx=0: must be an integer from 1 to 512"):
        model.resume_chat(data, n_ctx=0)


def test_a_running_answer_is_ended_before_a_chat_is_saved(model: gemel.Model) -> None:
    with model.chat() as chat:
        answer = chat.send("Hi", max_tokens=3)
        with pytest.raises(gemel.ArgumentError, match=r"an answer is running: read\(\) or close\(\) it"):
            chat.save()
        answer.close()
        assert chat.save()


@pytest.mark.parametrize(("message", "words"), [
    ({"role": "user", "content": b"x"}, r"messages\[0\].content is b'x'"),
    ({"role": "user", "content": "x", 5: 6}, r"messages\[0\] has the key 5"),
    ({"role": "user", "content": "x", "at": float("nan")}, r"messages\[0\].at is nan"),
])
def test_what_a_file_cannot_hold_is_a_type_error_by_name(
    model: gemel.Model, message: dict[str, Any], words: str
) -> None:
    with model.chat() as chat:
        chat.messages.append(message)
        with pytest.raises(TypeError, match=words):
            chat.save()


def test_another_models_chat_is_a_state_error(saved: tuple[gemel.Model, bytes]) -> None:
    _, data = saved
    for other in ({"n_layer": 3}, {"n_ctx": 64}):
        with gemel.open(tiny_bytes(chat_template=CHATML, **other)) as model, pytest.raises(gemel.StateError):
            model.resume_chat(data)


def test_a_closed_model_says_so_when_a_chat_is_resumed(saved: tuple[gemel.Model, bytes]) -> None:
    model = gemel.open(tiny_bytes(chat_template=CHATML))
    model.close()
    with pytest.raises(gemel.ArgumentError, match="this model is closed"):
        model.resume_chat(saved[1])


@pytest.mark.parametrize("facts", [
    {"messages": {}}, {"messages": [5]}, {"messages": [{"content": "x"}]}, {"template": 5}, {"tools": "x"},
    {"options": {"messages": []}}, {"options": {"colour": 1}}, {"options": []}, {"n_ctx": 0}, {"n_ctx": True},
    {"n_ctx": 10**30}, {"n_ctx": "5"}, {"kv_type": "q9"}, {"kv_type": "f32"}, {"more": 1},
    {"messages": [{"role": "user", "content": json.loads("[" * 70 + "]" * 70)}]},
])   # fmt: skip
def test_a_hostile_file_is_a_state_error(saved: tuple[gemel.Model, bytes], facts: dict[str, object]) -> None:
    model, data = saved
    n_sessions = len(model._sessions)
    with pytest.raises(gemel.StateError):
        model.resume_chat(changed(data, **facts))
    assert len([session for session in model._sessions if not session.closed]) <= n_sessions


@pytest.mark.long
def test_a_hostile_template_is_a_template_error(saved: tuple[gemel.Model, bytes]) -> None:
    model, data = saved
    with pytest.raises(gemel.TemplateError):
        model.resume_chat(changed(data, template="{% if"))
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    with model.resume_chat(changed(data, template=endless)) as chat, pytest.raises(gemel.TemplateError):
        chat.send("x")


def test_other_bytes_and_files_say_what_they_are_not(saved: tuple[gemel.Model, bytes], tmp_path: Path) -> None:
    model, data = saved
    for wrong in (b"", b"x", b"GGUF" * 99, data[:20]):
        with pytest.raises(gemel.StateError, match="not a saved chat"):
            model.resume_chat(wrong)
    for wrong in (data[:-1], data + b"x", data[:200]):
        with pytest.raises(gemel.StateError, match="it is cut|longer"):
            model.resume_chat(wrong)
    with pytest.raises(gemel.StateError, match=r"layout b'2', but this version of gemel reads b'1'"):
        model.resume_chat(data[:7] + b"2" + data[8:])
    with pytest.raises(gemel.SourceError, match="there is no file"):
        model.resume_chat(tmp_path / "nope")
    with pytest.raises(TypeError, match=r"saved=None \(NoneType\): must be the bytes of save\(\), or a path"):
        model.resume_chat(None)   # type: ignore[arg-type]


@pytest.mark.parametrize("byte", range(4))
def test_another_number_of_tokens_is_damage(saved: tuple[gemel.Model, bytes], byte: int) -> None:
    model, state = saved
    damaged = bytearray(state)
    damaged[state.index(b"gemelkv4") + 24 + byte] ^= 1   # n_past
    with pytest.raises(gemel.StateError):
        model.resume_chat(damaged)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused(saved: tuple[gemel.Model, bytes], data: st.DataObject) -> None:
    model, state = saved
    at = data.draw(st.one_of(st.integers(0, 900), st.integers(0, len(state) - 1)))
    damaged = bytearray(state)
    damaged[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(gemel.StateError):
        model.resume_chat(damaged)
