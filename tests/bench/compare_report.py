"""Results of compare.py as tables and as a drawing: medians, and gemel's over the best peer's.

`files` is what a results file holds under "files": {name: {"machine", "date", "engines", "missing", "failed", "others",
"cases": {key: {"case", "samples": {engine: [{"tok_s": ...}, ...]}}}}}.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import Any

from compare_cases import Case

OWN = "gemel"


@dataclass(frozen=True)
class Row:
    """One case and unit: a median for each engine that has one."""

    title: str
    threads: int
    unit: str                      # "tok/s", "s", "MB"
    medians: dict[str, float]
    reps: int                      # the fewest samples of any

    @property
    def best(self) -> tuple[str, float] | None:
        """The best peer and its median."""
        others = {name: value for name, value in self.medians.items() if not name.startswith(OWN)}
        if not others:
            return None
        name = (max if self.unit == "tok/s" else min)(others, key=lambda name: others[name])
        return name, others[name]

    @property
    def ratio(self) -> float | None:
        """How many times as fast (or as small) as the best peer gemel is."""
        return self.over(self.best[0]) if self.best else None

    def over(self, *names: str) -> float | None:
        """How many times as fast (or as small) as the best of these peers gemel is."""
        found = [self.medians[name] for name in names if name in self.medians]
        if OWN not in self.medians or not found:
            return None
        mine = self.medians[OWN]
        return mine / max(found) if self.unit == "tok/s" else min(found) / mine


def rows_of(entry: dict[str, Any]) -> list[Row]:
    """Return a file's rows, by case, then threads."""
    found = []
    for kept in entry["cases"].values():
        case = Case(**kept["case"])
        for key, unit, suffix in _units(case):
            samples = {name: [one[key] for one in some if key in one] for name, some in kept["samples"].items()}
            medians = {name: median(values) for name, values in samples.items() if values}
            if medians:
                reps = min(len(values) for values in samples.values() if values)
                found.append(Row(case.title + suffix, case.threads, unit, medians, reps))
    titles = list(dict.fromkeys(row.title for row in found))
    return sorted(found, key=lambda row: (titles.index(row.title), row.threads))


def _units(case: Case) -> list[tuple[str, str, str]]:
    if case.test != "open":
        return [("tok_s", "tok/s", "")]
    return [("seconds", "s", ", seconds"), ("rss_mb", "MB", ", MB added"), ("peak_mb", "MB", ", peak MB added")]


def engines_of(entry: dict[str, Any]) -> list[str]:
    """Return the engines that have measurements: gemel, then the others in their families."""
    names = list(dict.fromkeys(name for row in rows_of(entry) for name in row.medians))
    families = list(dict.fromkeys(map(family, names)))
    return sorted(names, key=lambda name: (family(name) != OWN, families.index(family(name))))


def family(name: str) -> str:
    """Return the engine's name without its setting."""
    return name.split(",")[0]


def number(value: float | None, unit: str = "tok/s") -> str:
    """Return three digits or so."""
    if value is None:
        return ""
    return f"{value:.3f}" if unit == "s" else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def grid(entry: dict[str, Any]) -> list[list[str]]:
    """Return head and cells of a file's table."""
    names = engines_of(entry)
    cells = [["test", "threads", *names, "over the best peer", "over llama.cpp"]]
    for row in rows_of(entry):
        ratios = (row.ratio, row.over(*(name for name in row.medians if name.startswith("llama.cpp"))))
        medians = [number(row.medians.get(name), row.unit) for name in names]
        cells.append([row.title, str(row.threads), *medians, *(f"{r:.2f}" if r else "" for r in ratios)])
    return cells


def about(entry: dict[str, Any]) -> Iterator[str]:
    """Yield what the figures were measured on and with."""
    machine, reps = entry["machine"], [row.reps for row in rows_of(entry)]
    others = f"; others used {100 * median(entry['others']):.0f} % of the CPUs" if entry["others"] else ""
    yield f"{entry['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}{others}"
    yield f"medians of {min(reps, default=0)} and more, engines in turn; tokens per second, where nothing else is said"
    builds: dict[str, list[str]] = {}
    for name, facts in entry["engines"].items():
        builds.setdefault(f"{facts['version']}; {facts['system']}", []).append(name)
    for build, names in builds.items():
        yield f"{'; '.join(names)}: {build}"
    for name, why in entry["missing"].items():
        yield f"{name} is missing: {why}"
    for name, why in entry["failed"].items():
        yield f"{name} failed, and has no later figures: {why}"


