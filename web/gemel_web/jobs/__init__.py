"""A request for text or vectors becomes a job: it waits in its model's queue, is evaluated step by step, gives events.

It knows nothing of OpenAI's JSON.
"""

from __future__ import annotations
