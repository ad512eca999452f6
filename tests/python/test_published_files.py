"""Files as they are published: what they say wrongly about their vocabulary is a warning, and the model opens."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gemel
import pytest
import tiny
from command import gemel_
from conftest import CHATML, tiny_bytes
from gemel_web import create_app
from starlette.testclient import TestClient

IDS = "tokenizer.ggml."
FILE: dict[str, Any] = {"chat_template": CHATML}
ROLES = {"bos": "bos_id", "eos": "eos_id", "eot": "eot_id", "unknown": "", "padding": "", "seperator": "", "eom": ""}


@contextmanager
def opened(data: bytes, *words: str) -> Iterator[gemel.Model]:
    """Open a model with exactly one warning, which has all the words; without words, with none."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = gemel.open(data, threads=1)
    with model:
        assert [one.category for one in found] == [gemel.ModelWarning] * bool(words)
        assert [str(one.message).partition(": ")[2] for one in found] == list(model.warnings)
        assert [one.filename for one in found] == [__file__] * bool(words)
        assert all(word in model.warnings[0] for word in words), model.warnings
        yield model


def with_rows(surplus: int, names: tuple[str, ...] = ("token_embd.weight", "output.weight"), **fields: Any) -> bytes:  # noqa: ANN401
    """Return a tiny model whose tensors of these names have more rows: those of the first ids again."""
    pairs, tensors = tiny.described(tiny.TinyModel(**{**FILE, **fields}))
    for i, one in enumerate(tensors):
        if one.name in names:
            row = len(one.data) // one.ne[-1]
            data = one.data + one.data[: surplus * row]
            tensors[i] = dataclasses.replace(one, ne=[*one.ne[:-1], one.ne[-1] + surplus], data=data)
    return tiny.write_gguf(None, pairs, tensors)


# ---- Ids that do not exist ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("kind", "id"), [("u32", 0xFFFFFFFF), ("i32", -1), ("u32", 100_000), ("u64", 2**40)])
def test_a_special_id_out_of_range_is_absent_and_one_warning(role: str, kind: str, id: int) -> None:
    key = f"{IDS}{role}_token_id"
    with opened(tiny_bytes(**FILE, kv=((key, kind, id),)), f"{key} is {id}", "it counts as absent") as model:
        if ROLES[role]:
            assert getattr(model, ROLES[role]) is None
        assert len(model.generate("hello", max_tokens=3, temperature=0).read()) > 0


def test_the_first_id_behind_the_vocabulary_is_out_of_range_and_the_last_is_not() -> None:
    with gemel.open(tiny_bytes(**FILE), threads=1) as model:
        n_vocab = model.n_vocab
    with opened(tiny_bytes(**FILE, kv=((f"{IDS}eos_token_id", "u32", n_vocab - 1),))) as model:
        assert model.eos_id == n_vocab - 1
    with opened(tiny_bytes(**FILE, kv=((f"{IDS}eos_token_id", "u32", n_vocab),)), f"ids are 0 to {n_vocab - 1}"):
        pass


def test_several_ids_out_of_range_are_one_warning_that_names_each() -> None:
    kv = tuple((f"{IDS}{role}_token_id", "u32", 0xFFFFFFFF) for role in ROLES)
    with opened(tiny_bytes(**FILE, kv=kv), *(f"{IDS}{role}_token_id is" for role in ROLES), "these count as absent"):
        pass


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_a_flag_to_add_an_id_that_does_not_exist_adds_nothing(tokenizer: str) -> None:
    kv = ((f"{IDS}bos_token_id", "u32", 0xFFFFFFFF), (f"{IDS}add_bos_token", "bool", True))
    with opened(tiny_bytes(**FILE, tokenizer=tokenizer, kv=kv), "bos_token_id is 4294967295") as model:
        assert (model.bos_id, model.adds_bos) == (None, False)
        assert model.prompt_ids("hello") == model.tokenize("hello")


def test_an_override_out_of_range_stays_an_error_and_a_right_one_replaces_a_wrong_id() -> None:
    key = f"{IDS}bos_token_id"
    wrong = tiny_bytes(**FILE, kv=((key, "u32", 0xFFFFFFFF),))
    with gemel.open(wrong, threads=1, overrides={key: 1}) as model:
        assert (model.bos_id, model.warnings) == (1, ())
    with pytest.raises(gemel.ArgumentError, match="is an override"):
        gemel.open(wrong, threads=1, overrides={key: 0xFFFFFFFF})
    with pytest.raises(gemel.ArgumentError, match="add_bos_token is true, but"):
        gemel.open(wrong, threads=1, overrides={f"{IDS}add_bos_token": True})


