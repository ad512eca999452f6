"""llama.cpp and ik_llama.cpp through their C APIs, as llama-cpp-python and ik-llama-cpp-python bind them.

Both have the same shape: a model, contexts with a KV cache of several sequences, batches of (id, position, sequence).
`Api` holds what differs. Imported by compare_worker.py in the peer's own Python: standard library, numpy and the peer.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from compare_cases import Case, random_ids

N_BATCH = 512   # n_batch and n_ubatch
STEP = 256      # contexts are made this much larger at a time
Q8_0 = 8        # as a type of the KV cache; F16 is both engines' own


class Api:
    """llama.cpp's calls."""

    module = "llama_cpp"

    def __init__(self) -> None:
        self.c: Any = importlib.import_module(self.module)
        self._silence()
        self.c.llama_backend_init()

    def _silence(self) -> None:
        self._log = self.c.llama_log_callback(lambda *_: None)
        self.c.llama_log_set(self._log, None)

    def load(self, path: str, variant: str) -> Any:  # noqa: ANN401
        """Open a model, or end the process with a sentence."""
        options = self.c.llama_model_default_params()
        options.n_gpu_layers = 0
        self._set_model(options, variant)
        model = self.c.llama_model_load_from_file(os.fsencode(path), options)
        if not model:
            raise SystemExit(f"{self.module} can't load {path}")
        return model

    def _set_model(self, options: Any, variant: str) -> None:  # noqa: ANN401
        """Only the defaults: the CPU's repacked layouts are on."""

    def context(self, model: Any, n_ctx: int, n_seq: int, variant: str) -> Any:  # noqa: ANN401
        """Make a context for n_seq sequences that share n_ctx positions."""
        settings = self.c.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = n_ctx, n_seq
        settings.n_batch = settings.n_ubatch = N_BATCH
        self._set_context(settings, variant)
        made = self.c.llama_init_from_model(model, settings)
        if not made:
            raise SystemExit(f"{self.module} can't make a context of {n_ctx} positions for {n_seq} sequences")
        return made

    def _set_context(self, settings: Any, variant: str) -> None:  # noqa: ANN401
        settings.flash_attn_type = int(variant.startswith("flash attention"))
        if variant.endswith("Q8_0 cache"):
            settings.type_k = settings.type_v = Q8_0
        settings.no_perf = True

    def clear(self, context: Any) -> None:  # noqa: ANN401
        """Forget everything."""
        self.c.llama_memory_clear(self.c.llama_get_memory(context), True)

    def cut(self, context: Any, n_past: int) -> bool:  # noqa: ANN401
        """Keep the first n_past positions of sequence 0. With recurrent layers it can't."""
        return bool(self.c.llama_memory_seq_rm(self.c.llama_get_memory(context), 0, n_past, -1))

    def threads(self, context: Any, n: int) -> None:  # noqa: ANN401
        """Set the threads of prefill and decoding."""
        self.c.llama_set_n_threads(context, n, n)

    def wait(self, context: Any) -> None:  # noqa: ANN401
        """Wait for the end of what was begun."""
        self.c.llama_synchronize(context)

    def n_vocab(self, model: Any) -> int:  # noqa: ANN401
        """Return how many ids there are."""
        return int(self.c.llama_vocab_n_tokens(self.c.llama_model_get_vocab(model)))

    def facts(self) -> dict[str, Any]:
        """Return what was compared with."""
        from importlib.metadata import version

        system = self.c.llama_print_system_info()
        return {"version": f"llama-cpp-python {version('llama-cpp-python')}", "system": system.decode().strip()}


class IkApi(Api):
    """ik_llama.cpp's calls; its package binds only some of them."""

    module = "ik_llama_cpp._ctypes_api"

    def _silence(self) -> None:
        pointer, word, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32
        log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, pointer)
        self._bind("llama_kv_cache_seq_rm", ctypes.c_bool, pointer, word, word, word)
        self._bind("llama_set_n_threads", None, pointer, size, size)
        self._bind("llama_synchronize", None, pointer)
        self._bind("llama_print_system_info", ctypes.c_char_p)
        self._bind("llama_log_set", None, log, pointer)
        self._log = log(lambda *_: None)
        self.c._lib.llama_log_set(self._log, None)

    def _bind(self, name: str, result: Any, *arguments: Any) -> None:  # noqa: ANN401
        function = getattr(self.c._lib, name)
        function.restype, function.argtypes = result, arguments

    def _set_model(self, options: Any, variant: str) -> None:  # noqa: ANN401
        if variant == "repacked":   # what its -rtr does
            options.repack_tensors, options.use_mmap = True, False

    def _set_context(self, settings: Any, variant: str) -> None:  # noqa: ANN401
        settings.flash_attn = settings.n_seq_max == 1   # with several sequences it aborts: GGML_ASSERT(S > 0)
        if variant == "Q8_0 cache":
            settings.type_k = settings.type_v = Q8_0

    def clear(self, context: Any) -> None:  # noqa: ANN401
        self.c.llama_kv_cache_clear(context)

    def cut(self, context: Any, n_past: int) -> bool:  # noqa: ANN401
        return bool(self.c._lib.llama_kv_cache_seq_rm(context, 0, n_past, -1))

    def threads(self, context: Any, n: int) -> None:  # noqa: ANN401
        self.c._lib.llama_set_n_threads(context, n, n)

    def wait(self, context: Any) -> None:  # noqa: ANN401
        self.c._lib.llama_synchronize(context)

    def facts(self) -> dict[str, Any]:
        from importlib.metadata import version

        system = self.c._lib.llama_print_system_info()
        return {
            "version": f"ik-llama-cpp-python {version('ik-llama-cpp-python')}",
            "system": f"flash attention, but not with several sequences, where it aborts; {system.decode().strip()}",
        }


