"""How much one thread evaluates before its event loop, and in a tab the browser, may run."""

from __future__ import annotations

import asyncio
import sys
import time

from ..core.checks import wrong_type
from ..core.public import public
from .core_model import CoreModel


@public
class Pace:
    """How many ids an event loop's thread evaluates at a time: at first FIRST, then as many as take about SECONDS.

    The sizes of micro-batches change no bit. With the side module, which can't be interrupted, at most FIRST.

    Attributes:
        n: how many ids to evaluate next
        FIRST: ids of the first part
        SECONDS: how long a part should take
        WORKER_SECONDS: the same in a worker, where only messages wait
    """

    FIRST = 8
    SECONDS = 0.04
    WORKER_SECONDS = 0.1

    def __init__(self, model: CoreModel) -> None:
        if not isinstance(model, CoreModel):
            raise wrong_type("model", model, "a gemel.Model")
        self._most = self.FIRST if model.info.engine == "side module" else model.n_batch
        self.n = min(self.FIRST, self._most)
        self._due = 0.0   # when the browser may run again

    async def yield_turn(self) -> None:
        """Let the event loop run; in a tab also the browser, every SECONDS seconds.

        The browser's messages to this thread wait as long as the event loop has something to do.
        """
        if sys.platform != "emscripten" or time.perf_counter() < self._due:
            await asyncio.sleep(0)
            return
        import js  # type: ignore[import-not-found]
        from pyodide.ffi import create_once_callable  # type: ignore[import-not-found]

        resumed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        js.setTimeout(create_once_callable(lambda: resumed.done() or resumed.set_result(None)), 0)
        await resumed
        self._due = time.perf_counter() + self.SECONDS

    def note(self, n: int, seconds: float) -> None:
        """Learn that `n` ids took `seconds`."""
        fit = int(n * self.SECONDS / max(seconds, 1e-6))
        self.n = max(1, min(fit, 2 * self.n, self._most))
