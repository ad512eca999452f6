"""How callers hear of progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""on_progress(stage, done, total): "download" and "load" count bytes (total 0: unknown), "prefill" counts layers."""
