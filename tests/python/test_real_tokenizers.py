"""Fifty real tokenizer.json files: converted to the metadata of a GGUF file, gemel's ids are those of Hugging Face."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("name", hub_tokenizers.NAMES)
def test_a_real_tokenizer_gives_the_ids_of_hugging_face(tokenizer_folder: Path, name: str) -> None:
    text = (tokenizer_folder / f"{name}.json").read_text(encoding="utf-8")
    source, rebuilt = json.loads(text), Tokenizer.from_str(text)
    kv = hf_convert.converted(source)
    of = {key: value for key, _, value in kv}
    kind, n_vocab = KINDS[of["tokenizer.ggml.model"]], len(of["tokenizer.ggml.tokens"])
    is_nfc = source["normalizer"] == {"type": "NFC"}   # GGUF has no key for it
    added = [token["content"] for token in source["added_tokens"]]
    with gemel.open(tiny.tiny_llama(n_vocab=n_vocab, tokenizer=kind, kv=kv, tied=True, **SMALL), threads=1) as model:
        for drew in drawn(N_TEXTS, seed=len(name), extra=added[:40]):
            text = unicodedata.normalize("NFC", drew) if is_nfc else drew
            assert model.tokenize(text, special=True) == rebuilt.encode(text, add_special_tokens=False).ids, text
