"""gemel's server beside llama-cpp-python's and llama-server's core (xllamacpp): the same chats at once, in one run.

    python tests/bench/compare_servers.py MODEL.gguf [--peer-python PYTHON] [--streams 8] [--tokens 128] [--reps 5]
    python tests/bench/compare_servers.py MODEL.gguf --fair       gemel alone: 32 streams, long prompts beside them

Servers are separate processes that stay open; one is asked at a time, and every repetition begins with another. The
client is a separate process, too; its CPU time is printed apart. "generate_many" is gemel.Model in a process without a
server. All answer the same chats greedily, each with --tokens ids (ends of text are forbidden), with --threads threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare_peers import PAUSE, Child, busy, modules_of

Body = dict[str, Any]   # of a request
CLIENT = Path(__file__).with_name("server_load.py")
WORDS = ["river", "stone", "light", "market", "engine", "garden", "letter", "winter", "copper", "signal"]
MANY = """
import json, sys, time
import gemel
path, threads = sys.argv[1], int(sys.argv[2])
with gemel.open(path, threads=threads, draft=False) as model:
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        prompts = [model.prompt_ids(body["messages"]) for body in given["bodies"]]
        bias = {int(id): value for id, value in given["bodies"][0]["logit_bias"].items()}
        start = time.perf_counter()
        n = given["bodies"][0]["max_tokens"]
        model.generate_many(prompts, max_tokens=n, temperature=0, logit_bias=bias)
        print(json.dumps([n * len(prompts), time.perf_counter() - start]), flush=True)
"""
XLLAMA = """
import sys, time
import xllamacpp
path, threads, streams, n_ctx, port = sys.argv[1], *map(int, sys.argv[2:])
p = xllamacpp.CommonParams()
p.model.path, p.n_parallel, p.n_ctx, p.port = path, streams, streams * n_ctx, port
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
server = xllamacpp.Server(p)
while True:
    time.sleep(1000)
"""


@dataclass(frozen=True)
class Server:
    """One server in one setting."""

    name: str
    module: str   # what a Python that has it can import
    command: tuple[str, ...]   # after the Python; {model}, {threads}, {streams}, {n_ctx} and {port} are put in


SERVERS = (
    Server("gemel", "gemel_web", (
        "-m", "gemel", "serve", "{model}", "--alias", "m", "--threads", "{threads}", "--parallel", "{streams}",
        "--port", "{port}", "--ctx-size", "{n_ctx}",
    )),
    Server("llama-cpp-python", "llama_cpp", (
        "-m", "llama_cpp.server", "--model", "{model}", "--n_threads", "{threads}", "--n_threads_batch", "{threads}",
        "--n_ctx", "{n_ctx}", "--port", "{port}", "--interrupt_requests", "False", "--verbose", "False",
        "--flash_attn", "True",
    )),
    Server("xllamacpp", "xllamacpp", ("-c", XLLAMA, "{model}", "{threads}", "{streams}", "{n_ctx}", "{port}")),
)  # fmt: skip


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Running(Child):
    """A server's process."""

    def __init__(self, server: Server, python: str, **named: str | int) -> None:
        self.name, self.port = server.name, free_port()
        words = {f"{{{key}}}": str(value) for key, value in [*named.items(), ("port", self.port)]}
        super().__init__(python, *(words.get(part, part) for part in server.command), answers=False)

    def wait(self, seconds: float = 120) -> None:
        """Wait until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.ended():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{self.name} did not start: {self.last_words() if self.ended() else 'it does not answer'}")

    def cpu(self) -> float:
        """Return the CPU seconds that it used so far (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, asked: Sequence[tuple[float, Body]]) -> dict[str, Any]:
        """Run a load by the client's process; return what it printed."""
        load = {"host": "127.0.0.1", "port": self.port, "asked": list(asked)}
        done = subprocess.run(
            [sys.executable, str(CLIENT)], input=json.dumps(load), capture_output=True, text=True, check=True
        )
        result: dict[str, Any] = json.loads(done.stdout)
        bad = [one for one in result["answers"] if one["status"] != 200 or not one["pieces"]]
        if bad:
            raise SystemExit(f"{self.name}: {bad[0]['status']} {bad[0]['error'][:500]}")
        return result

    def rate(self, bodies: Sequence[Body]) -> tuple[float, float]:
        """Return the tokens per second of all together, and the client's CPU time over the server's."""
        before = self.cpu()
        result = self.load([(0.0, body) for body in bodies])
        return together(result["answers"]), result["client_cpu_s"] / max(self.cpu() - before, 0.01)


