"""What the server's app answers on a desktop, for tests that compare a tab with it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gemel
import gemel_web
import httpx
from serving import Asked

PER_REQUEST = re.compile(rb'"id":"(chatcmpl|cmpl)-[0-9a-z]+"|"created":[0-9]+')
OF_HOST = re.compile(rb'"engine":"[^"]+","isa":"[^"]+","threads":[0-9]+,"why":"[^"]*"')   # of a model's meta
REQUEST_ID = "one"   # of requests whose headers are compared: without one, each response has a new one
# Python for a page's worker: the most tokens that a session held by the app's batch has, once nothing works on it.
N_PAST = (
    "import asyncio, gc, gemel_web.jobs.scheduler as s\n"
    "(one,) = [one for each in gc.get_objects() if isinstance(each, s.Scheduler) for one in each._drivers.values()]\n"
    "while one._jobs: await asyncio.sleep(0.01)\n"
    "max((entry.n for entry in next(iter(one._slots.values())).batch()._prefixes._entries), default=0)"
)
ENDLESS: dict[str, Any] = {
    "model": "tiny", "prompt": "a", "temperature": 0, "max_tokens": 1900, "stream": True,
    "logit_bias": {"0": -100, "2": -100},
}  # fmt: skip


def native(data: bytes, requests: Sequence[tuple[str, dict[str, Any] | None]]) -> list[httpx.Response]:
    """Return the desktop's answers; in a thread, since Playwright's event loop is in the main one."""

    def answers() -> list[httpx.Response]:
        kind = {"content-type": "application/json", "x-request-id": REQUEST_ID}
        with gemel.open(data) as model, Asked({"tiny": gemel_web.ServedModel(model)}, where="tab") as asked:
            return [
                asked.get(path, headers=kind) if body is None
                else asked.ask("POST", path, headers=kind, content=json.dumps(body).encode())
                for path, body in requests
            ]  # fmt: skip

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(answers).result()


def plain(body: bytes | str) -> bytes:
    """Return a body without what differs from request to request, and from host to host."""
    raw = body.encode() if isinstance(body, str) else body
    return OF_HOST.sub(b"", PER_REQUEST.sub(b"", raw))
