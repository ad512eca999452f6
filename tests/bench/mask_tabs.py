"""Masks of grammars in a tab of Chromium, next to the native program: median and 99th percentile, in microseconds.

    python tests/bench/mask_tabs.py VOCABULARY.gguf [--emcc FILE] [--rounds N] [--reps N] [--build]

Builds tests/bench/masks.c natively and with emcc into build/masks, with the core's flags. The page is isolated, so that
its clock has steps of 5 us. Each kind of grammar runs natively and in the tab in turn.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from browser_server import Server
from browser_tab import FLAGS
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "masks"
KINDS = re.findall(r'^    \{"([^"]+)",', (ROOT / "tests/bench/masks.c").read_text(encoding="utf-8"), re.MULTILINE)
SOURCES = [ROOT / "tests/bench/masks.c"]
SOURCES += [path for room in ("grammar", "text", "file", "quant") for path in (ROOT / "core_c/src" / room).glob("*.c")]
SOURCES += [ROOT / "core_c/src/errors.c", ROOT / "core_c/src/memory.c"]
MASK = ROOT / "core_c/src/grammar/mask.c"   # the file that CMake compiles with SIMD
COMMON = ["-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-DNDEBUG", f"-I{ROOT / 'core_c/include'}"]
TAB = ["-sMODULARIZE", "-sEXPORT_ES6", "-sENVIRONMENT=web", "-sALLOW_MEMORY_GROWTH", "-sSTACK_SIZE=1mb",
       "-sINVOKE_RUN=0", "-sEXPORTED_RUNTIME_METHODS=callMain"]   # fmt: skip
RUN = """async (words) => {
    const lines = [];
    const start = (await import("/masks/masks.mjs")).default;
    const module = await start({print: (line) => lines.push(line), printErr: (line) => lines.push(line)});
    module.callMain(words);
    return lines.join("\\n");
}"""


def build(emcc: str, vocabulary: Path) -> None:
    """Compile both programs."""
    sources = [str(path) for path in SOURCES if not path.name.endswith(".inc.c")]
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", *COMMON, *sources, "-lm", "-lpthread", "-o", str(BUILD / "masks")], check=True)
    subprocess.run([emcc, "-Os", "-msimd128", *COMMON, "-c", str(MASK), "-o", str(BUILD / "mask.o")], check=True)
    others = [source for source in sources if source != str(MASK)]
    linked = [*TAB, "--embed-file", f"{vocabulary}@/vocabulary.gguf", "-o", str(BUILD / "masks.mjs")]
    subprocess.run([emcc, "-Os", *COMMON, *others, str(BUILD / "mask.o"), *linked], check=True)
    (BUILD / "page.html").write_text("<!doctype html><title>masks</title>", encoding="utf-8")


def figures(output: str, kind: str) -> tuple[float, float]:
    """Return the median and the 99th percentile of what the program printed."""
    found = re.search(rf"^{re.escape(kind)} +median +([0-9.]+) +p99 +([0-9.]+) ", output, re.MULTILINE)
    if not found:
        raise SystemExit(f"{kind}: {output}")
    return float(found[1]), float(found[2])


def measured(page: Page, vocabulary: Path, rounds: int, reps: int) -> None:
    """Print a line for each kind."""
    for kind in KINDS:
        native, tab = [], []
        for _ in range(reps):
            words = [str(BUILD / "masks"), str(vocabulary), kind, str(rounds)]
            output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            native.append(figures(output, kind))
            tab.append(figures(page.evaluate(RUN, ["/vocabulary.gguf", kind, str(rounds)]), kind))
        line = f"{kind:26}"
        for at, name in enumerate(("median", "p99")):
            here, there = (statistics.median(run[at] for run in runs) for runs in (native, tab))
            line += f"  {name} native {here:7.1f}  tab {there:7.1f}  ratio {there / here:5.2f}"
        print(line, flush=True)


def main() -> None:
    """Build, or run what was built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("--emcc", default=shutil.which("emcc") or str(ROOT / "build/emscripten/bin/emcc"))
    parser.add_argument("--rounds", type=int, default=11, help="how often the same answers are made, for means")
    parser.add_argument("--reps", type=int, default=3, help="runs of each program")
    parser.add_argument("--build", action="store_true", help="only build")
    parser.add_argument("--built", action="store_true", help="only run what was built")
    given = parser.parse_args()
    if not given.built:
        build(given.emcc, given.vocabulary.resolve())
    if given.build:
        return
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with Server({"masks": BUILD}) as server, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(profile, executable_path=chromium, args=list(FLAGS))
        context.set_default_timeout(900_000)
        page = context.new_page()
        page.goto(f"{server.url}/masks/page.html")
        measured(page, given.vocabulary, given.rounds, given.reps)
        context.close()


if __name__ == "__main__":
    main()
