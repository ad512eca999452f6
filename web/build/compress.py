"""Writes FILE.gz beside files that become smaller by it: servers send these to browsers that take them.

gemel's own server does (web/gemel_web/http/pages.py); nginx does with `gzip_static`, Caddy with `precompressed`.
Wheels and zip files are compressed already.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

SUFFIXES = (".css", ".html", ".js", ".json", ".mjs", ".py", ".svg", ".wasm", ".webmanifest")
LEVEL = 6     # 9 takes three times as long for 1 % less
WORTH = 0.9   # of a file's size: one that stays larger is left as it is
LEAST = 1000  # bytes: smaller files are one packet anyway


def write_compressed(files: Iterable[Path]) -> None:
    """Write FILE.gz beside each file that is worth it; the same bytes in each run."""
    for file in files:
        if file.suffix not in SUFFIXES or file.stat().st_size < LEAST:
            continue
        data = file.read_bytes()
        packed = gzip.compress(data, LEVEL, mtime=0)
        if len(packed) < WORTH * len(data):
            file.with_name(f"{file.name}.gz").write_bytes(packed)