class Many(Child):
    """gemel.Model.generate_many in a separate process."""

    name = "generate_many"

    def __init__(self, model: str, threads: int) -> None:
        super().__init__(sys.executable, "-c", MANY, model, str(threads))

    def wait(self) -> None:
        """Wait until the model is open."""
        self.reply()

    def rate(self, bodies: Sequence[Body]) -> tuple[float, float]:
        """Return the tokens per second of all together; there is no client."""
        n, seconds = self.ask({"bodies": list(bodies)})
        return n / seconds, 0.0


def chat(text: str, n: int, ends: Sequence[int], system: str = "") -> Body:
    """Return the body of a chat that is answered with n ids."""
    said = [{"role": "system", "content": system}] if system else []
    return {
        "model": "m", "messages": [*said, {"role": "user", "content": text}], "max_tokens": n, "temperature": 0,
        "logit_bias": {str(id): -100 for id in ends},
    }  # fmt: skip


def text_of(seed: int, n_words: int) -> str:
    """Return a text that no earlier one begins like."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(n_words))


def tokens(told: dict[str, Any]) -> int:
    """Return how many ids an answer has: what the server counted, else its pieces."""
    return int((told["usage"] or {}).get("completion_tokens") or len(told["pieces"]))


def together(answers: Sequence[dict[str, Any]]) -> float:
    """Return the tokens per second of all answers."""
    seconds = max(one["ended"] for one in answers) - min(one["sent"] for one in answers)
    return float(sum(map(tokens, answers)) / seconds)


def gaps(told: dict[str, Any], since: float = 0.0) -> list[float]:
    """Return the seconds between the pieces of an answer, of those after `since`."""
    return [b - a for a, b in itertools.pairwise(told["pieces"]) if a >= since]


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that a part of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def ends_of(model: str) -> list[int]:
    """Return the ids that end a text."""
    import gemel

    with gemel.open(model) as opened:
        return [id for id in range(opened.n_vocab) if opened.is_eog(id)]


def chosen(given: argparse.Namespace) -> Iterator[tuple[Server, str]]:
    """Yield the servers to compare, each with a Python that has it; say which are left out."""
    for server in SERVERS:
        pythons = [sys.executable, *given.peer_python]
        python = next((one for one in pythons if modules_of(one, [server.module])), None)
        if python is None or (given.servers and server.name not in given.servers.split(",")):
            print(f"{server.name}: left out ({server.module} is in none of the Pythons, or not in --servers)")
        else:
            yield server, python


def compare(given: argparse.Namespace) -> None:
    """Measure all servers in turn."""
    ends = ends_of(given.model)
    named = {"model": given.model, "threads": given.threads, "streams": given.streams, "n_ctx": 2048}
    told: dict[str, list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        runs: list[Running | Many] = [
            stack.enter_context(Running(server, python, **named)) for server, python in chosen(given)
        ]
        runs.append(stack.enter_context(Many(given.model, given.threads)))
        for run in runs:
            run.wait()
        print(f"others use {100 * (busy() or 0):.0f} % of the CPUs")
        for round in range(given.reps + 1):   # the first one warms up
            for run in runs[round % len(runs) :] + runs[: round % len(runs)]:
                texts = [text_of(1000 * round + i, given.words) for i in range(given.streams)]
                rate = run.rate([chat(text, given.tokens, ends) for text in texts])
                if round:
                    told.setdefault(run.name, []).append(rate)
                time.sleep(PAUSE)
    ours = statistics.median(rate for rate, _ in told.get("gemel", [(float("nan"), 0.0)]))
    print(f"{given.streams} chats of {given.words} words and {given.tokens} ids, {given.threads} threads:")
    for name, pairs in told.items():
        rates = [rate for rate, _ in pairs]
        middle, client = statistics.median(rates), statistics.median(cpu for _, cpu in pairs)
        print(f"  {name:18} {middle:8.1f} tokens/s  ({min(rates):.1f} to {max(rates):.1f})  "
              f"gemel's server / it {ours / middle:.2f}" + f", client's CPU {100 * client:.1f} % of it" * bool(client))


def fair(given: argparse.Namespace) -> None:
    """Measure gemel's server alone: shares of 32 streams, their pace beside long prompts, a repeated system prompt."""
    ends = ends_of(given.model)
    named = {"model": given.model, "threads": given.threads, "streams": 32 + 4, "n_ctx": 8192}
    with Running(SERVERS[0], sys.executable, **named) as server:
        server.wait()
        server.load([(0.0, chat("hello", 30, ends))])
        for round in range(given.reps):
            bodies = [chat(text_of(5000 + 100 * round + i, 20), given.tokens, ends) for i in range(32)]
            alone = server.load([(0.0, body) for body in bodies])["answers"]
            shares = [tokens(one) / (one["ended"] - one["pieces"][0]) for one in alone]
            quiet = [gap for one in alone for gap in gaps(one, max(other["pieces"][0] for other in alone))]
            middle = statistics.median(quiet)
            bodies = [chat(text_of(9000 + 100 * round + i, 20), 4 * given.tokens, ends) for i in range(32)]
            long = [chat(text_of(7000 + 10 * round + i, 3900), 4, ends) for i in range(3)]
            after = 60 * middle
            both = server.load([*((0.0, body) for body in bodies), *((after + i, body) for i, body in enumerate(long))])
            streams, prompts = both["answers"][:32], both["answers"][32:]
            last = max(one["ended"] for one in prompts)
            beside = [b - a for one in streams for a, b in itertools.pairwise(one["pieces"]) if after <= a < last]
            firsts = [one["pieces"][0] - one["sent"] for one in prompts]
            print(f"32 streams: {together(alone):.0f} tokens/s, shares min/max "
                  f"{min(shares) / max(shares):.2f}, median gap {1000 * middle:.1f} ms, p95 "
                  f"{1000 * quantile(quiet, 0.95):.1f} ms")
            print(f"  beside prompts of {prompts[0]['usage']['prompt_tokens']} ids: p95 "
                  f"{1000 * quantile(beside, 0.95):.1f} ms = {quantile(beside, 0.95) / middle:.2f} x the median, p99 "
                  f"{1000 * quantile(beside, 0.99):.1f} ms; first tokens of the prompts after "
                  f"{', '.join(f'{one:.1f}' for one in firsts)} s")
            system = text_of(3000 + round, 2000)
            asked = [server.load([(0.0, chat(f"Question {i}.", 1, ends, system))])["answers"][0] for i in range(2)]
            first, again = (one["pieces"][0] - one["sent"] for one in asked)
            print(f"  a system prompt of {asked[0]['usage']['prompt_tokens']} ids: first {1000 * first:.0f} ms, again "
                  f"{1000 * again:.0f} ms = {100 * again / first:.1f} %")


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--peer-python", action="append", default=[])
    parser.add_argument("--servers", help="only these, for instance gemel,xllamacpp")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--words", type=int, default=30, help="of each chat's message")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--fair", action="store_true")
    given = parser.parse_args()
    (fair if given.fair else compare)(given)


if __name__ == "__main__":
    main()
