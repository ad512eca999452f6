"""Requests that alternate between models under a budget that holds one: the most memory of the server, from outside.

    python tests/bench/alternate.py 1GB MODEL MODEL... [--seconds 30]

Starts `gemel serve`, asks the models in turn and two at the same time, and reads the process's memory from the system
every 10 ms: what is resident, and of that what only it has. Exits with 1 if a request fails, or if the memory was ever
over the budget by more than 150 MB. Linux only.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MOST_OVER = 150 * 10**6
PEER = ("Rss", "Pss", "Private_Dirty")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("budget")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    options = ["--max-memory", given.budget, "--port", "0", "--no-page"]
    command = [sys.executable, "-m", "gemel_native", "serve", *given.models, *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    line = server.stderr.readline()
    url = re.findall(r"http://[^/]+", line)[0]
    log: list[str] = []
    threading.Thread(target=lambda: log.extend(server.stderr or ()), daemon=True).start()
    most: dict[str, int] = {}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(server.pid, most, done))
    watcher.start()
    try:
        names = [one["id"] for one in json.load(urllib.request.urlopen(f"{url}/v1/models"))["data"]]
        n, end = 0, time.monotonic() + given.seconds
        with ThreadPoolExecutor(2) as pool:
            while time.monotonic() < end:
                ask(url, names[n % len(names)])
                list(pool.map(lambda name: ask(url, name), names[:2]))
                n += 1
    finally:
        done.set()
        watcher.join()
        server.terminate()
        server.wait()
    loads = sum(": loaded in" in line for line in log)
    budget = int(float(re.findall(r"[\d.]+", given.budget)[0]) * (10**9 if "GB" in given.budget else 10**6))
    report = {"budget_mb": budget / 1e6, "most_mb": {k: v / 1e6 for k, v in most.items()}, "rounds": n, "loads": loads}
    print(json.dumps(report))
    return int(most["Rss"] > budget + MOST_OVER)


def ask(url: str, name: str) -> None:
    """Ask a model; raises if it is not answered."""
    body = json.dumps({"model": name, "prompt": "the model " * 30, "max_tokens": 8, "temperature": 0}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        assert json.load(response)["usage"]["completion_tokens"]


def watch(pid: int, most: dict[str, int], done: threading.Event) -> None:
    """Note the most memory of a process."""
    path = Path(f"/proc/{pid}/smaps_rollup")
    while not done.wait(0.01):
        text = path.read_text()
        for name in PEER:
            size = 1024 * int(re.findall(rf"^{name}: +(\d+)", text, re.MULTILINE)[0])
            most[name] = max(most.get(name, 0), size)


if __name__ == "__main__":
    sys.exit(main())
