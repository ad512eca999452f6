"""JSON schemas as grammars: `compile_schema(schema)` gives GBNF that matches the compact JSON of valid values alone."""

from __future__ import annotations

from .compiler import Compiled, compile_schema

__all__ = ["Compiled", "compile_schema"]