# ---- Missing keys ---------------------------------------------------------------------------------------------------

DEFAULTS = [   # tokenizer, pre, (bos, eos, adds_bos): what llama.cpp's vocabulary begins with
    ("spm", "default", (1, 2, True)), ("bpe", "gpt-2", (11, 11, False)), ("bpe", "qwen2", (11, 11, False)),
    ("bpe", "llama-bpe", (11, 11, True)), ("bpe", "tekken", (11, 11, True)), ("bpe", "glm4", (None, 11, False)),
]


@pytest.mark.parametrize(("tokenizer", "pre", "wanted"), DEFAULTS)
def test_missing_keys_take_the_defaults_of_the_tokenizer_model(tokenizer: str, pre: str, wanted: object) -> None:
    names = ("bos_token_id", "eos_token_id", "add_bos_token", "add_eos_token", "add_space_prefix")
    without = {f"{IDS}{name}" for name in names}
    with opened(tiny_bytes(**FILE, tokenizer=tokenizer, pre=pre, without=frozenset(without))) as model:
        assert (model.bos_id, model.eos_id, model.adds_bos) == wanted
        assert model.eos_id is not None
        assert model.is_eog(model.eos_id)
        ids = model.tokenize("hello")
        assert model.prompt_ids("hello") == ([model.bos_id] * model.adds_bos) + ids
        assert model.detokenize(ids) == "hello"
        assert (model.piece(ids[0])[:1] == b" ") == (tokenizer == "spm")


def test_a_key_counts_before_a_default() -> None:
    with opened(tiny_bytes(**FILE, tokenizer="spm", kv=((f"{IDS}add_bos_token", "bool", False),))) as model:
        assert (model.bos_id, model.adds_bos) == (1, False)


def test_a_missing_pre_tokenizer_is_one_warning_and_splits_as_default() -> None:
    text = "It's 1234567, or so: they'd say"
    with opened(tiny_bytes(**FILE, without=frozenset({f"{IDS}pre"})), f"{IDS}pre is missing", '"default"') as model:
        found = model.tokenize(text)
    with opened(tiny_bytes(**FILE, pre="default")) as model:
        assert found == model.tokenize(text)


def test_sentencepiece_needs_no_pre_tokenizer() -> None:
    with opened(tiny_bytes(**FILE, tokenizer="spm", without=frozenset({f"{IDS}pre"}))):
        pass


# ---- Two tokens of one text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_of_two_tokens_of_one_text_both_decode_and_the_last_encodes(tokenizer: str) -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(**FILE, tokenizer=tokenizer))
    tokens = next(value for key, _, value in pairs if key == f"{IDS}tokens")
    first, last = (tokens.index("the" if tokenizer == "bpe" else "▁the"), len(tokens) - 1)
    tokens[last] = tokens[first]
    with opened(tiny.write_gguf(None, pairs, tensors), f"{first} and {last} are both", "the last") as model:
        assert model.piece(first) == model.piece(last)
        assert model.detokenize([first, last]).strip() == ("thethe" if tokenizer == "bpe" else "the the")
        assert last in (ids := model.tokenize("the"))
        assert first not in ids


def test_a_thousand_twins_are_one_warning_that_counts_them() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(**FILE))
    tokens = next(value for key, _, value in pairs if key == f"{IDS}tokens")
    tokens[280:] = [tokens[280]] * len(tokens[280:])
    merges = next(value for key, _, value in pairs if key == f"{IDS}merges")
    merges.clear()
    with opened(tiny.write_gguf(None, pairs, tensors), "280 and 281 are both", f"{len(tokens) - 282} more"):
        pass


# ---- More rows than tokens ------------------------------------------------------------------------------------------

SHAPES: list[dict[str, Any]] = [
    {}, {"tied": True}, {"arch": "phi2"}, {"arch": "gpt2", "tied": True}, {"format": "Q8_0"}, {"format": "F16"},
]


@pytest.mark.parametrize("surplus", [1, 13, 64])
@pytest.mark.parametrize("fields", SHAPES, ids=str)
def test_surplus_rows_change_nothing(surplus: int, fields: dict[str, Any]) -> None:
    with gemel.open(tiny_bytes(**FILE, **fields), threads=1) as plain, plain.session() as session:
        session.append([1, 2, 3])
        wanted = bytes(session.logits()), session.log_probs(list(range(plain.n_vocab)))
        n_vocab, score = plain.n_vocab, plain.score([1, 2, 3, 4])
        text = plain.generate([1, 2, 3], max_tokens=20, seed=5).read()
    names = ("token_embd.weight", "output.weight", "output.bias")
    words = f"token_embd.weight has {n_vocab + surplus} rows", f"{IDS}tokens has {n_vocab} entries"
    with opened(with_rows(surplus, names, **fields), *words) as model, model.session() as session:
        assert model.n_vocab == n_vocab
        session.append([1, 2, 3])
        assert (bytes(session.logits()), session.log_probs(list(range(n_vocab)))) == wanted
        assert model.score([1, 2, 3, 4]) == score
        assert model.generate([1, 2, 3], max_tokens=20, seed=5).read() == text
        answers = (session.append, model.score, session.log_probs, lambda ids: model.generate(ids).read())
        for call in answers:
            with pytest.raises(gemel.ArgumentError):
                call([1, n_vocab])


