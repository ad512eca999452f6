"""Many mixed requests, many of them cancelled, against a running server: every answer is compared with the first one.

    python tests/soak.py http://127.0.0.1:8090 --pid PID --requests 10000 --clients 24

Prints what was asked, and what the server's process had before and after: memory, descriptors, threads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
WARM = 0.2   # of the requests come before the first look at the process
Asked = tuple[str, dict[str, Any]]


def requests() -> list[Asked]:
    """Return different requests whose answers depend on nothing else: seeds are given."""
    system = "You answer in few words. " * 40
    made: list[Asked] = []
    for i in range(24):
        said = [{"role": "system", "content": system[: 100 * (i % 5)]}, {"role": "user", "content": f"Tell me of {i}."}]
        made.append((CHAT, {"messages": said, "seed": i, "max_tokens": 4 + 3 * (i % 7), "n": 1 + (i % 4 == 0)}))
        made.append((TEXT, {"prompt": [5 + i % 9] * (10 * i + 1), "seed": i, "max_tokens": 12, "logprobs": i % 3}))
        if i % 3 == 0:
            made.append((TEXT, {"prompt": "the " * i + "end", "temperature": 0, "max_tokens": 30, "stop": ["e", "a"]}))
            made.append((EMBED, {"input": [f"text {i} " * (i + 1), "another"]}))
    return made


@dataclass
class Process:
    """What a process holds (Linux)."""

    pid: int

    def look(self) -> dict[str, int]:
        """Return its resident memory in kB, descriptors and threads."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        named = dict(line.split(":", 1) for line in status.splitlines())
        return {
            "rss_kb": int(named["VmRSS"].split()[0]),
            "descriptors": len(list(Path(f"/proc/{self.pid}/fd").iterdir())),
            "threads": int(named["Threads"]),
        }


@dataclass
class Report:
    """What a soak found."""

    ended: Counter[str] = field(default_factory=Counter)   # right, cancelled, refused (429), wrong, broken
    problems: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)


def essence(answer: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return the part of an answer that must be the same each time."""
    return answer["choices"] if "choices" in answer else answer["data"]


async def expected(client: httpx.AsyncClient) -> list[tuple[Asked, Any]]:
    """Ask each request alone."""
    return [((path, body), essence((await client.post(path, json=body)).raise_for_status().json()))
            for path, body in requests()]


async def ask(client: httpx.AsyncClient, wanted: tuple[Asked, Any], draw: random.Random, report: Report) -> None:
    """Ask one request: whole, or streamed and left after some pieces."""
    (path, body), right = wanted
    if path != EMBED and draw.random() < 0.3:
        left = draw.randrange(6)
        async with client.stream("POST", path, json={**body, "stream": True}) as response:
            if response.status_code != 200:
                report.ended["refused" if response.status_code == 429 else "broken"] += 1
                return
            async for _ in response.aiter_lines():
                left -= 1
                if left < 0:
                    break
        report.ended["cancelled"] += 1
        return
    response = await client.post(path, json=body)
    if response.status_code == 429:
        report.ended["refused"] += 1
        return
    kind = "right" if response.status_code == 200 and essence(response.json()) == right else "wrong"
    report.ended[kind] += 1
    if kind == "wrong":
        report.problems.append(f"{path} {json.dumps(body)[:200]}: {response.status_code} {response.text[:300]}")


async def soak(url: str, process: Process | None, *, n: int, n_clients: int, seed: int = 0) -> Report:
    """Ask n requests by n_clients clients at a time."""
    report, draw = Report(), random.Random(seed)
    limits = httpx.Limits(max_connections=n_clients + 4)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        table = await expected(client)
        left = [*range(n)]

        async def one() -> None:
            while left:
                at = left.pop()
                if process is not None and at == int(n * (1 - WARM)):
                    report.before = process.look()
                try:
                    await ask(client, draw.choice(table), draw, report)
                except httpx.HTTPError as error:
                    report.ended["broken"] += 1
                    report.problems.append(repr(error))

        await asyncio.gather(*(one() for _ in range(n_clients)))
        for wanted in table[:5]:   # the server is as it was
            await ask(client, wanted, random.Random(1), report)
        if process is not None:
            await asyncio.sleep(1)
            report.after = process.look()
    return report


def main() -> None:
    """Run it and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, help="the server's process, on this machine")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    process = None if given.pid is None else Process(given.pid)
    report = asyncio.run(soak(given.url, process, n=given.requests, n_clients=given.clients, seed=given.seed))
    print(json.dumps({"ended": report.ended, "before": report.before, "after": report.after}, indent=2))
    for problem in report.problems[:20]:
        print(problem)


if __name__ == "__main__":
    main()
