"""HTTP: what every request and response passes, bodies, errors, files of models and of the page. No model is evaluated.

It knows config.py and models.py, and nothing of OpenAI's routes.
"""

from __future__ import annotations