def test_only_the_output_may_have_more_rows() -> None:
    with opened(with_rows(5, ("output.weight",)), "output.weight has"):
        pass


def test_surplus_rows_are_masked_in_what_loads_layer_by_layer(tmp_path: Path) -> None:
    file = tmp_path / "more.gguf"
    file.write_bytes(with_rows(64))
    with pytest.warns(gemel.ModelWarning, match="rows"):
        model = gemel.open(file, threads=1, prompt="hello there")
    with model, gemel.open(tiny_bytes(**FILE), threads=1) as plain:
        assert model.generate("hello there", max_tokens=9, seed=1).read() == (
            plain.generate("hello there", max_tokens=9, seed=1).read()
        )
    with gemel.inspect(file) as header:
        assert header.plan(n_ctx=64).weights == gemel.inspect(tiny_bytes(**FILE)).plan(n_ctx=64).weights


def test_fewer_rows_than_tokens_stay_an_error() -> None:
    pairs, tensors = tiny.described(tiny.TinyModel(**FILE))
    for i, one in enumerate(tensors):
        if one.name in ("token_embd.weight", "output.weight"):
            n = one.ne[1]
            tensors[i] = dataclasses.replace(one, ne=[one.ne[0], n - 1], data=one.data[: len(one.data) // n * (n - 1)])
    with pytest.raises(gemel.FormatError, match=r"tokens has \d+ entries, but token_embd.weight has"):
        gemel.open(tiny.write_gguf(None, pairs, tensors), threads=1)


# ---- Where warnings are shown ---------------------------------------------------------------------------------------


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.gguf"
    kv = ((f"{IDS}padding_token_id", "u32", 0xFFFFFFFF),)
    path.write_bytes(tiny_bytes(**FILE, kv=kv, without=frozenset({f"{IDS}pre"})))
    return path


WORDS = (f"{IDS}pre is missing", f"{IDS}padding_token_id is 4294967295")


def test_a_model_without_faults_has_no_warnings() -> None:
    with opened(tiny_bytes(**FILE)) as model, gemel.inspect(tiny_bytes(**FILE)) as header:
        assert (model.warnings, header.warnings) == ((), ())


def test_a_warning_that_the_caller_makes_an_error_closes_the_model(wrong: Path) -> None:
    with pytest.raises(gemel.ModelWarning, match="pre is missing"):
        gemel.open(wrong, threads=1)


def test_inspect_has_the_warnings_of_the_model(wrong: Path) -> None:
    with pytest.warns(gemel.ModelWarning):
        model = gemel.open(wrong, threads=1)
    with model, gemel.inspect(wrong) as header:
        assert header.warnings == model.warnings
        assert all(any(word in text for text in model.warnings) for word in WORDS)
        assert gemel_("inspect", wrong, "--json").json["warnings"] == list(model.warnings)
    shown = gemel_("inspect", wrong)
    assert (shown.code, shown.err) == (0, "")
    assert all(word in shown.out for word in WORDS)
    assert gemel_("inspect", wrong, "--json").err == ""


def test_a_header_that_can_not_be_a_model_has_no_warnings_and_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(tiny_bytes(arch="tapir", kv=((f"{IDS}model", "string", "bert"),)))
    assert gemel_("inspect", file, "--json").json["warnings"] == []


def test_the_command_line_says_each_warning_on_one_line(wrong: Path) -> None:
    done = gemel_("run", wrong, "hello", "-n", 2, "--threads", 1)
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 2
    assert all(any(word in line for line in lines) for word in WORDS)
    assert ".py" not in done.err


def test_the_server_lists_warnings_with_the_model(wrong: Path) -> None:
    import gemel_web

    with pytest.warns(gemel.ModelWarning):
        model = gemel.open(wrong, threads=1)
    with model, TestClient(create_app(gemel_web.Config(), {"m": gemel_web.ServedModel(model)})) as client:
        card = client.get("http://localhost/v1/models").json()["data"][0]
        assert card["meta"]["warnings"] == list(model.warnings)
