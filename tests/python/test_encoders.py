"""Encoders: each position sees its whole text; a text's embedding has the same bits alone and beside others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gemel
import numpy as np
import pytest
import tiny
import tiny_cases
import vocabulary
from archs import ENCODERS
from conftest import tiny_bytes
from gemel import KvType
from gguf_file import F32
from reference import Reference
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

Pooling = Literal["mean", "cls", "last"]
Open = Callable[..., gemel.Model]
IDS = [(31 * i * i + 7 * i + 3) % 323 for i in range(300)]   # longer than two micro-batches
LENGTHS = (1, 2, 7, 40, 64, 100, 129, 300)
KV_TYPES: tuple[KvType, ...] = ("f32", "f16")
CASES = tiny_cases.OF_ENCODERS
ROWS = [name for name, usable in gemel.isas().items() if usable]
WIDE = {"n_embd": 256, "n_ff": 256}   # of formats whose blocks have 256 weights


def assert_same_bits(got: F32, expected: F32) -> None:
    assert np.array_equal(got.view(np.uint32), expected.view(np.uint32)), np.abs(got - expected).max()


def hidden(model: gemel.Model, ids: list[int], kv_type: KvType | None = None) -> F32:
    with model.session(kv_type=kv_type) as session:
        return np.asarray(session.hidden(ids))


@pytest.mark.parametrize("kv_type", KV_TYPES)
@pytest.mark.parametrize("name", CASES)
def test_hidden_states_have_the_references_bits(tiny_model: Open, name: str, kv_type: KvType) -> None:
    model = tiny_model(**CASES[name])
    reference = Reference(tiny_bytes(**CASES[name]), kv_type=kv_type)
    for ids in (IDS[:40], IDS[:140]):
        assert_same_bits(hidden(model, ids, kv_type), reference.hidden(ids))


@pytest.mark.parametrize(("arch", "format_"), tiny_cases.pairs(ENCODERS, "bert"))
def test_every_format_gives_the_references_bits(tiny_model: Open, arch: str, format_: str) -> None:
    wide = WIDE if tiny.BLOCKS[format_][0] > 32 else {}
    fields = {"arch": arch, "format": format_, "n_layer": 1, **wide}
    expected = Reference(tiny_bytes(**fields), kv_type="f16").hidden(IDS[:8])
    assert_same_bits(hidden(tiny_model(**fields), IDS[:8]), expected)


@pytest.mark.parametrize("name", CASES)
def test_each_layer_alone_gives_the_references_bits(tiny_model: Open, name: str) -> None:
    model = tiny_model(**CASES[name])
    reference = Reference(tiny_bytes(**CASES[name]), kv_type="f32")
    x = np.random.default_rng(11).standard_normal((24, model.n_embd)).astype(np.float32)
    for il in range(model.n_layer):
        with model.session(kv_type="f32") as session:
            assert_same_bits(np.asarray(session.layers(x, il, il + 1)), reference.layer(il, x))


@pytest.mark.parametrize("name", CASES)
def test_every_row_and_thread_count_gives_the_same_bits(tiny_model: Open, name: str) -> None:
    model = tiny_model(isa="scalar", **CASES[name])
    expected = hidden(model, IDS).tobytes()
    for row in ROWS:
        model.set_isa(row)
        for n in (1, 3, 5, 8) if row == ROWS[-1] else (2,):
            model.set_threads(n)
            assert hidden(model, IDS).tobytes() == expected, (row, n)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_text_has_the_same_bits_alone_and_beside_others(tiny_model: Open, pooling: Pooling, threads: int) -> None:
    model = tiny_model(arch="bert", format="Q8_0", n_embd=96, n_head=6, threads=threads)
    texts = [IDS[n : 2 * n] if n < 150 else IDS[:n] for n in LENGTHS]
    with model.batch() as batch:
        alone = [bytes(batch.embed(ids, pooling, normalize=False).result()) for ids in texts]
        together = [batch.embed(ids, pooling, normalize=False) for ids in (*texts, *reversed(texts))]
        assert [bytes(one.result()) for one in together] == [*alone, *reversed(alone)]
    for ids, row in zip(texts, alone, strict=True):
        assert bytes(gemel.pooled(hidden(model, ids), pooling, normalize=False)) == row


def test_the_files_pooling_is_the_default(tiny_model: Open) -> None:
    for number, name in ((1, "mean"), (2, "first"), (3, "last"), (0, "mean")):
        model = tiny_model(arch="bert", pooling=number)
        assert model.pooling == (name if number else "")
        assert bytes(model.embed("a b c")) == bytes(model.embed("a b c", name))   # type: ignore[arg-type]
    assert len({bytes(model.embed("a b c", pooling)) for pooling in ("mean", "cls", "last")}) == 3
    with pytest.raises(gemel.UnsupportedError, match="scores texts, by its pooling_type: to embed them, pass"):
        tiny_model(arch="bert", pooling=4).embed("a")
    with pytest.raises(gemel.FormatError, match="bert.pooling_type is 5; it must be 0 to 4"):
        tiny_model(arch="bert", pooling=5)


def test_embeddings_are_truncated_before_they_are_normalized(tiny_model: Open) -> None:
    model = tiny_model(arch="bert")
    whole = np.asarray(model.embed(["one two", "three"], normalize=False))
    some = np.asarray(model.embed(["one two", "three"], truncate_dim=10))
    assert np.allclose(some, whole[:, :10] / np.linalg.norm(whole[:, :10], axis=1)[:, None], atol=1e-6)
    for wrong in (0, 65, True, "9", 1.5):
        with pytest.raises((gemel.ArgumentError, gemel.ArgumentTypeError), match="truncate_dim"):
            model.embed("a", truncate_dim=wrong)   # type: ignore[arg-type]


def test_a_prompt_comes_before_each_text(tiny_model: Open) -> None:
    model = tiny_model(arch="bert")
    assert bytes(model.embed("one", prompt="query: ")) == bytes(model.embed("query: one"))


@pytest.mark.parametrize("arch", ["bert", "llama"])
def test_ids_are_embedded_as_they_are(tiny_model: Open, arch: str) -> None:
    model = tiny_model(arch=arch, n_ctx=40)
    ids = model.tokenize("one two", bos_eos=True)
    rows = np.asarray(model.embed(["one two", ids, np.array(ids, np.int32), tuple(ids[1:])]))
    assert [bytes(row) == bytes(rows[0]) for row in rows] == [True, True, True, False]
    with pytest.raises(gemel.ArgumentError, match="prompt has no effect on ids"):
        model.embed([ids], prompt="a")
    with pytest.raises(gemel.ContextError, match="n_ctx is 40, but the text has 41 tokens"):
        model.embed([IDS[:41]])
    parts = [np.asarray(model.embed([IDS[at:to]], normalize=False)[0], np.float64) for at, to in ((0, 40), (40, 50))]
    mean = (40 * parts[0] + 10 * parts[1]) / 50
    assert np.allclose(model.embed([IDS[:50]], overflow="chunk")[0], mean / np.linalg.norm(mean), atol=1e-6)
    wrong: Any
    for wrong in ([[]], [[model.n_vocab]], [["a"]], [5], [b"a"], [{5}], [None]):
        with pytest.raises((gemel.ArgumentError, gemel.ArgumentTypeError)):
            model.embed(wrong)


def test_a_long_text_is_an_error_or_embedded_in_parts(tiny_model: Open) -> None:
    model = tiny_model(arch="bert", n_ctx=40, tokenizer="bert")
    text = "the model reads the tensors " * 20
    with pytest.raises(gemel.ContextError, match=r"n_ctx is 40, but the text has \d+ tokens: split it"):
        model.embed(text)
    short, row = "the model reads", np.asarray(model.embed(text, overflow="chunk"))
    assert bytes(model.embed(short, overflow="chunk")) == bytes(model.embed(short))
    ids, parts = model.tokenize(text), []
    with model.batch() as batch:
        for at in range(0, len(ids), 38):
            part = [2, *ids[at : at + 38], 3]
            parts.append((len(part), np.asarray(batch.embed(part, normalize=False).result(), np.float64)))
    mean = sum(n * one for n, one in parts) / sum(n for n, _ in parts)
    assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    with pytest.raises(gemel.ArgumentError, match="overflow='cut': must be 'error' or 'chunk'"):
        model.embed(text, overflow="cut")   # type: ignore[arg-type]
    with pytest.raises(gemel.ContextError, match="the prompt leaves no room for the text"):
        model.embed(text, prompt=text, overflow="chunk")


def test_an_encoder_neither_generates_nor_scores(tiny_model: Open) -> None:
    model = tiny_model(arch="bert")
    with model.session() as session:
        session.hidden([1, 2, 3])
        for call in (
            lambda: session.append([1]), lambda: session.score([1]), lambda: session.hidden([1]),
            lambda: session.logits(),
        ):   # fmt: skip
            with pytest.raises(gemel.UnsupportedError, match="an encoder reads a text whole"):
                call()
        with pytest.raises(gemel.UnsupportedError):
            session.truncate(1)
        session.truncate(0)
        assert session.hidden([1, 2]).shape == (2, 64)
    for other in (lambda: model.generate("a").read(), lambda: model.score("a b"), lambda: model.batch().generate("a")):
        with pytest.raises(gemel.UnsupportedError, match="bert is an encoder: it embeds texts, and neither generates"):
            other()
    with pytest.raises(gemel.UnsupportedError, match="an encoder"):
        model.session(kv_type="q8_0")


def test_what_a_file_must_say(tiny_model: Open) -> None:
    for key, value in (("bert.attention.causal", True), ("tokenizer.ggml.token_type_count", 3)):
        kind = "bool" if value is True else "u32"
        with pytest.raises(gemel.GemelError, match=key.replace(".", r"\.")):
            tiny_model(arch="bert", kv=((key, kind, value),))
    with pytest.raises(gemel.UnsupportedError, match="llama.attention.causal is false"):
        tiny_model(kv=(("llama.attention.causal", "bool", False),))
    for name in ("blk.1.attn_output_norm.bias", "blk.0.layer_output_norm.weight", "position_embd.weight"):
        with pytest.raises(gemel.FormatError, match=f"{name} is missing"):
            tiny_model(arch="bert", without=(name,))
    for key in ("context_length", "block_count", "attention.layer_norm_epsilon"):
        with pytest.raises(gemel.FormatError, match=f"bert.{key} is missing"):
            tiny_model(arch="bert", without=(f"bert.{key}",))


# ---- WordPiece -------------------------------------------------------------------------------------------------------


def published(*, cased: bool) -> Tokenizer:
    """Return the same vocabulary as a tokenizer of Hugging Face."""
    pairs = vocabulary.wordpiece_vocabulary(cased=cased)
    pieces = next(value for key, _, value in pairs if key == "tokenizer.ggml.tokens")
    words = [one[1:] if one[0] == "▁" else one if i < 5 else f"##{one}" for i, one in enumerate(pieces)]
    out = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    out.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    out.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return out


def drawn_texts() -> list[str]:
    """Return texts of words, letters with accents, signs, characters of all planes, and controls."""
    rng = np.random.default_rng(5)
    words = vocabulary.TEXT.split()
    signs = ["a\u0301", "e\u0323", "\u2581", "\u0967", "ﬁ", "Ａ", "\u00ad"]
    alphabet = [*"aeinost", *"ÀÉîñøßſİΣςкЙが한글中文，。！?$^`~_", *signs]
    spaces = [" ", "  ", "\t", "\n", "\u00a0", "\u2003", "\u200b", "\x0b", "\x85", "", ""]
    parts = [*words, *(word.upper() for word in words), *alphabet, "x" * 99, "t" * 100, "t" * 101]
    texts = ["".join(str(rng.choice(parts)) + str(rng.choice(spaces)) for _ in range(rng.integers(1, 12)))
             for _ in range(1000)]   # fmt: skip
    codes = (range(0x20, 0x5F0, 5), range(0x1E00, 0x2000, 3), range(0x2000, 0x2C00, 7), range(0x3000, 0x3400, 5),
             range(0xAC00, 0xD7A4, 97), range(0xF900, 0xFA6E, 3), range(0xFF00, 0x10000, 3))   # fmt: skip
    return texts + [f"a{chr(code)}b {chr(code)}" for some in codes for code in some]   # of Unicode 8, as the library's


@pytest.mark.parametrize("cased", [False, True])
def test_wordpiece_gives_the_ids_of_hugging_face(cased: bool) -> None:
    own = vocabulary.wordpiece_vocabulary(300, cased=cased)
    with gemel.open(tiny_bytes(arch="bert", tokenizer="bert", n_vocab=300, kv=tuple(own)), threads=1) as model:
        theirs = published(cased=cased)
        texts = drawn_texts()
        for text in texts:
            assert model.tokenize(text) == theirs.encode(text).ids, ascii(text)
        assert len({id for text in texts for id in model.tokenize(text)}) > 80
        assert model.tokenize("the", bos_eos=True) == [2, *model.tokenize("the"), 3]
        assert model.tokenize("[MASK]", special=True) == [4]
        assert model.detokenize(model.tokenize("the model reads")) == "the model reads"


def test_wordpiece_needs_an_unknown_token(tiny_model: Open) -> None:
    kv = (("tokenizer.ggml.unknown_token_id", "u32", 4294967295),)
    with pytest.raises(gemel.FormatError, match=r"unknown_token_id is missing; tokenizer\.ggml\.model bert needs it"):
        tiny_model(arch="bert", tokenizer="bert", kv=kv)


@pytest.mark.parametrize("tokenizer", ["bert", "unigram", "bpe"])
def test_texts_of_any_tokenizer_are_embedded(tiny_model: Open, tokenizer: str) -> None:
    """XLM-RoBERTa's files are BERTs with a unigram vocabulary, RoBERTa's have BPE."""
    model = tiny_model(arch="bert", tokenizer=tokenizer)
    ids = model.tokenize("the model reads", bos_eos=True)
    assert len(ids) > 3
    assert bytes(model.embed("the model reads")) == bytes(gemel.pooled(hidden(model, ids)))


def test_a_decoder_embeds_by_the_last_token_where_its_file_says_so(tiny_model: Open) -> None:
    model = tiny_model(arch="qwen3", kv=(("qwen3.pooling_type", "u32", 3),))   # as Qwen3-Embedding
    ids = model.tokenize("the model reads", bos_eos=True)
    states = Reference(tiny_bytes(arch="qwen3"), kv_type=model.default_kv_type).hidden(ids)
    row = states[-1].astype(np.float64)
    assert model.pooling == "last"
    assert np.allclose(np.asarray(model.embed("the model reads")), row / np.linalg.norm(row), rtol=0, atol=1e-7)
    assert not np.allclose(np.asarray(model.embed("the model reads", "mean")), row / np.linalg.norm(row), atol=1e-3)


@pytest.mark.parametrize("name", ["jina-bert-v2, Q4_0", "modern-bert, Q4_0", "gemma-embedding, Q4_0"])
def test_texts_of_each_encoder_have_the_same_bits_alone_and_beside_others(tiny_model: Open, name: str) -> None:
    model = tiny_model(**CASES[name], threads=2)
    texts = [IDS[n : 2 * n] if n < 150 else IDS[:n] for n in LENGTHS]
    with model.batch() as batch:
        alone = [bytes(batch.embed(ids, "mean").result()) for ids in texts]
        together = [batch.embed(ids, "mean") for ids in texts]
        assert [bytes(one.result()) for one in together] == alone


def test_activations_of_modern_bert_are_named(tiny_model: Open) -> None:
    with pytest.raises(gemel.UnsupportedError, match='hidden_activation "relu" is not supported .supported: gelu, '):
        tiny_model(arch="modern-bert", kv=(("modern-bert.hidden_activation", "string", "relu"),))
