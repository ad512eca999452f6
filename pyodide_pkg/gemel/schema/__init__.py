"""JSON schemas as grammars: GBNF that matches the compact JSON of valid values alone."""
