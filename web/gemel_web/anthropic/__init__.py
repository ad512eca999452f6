"""Anthropic's API: messages become turns of a chat, events of jobs become blocks of content."""

from __future__ import annotations
