"""Tokenizers against others on the same vocabulary: Hugging Face's for byte-level BPE, a plain one for SentencePiece.

The vocabularies are SmolLM2's, taken from its file and put into a tiny model with each splitting rule, and tiny.py's
own. What single rules and refusals do is checked in tests/c; here whole texts of every kind must give equal ids.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import gemel
import gguf_file
import hf_tokenizer
import llama_vectors
import pytest
import tiny
import vocabulary
from gguf_file import Metadata
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizer_texts import TEXTS
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
LONG = 131_072
EXAMPLES = settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))

# ---- Byte-level BPE, against Hugging Face ---------------------------------------------------------------------------


@cache
def smollm2(path: Path) -> Metadata:
    return gguf_file.read_gguf(path.read_bytes())[0]


SMALL: dict[str, Any] = {"n_layer": 1, "n_embd": 32, "n_head": 1, "n_head_kv": 1, "n_ff": 32, "format": "Q4_0"}


def with_tokenizer(metadata: Metadata) -> bytes:
    """Return the file of a tiny model with the tokenizer of another."""
    tokens = metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    kind = {"llama": "spm", "gemma4": "char_bpe"}.get(str(metadata["tokenizer.ggml.model"]), "bpe")
    return tiny.tiny_llama(n_vocab=len(tokens), tokenizer=kind, kv=hf_tokenizer.pairs(metadata), tied=True, **SMALL)


@cache
def tiny_with(path: Path, pre: str) -> gemel.Model:
    """Return a tiny model with SmolLM2's vocabulary and another splitting rule."""
    return gemel.open(with_tokenizer(smollm2(path) | {"tokenizer.ggml.pre": pre}), threads=1)


@cache
def rebuilt(path: Path, pre: str, special: bool) -> Tokenizer:
    return hf_tokenizer.rebuild(smollm2(path) | {"tokenizer.ggml.pre": pre}, special=special)


def check_equal(model: gemel.Model, path: Path, pre: str, text: str) -> None:
    for special in (False, True) if "<" in text else (False,):
        wanted = rebuilt(path, pre, special).encode(text, add_special_tokens=False).ids
        assert model.tokenize(text, special=special) == wanted, pre


@pytest.mark.long
@pytest.mark.model
@EXAMPLES
@given(text=TEXTS)
@example(text="")
@example(text="The year 2024, I've said:\n\n\tdon't  split   like \r\n this… 中文 😀!")
def test_smollm2_gives_the_ids_of_its_rebuilt_tokenizer(real_path: Path, real_model: gemel.Model, text: str) -> None:
    check_equal(real_model, real_path, "smollm", text)


@pytest.mark.long
@pytest.mark.model
@EXAMPLES
@given(text=TEXTS)
def test_every_splitting_rule_gives_the_ids_of_its_pattern(real_path: Path, text: str) -> None:
    for pre in hf_tokenizer.PASSES:
        check_equal(tiny_with(real_path, pre), real_path, pre, text)


@pytest.mark.long
@pytest.mark.model
@EXAMPLES
@given(text=TEXTS)
def test_smollm2_gives_back_the_text_save_what_it_has_no_bytes_for(real_model: gemel.Model, text: str) -> None:
    expressed = "".join(c for c in text if not set(c.encode()) & LACKING)
    assert real_model.detokenize(real_model.tokenize(text)) == expressed


LACKING = {0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)}


# ---- Real vocabularies, against the ids of the tokenizers that they come from ----------------------------------------


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", llama_vectors.NAMES)
def test_a_vocabulary_of_llama_cpp_gives_the_ids_of_its_vectors(vocabularies: Path, name: str) -> None:
    metadata, _ = gguf_file.read_gguf((vocabularies / f"ggml-vocab-{name}.gguf").read_bytes())
    with gemel.open(with_tokenizer(metadata), threads=1) as model:
        for text, ids in llama_vectors.cases(vocabularies, name):
            assert model.tokenize(text) == ids, text
            assert model.detokenize(ids) == text


# ---- SentencePiece, against its definition --------------------------------------------------------------------------


