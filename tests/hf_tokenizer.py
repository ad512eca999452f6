"""Rebuild, as a Hugging Face tokenizer, the byte-level BPE tokenizer that a GGUF file describes.

The splitting rules stand here as the regular expressions that define them, one row for each rule of pretok.c. A pass
cuts what the passes before it left; a pass is a pattern, or a pre-tokenizer of the library where the original used one.
"""

from collections.abc import Mapping

from gguf_file import Value
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SUFFIXES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
HIGH, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LLAMA = SUFFIXES + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{HIGH}*{LOW}+{SUFFIXES}?|[^\r\n\p{{L}}\p{{N}}]?{HIGH}+{LOW}*{SUFFIXES}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ONE_DIGIT = LLAMA.replace("{1,3}", "")
PASSES: dict[str, list[str]] = {
    "gpt-2": [GPT2],
    "smollm": ["digits", GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "llama-bpe": [LLAMA],
    "qwen2": [ONE_DIGIT],
    "qwen35": [ONE_DIGIT.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}")],
    "gpt-4o": [CASED],
    "tekken": [CASED.replace(SUFFIXES + "?", "").replace("{1,3}", "")],
}
WHOLE_WORDS = {"llama-bpe", "tekken"}  # a word that is in the vocabulary is not merged but taken


def pre_tokenizer(pre: str) -> pre_tokenizers.PreTokenizer:
    """Return the splitting rule of a `tokenizer.ggml.pre`, ending in bytes."""
    passes = [
        pre_tokenizers.Digits(individual_digits=True)
        if pattern == "digits"
        else pre_tokenizers.Split(Regex(pattern), "isolated")
        for pattern in PASSES[pre]
    ]
    return pre_tokenizers.Sequence([*passes, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def strings(value: Value) -> list[str]:
    assert isinstance(value, list)
    return [item for item in value if isinstance(item, str)]


def rebuild(metadata: Mapping[str, Value], *, special: bool = False) -> Tokenizer:
    """Return the tokenizer of a file's metadata; `special` parses its control tokens where a text spells them out."""
    tokens, kinds = strings(metadata["tokenizer.ggml.tokens"]), metadata["tokenizer.ggml.token_type"]
    pre = metadata["tokenizer.ggml.pre"]
    assert isinstance(kinds, list)
    assert isinstance(pre, str)
    merges = [(m.split(" ")[0], m.split(" ")[1]) for m in strings(metadata["tokenizer.ggml.merges"])]
    tokenizer = Tokenizer(
        models.BPE({token: i for i, token in enumerate(tokens)}, merges, ignore_merges=pre in WHOLE_WORDS)
    )
    tokenizer.pre_tokenizer = pre_tokenizer(pre)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == 3])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, kinds, strict=True) if kind == 4])
    tokenizer.encode_special_tokens = not special
    return tokenizer
