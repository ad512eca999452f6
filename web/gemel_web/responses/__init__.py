"""OpenAI's Responses API: items become a chat, events of jobs become items; some responses are kept in memory."""

from __future__ import annotations
