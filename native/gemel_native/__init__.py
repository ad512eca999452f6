"""What only a desktop has: the command line `gemel`, and measuring.

Builds on the public API of `gemel`; nothing in it is needed to run a model from Python.
"""

from __future__ import annotations

__all__: list[str] = []
