"""The forms that a model's calls named last, compiled: the next call of the same form compiles nothing.

A model owns one. It is bounded by a count and by bytes; what was used longest ago leaves first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import ArgumentError
from ..core.library import Handle, Library
from .grammar import Form, Grammar, Rules

COUNT = 64
SIZE = 32 << 20   # bytes; one that is larger stays until another one comes


class GrammarCache:
    """Compiled forms of one model. Any thread may use it."""

    def __init__(self, library: Library, model: Handle, *, count: int = COUNT, size: int = SIZE) -> None:
        self._library = library
        self._model = model
        self._count, self._most = count, size
        self._held: OrderedDict[Form, tuple[Rules, int]] = OrderedDict()
        self._size = 0
        self._closed = False
        self._lock = threading.RLock()   # re-entrant: a finalizer may run while it is held

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def use(self, form: Form | Grammar | None) -> Iterator[Rules | None]:
        """Have a form compiled during a block. An object that needs it longer keeps its handle."""
        if form is None:
            yield None
            return
        if isinstance(form, Grammar):
            rules = form._rules
            if rules.handle.parent is not self._model:
                raise ArgumentError("the grammar is another model's: model.grammar() compiles one for this model")
            with rules.handle:
                yield rules
            return
        rules = self._found(form) or self._added(form)
        try:
            yield Rules(form, rules.handle, rules.schema)   # made of this call's class
        finally:
            rules.handle.__exit__()

    def _found(self, form: Form) -> Rules | None:
        """Return what is held, in use."""
        with self._lock:
            if form not in self._held:
                return None
            self._held.move_to_end(form)
            rules, _ = self._held[form]
            rules.handle.__enter__()
            return rules

    def _added(self, form: Form) -> Rules:
        """Compile a form and hold it; return it, in use."""
        rules = form.compiled(self._library, self._model)
        size = self._library.call("gemel_grammar_size", rules.handle.__enter__()) + 4 * form.size
        with self._lock:
            if self._closed or form in self._held:   # meanwhile, by another thread
                rules.handle.close()   # it is freed after this use
            else:
                self._held[form] = rules, size
                self._size += size
                self._shrink()
        return rules

    def _shrink(self) -> None:
        while len(self._held) > self._count or (self._size > self._most and len(self._held) > 1):
            _, (rules, size) = self._held.popitem(last=False)
            self._size -= size
            rules.handle.close()

    def close(self) -> None:
        """Let go of all; those in use are freed after it."""
        with self._lock:
            self._closed = True
            held, self._held, self._size = self._held, OrderedDict(), 0
        for rules, _ in held.values():
            rules.handle.close()

    def after_fork(self) -> None:
        """Replace the locks: a thread that does not exist in the child may hold them."""
        self._lock = threading.RLock()
        for rules, _ in self._held.values():
            rules.handle.after_fork()
