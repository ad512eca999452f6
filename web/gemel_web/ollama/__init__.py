"""Ollama's API: chats and texts become jobs, events of jobs become lines of JSON; models are described."""

from __future__ import annotations
