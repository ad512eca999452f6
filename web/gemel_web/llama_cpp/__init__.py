"""llama.cpp's API: completions of texts and ids, infilling, tokens, and facts about the server."""

from __future__ import annotations
