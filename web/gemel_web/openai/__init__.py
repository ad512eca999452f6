"""OpenAI's API: JSON of requests becomes jobs, events of jobs become JSON of responses."""

from __future__ import annotations
