"""What metrics and traces cost: 8 chats at a time, with and without, in turns; prints the medians and their ratio.

    python tests/bench/observing.py MODEL [ROUNDS]

With: an observer, spans and metrics sent to a receiver in another process, and both addresses of metrics read once a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import gemel
import gemel_web
import httpx
from gemel_native.serving.server import telemetry_of
from gemel_web.observe import Observer
from starlette.applications import Starlette

CHATS, TOKENS = 8, 256
RECEIVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


async def chats(app: Starlette) -> float:
    """Return the tokens per second of 8 chats that are streamed together."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as client:

        async def chat(i: int) -> int:
            message = {"role": "user", "content": f"Tell me about the number {i} in many words."}
            body = {"messages": [message], "max_tokens": TOKENS, "temperature": 0, "logit_bias": ENDLESS,
                    "stream": True, "stream_options": {"include_usage": True}}   # fmt: skip
            answer = await client.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            return answer.text.count('"content":')

        start = time.perf_counter()
        await asyncio.gather(*(chat(i) for i in range(CHATS)))
        return CHATS * TOKENS / (time.perf_counter() - start)


async def looking(app: Starlette) -> None:
    """Read the metrics once a second."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        while True:
            assert (await client.get("/metrics")).status_code == 200
            assert (await client.get("/metrics.json")).status_code == 200
            await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def app_of(model: gemel.Model, observer: Observer | None) -> AsyncIterator[Starlette]:
    """Return an app whose lifespan has begun."""
    app = gemel_web.create_app(gemel_web.Config(), {"m": gemel_web.ServedModel(model)}, observer=observer)
    async with app.router.lifespan_context(app):
        yield app


async def main(source: str, rounds: int) -> None:
    """Measure."""
    with gemel.open(source) as model:
        ENDLESS.update({str(id): -100 for id in range(model.n_vocab) if model.is_eog(id)})
        async with app_of(model, None) as plain, app_of(model, Observer(telemetry_of())) as watched:
            found: dict[bool, list[float]] = {False: [], True: []}
            for i in range(2 * rounds + 2):
                is_on = bool((i + i // 2) % 2)   # off on on off off on ...
                task = asyncio.create_task(looking(watched)) if is_on else None
                speed = await chats(watched if is_on else plain)
                if task is not None:
                    task.cancel()
                if i > 1:
                    found[is_on].append(speed)
            ratios = [on / off for off, on in zip(found[False], found[True], strict=True)]
            off, on = (statistics.median(found[one]) for one in (False, True))
            print(f"off {off:.1f}, on {on:.1f} tokens/s; median ratio {statistics.median(ratios):.4f}, "
                  f"{len(ratios)} pairs {[round(one, 3) for one in ratios]}")   # fmt: skip


ENDLESS: dict[str, int] = {}

if __name__ == "__main__":
    with subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{receiver.stdout.readline().strip()}"
        try:
            asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 12))
        finally:
            receiver.terminate()
