"""Sentences per second of an encoder in a browser tab: gemel and transformers.js, one after another in each round.

    make wasm && pip install -e '.[bench]'
    python tests/bench/encoder_tabs.py FILE.gguf [--onnx FOLDER] [-t 1,2] [--rounds 7] [--batches 1,8,32]

FOLDER is the same model for transformers.js, as make_onnx_encoder.py writes it; its dtype is q8. Without one gemel runs
alone. Each engine has a
Chromium, in which the model stays open; what counts is the median of its rounds, of times that the page sees. The
sentences are those of encoder_speed.py. transformers.js embeds them in batches of each size of --batches, and its best
size counts. Rows are compared, too: the least cosine to gemel's.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from browser_server import Server
from browser_tab import Browser
from compare_peers import busy
from compare_tabs import HERE, ROOT, find_wheel, npm_packages
from encoder_speed import PAUSE, cosine, sentences
from playwright.sync_api import Page, sync_playwright

N_ROWS = 64   # that are compared


def engines(args: argparse.Namespace, threads: int) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return of each engine its page, its model's name and its options."""
    wheel = f"/wheels/{find_wheel(args).name}"
    found = {"gemel": ("gemel", "model.gguf", {"threads": threads, "wheel": wheel})}
    for batch in args.batches.split(",") if args.onnx else []:
        options = {"threads": threads, "dtype": "q8", "batch": int(batch)}
        found[f"transformers.js, batches of {batch}"] = ("transformers", "onnx", options)
    return found


def opened(browser: Browser, server: Server, page: str, model: str, options: dict[str, Any]) -> Page:
    tab = browser.visit(server.url, page, options)
    tab.evaluate("bench.start()")
    facts = tab.evaluate("url => bench.open(url)", f"/models/{model}")
    assert facts["threads"] == options["threads"], f"{page}: {facts}"
    print(f"  {page}: {facts}", file=sys.stderr)
    return tab


def compare(tabs: dict[str, Page], texts: list[str], rounds: int) -> None:
    """Let the tabs embed the texts in turn, and print what came of it."""
    rows = {name: tab.evaluate("([x, n]) => bench.embed(x, n)", [texts, N_ROWS])["rows"] for name, tab in tabs.items()}
    times: dict[str, list[float]] = {name: [] for name in tabs}
    others = busy()
    for _ in range(rounds):
        for name, tab in tabs.items():
            times[name].append(tab.evaluate("x => bench.embed(x, 0)", texts)["ms"] / 1000)
            time.sleep(PAUSE)
    print(f"  others use {100 * (others or 0):.0f} % of the CPUs")
    for name in tabs:
        speed, ratio = len(texts) / median(times[name]), median(times[name]) / median(times["gemel"])
        print(
            f"  {name:32} {speed:7.0f} sentences/s   gemel is {ratio:5.2f} times as fast   "
            f"least cosine {cosine(rows['gemel'], rows[name]):.5f}",
            flush=True,
        )


def main(args: argparse.Namespace) -> None:
    served = args.work / "served-encoder"
    shutil.rmtree(served, ignore_errors=True)
    served.mkdir(parents=True)
    (served / "model.gguf").symlink_to(args.model.resolve())
    if args.onnx:
        (served / "onnx").symlink_to(args.onnx.resolve())
    folders = {
        "page": HERE / "browser", "npm": npm_packages(args.work), "models": served, "wheels": find_wheel(args).parent,
    }  # fmt: skip
    texts = sentences(args.count)
    with sync_playwright() as playwright, Server(folders) as server:
        for threads in map(int, args.threads.split(",")):
            print(f"{threads} threads, {len(texts)} sentences, {args.rounds} rounds", flush=True)
            with contextlib.ExitStack() as stack:
                tabs = {}
                for name, (page, model, options) in engines(args, threads).items():
                    browser = stack.enter_context(Browser(playwright, args.chromium, args.work / "profiles"))
                    tabs[name] = opened(browser, server, page, model, options)
                compare(tabs, texts, args.rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("-t", dest="threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--wheel", help="gemel's wheel; default the newest of dist")
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="PATH")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="the folder of what is made")
    main(parser.parse_args())
