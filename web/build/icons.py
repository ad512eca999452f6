"""Draws the page's icons: python web/build/icons.py writes page/icon-*.png, which are committed.

The shapes are those of page/icon.svg, in its units of 1/64. An icon that a system cuts to its own form has no
corners, and its shapes keep to the middle.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "gemel_web" / "static" / "page"
UNITS = 64
PNG = b"\x89PNG\r\n\x1a\n"
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Bar:
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    colour: Colour

    def covers(self, x: float, y: float, pixel: float) -> float:
        """Return how much of a pixel around a point is inside, 0 to 1."""
        dx = max(abs(x - self.x - self.width / 2) - self.width / 2 + self.radius, 0.0)
        dy = max(abs(y - self.y - self.height / 2) - self.height / 2 + self.radius, 0.0)
        outside = math.sqrt(dx * dx + dy * dy) - self.radius
        return min(1.0, max(0.0, 0.5 - outside / pixel))


INK, TAB, NATIVE = (0x1B, 0x1A, 0x17), (0x8F, 0xB8, 0xF4), (0xF0, 0xAB, 0x72)
BARS = (Bar(13, 18, 38, 11, 2, TAB), Bar(13, 36, 38, 11, 2, NATIVE))
ROUND = (Bar(0, 0, 64, 64, 14, INK), *BARS)
WHOLE = (Bar(-1, -1, 66, 66, 0, INK), *(Bar(32 + (b.x - 32) * 0.8, 32 + (b.y - 32) * 0.8, b.width * 0.8, b.height * 0.8,
                                            b.radius * 0.8, b.colour) for b in BARS))  # fmt: skip
ICONS = {"icon-192": (192, ROUND), "icon-512": (512, ROUND), "icon-maskable": (512, WHOLE), "icon-apple": (180, WHOLE)}


def drawn(size: int, bars: tuple[Bar, ...]) -> bytes:
    """Return an icon as a PNG file of size x size pixels, with transparency."""
    unit = UNITS / size
    rows = []
    for row in range(size):
        pixels = [pixel((column + 0.5) * unit, (row + 0.5) * unit, unit, bars) for column in range(size)]
        rows.append(b"\0" + b"".join(pixels))
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows), 9)) + chunk(b"IEND", b"")


def pixel(x: float, y: float, unit: float, bars: tuple[Bar, ...]) -> bytes:
    """Return one pixel's red, green, blue and alpha: each bar covers what is below it."""
    red, green, blue, alpha = 0.0, 0.0, 0.0, 0.0
    for bar in bars:
        cover = bar.covers(x, y, unit)
        if not cover:
            continue
        below = alpha * (1 - cover)
        alpha = cover + below
        red, green, blue = (
            (colour * cover + was * below) / alpha for colour, was in zip(bar.colour, (red, green, blue), strict=True)
        )
    return bytes((round(red), round(green), round(blue), round(255 * alpha)))


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a part of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def main() -> None:
    """Write all icons."""
    for name, (size, bars) in ICONS.items():
        data = drawn(size, bars)
        (FOLDER / f"{name}.png").write_bytes(data)
        print(f"{len(data):8,} {name}.png")


if __name__ == "__main__":
    main()
