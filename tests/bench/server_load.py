"""A client of few instructions: many streamed chats at once, and when each piece came. Standard library only.

    python tests/bench/server_load.py < load.json > result.json

A separate process, so that its CPU time is known. See `Load` for what it reads and `Told` for what it prints.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

START = b"data: "


@dataclass(frozen=True)
class Load:
    """Bodies of chat completions, each with the second at which it is sent."""

    host: str
    port: int
    asked: list[tuple[float, dict[str, Any]]]
    path: str = "/v1/chat/completions"


@dataclass
class Told:
    """One answer: seconds since the load's start."""

    sent: float
    pieces: list[float] = dataclasses.field(default_factory=list)   # when each text came
    ended: float = 0.0
    usage: dict[str, Any] | None = None
    status: int = 0
    error: str = ""


async def ask(load: Load, told: Told, body: dict[str, Any], start: float) -> None:
    """Send one request and note what comes."""
    reader, writer = await asyncio.open_connection(load.host, load.port, limit=1 << 24)
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = f"POST {load.path} HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
    told.status = int((await reader.readline()).split()[1])
    async for line in reader:
        if not line.startswith(START) or line.startswith(b"data: [DONE]"):
            if told.status != 200:
                told.error += line.decode(errors="replace")
            continue
        event = json.loads(line[len(START) :])
        told.usage = event.get("usage") or told.usage
        choices = event.get("choices")
        if choices and choices[0].get("delta", {}).get("content"):
            told.pieces.append(time.perf_counter() - start)
    told.ended = time.perf_counter() - start
    writer.close()


async def run(load: Load) -> list[Told]:
    """Ask all of them; return what was answered, in the same order."""
    start = time.perf_counter()

    async def one(after: float, body: dict[str, Any]) -> Told:
        await asyncio.sleep(after)
        told = Told(time.perf_counter() - start)
        try:
            await ask(load, told, body, start)
        except (OSError, ValueError, IndexError) as error:
            told.error += repr(error)
        return told

    return await asyncio.gather(*(one(after, body) for after, body in load.asked))


def main() -> None:
    """Read a load, print the answers and the CPU seconds of this process."""
    load = Load(**json.load(sys.stdin))
    before = time.process_time()
    answers = asyncio.run(run(load))
    print(json.dumps({
        "answers": [dataclasses.asdict(one) for one in answers],
        "client_cpu_s": time.process_time() - before,
        "client_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }))


if __name__ == "__main__":
    main()