class Context:
    """A KV cache and a batch to fill it with."""

    def __init__(self, engine: Llama, n_ctx: int, n_seq: int) -> None:
        self.api, self.n_seq = engine.api, n_seq
        self.it = engine.api.context(engine.model, n_ctx, n_seq, engine.variant)
        self.batch = engine.api.c.llama_batch_init(N_BATCH, 0, 1)
        self.n_vocab = engine.n_vocab
        self.n_past = 0   # positions of sequence 0 that hold the engine's fixed ids

    def evaluate(self, ids: Sequence[int], places: Sequence[tuple[int, int]], wanted: Sequence[int]) -> None:
        """Evaluate ids[i] at (position, sequence) places[i], with the logits of the `wanted` rows, and wait."""
        batch = self.batch
        batch.n_tokens = len(ids)
        for i, (id, (position, sequence)) in enumerate(zip(ids, places, strict=True)):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = id, position, 1, 0
            batch.seq_id[i][0] = sequence
        for i in wanted:
            batch.logits[i] = 1
        if self.api.c.llama_decode(self.it, batch):
            raise SystemExit(f"{self.api.module}: llama_decode failed")
        self.api.wait(self.it)

    def best(self, row: int) -> int:
        """Return the most likely id of a row of the last batch."""
        logits = self.api.c.llama_get_logits_ith(self.it, row)
        return int(np.ctypeslib.as_array(logits, (self.n_vocab,)).argmax())

    def fill(self, ids: Sequence[int], n: int) -> None:
        """Let sequence 0 hold ids[0..n), evaluating what it lacks; the logits of the last one are had when any was."""
        keep = min(self.n_past, n)
        if not self.api.cut(self.it, keep):
            self.api.clear(self.it)
            keep = 0
        for at in range(keep, n, N_BATCH):
            part = ids[at : min(n, at + N_BATCH)]
            self.evaluate(part, [(at + i, 0) for i in range(len(part))], [len(part) - 1])
        self.n_past = n


class Llama:
    """One engine: a model, and a context for each depth."""

    def __init__(self, name: str, path: str, variant: str) -> None:
        self.variant = variant
        self.api = IkApi() if name.startswith("ik") else Api()
        self.start = time.perf_counter()
        self.model = self.api.load(path, variant)
        self.opened = time.perf_counter()
        self.n_vocab = self.api.n_vocab(self.model)
        self._contexts: dict[tuple[int, int], Context] = {}

    def facts(self) -> dict[str, Any]:
        """Return versions and what they were built with."""
        return self.api.facts()

    def run(self, case: Case, seed: int) -> float:
        """Return the seconds of a case."""
        kind = {"prefill": self._prefill, "decode": self._decode, "sessions": self._sessions}[case.test]
        return kind(case)

    def _context(self, needed: int, n_seq: int = 1) -> Context:
        key = (-(-needed // STEP) * STEP * n_seq, n_seq)
        if key not in self._contexts:
            self._contexts[key] = Context(self, *key)
        return self._contexts[key]

    def _prefill(self, case: Case) -> float:
        context, ids = self._context(case.n + 1), random_ids(self.n_vocab, case.n)
        self.api.threads(context.it, case.threads)
        context.fill(ids, 0)
        context.evaluate(ids[:1], [(0, 0)], [0])   # wakes the threads
        context.fill(ids, 0)
        start = time.perf_counter()
        context.fill(ids, case.n)
        return time.perf_counter() - start

    def _decode(self, case: Case) -> float:
        depth = max(case.depth, 1)
        context, ids = self._context(depth + case.n + 1), random_ids(self.n_vocab, depth + 1)
        self.api.threads(context.it, case.threads)
        context.fill(ids, depth)
        context.evaluate(ids[depth:], [(depth, 0)], [0])   # the first id to go on from; it wakes the threads
        id = context.best(0)
        context.fill(ids, depth)
        start = time.perf_counter()
        for i in range(case.n):
            context.evaluate([id], [(depth + i, 0)], [0])
            id = context.best(0)
        return time.perf_counter() - start

    def _sessions(self, case: Case) -> float:
        each, count = case.n // case.sessions, case.sessions
        context, prompt = self._context(case.depth + each + 1, count), random_ids(self.n_vocab, count * case.depth)
        self.api.threads(context.it, case.threads)
        self.api.clear(context.it)
        context.n_past = 0
        ids, rows = prompt[:count], range(count)
        for s in rows:
            part = prompt[s * case.depth : (s + 1) * case.depth]
            context.evaluate(part, [(i, s) for i in range(case.depth)], [case.depth - 1])
        start = time.perf_counter()
        for step in range(each):
            context.evaluate(ids, [(case.depth + step, s) for s in rows], rows)
            ids = [context.best(row) for row in rows]
        return time.perf_counter() - start
