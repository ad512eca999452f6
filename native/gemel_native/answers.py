"""A running generation becomes text on stdout; afterwards its speeds become a line or numbers for JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import gemel

from .output import Writer, counted
from .progress import watching
from .stopping import stoppable


def stream(generation: gemel.Generation) -> None:
    """Print parts as they arrive and end the line: text to stdout, reasoning to stderr.

    If interrupted, which takes effect within a step, the caller closes the generation.
    """
    text, reasoning = Writer(), Writer(sys.stderr, is_dim=True)
    writers = {"text": text, "reasoning": reasoning}

    def evaluated() -> tuple[int, int]:
        timings = generation.timings
        return timings.n_evaluated, timings.n_prompt

    try:
        parts = generation.parts()
        with stoppable(generation):
            with watching("prompt", evaluated):
                part = next(parts, None)
            while part is not None:
                if part.kind == "text":
                    reasoning.end_line()
                writers[part.kind].write(part.text)
                part = next(parts, None)
    finally:
        reasoning.end_line()
        text.end_line()


def speeds_line(generation: gemel.Generation, load_s: float | None = None) -> str:
    """Return the line of speeds."""
    timings = generation.timings
    cached = timings.n_prompt - timings.n_evaluated
    prompt = f"prompt {counted(timings.n_prompt, 'token')}"
    if cached > 0 and timings.first_token_s:
        prompt += f" ({cached} from the cache)"
    if timings.n_evaluated:
        prompt += f" at {timings.prompt_tok_s:.1f} tok/s"
    answer = f"generated {counted(len(generation.ids), 'token')}"
    if timings.n_decoded:
        answer += f" at {timings.decode_tok_s:.1f} tok/s"
    if timings.n_drafted:
        drafted = f"{timings.n_accepted} of {counted(timings.n_drafted, 'drafted token')} accepted"
        answer += f" ({drafted}{by_model(timings)})"
    loaded = "" if load_s is None else f"; loaded in {load_s:.2f} s"
    return f"{prompt}; {answer}{loaded}"


def by_model(timings: gemel.Timings) -> str:
    """Return how many of these a draft model or a file proposed, if any."""
    whose = {"model": "of the draft model", "file": "of the draft file"}
    return "".join(f", {timings.drafts[by][1]} of them {name}" for by, name in whose.items() if by in timings.drafts)


def speeds(timings: gemel.Timings, load_s: float) -> dict[str, Any]:
    """Return the same for JSON: tokens, seconds, tokens per second."""
    return {
        "prompt_tokens": timings.n_prompt,
        "evaluated_tokens": timings.n_evaluated,
        "prompt_s": timings.prompt_s,
        "prompt_tok_s": timings.prompt_tok_s,
        "decoded_tokens": timings.n_decoded,
        "decode_s": timings.decode_s,
        "decode_tok_s": timings.decode_tok_s,
        "first_token_s": timings.first_token_s,
        "drafted_tokens": timings.n_drafted,
        "accepted_tokens": timings.n_accepted,
        "drafts": {by: {"drafted": n, "accepted": taken} for by, (n, taken) in timings.drafts.items()},
        "load_s": load_s,
    }


def cut_note(
    generation: gemel.Generation, n_ctx: int, max_tokens: int | None, *, has_form: bool, hint: str = "--ctx"
) -> str | None:
    """Return a note if the context ended the answer, or the limit ended one that has a form.

    hint: what helps against a full context.
    """
    if generation.stop_reason != "length":
        return None
    is_limit = len(generation.ids) == max_tokens
    if is_limit and not has_form:
        return None
    why = f"after {counted(len(generation.ids), 'token')} (-n)" if is_limit else (
        f"because its context of {n_ctx} tokens is full ({hint})"
    )
    rest = "; it may be incomplete: --close-at-max-tokens ends it whole" if has_form else ""
    return f"note: the answer stopped {why}{rest}"


def fault(generation: gemel.Generation, form: Mapping[str, Any]) -> gemel.AnswerError | None:
    """Return what is wrong with an answer to --no-strict that ended and is not valid."""
    if form.get("strict") is not False or generation.stop_reason not in ("stop", "eos"):
        return None
    try:
        _ = generation.parsed
    except gemel.AnswerError as error:
        return error
    return None
