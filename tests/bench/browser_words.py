"""Prompts of a known number of tokens in the vocabulary of the model that is measured, and the ids that end texts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

WORDS = ("the", "of", "and", "to", "in", "is", "for", "that", "on", "with", "as", "by", "at", "from", "this", "it")
STORY = "Once upon a time, there was a"
QUESTION = "Why is the sky blue?"
CHECKED = 512   # words of a text that is tokenised to see whether each stays one token among others


@dataclass(frozen=True)
class Words:
    """What a vocabulary makes of texts."""

    single: tuple[str, ...]   # words of one token, at a text's beginning and after a space
    n_added: int              # tokens that the file puts around a text: BOS
    n_story: int              # tokens of STORY, these included
    ends: tuple[int, ...]     # the ids that end a text

    def prompt(self, n: int, seeded: random.Random) -> str:
        """Return a text of n tokens, those around it included."""
        return " ".join(seeded.choice(self.single) for _ in range(n - self.n_added))


def words_of(path: Path) -> Words:
    """Ask the model's own tokenizer. SystemExit where no text of a known length can be made."""
    import gemel

    with gemel.open(path) as model:

        def count(text: str) -> int:
            return len(model.tokenize(text, bos_eos=True))

        n_added = count("")
        single = tuple(word for word in WORDS if count(word) == n_added + 1 and count(f"{word} {word}") == n_added + 2)
        ends = tuple(id for id in range(model.n_vocab) if model.is_eog(id))
        found = Words(single, n_added, count(STORY), ends)
        if len(single) < 2 or count(found.prompt(CHECKED, random.Random(0))) != CHECKED:
            raise SystemExit(f"{path.name}: its vocabulary has too few words of one token to make prompts of")
    return found