class PlainPieces:
    """SentencePiece BPE as it is defined: the neighbours whose join scores best merge, the leftmost of equals."""

    def __init__(self, metadata: Metadata) -> None:
        tokens, kinds = hf_tokenizer.strings(metadata["tokenizer.ggml.tokens"]), metadata["tokenizer.ggml.token_type"]
        scores = metadata["tokenizer.ggml.scores"]
        assert isinstance(kinds, list)
        assert isinstance(scores, list)
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.scores = {
            token: float(score)
            for token, kind, score in zip(tokens, kinds, scores, strict=True)
            if kind in (vocabulary.NORMAL, vocabulary.UNUSED) and isinstance(score, float)
        }

    def encode(self, text: str) -> list[int]:
        parts = list(("▁" + text.replace(" ", "▁")) if text else "")
        while True:
            joins = [(-self.scores[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in self.scores]
            if not joins:
                return [i for part in parts for i in self.of(part)]
            _, at = min(joins)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    def of(self, part: str) -> list[int]:
        return [self.ids[part]] if part in self.scores else [self.ids[f"<0x{byte:02X}>"] for byte in part.encode()]


def spm_pairs(words: Sequence[str], scores: Sequence[int]) -> list[vocabulary.Pair]:
    """Return tiny.py's SentencePiece keys with these pieces and scores added."""
    found = {key: list(value) for key, _, value in vocabulary.spm_vocabulary() if isinstance(value, list)}
    tokens, kinds, old = (found[f"tokenizer.ggml.{name}"] for name in ("tokens", "token_type", "scores"))
    new = [word for word in dict.fromkeys(words) if word not in tokens]
    return [
        ("tokenizer.ggml.tokens", "string[]", tokens + new),
        ("tokenizer.ggml.token_type", "i32[]", kinds + [vocabulary.NORMAL] * len(new)),
        ("tokenizer.ggml.scores", "f32[]", old + [float(s) for s in scores[: len(new)]]),
    ]


# Pieces that overlap in every way, with equal scores, and (in `across`) one that reaches over a space.
OVERLAPS = ["ab", "ba", "aba", "bab", "abab", "▁▁", "▁▁▁", "▁a", "▁ab", "aa", "aaaa", "中中", "😀a", "</", "</s", "s>"]
ACROSS = [*OVERLAPS, "b▁", "b▁a"]
SCORES = [-3, -3, -1, -2, -2, -5, -4, -3, -1, -2, -1, -7, -7, -6, -6, -6, -2, -1]


@pytest.fixture(scope="module")
def open_pieces() -> Callable[[Sequence[str]], tuple[gemel.Model, PlainPieces]]:
    @cache
    def open_(words: tuple[str, ...]) -> tuple[gemel.Model, PlainPieces]:
        keys = spm_pairs(words, SCORES)
        data = tiny.tiny_llama(tokenizer="spm", n_layer=1, n_vocab=len(keys[0][2]), kv=keys)
        return gemel.open(data, threads=1), PlainPieces(gguf_file.read_gguf(data)[0])

    return lambda words: open_(tuple(words))


PIECE_TEXTS = st.one_of(
    TEXTS,
    st.text(st.sampled_from("ab ▁中😀"), max_size=60),
    st.lists(st.sampled_from(vocabulary.TEXT.split()), max_size=10).map(" ".join),
)


@pytest.mark.long
@pytest.mark.parametrize("words", [[], OVERLAPS, ACROSS], ids=["tiny", "overlaps", "across_spaces"])
def test_pieces_merge_as_sentencepiece_defines(
    open_pieces: Callable[[Sequence[str]], tuple[gemel.Model, PlainPieces]], words: list[str]
) -> None:
    model, plain = open_pieces(words)

    @EXAMPLES
    @given(text=PIECE_TEXTS)
    def check(text: str) -> None:
        ids = model.tokenize(text)
        assert ids == plain.encode(text)
        assert model.detokenize(ids) == text.replace("▁", " ")

    check()


# As many pieces as Gemma has: words of made-up syllables, each of which can be cut in several ways.
N_LARGE = 262_144


@pytest.mark.slow
def test_a_vocabulary_as_large_as_gemmas_is_taken() -> None:
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "or")]
    parts = ["", *syllables]
    every = ("▁" * mark + a + b + c for a in syllables for b in parts for c in parts for mark in (False, True))
    words = list(dict.fromkeys(itertools.islice(every, N_LARGE - 1000)))
    keys = spm_pairs(words, range(0, -len(words), -1))
    data = tiny.tiny_llama(tokenizer="spm", n_vocab=len(keys[0][2]), kv=keys, tied=True, **SMALL)
    assert len(keys[0][2]) > 0.9 * N_LARGE
    with gemel.open(data, threads=1) as model:
        assert len(model.tokenize("banoru ze")) < 9   # words, not bytes
        assert model.detokenize(model.tokenize("banoru ze")) == "banoru ze"


