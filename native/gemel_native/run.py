"""`gemel run`: one prompt in, one answer out."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import gemel
import typer
from gemel import Overrides

from .answers import cut_note, fault, speeds, speeds_line, stream
from .forms import with_form
from .opening import check_ctx, opened
from .options import (
    ContextOption,
    DraftOption,
    IsaOption,
    JsonOption,
    KvTypeOption,
    MaxTokensOption,
    ModelArgument,
    NoDraftOption,
    ReasoningOption,
    StopOption,
    SystemOption,
    ThreadsOption,
    draft_of,
    usage_error,
    with_sampling,
)
from .output import print_json, printable, read_text, say
from .overrides import with_overrides

PROMPT_HELP = (
    "The prompt. If it is -, or missing while stdin is not a terminal, it is read from stdin, "
    "without one line break at the end."
)


@with_sampling
@with_form
@with_overrides
def run(
    name: ModelArgument,
    prompt: Annotated[str | None, typer.Argument(metavar="PROMPT", help=PROMPT_HELP, show_default=False)] = None,
    *,
    system: SystemOption = None,
    max_tokens: MaxTokensOption = None,
    reasoning_budget: ReasoningOption = None,
    stop: StopOption = None,
    ctx: ContextOption = None,
    kv_type: KvTypeOption = None,
    draft: DraftOption = None,
    no_draft: NoDraftOption = False,
    raw: Annotated[bool, typer.Option("--raw", help="Continue PROMPT as it is, without a chat template.")] = False,
    special: Annotated[
        bool, typer.Option("--special", help="With --raw: parse special tokens spelled out in PROMPT.")
    ] = False,
    json: JsonOption = False,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    overrides: Overrides,
    form: dict[str, Any],
    sampling: gemel.Sampling,
) -> None:
    """Answer PROMPT with a model. The text goes to stdout; its reasoning and a line of speeds go to stderr.

    A model without a chat template continues PROMPT as it is, as with --raw.
    """
    if raw and system is not None:
        raise usage_error(f"--system {system!r} has no effect with --raw: write it into PROMPT, or leave --raw out")
    if special and not raw:
        raise usage_error("--special has no effect without --raw: the chat template adds special tokens itself")
    if raw and reasoning_budget is not None:
        raise usage_error("--reasoning-budget has no effect with --raw: the chat template marks reasoning")
    drafts, text = draft_of(draft, no_draft), prompt_text(prompt)
    with ExitStack() as stack:
        loaded = stack.enter_context(opened(name, threads=threads, isa=isa, draft=drafts, overrides=overrides))
        model = loaded.model
        check_ctx(model, ctx)
        if raw or continues(model, system):
            generation = model.generate(
                text, max_tokens=max_tokens, stop=stop or (), sampling=sampling, special=special, n_ctx=ctx,
                kv_type=kv_type, **form,
            )  # fmt: skip
        else:
            chat = stack.enter_context(model.chat(system, n_ctx=ctx, kv_type=kv_type))
            generation = chat.send(
                text, max_tokens=max_tokens, stop=stop or (), sampling=sampling, reasoning_budget=reasoning_budget,
                **form,
            )  # fmt: skip
        stack.enter_context(generation)
        if json:
            generation.read()
        else:
            stream(generation)
        wrong = fault(generation, form)
        if json:
            print_json(answer(generation, loaded.load_s) | ({} if wrong is None else {"invalid": str(wrong)}))
        else:
            note = cut_note(generation, ctx or model.default_n_ctx, max_tokens, has_form=bool(form))
            if note:
                say(note)
            say(speeds_line(generation, loaded.load_s))
        if wrong is not None:
            raise wrong


def continues(model: gemel.Model, system: str | None) -> bool:
    """Tell whether the model can only continue text, and say so on stderr. --system is then a usage error."""
    if model.chat_template is not None:
        return False
    name = Path(model.name).name
    if system is not None:
        raise usage_error(f"--system {system!r} has no effect: {name} has no chat template; write it into PROMPT")
    say(f"{printable(name)} has no chat template: it continues the prompt as it is, as with --raw")
    return True


def answer(generation: gemel.Generation, load_s: float) -> dict[str, object]:
    """Return what --json prints."""
    return {
        "text": generation.text,
        **({"reasoning": generation.reasoning} if generation.reasoning else {}),
        "ids": generation.ids,
        "prompt_ids": generation.prompt_ids,
        "stop_reason": generation.stop_reason,
        "seed": generation.seed,
        "speeds": speeds(generation.timings, load_s),
    }


def prompt_text(prompt: str | None) -> str:
    """Return the prompt, from stdin if asked for."""
    if prompt is not None and prompt != "-":
        return prompt
    if prompt is None and sys.stdin.isatty():
        raise usage_error("PROMPT is missing: give a text, or - to read stdin; for a conversation use gemel chat")
    text = read_text("-").removesuffix("\n").removesuffix("\r")
    if not text:
        raise usage_error("PROMPT is to be read from stdin, but stdin is empty")
    return text
