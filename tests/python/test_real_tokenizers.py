"""Fifty real tokenizer.json files: converted to the metadata of a GGUF file, gemel's ids are those of Hugging Face."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import gemel
import hf_convert
import hub_tokenizers
import pytest
import tiny
from tokenizer_texts import drawn
from tokenizers import Tokenizer

pytestmark = [pytest.mark.model, pytest.mark.slow]
N_TEXTS = 2000
SMALL: dict[str, Any] = {"n_layer": 1, "n_embd": 32, "n_head": 1, "n_head_kv": 1, "n_ff": 32, "format": "Q4_0"}
KINDS = {"gpt2": "bpe", "gemma4": "char_bpe", "t5": "unigram"}


# This one cuts at every space, so that it never uses its pieces of two, puts none before one after <s>, and takes "\s",
# two characters, for a space; GGUF has no key for these.
ONE_SPACE = "jiutian-139moe-chat"


def expressible(name: str, source: dict[str, Any], text: str) -> str:
    """Return the text without what the converted file can't say."""
    if name == ONE_SPACE:
        return " ".join(word for word in re.split(r"(?:[ ▁<]|\\s)+", text) if word)
    return unicodedata.normalize("NFC", text) if source["normalizer"] == {"type": "NFC"} else text


@pytest.mark.parametrize("name", hub_tokenizers.NAMES)
def test_a_real_tokenizer_gives_the_ids_of_hugging_face(tokenizer_folder: Path, name: str) -> None:
    text = (tokenizer_folder / f"{name}.json").read_text(encoding="utf-8")
    source, rebuilt = json.loads(text), Tokenizer.from_str(text)
    kv = hf_convert.converted(source)
    of = {key: value for key, _, value in kv}
    kind, n_vocab = KINDS[of["tokenizer.ggml.model"]], len(of["tokenizer.ggml.tokens"])
    added = [] if name == ONE_SPACE else [token["content"] for token in source["added_tokens"]]
    with gemel.open(tiny.tiny_llama(n_vocab=n_vocab, tokenizer=kind, kv=kv, tied=True, **SMALL), threads=1) as model:
        for drew in drawn(N_TEXTS, seed=len(name), extra=added[:40]):
            text = expressible(name, source, drew)
            assert model.tokenize(text, special=True) == rebuilt.encode(text, add_special_tokens=False).ids, text
