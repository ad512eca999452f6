"""Tokenizers whose pieces are not words of bytes: unigram, BPE over characters, RWKV's, against others.

Unigram is compared with a plain Viterbi and, with the vocabulary and the normaliser of XLM-RoBERTa, with Hugging
Face's; BPE over characters with Hugging Face's. tests/c/check_unigram.c checks what single rules and refusals do.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gemel
import gguf_file
import hf_tokenizer
import pytest
import tiny
import vocabulary
from gguf_file import Metadata
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from tokenizer_texts import TEXTS
from tokenizers import Tokenizer

EXAMPLES = settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
SMALL: dict[str, Any] = {"n_layer": 1, "n_embd": 32, "n_head": 1, "n_head_kv": 1, "n_ff": 32, "format": "Q4_0"}
OF_PIECES: SearchStrategy[str] = st.one_of(
    TEXTS,
    st.text(st.sampled_from("the and ▁中😀\n"), max_size=60),
    st.lists(st.sampled_from(vocabulary.TEXT.split()), max_size=10).map(" ".join),
    st.lists(st.sampled_from(vocabulary.TEXT.split()), max_size=10).map("".join),
)

# ---- Unigram, against its definition --------------------------------------------------------------------------------


class PlainUnigram:
    """Unigram as it is defined: of all ways to cut a word into pieces, the one whose scores have the largest sum."""

    def __init__(self, metadata: Metadata, *, prefix: bool, merge: bool) -> None:
        tokens, kinds = hf_tokenizer.strings(metadata["tokenizer.ggml.tokens"]), metadata["tokenizer.ggml.token_type"]
        scores = metadata["tokenizer.ggml.scores"]
        assert isinstance(kinds, list)
        assert isinstance(scores, list)
        self.prefix, self.merge = prefix, merge
        self.pieces = {
            token: (float(score), i)
            for i, (token, kind, score) in enumerate(zip(tokens, kinds, scores, strict=True))
            if kind in (vocabulary.NORMAL, vocabulary.UNUSED) and isinstance(score, float)
        }
        normal = [score for score, i in self.pieces.values() if kinds[i] == vocabulary.NORMAL]
        self.unknown, self.unknown_score = kinds.index(vocabulary.UNKNOWN), min(normal) - 10

    def encode(self, text: str) -> list[int]:
        if self.merge:
            text = "".join("▁" + word for word in re.split(" +", text) if word)
        else:
            first = re.search("[^ ]", text)
            text = text.replace(" ", "▁")
            if self.prefix and first:
                text = text[: first.start()] + "▁" + text[first.start() :]
        ids = [id for word in re.findall("▁*[^▁]*", text) for id in self.cut(word)]
        return [id for i, id in enumerate(ids) if id != self.unknown or not i or ids[i - 1] != id]

    def cut(self, word: str) -> list[int]:
        best: list[tuple[float, list[int]]] = [(0.0, []), *((-math.inf, []) for _ in word)]
        for i in range(len(word)):
            for end in range(i + 1, min(len(word), i + 32) + 1):
                score, id = self.pieces.get(word[i:end], (self.unknown_score, self.unknown))
                if (word[i:end] in self.pieces or end == i + 1) and best[i][0] + score > best[end][0]:
                    best[end] = (best[i][0] + score, [*best[i][1], id])
        return best[-1][1]


@pytest.mark.long
@pytest.mark.parametrize("merge", [False, True], ids=["", "merged_spaces"])
@pytest.mark.parametrize("prefix", [False, True], ids=["", "prefix"])
def test_unigram_cuts_words_as_it_is_defined(prefix: bool, merge: bool) -> None:
    flags: list[vocabulary.Pair] = [
        ("tokenizer.ggml.add_space_prefix", "bool", prefix),
        ("tokenizer.ggml.remove_extra_whitespaces", "bool", merge),
    ]
    data = tiny.tiny_llama(tokenizer="unigram", kv=flags, **SMALL)
    plain = PlainUnigram(gguf_file.read_gguf(data)[0], prefix=prefix, merge=merge)
    with gemel.open(data, threads=1) as model:

        @EXAMPLES
        @given(text=OF_PIECES)
        @example(text=" the  and ")
        def check(text: str) -> None:
            assert model.tokenize(text) == plain.encode(text)

        check()


# ---- RWKV's bytes, against their definition --------------------------------------------------------------------------


def longest_first(pieces: dict[bytes, int], data: bytes) -> list[int]:
    """Take the longest piece that the rest begins with, until nothing is left."""
    ids = []
    while data:
        size = max(n for n in range(1, len(data) + 1) if data[:n] in pieces)
        ids.append(pieces[data[:size]])
        data = data[size:]
    return ids


def test_rwkvs_pieces_are_the_longest_that_a_text_begins_with() -> None:
    data = tiny.tiny_llama(tokenizer="world", **SMALL)
    tokens = hf_tokenizer.strings(gguf_file.read_gguf(data)[0]["tokenizer.ggml.tokens"])
    bytes_of = [ast.literal_eval(f'b"{text}"' if "'" in text else f"b'{text}'") for text in tokens]
    pieces = {data: id for id, data in enumerate(bytes_of) if id}
    with gemel.open(data, threads=1) as model:

        @settings(EXAMPLES, max_examples=300)
        @given(text=OF_PIECES)
        @example(text="\n\n\n\t\t\r\n \\' it's 中文 中 仮 \0")
        def check(text: str) -> None:
            ids = model.tokenize(text)
            assert ids == longest_first(pieces, text.encode())
            assert model.detokenize(ids) == text

        check()
        assert model.tokenize("<s>", special=True) == [0]
        assert model.tokenize("<s>") == longest_first(pieces, b"<s>")


@pytest.mark.parametrize(("token", "message"), [
    ("a\\", r"tokens\[300\] has a \\ that writes no byte"), ("\\x4", r"tokens\[300\] has a \\ that writes no byte"),
    ("\\xAB", r"tokens\[300\] has a \\ that writes no byte"), ("a" * 257, r"tokens\[300\] has over 256 bytes"),
])   # fmt: skip
def test_a_piece_that_is_no_bytes_is_refused(token: str, message: str) -> None:
    pairs = vocabulary.world_vocabulary()
    tokens = next(value for key, _, value in pairs if key == "tokenizer.ggml.tokens")
    kv = [("tokenizer.ggml.tokens", "string[]", [*tokens[:300], token, *tokens[301:]])]
    with pytest.raises(gemel.GemelError, match=message):
        gemel.open(tiny.tiny_llama(tokenizer="world", kv=kv, **SMALL))


def test_each_byte_needs_a_token_or_the_file_an_unknown_one() -> None:
    pairs = vocabulary.world_vocabulary()
    tokens = next(value for key, _, value in pairs if key == "tokenizer.ggml.tokens")
    kv: list[vocabulary.Pair] = [("tokenizer.ggml.tokens", "string[]", [*tokens[:66], "AAAA", *tokens[67:]])]
    with pytest.raises(gemel.FormatError, match="no token of the byte 65"):
        gemel.open(tiny.tiny_llama(tokenizer="world", kv=kv, **SMALL))
    kv.append(("tokenizer.ggml.unknown_token_id", "u32", 0))
    with gemel.open(tiny.tiny_llama(tokenizer="world", kv=kv, **SMALL), threads=1) as model:
        assert model.tokenize("AAAAAB")[:2] == [66, 0]


def test_what_users_define_is_text_not_bytes() -> None:
    pairs = {key: value for key, _, value in vocabulary.world_vocabulary()}
    tokens, kinds = pairs["tokenizer.ggml.tokens"], pairs["tokenizer.ggml.token_type"]
    kv: list[vocabulary.Pair] = [
        ("tokenizer.ggml.tokens", "string[]", [*tokens[:300], "\\x41b", *tokens[301:]]),
        ("tokenizer.ggml.token_type", "i32[]", [*kinds[:300], vocabulary.USER_DEFINED, *kinds[301:]]),
    ]
    with gemel.open(tiny.tiny_llama(tokenizer="world", kv=kv, **SMALL), threads=1) as model:
        assert model.tokenize("\\x41b") == [300]
        assert model.tokenize("Ab") == [1 + ord("A"), 1 + ord("b")]
        assert model.detokenize([300, *model.tokenize("Ab")]) == "\\x41bAb"


# ---- XLM-RoBERTa's vocabulary, against Hugging Face -----------------------------------------------------------------


@pytest.fixture(scope="module")
def xlm_roberta(vocabularies: Path) -> Iterator[tuple[gemel.Model, Tokenizer]]:
    metadata = gguf_file.read_gguf((vocabularies / "ggml-vocab-nomic-bert-moe.gguf").read_bytes())[0]
    n_vocab = len(hf_tokenizer.strings(metadata["tokenizer.ggml.tokens"]))
    charsmap = ("tokenizer.ggml.precompiled_charsmap", "u8[]", hf_tokenizer.charsmap(metadata))
    kv = [*hf_tokenizer.pairs(metadata), charsmap]
    data = tiny.tiny_llama(tokenizer="unigram", n_vocab=n_vocab, kv=kv, tied=True, **SMALL)
    with gemel.open(data, threads=1) as model:
        yield model, hf_tokenizer.rebuild_unigram(metadata)


# Hugging Face looks sequences up by grapheme, and loses characters there; SentencePiece and llama.cpp don't.
def joins(char: str) -> bool:
    return char in "\0\u200c\u200d\uff9e\uff9f" or unicodedata.category(char)[0] == "M"


@pytest.mark.long
@pytest.mark.model
def test_xlm_robertas_ids_are_those_of_its_rebuilt_tokenizer(xlm_roberta: tuple[gemel.Model, Tokenizer]) -> None:
    model, rebuilt = xlm_roberta

    @EXAMPLES
    @given(text=TEXTS.map(lambda text: "".join(char for char in text if not joins(char))))
    @example(text="ﬁ ① ㍿ ﷺ ＡＢ Å ‥ \u00a0\u200b\ufeff x")
    def check(text: str) -> None:
        assert model.tokenize(text) == rebuilt.encode(text, add_special_tokens=False).ids

    check()


# ---- BPE over characters, against Hugging Face ----------------------------------------------------------------------


@pytest.mark.long
def test_bpe_over_characters_merges_as_hugging_faces_does(tiny_model: Callable[..., gemel.Model]) -> None:
    model = tiny_model(tokenizer="char_bpe", n_layer=1)
    rebuilt = hf_tokenizer.rebuild_characters(gguf_file.read_gguf(tiny.tiny_llama(tokenizer="char_bpe", n_layer=1))[0])

    @EXAMPLES
    @given(text=OF_PIECES)
    @example(text="the\n\n\n\n and   there\n")
    def check(text: str) -> None:
        ids = model.tokenize(text)
        assert ids == rebuilt.encode(text, add_special_tokens=False).ids
        assert model.detokenize(ids) == text.replace("▁", " ")

    check()


@pytest.mark.parametrize("unit", ["a", "t", " ", "\n", "1", "😀", "中", "e\u0301", "the "])
@pytest.mark.parametrize("tokenizer", ["char_bpe", "unigram"])
def test_long_runs_take_linear_space(tiny_model: Callable[..., gemel.Model], tokenizer: str, unit: str) -> None:
    model = tiny_model(tokenizer=tokenizer, n_layer=1)
    text = unit * (131_072 // len(unit))
    ids = model.tokenize(text)
    assert len(ids) <= len(text.encode()) + 1
    if tokenizer == "char_bpe":
        assert model.detokenize(ids) == text


# ---- Names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pre", ["gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"])
def test_a_rule_for_characters_makes_gpt2_a_bpe_over_characters(pre: str) -> None:
    kv: list[vocabulary.Pair] = [("tokenizer.ggml.model", "string", "gpt2"), ("tokenizer.ggml.pre", "string", pre)]
    with gemel.open(tiny.tiny_llama(tokenizer="char_bpe", n_layer=1, kv=kv), threads=1) as model:
        assert model.detokenize(model.tokenize("the 中\n\nother")) == "the 中\n\nother"
        assert len(model.tokenize("the")) < 3
