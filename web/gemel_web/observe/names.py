"""The names of all metrics, in one table each: vLLM's, where it has one, with gemel's prefix."""

from __future__ import annotations

from collections.abc import Callable

from ..registry import Usage
from .histogram import Histogram
from .state import State, rows_of
from .tally import Tally

Of = Callable[[State, str], float]


def _of(tally: Callable[[Tally], float]) -> Of:
    """Return a value of a model's tally; 0 before its first request."""
    return lambda state, name: tally(state.tallies[name]) if name in state.tallies else 0


HISTOGRAMS: dict[str, tuple[str, Callable[[Tally], Histogram]]] = {
    "gemel:time_to_first_token_seconds": (
        "Seconds from the arrival of a request to the first piece of its answer.", lambda one: one.first_token),
    "gemel:inter_token_latency_seconds": (
        "Seconds between two pieces of an answer; a pass makes one piece, of one token or more.",
        lambda one: one.next_token),
    "gemel:request_time_per_output_token_seconds": (
        "Mean seconds per token of a request after its first one.", lambda one: one.per_token),
    "gemel:e2e_request_latency_seconds": (
        "Seconds from the arrival of a request to the end of its answer.", lambda one: one.whole),
    "gemel:request_queue_time_seconds": (
        "Seconds that an answer waited before its evaluation began.", lambda one: one.queued),
    "gemel:request_prefill_time_seconds": (
        "Seconds from the beginning of the evaluation to the first piece.", lambda one: one.prefill),
    "gemel:request_decode_time_seconds": (
        "Seconds from the first piece of an answer to the last.", lambda one: one.decode),
    "gemel:request_prompt_tokens": ("Tokens of the prompts of a request.", lambda one: one.prompt_tokens),
    "gemel:request_generation_tokens": ("Tokens of an answer.", lambda one: one.answer_tokens),
}   # fmt: skip
PASSES = ("gemel:iteration_tokens", "Rows of a pass: tokens of prompts and answers evaluated together.", rows_of)

COUNTERS: dict[str, tuple[str, Of]] = {
    "gemel:prompt_tokens": ("Tokens of the prompts of all requests.", _of(lambda one: one.n_prompt)),
    "gemel:generation_tokens": ("Tokens of answers.", _of(lambda one: one.n_generated)),
    "gemel:prefix_cache_queries": ("Tokens of the prompts that were answered.", _of(lambda one: one.n_asked)),
    "gemel:prefix_cache_hits": (
        "Tokens of those prompts that were not evaluated, because the KV caches had them.",
        _of(lambda one: one.n_cached)),
    "gemel:passes": ("Passes over the weights.", lambda state, name: sum(state.counts(name).rows.values())),
    "gemel:pass_seconds": ("Seconds that passes took.", lambda state, name: state.counts(name).seconds),
    "gemel:decode_rows": ("Rows of passes that were tokens of answers.",
                          lambda state, name: state.counts(name).n_decoded),
}   # fmt: skip
GAUGES: dict[str, tuple[str, Of]] = {
    "gemel:num_requests_running": ("Answers and texts that are evaluated now.",
                                   lambda state, name: state.load(name).n_running),
    "gemel:num_requests_waiting": ("Answers and texts that wait for their evaluation.",
                                   lambda state, name: state.load(name).n_waiting),
    "gemel:kv_cache_bytes": ("Bytes of the KV caches in use, with those that are kept for later requests.",
                             lambda state, name: state.load(name).cache_size),
    "gemel:kv_cache_limit_bytes": ("Bytes that the KV caches may take; 0 before the first request.",
                                   lambda state, name: state.load(name).cache_memory),
    "gemel:kv_cache_pages": ("Pages of 64 positions in use; 0 for models without a KV cache.",
                             lambda state, name: state.load(name).n_pages),
    "gemel:kv_cache_usage_perc": (
        "Share of the KV caches' limit in use, 0 to 1.",
        lambda state, name: state.load(name).cache_size / max(1, state.load(name).cache_memory)),
}   # fmt: skip
LABELLED: dict[str, tuple[str, str, Callable[[Tally], dict[str, int]]]] = {   # counters with one more label
    "gemel:request_success": ("Answers, by what ended them.", "finished_reason", lambda one: dict(one.reasons)),
    "gemel:spec_decode_num_draft_tokens": (
        "Tokens that were evaluated ahead, by what proposed them.", "source", lambda one: dict(one.drafted)),
    "gemel:spec_decode_num_accepted_tokens": (
        "Of them, those that became part of an answer.", "source", lambda one: dict(one.accepted)),
}   # fmt: skip
MODELS: dict[str, tuple[str, bool, Callable[[Usage], float | None]]] = {   # True: a counter
    "gemel:model_loaded": ("Whether a model is loaded: 1 or 0.", False, lambda one: one.state == "loaded"),
    "gemel:model_memory_bytes": (
        "Bytes that a model takes, with its KV caches; 0 while it is not loaded.", False, lambda one: one.memory),
    "gemel:model_loads": ("How often a model was loaded.", True, lambda one: one.n_loads),
    "gemel:model_load_seconds": ("Seconds that loading it took, in all.", True, lambda one: one.load_seconds),
    "gemel:model_unloads": ("How often a model was unloaded.", True, lambda one: one.n_unloads),
}   # fmt: skip
REQUESTS = ("gemel:http_requests", "Requests over HTTP, by API and status; gone: the client left before the status.")
