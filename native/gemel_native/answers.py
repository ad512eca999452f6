"""A running generation becomes text on stdout, and afterwards a line of speeds for people or numbers for a machine."""

from __future__ import annotations

from typing import Any

import gemel

from .output import Writer
from .progress import watching


def stream(generation: gemel.Generation) -> None:
    """Print pieces as they come and end the line. Whoever interrupts it closes the generation."""
    writer = Writer()

    def evaluated() -> tuple[int, int]:
        timings = generation.timings
        return timings.n_evaluated, timings.n_prompt

    try:
        with watching("prompt", evaluated):
            piece = next(generation, None)
        while piece is not None:
            writer.write(piece)
            piece = next(generation, None)
    finally:
        writer.end_line()


def speeds_line(generation: gemel.Generation, load_s: float | None = None) -> str:
    """Return the line of speeds."""
    timings = generation.timings
    cached = timings.n_prompt - timings.n_evaluated
    prompt = f"prompt {timings.n_prompt} token{'s' * (timings.n_prompt != 1)}"
    if cached > 0 and timings.first_token_s:
        prompt += f" ({cached} from the cache)"
    if timings.n_evaluated:
        prompt += f" at {timings.prompt_tok_s:.1f} tok/s"
    answer = f"generated {len(generation.ids)} token{'s' * (len(generation.ids) != 1)}"
    if timings.n_decoded:
        answer += f" at {timings.decode_tok_s:.1f} tok/s"
    loaded = "" if load_s is None else f"; loaded in {load_s:.2f} s"
    return f"{prompt}; {answer}{loaded}"


def speeds(timings: gemel.Timings, load_s: float) -> dict[str, Any]:
    """Return the same for a machine: tokens, seconds, tokens a second."""
    return {
        "prompt_tokens": timings.n_prompt,
        "evaluated_tokens": timings.n_evaluated,
        "prompt_s": timings.prompt_s,
        "prompt_tok_s": timings.prompt_tok_s,
        "decoded_tokens": timings.n_decoded,
        "decode_s": timings.decode_s,
        "decode_tok_s": timings.decode_tok_s,
        "first_token_s": timings.first_token_s,
        "load_s": load_s,
    }


def cut_note(generation: gemel.Generation, n_ctx: int, max_tokens: int | None) -> str | None:
    """Return what to say of an answer that only the context's end ended."""
    if generation.stop_reason != "length" or max_tokens is not None:
        return None
    return f"note: the answer ends here because its context of {n_ctx} tokens is full (--ctx)"
