"""What only a desktop has: the command line `gemel`, benchmarks, and the server process (serving/).

Builds on the public API of `gemel`, and serving/ on `gemel_web`; running a model from Python needs none of it.
"""

from __future__ import annotations

__all__: list[str] = []
