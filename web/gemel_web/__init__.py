"""gemel's server: one Starlette app that answers OpenAI's API from models of this process, natively and in a tab.

    app = gemel_web.create_app(gemel_web.Config(), {"tiny": gemel_web.Served(gemel.open("tiny.gguf"))})

Everything but demo.py, options.py, protocol.py, serve.py, server.py and settings.py imports and runs inside Pyodide.
"""

from __future__ import annotations

from .app import create_app
from .config import Config
from .models import Served

__all__ = ["Config", "Served", "create_app"]
