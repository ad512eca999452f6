"""Rebuild, as a Hugging Face tokenizer, the tokenizer that a GGUF file describes.

The splitting rules are here as the regular expressions that define them, one row for each rule of pretok.c. A pass
cuts what the passes before it left; a pass is a pattern, or a pre-tokenizer of the library where the original used one.
"""

from collections.abc import Mapping

import vocabulary
from gguf_file import Value
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SUFFIXES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
HIGH, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LLAMA = SUFFIXES + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{HIGH}*{LOW}+{SUFFIXES}?|[^\r\n\p{{L}}\p{{N}}]?{HIGH}+{LOW}*{SUFFIXES}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ONE_DIGIT = LLAMA.replace("{1,3}", "")
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
KANA = "[一-龥぀-ゟ゠-ヿ]+"
DEEPSEEK = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
OLD_CASED = (  # letters that had a case when DeepSeek LLM was made
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ"
    "\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
    "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
ASIAN = "[一-龥ࠀ-一가-\ud7ff]+"
AFMOE_ASIAN = (
    "[一-鿿㐀-䶿\u8c48-\ufaff\u3040-ゟ゠-ヿ･-ﾟ⼀-\u2fdfเ-\u0e7f\u0e80-\u0effក-\u17ffက-႟ꩠ-ꩿꧠ-\ua9ff"
    "가-\ud7afᄀ-ᇿ]+"
)
HALVES = "".join(rf"\s{{{1 << i}}}(?!\S)|" for i in range(9, 1, -1)) + r"\s{1,2}(?!\S)|\s{1}"
NOT_HAN = "&&[^\\p{Han}]]"
KIMI = r"\p{Han}+|" + CASED.replace(HIGH, "[" + HIGH + NOT_HAN).replace(LOW, "[" + LOW + NOT_HAN).replace("/]", "]")
YOUTU = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + KANA
EXAONE_MOE = (
    SUFFIXES + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
PASSES: dict[str, list[str]] = {
    "gpt-2": [GPT2],
    "smollm": ["digits", GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "llama-bpe": [LLAMA],
    "minicpm5": [r"\p{N}{1,3}", LLAMA.replace("{1,3}", "+")],
    "qwen2": [ONE_DIGIT],
    "qwen35": [ONE_DIGIT.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}", r"[^\s\p{L}\p{M}")],
    "bailingmoe": [ONE_DIGIT.replace(r"\s*[\r\n]+", r"\s*[\r\n]")],
    "seed-coder": [ONE_DIGIT.replace(r"\p{N}]+[\r\n]*", r"\p{N}\r\n]+")],
    "laguna": [r"[^\n]+|[\n]+", ONE_DIGIT],
    "ufakzeka": [ONE_DIGIT.removeprefix(SUFFIXES + "|")],
    "exaone-moe": [EXAONE_MOE],
    "gpt-4o": [CASED],
    "tekken": [CASED.replace(SUFFIXES + "?", "").replace("{1,3}", "")],
    "kimi-k2": [KIMI],
    "youtu": [YOUTU, CASED.replace("{1,3}", "")],
    "deepseek-llm": [
        r"[\r\n]", rf"\s?[{OLD_CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", ASIAN, "digits",
    ],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", ASIAN, "digits"],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, DEEPSEEK],
    "spark2_5": [
        r"\p{N}{1,3}", KANA, DEEPSEEK.replace(r"S}]+[\r\n]*", r"S}]+").replace(r"\s*[\r\n]+", r"[\r\n]"), "digits",
    ],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", AFMOE_ASIAN, DEEPSEEK],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", CASED],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "jais-2": [LLAMA.replace(r"\s+(?!\S)|\s+", HALVES)],
    "chameleon": [
        "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", r"\p{N}",
        r"[\p{P}!-/:-@\[-`{-~]", GPT2,
    ],
}  # fmt: skip
WHOLE_WORDS = {"llama-bpe", "minicpm5", "tekken", "youtu"}  # a word that is in the vocabulary is not merged but taken


def pre_tokenizer(pre: str) -> pre_tokenizers.PreTokenizer:
    """Return the splitting rule of a `tokenizer.ggml.pre`, ending in bytes."""
    passes = [
        pre_tokenizers.Digits(individual_digits=True)
        if pattern == "digits"
        else pre_tokenizers.Split(Regex(pattern), "isolated")
        for pattern in PASSES[pre]
    ]
    return pre_tokenizers.Sequence([*passes, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pairs(metadata: Mapping[str, Value]) -> list[vocabulary.Pair]:
    """Return the tokenizer's keys in the form that tiny.py writes."""
    kinds = {bool: "bool", int: "u32", str: "string"}
    arrays = {int: "i32[]", float: "f32[]", str: "string[]"}
    return [
        (key, arrays[type(value[0])] if isinstance(value, list) else kinds[type(value)], value)
        for key, value in metadata.items()
        if key.startswith("tokenizer.ggml.")
    ]


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


def charsmap(metadata: Mapping[str, Value]) -> list[int]:
    value = metadata["tokenizer.ggml.precompiled_charsmap"]
    assert isinstance(value, list)
    return [item for item in value if isinstance(item, int)]


def rebuild_unigram(metadata: Mapping[str, Value]) -> Tokenizer:
    """Return the unigram tokenizer of a file that merges spaces and has a normaliser."""
    tokens, scores = strings(metadata["tokenizer.ggml.tokens"]), metadata["tokenizer.ggml.scores"]
    kinds, unknown = metadata["tokenizer.ggml.token_type"], metadata["tokenizer.ggml.unknown_token_id"]
    assert isinstance(scores, list)
    assert isinstance(kinds, list)
    assert isinstance(unknown, int)
    known = [float(s) if isinstance(s, float) else 0.0 for s in scores]
    texts = [token if kind in (1, 5) else f"\0{i}" for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))]
    pieces = list(zip(texts, known, strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Precompiled(bytes(charsmap(metadata)))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Metaspace(prepend_scheme="always", split=True)]
    )
    return tokenizer


def rebuild_characters(metadata: Mapping[str, Value]) -> Tokenizer:
    """Return the BPE over characters of a file whose bytes all have tokens."""
    tokens = strings(metadata["tokenizer.ggml.tokens"])
    merges = [(m.split(" ")[0], m.split(" ")[1]) for m in strings(metadata["tokenizer.ggml.merges"])]
    model = models.BPE({token: i for i, token in enumerate(tokens)}, merges, byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    return tokenizer