# ---- Any model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["a", " ", "\n", "1", "<", "'", "😀", "中"])
@pytest.mark.parametrize("fields", [{"pre": pre} for pre in hf_tokenizer.PASSES] + [{"tokenizer": "spm"}], ids=str)
def test_long_runs_of_one_character_come_back(
    tiny_model: Callable[..., gemel.Model], fields: dict[str, str], unit: str
) -> None:
    model = tiny_model(n_layer=1, **fields)
    text = unit * LONG
    ids = model.tokenize(text, special=True)
    assert model.detokenize(ids, special=True) == text


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_special_tokens_are_parsed_only_when_asked(tiny_model: Callable[..., gemel.Model], tokenizer: str) -> None:
    model = tiny_model(n_layer=1, tokenizer=tokenizer)
    name = "<|im_end|>" if tokenizer == "bpe" else "</s>"
    assert 2 in model.tokenize(f"a{name}b", special=True)
    plain = model.tokenize(f"a{name}b")
    assert 2 not in plain
    assert model.detokenize(plain) == f"a{name}b"
    assert model.detokenize([2]) == ""
    assert model.detokenize([2], special=True) == name


def test_bos_is_added_when_asked_and_the_file_says_so(tiny_model: Callable[..., gemel.Model]) -> None:
    pieces, letters = tiny_model(n_layer=1, tokenizer="spm"), tiny_model(n_layer=1)
    assert pieces.tokenize("a", bos_eos=True) == [1, *pieces.tokenize("a")]
    assert letters.tokenize("a", bos_eos=True) == letters.tokenize("a")


# The names that llama.cpp accepts for byte-level BPE, each beside one of PASSES that has its pattern.
ALIKE = {
    "gpt-2": "phi-2 mpt olmo jais trillion gigachat a.x-4.0 mellum exaone4 granite-docling jina-es jina-de jina-v1-en "
    "jina-v2-es jina-v2-de jina-v2-code roberta-bpe modern-bert",
    "smollm": "starcoder refact command-r codeshell exaone minerva-7b mellum2",
    "bloom": "gpt3-finnish poro-chat",
    "llama-bpe": "llama-v3 llama3 falcon3 falcon-h1 pixtral lfm2 midm-2.0 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 "
    "glm5",
    "qwen2": "deepseek-r1-qwen stablelm2 megrez hunyuan solar-open grok-2 kormo f2llmv2",
    "bailingmoe": "bailingmoe2 llada-moe",
    "gpt-4o": "llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m",
    "deepseek-v3": "hunyuan-dense joyai-llm hy_v4",
    "tiny_aya": "cohere2moe",
}


@pytest.mark.parametrize(("rule", "pre"), [(rule, pre) for rule, names in ALIKE.items() for pre in names.split()])
def test_names_with_one_pattern_split_alike(tiny_model: Callable[..., gemel.Model], rule: str, pre: str) -> None:
    text = "It's 12345 fooBar, HTTPServer's…\r\n\n  \t1234567 ²٣ e\u0301中文 -x /\n ''  "
    model, other = tiny_model(n_layer=1, pre=rule), tiny_model(n_layer=1, pre=pre)
    assert model.tokenize(text * 3) == other.tokenize(text * 3)


def test_an_unknown_splitting_rule_is_named_and_what_to_do() -> None:
    with pytest.raises(gemel.UnsupportedError, match=r"no-such-rule.*override tokenizer\.ggml\.pre"):
        gemel.open(tiny.tiny_llama(n_layer=1, pre="no-such-rule"))


def test_a_false_merge_is_named_by_its_index() -> None:
    merges = ("tokenizer.ggml.merges", "string[]", ["t h", "th no-token"])
    with pytest.raises(gemel.FormatError, match=r"merges\[1\].*no-token"):
        gemel.open(tiny.tiny_llama(n_layer=1, kv=[merges]))


# ---- The tables -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def make_unicode() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_unicode", ROOT / "core_c" / "tools" / "make_unicode.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_unicode_tables_are_those_of_their_generator(make_unicode: ModuleType) -> None:
    text = make_unicode.OUTPUT.read_text(encoding="utf-8")
    assert make_unicode.differences(text) == []
    version, classes = make_unicode.parse(text)
    assert make_unicode.render(version, classes) == text


def test_a_changed_unicode_table_is_seen(make_unicode: ModuleType) -> None:
    version, classes = make_unicode.parse(make_unicode.OUTPUT.read_text(encoding="utf-8"))
    classes[ord("A")] = make_unicode.NUMBER
    assert make_unicode.differences(make_unicode.render(version, classes))
