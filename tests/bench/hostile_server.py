"""How long other requests wait while a server works at hostile schemas and grammars, and after them.

    python tests/bench/hostile_server.py MODEL.gguf [--list]

A server of the model gets each form of tests/hostile_forms.py, and bodies that are hostile as such. While it
works at one, and after it, a second client asks for two tokens, again and again. Each hostile request must get a 4xx in
the API's shape, or an answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
from hostile_forms import FORMS
from web_server import Server

SMALL = {"model": "model", "prompt": "Hi", "max_tokens": 2}
START = b'{"model":"model","prompt":"a","max_tokens":8,'


def bodies() -> list[tuple[str, bytes]]:
    """Return all requests, and names of them."""
    found = [
        (f"form {at}: {json.dumps(form)[:60]}", json.dumps({"model": "model", "prompt": "a", "max_tokens": 8, **form}))
        for at, (_, form) in enumerate(FORMS)
    ]
    million = ",".join(f'"p{i}":{{}}' for i in range(10**6))
    names = ",".join(f'"p{i}"' for i in range(10**6))
    raw = [
        ("a million properties", b'"json_schema":{"properties":{%s}}}' % million.encode()),
        ("a million required names", b'"json_schema":{"required":[%s]}}' % names.encode()),
        ("a million texts", b'"json_schema":{"enum":[%s]}}' % names.encode()),
        ("100,000 texts", b'"json_schema":{"enum":[%s]}}' % names.encode()[:1_000_000].rpartition(b",")[0]),
        ("a million alternatives", b'"grammar":"root ::= \\"a\\"%s"}' % (b' | \\"b\\"' * 10**6)),
        ("a million rules", b'"grammar":"root ::= a0%s"}' % b"".join(b'\\na%d ::= \\"x\\"' % i for i in range(10**6))),
        ("100,000 groups", b'"grammar":"root ::= %s"}' % (b'(\\"a\\")* ' * 100_000)),
        ("bytes that are not UTF-8", b'"json_schema":{"const":"\xff\xfe"}}'),
        ("a part of a character", b'"grammar":"root ::= \\"\xe2\x82\\""}'),
        ("half of a surrogate pair", b'"json_schema":{"pattern":"\\ud800"}}'),
        ("half of a pair in a grammar", b'"grammar":"root ::= \\"\\udfff\\""}'),
        ("nested 100,000 deep", b'"json_schema":' + b'{"items":' * 100_000 + b"{}" + b"}" * 100_001),
        ("an open list", b'"json_schema":{"enum":[' + b"[" * 100_000),
        ("a number of a million digits", b'"json_schema":{"minimum":1%s}}' % (b"0" * 10**6)),
        ("one name a million times", b'"json_schema":{"properties":{%s"a":{}}}}' % (b'"a":{},' * 10**6)),
    ]
    return [(name, body.encode()) for name, body in found] + [(name, START + body) for name, body in raw]


class Stranger(threading.Thread):
    """A client that asks for two tokens while an event is not set."""

    def __init__(self, url: str) -> None:
        """Prepare."""
        super().__init__()
        self.url, self.over, self.waits = url, threading.Event(), [0.0]

    def run(self) -> None:
        """Ask, and note how long each answer took."""
        with httpx.Client(timeout=120) as client:
            while not self.over.is_set():
                self.waits.append(asked(client, self.url))


def asked(client: httpx.Client, url: str) -> float:
    """Return the seconds that a small request takes."""
    start = time.perf_counter()
    assert client.post(url, json=SMALL).status_code == 200
    return time.perf_counter() - start


def main() -> None:
    """Ask, and print the longest times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--list", action="store_true", help="print each request")
    given = parser.parse_args()
    codes: Counter[int] = Counter()
    during, after, own = [], [], []
    with Server(given.model, "--alias", "model") as server, httpx.Client(timeout=120) as client:
        url = f"{server.url}/completions"
        alone = statistics.median(asked(client, url) for _ in range(9))
        for name, body in bodies():
            stranger = Stranger(url)
            stranger.start()
            start = time.perf_counter()
            answer = client.post(url, content=body, headers={"Content-Type": "application/json"})
            took = time.perf_counter() - start
            next_one = asked(client, url)
            stranger.over.set()
            stranger.join()
            codes[answer.status_code] += 1
            assert answer.status_code == 200 or set(answer.json()["error"]) >= {"message", "type"}, answer.text
            during.append((max(stranger.waits), name))
            after.append((next_one, name))
            own.append((took, name))
            if given.list:
                print(answer.status_code, *(f"{one:.3f}" for one in (took, max(stranger.waits), next_one)), name)
    print(f"{len(own)} requests: {dict(codes)}; a small request alone: {alone:.3f} s")
    for what, times in (("hostile requests", own), ("others meanwhile", during), ("the next one", after)):
        listed = sorted(times, reverse=True)[:3]
        print(f"{what}: longest " + ", ".join(f"{took:.3f} s ({name[:70]})" for took, name in listed))


if __name__ == "__main__":
    main()
