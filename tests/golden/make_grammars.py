"""Write which texts llama.cpp's grammars match to tests/golden/grammars.json and grammar_features.json.

    python tests/golden/make_grammars.py VOCABULARY.gguf
    python tests/golden/make_grammars.py VOCABULARY.gguf FOLDER OUT.json     of grammars FOLDER/*.gbnf

Run it by a Python that has llama-cpp-python; the tests need only its output. VOCABULARY has an id for each byte, as
GPT-2's has. Texts are drawn byte by byte from what llama.cpp allows, and texts that are made of them are tried.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where languages.py is, for a script that is run by its path

import llama_cpp
from languages import FEATURE_FILE, FEATURES, GOLDEN, LANGUAGES, REFUSED, bits_of, texts_of

N_DRAWN, SOON, MOST = 16, 24, 90   # texts of a grammar; bytes after which they end where they may, and at most
PLAIN = bytes(range(32, 127))


class Grammar:
    """A grammar of llama.cpp, read byte by byte."""

    def __init__(self, vocab: object, bytes_of: list[int], text: str) -> None:
        """Compile it."""
        self._bytes, self._end = bytes_of, llama_cpp.llama_vocab_eos(vocab)
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocab, text.encode(), b"root")
        if not self._sampler:
            raise ValueError(text)

    def _allowed(self, ids: list[int]) -> list[bool]:
        data = (llama_cpp.llama_token_data * len(ids))(*((id, 0.0, 0.0) for id in ids))
        array = llama_cpp.llama_token_data_array(data, len(ids), -1, False)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return [one.logit == 0 for one in data]

    def begin(self) -> None:
        """Forget what was read."""
        llama_cpp.llama_sampler_reset(self._sampler)

    def next_bytes(self) -> list[int]:
        """Return the bytes that may follow."""
        return [byte for byte, is_allowed in enumerate(self._allowed(self._bytes)) if is_allowed]

    def may_end(self) -> bool:
        """Whether what was read is a whole text."""
        return self._allowed([self._end])[0]

    def read(self, byte: int) -> bool:
        """Read a byte, if it may follow."""
        is_allowed = self._allowed([self._bytes[byte]])[0]
        if is_allowed:
            llama_cpp.llama_sampler_accept(self._sampler, self._bytes[byte])
        return is_allowed

    def matches(self, text: str) -> bool:
        """Whether it matches a text."""
        self.begin()
        return all(map(self.read, text.encode())) and self.may_end()


def text_of(drawn: bytearray) -> str | None:
    """Return a text; None: llama.cpp allows bytes that are not UTF-8."""
    try:
        return drawn.decode()
    except UnicodeDecodeError:
        return None


def drawn(grammar: Grammar, chance: random.Random) -> str | None:
    """Return a text; None: it did not end in time, or is not one."""
    grammar.begin()
    out = bytearray()
    while len(out) < MOST:
        following = grammar.next_bytes()
        if grammar.may_end() and (not following or chance.random() < (0.9 if len(out) >= SOON else 0.1)):
            return text_of(out)
        plain = [byte for byte in following if byte in PLAIN]
        closing = [byte for byte in plain if byte in b'"]}).;' and len(out) >= SOON]
        few = closing if closing and chance.random() < 0.7 else plain if plain and chance.random() < 0.9 else following
        out.append(chance.choice(few))
        grammar.read(out[-1])
    return None


def compared(grammar: Grammar, name: str, first: list[str]) -> dict[str, object]:
    """Return texts that a grammar matches, and bits of which of the texts that are made of them match."""
    chance = random.Random(name)
    texts = dict.fromkeys(first)
    for _ in range(20 * N_DRAWN):
        text = drawn(grammar, chance) if len(texts) < N_DRAWN else None
        if text is not None:
            texts[text] = None
    found = [grammar.matches(text) for text in texts_of(name, list(texts))]
    print(f"{name}: {len(texts)} texts, {sum(found)} of {len(found)} match")
    return {"drawn": list(texts), "bits": bits_of(found)}


def main(vocabulary: str, folder: str = "", out: str = str(GOLDEN)) -> None:
    """Write the file."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(vocabulary.encode(), parameters)
    vocab = llama_cpp.llama_model_get_vocab(model)
    pieces: dict[bytes, int] = {}
    buffer = ctypes.create_string_buffer(256)
    for id in range(llama_cpp.llama_vocab_n_tokens(vocab)):
        n = llama_cpp.llama_token_to_piece(vocab, id, buffer, len(buffer), 0, False)
        if n == 1:
            pieces[buffer.raw[:1]] = id
    bytes_of = [pieces[bytes([byte])] for byte in range(256)]
    grammars = {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.gbnf")) if folder}
    ours = {**{name: language[0] for name, language in LANGUAGES.items()}, **FEATURES}
    matched: dict[str, Any] = {}
    for name, text in (grammars or ours).items():
        good = [] if grammars or name in FEATURES else list(LANGUAGES[name][1])
        matched[name] = compared(Grammar(vocab, bytes_of, text), name, good)
        if grammars:
            matched[name]["grammar"] = text
    refused = []
    for name, text in REFUSED.items():
        try:
            Grammar(vocab, bytes_of, text)
            print(f"{name}: not refused")
        except ValueError:
            refused.append(name)
    features = {} if grammars else {name: matched.pop(name) for name in FEATURES}
    write(Path(out), matched, refused=refused)
    if features:
        write(FEATURE_FILE, features)


def write(path: Path, matched: dict[str, Any], **more: object) -> None:
    """Write one file."""
    value = {"made by": f"llama-cpp-python {llama_cpp.__version__}", "matched": matched, **more}
    lines = json.dumps(value, ensure_ascii=False, indent=0)
    path.write_text(lines + "\n", encoding="utf-8")
    print(path, len(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