def text(files: dict[str, Any]) -> str:
    """Return tables for a terminal."""
    parts = []
    for name, entry in files.items():
        cells = grid(entry)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)) for line in cells]
        parts.append("\n".join([name, *about(entry), "", *lines]))
    return "\n\n".join(parts)


def markdown(files: dict[str, Any]) -> str:
    """Return the same as Markdown."""
    parts = []
    for name, entry in files.items():
        head, *lines = ["| " + " | ".join(line) + " |" for line in grid(entry)]
        notes = [f"- {line}" for line in about(entry)]
        parts.append("\n".join([f"## {name}", "", *notes, "", head, "|---" * len(grid(entry)[0]) + "|", *lines, ""]))
    return "\n".join(parts)


# ---- The drawing -----------------------------------------------------------------------------------------------------
# A row of panels a file, a panel a case; in it a bar an engine for each number of threads, the most threads darkest.

PANEL, LABELS, BAR, GAP, TOP, COLUMNS = 250, 225, 9, 5, 44, 3
COLOURS = {"gemel": "#0b6e4f", "llama.cpp": "#8d99ae", "ik_llama.cpp": "#b08968", "OpenVINO": "#5e60ce"}
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#222}.h{font-weight:600;font-size:14px}.t{font-weight:600}.s{fill:#666}"
    "@media (prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#999}.b{fill:#161b22}}"
)


def _bar(name: str, value: float, most: float, y: float, shade: float) -> str:
    width = max(1.0, (PANEL - 50) * value / most)
    colour = COLOURS.get(family(name), "#444")
    return (
        f'<rect x="0" y="{y:.0f}" width="{width:.1f}" height="{BAR}" fill="{colour}" fill-opacity="{shade:.2f}"/>'
        f'<text class="s" x="{width + 4:.1f}" y="{y + BAR - 1:.0f}">{number(value)}</text>'
    )


def _panel(rows: list[Row], names: list[str]) -> str:
    """Draw one case, of all its numbers of threads; the origin is where bars begin."""
    most = max(value for row in rows for value in row.medians.values())
    parts, y = [f'<text class="t" x="0" y="-8">{escape(rows[0].title)}</text>'], 0.0
    for name in names:
        for i, row in enumerate(rows):
            if name in row.medians:
                parts.append(_bar(name, row.medians[name], most, y, 0.45 + 0.55 * (i + 1) / len(rows)))
            y += BAR + 1
        y += GAP
    return "".join(parts)


def _file(name: str, entry: dict[str, Any]) -> tuple[str, float]:
    """Draw one file; return that and its height."""
    names = engines_of(entry)
    speeds = [row for row in rows_of(entry) if row.unit == "tok/s"]
    threads = sorted({row.threads for row in speeds})
    height = len(names) * (len(threads) * (BAR + 1) + GAP)
    parts = [f'<text class="h" x="0" y="16">{escape(name)}</text>']
    titles = list(dict.fromkeys(row.title for row in speeds))
    y = float(TOP)
    for i, title in enumerate(titles):
        y = TOP + i // COLUMNS * (height + TOP)
        if i % COLUMNS == 0:
            for k, engine in enumerate(names):
                middle = y + k * height / len(names) + height / len(names) / 2
                parts.append(f'<text x="{LABELS - 8}" y="{middle:.0f}" text-anchor="end">{escape(engine)}</text>')
        panel = _panel([row for row in speeds if row.title == title], names)
        parts.append(f'<g transform="translate({LABELS + i % COLUMNS * PANEL},{y:.0f})">{panel}</g>')
    return "".join(parts), y + height + 24


def svg(files: dict[str, Any]) -> str:
    """Return the speeds of all files as a drawing."""
    width, y, parts = LABELS + COLUMNS * PANEL + 10, 34.0, []
    for name, entry in files.items():
        drawn, height = _file(name, entry)
        parts.append(f'<g transform="translate(10,{y:.0f})">{drawn}</g>')
        y += height
    entry = next(iter(files.values()))
    threads = sorted({row.threads for one in files.values() for row in rows_of(one)})
    shades = "" if len(threads) < 2 else "from the lightest bar: "
    said = f"tokens per second; {shades}{', '.join(map(str, threads))} thread{'s' * (threads != [1])}; "
    said += f"{entry['machine']['cpu']}, {entry['date']}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y:.0f}" viewBox="0 0 {width} {y:.0f}">'
        f'<style>{STYLE}</style><rect class="b" width="100%" height="100%" fill="#fff"/>'
        f'<text class="s" x="10" y="20">{escape(said)}</text>{"".join(parts)}</svg>\n'
    )
