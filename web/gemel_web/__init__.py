"""gemel's server: one Starlette app that answers OpenAI's API from models of this process, natively and in a tab.

    app = gemel_web.create_app(gemel_web.Config(), {"tiny": gemel_web.ServedModel(gemel.open("tiny.gguf"))})

Needs starlette and msgspec. gemel_native.serving, its process on a desktop, also uses http.errors, jobs.scheduler and
models.
"""

from __future__ import annotations

import gemel as _gemel  # noqa: F401   # first: in a tab, it finds the modules of this package

from .app import create_app
from .config import Config
from .models import ServedModel

Served = ServedModel   # both names are public

__all__ = ["Config", "Served", "ServedModel", "create_app"]
