"""What a request says about sampling, the form of its answer and thinking becomes keywords of jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gemel

from ..http.errors import invalid, refused
from ..jobs.answer import GenerateRequest
from ..jobs.sampling import sampling_of
from ..jobs.stops import stops_of
from ..jobs.turns import Reads
from ..models import ServedModel
from . import wire

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)")
DURATION = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+|-?[0-9]+")
NAMES = (("reasoning_budget", "think"), ("open the session with n_ctx=", "send options.num_ctx: "))
RENAMED = {"penalty_last_n": "repeat_last_n"}


def wanted(
    body: wire.Answered, served: ServedModel, *, param: str, key: str, tools: list[str],
) -> GenerateRequest:  # fmt: skip
    """Return how to answer a request."""
    options = body.options or wire.Options()
    limit = options.num_predict
    if limit == 0:
        raise invalid("options.num_predict", "must be an integer of at least 1, or -1 (until the context is full)")
    given = {name: value for name in wire.SAMPLING if (value := getattr(options, name)) is not None}
    if body.top_logprobs and not body.logprobs:
        raise invalid("top_logprobs", "it needs logprobs: true")
    defaults = served.defaults
    most = defaults.max_tokens if limit is None else None if limit < 0 else limit
    return GenerateRequest(
        n=1, max_tokens=most, n_ctx=context_of(body), stops=stops_of(options.stop, "options.stop") or defaults.stops,
        sampling=sampling_of(given, lambda name: f"options.{RENAMED.get(name, name)}", defaults),
        n_top=(body.top_logprobs or 0) if body.logprobs else None, echo=False, param=param, form=form_of(body),
        form_param="format", tools=tools, placed=placed, key=key,
    )


def context_of(body: wire.Request) -> int | None:
    """Return the tokens of a prompt and its answer that a request asks for; None: what the model has."""
    return (body.options or wire.Options()).num_ctx or None


def placed(words: str) -> str:
    """Return gemel's words with the names of this API.

    >>> placed("n_ctx is 8, but the prompt has 9 tokens: shorten it, or open the session with n_ctx=9")
    'num_ctx is 8, but the prompt has 9 tokens: shorten it, or send options.num_ctx: 9'
    """
    for own, theirs in NAMES:
        words = words.replace(own, theirs, 1)
    return re.sub(r"^n_ctx\b", "num_ctx", words)


def seconds_of(alive: str | float | None) -> float | None:
    """Return a keep_alive in seconds; None: what the server's settings say. Below 0: forever.

    >>> seconds_of("1h30m"), seconds_of("-1"), seconds_of(0), seconds_of("250ms")
    (5400.0, -1.0, 0.0, 0.25)
    """
    if alive is None or not isinstance(alive, str):
        return None if alive is None else float(alive)
    if not DURATION.fullmatch(alive):
        raise invalid("keep_alive", "must be a number of seconds or a duration, such as 5m")
    if alive.lstrip("-").isdecimal():
        return float(alive)
    size = sum(float(number) * UNITS[unit] for number, unit in PART.findall(alive))
    return -size if alive.startswith("-") else size


def check_options(body: wire.Request, *, unloads: bool) -> None:
    """Raise a 400 for options that can't be honoured. unloads: models can be unloaded."""
    wire.check_refused(body)
    options = body.options or wire.Options()
    if seconds_of(body.keep_alive) == 0 and not unloads:
        raise refused("keep_alive", "models can't be unloaded: they stay loaded as long as the server runs")
    if options.tfs_z not in (None, 1):
        raise refused("options.tfs_z", "not supported: leave it out, or send 1")
    if options.penalize_newline is False:
        raise refused("options.penalize_newline", "newlines are penalised as all tokens are: leave it out")


def form_of(body: wire.Answered) -> Mapping[str, Any]:
    """Return the keywords of Batch.generate for a request's format."""
    form = body.format
    if form in (None, ""):
        return {}
    if form == "json":
        return {"json_schema": {"type": "object"}}
    if not isinstance(form, dict):
        raise invalid("format", 'must be "json" or a JSON schema')
    return {"json_schema": form}


def budget_of(body: wire.Answered, model: gemel.Model) -> int | None:
    """Return the most tokens of reasoning: 0 if it is turned off."""
    return 0 if body.think is False and model.info.reasoning else None


def thinking(body: wire.Answered, model: gemel.Model, reads: Reads) -> Mapping[str, Any]:
    """Return values of the template for `think`."""
    think = body.think
    if think is None:
        return {}
    if isinstance(think, str):
        if not reads("reasoning_effort"):
            raise refused("think", "this model's chat template reads no effort: send true or false")
        return {"reasoning_effort": think}
    if reads("enable_thinking"):
        return {"enable_thinking": think}
    if think and not model.info.reasoning:
        raise refused("think", "this model does not reason: leave it out")
    return {}
