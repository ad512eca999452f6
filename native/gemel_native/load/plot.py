"""A plot of times as SVG: for each kind, which share of the requests took at most so long."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .figures import PERCENTILES, percentile

KINDS = {"first_token": "time to first token", "per_token": "time per further token", "whole": "whole answer"}
WIDTH, HEIGHT, LEFT, TOP = 300, 200, 50, 40
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.axis{stroke:#888;stroke-width:1}"
    ".curve{fill:none;stroke:#0b5fa5;stroke-width:2}.grid{stroke:#ddd}"
    "@media(prefers-color-scheme:dark){svg{background:#161616}text{fill:#eee}.curve{stroke:#6db3f2}.grid{stroke:#333}}"
)


def svg(title: str, values: dict[str, list[float]]) -> str:
    """Return the plot. values: seconds, by kind; kinds without values are left out."""
    shown = [kind for kind in KINDS if values.get(kind)]
    width = max(1, len(shown)) * (WIDTH + LEFT + 20) + 20
    panels = "".join(_panel(i, KINDS[kind], values[kind]) for i, kind in enumerate(shown))
    said = "; ".join(
        f"{KINDS[kind]}: " + ", ".join(f"p{one} {text_of(percentile(values[kind], one))}" for one in PERCENTILES)
        for kind in shown
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + TOP + 60}" role="img" '
        f'aria-labelledby="title desc"><title id="title">{escape(title)}</title><desc id="desc">{escape(said)}</desc>'
        f'<style>{STYLE}</style><text x="20" y="20">{escape(title)}</text>{panels}</svg>\n'
    )


def _panel(i: int, name: str, values: Sequence[float]) -> str:
    left, most = 20 + i * (WIDTH + LEFT + 20) + LEFT, max(values) or 1.0
    points = [(percentile(values, percent), percent) for percent in range(101)]
    curve = " ".join(f"{left + WIDTH * x / most:.1f},{TOP + HEIGHT * (1 - y / 100):.1f}" for x, y in points)
    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{left + WIDTH}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{percent} %</text>'
        for percent in (0, 25, 50, 75, 100) for y in (TOP + HEIGHT * (1 - percent / 100),)
    )
    ticks = "".join(
        f'<text x="{left + WIDTH * part:.0f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">'
        f"{text_of(most * part)}</text>"
        for part in (0, 0.5, 1)
    )
    return (
        f'{grid}<line class="axis" x1="{left}" x2="{left}" y1="{TOP}" y2="{TOP + HEIGHT}"/>'
        f'<line class="axis" x1="{left}" x2="{left + WIDTH}" y1="{TOP + HEIGHT}" y2="{TOP + HEIGHT}"/>{ticks}'
        f'<polyline class="curve" points="{curve}"/>'
        f'<text x="{left + WIDTH / 2:.0f}" y="{TOP + HEIGHT + 38}" text-anchor="middle">{name}</text>'
    )


def text_of(seconds: float) -> str:
    """Return a time with three digits.

    >>> text_of(0.01234), text_of(1.5), text_of(0)
    ('12.3 ms', '1.5 s', '0 ms')
    """
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
