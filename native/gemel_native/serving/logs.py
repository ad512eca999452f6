"""The server's log, on stderr: lines of text, or one JSON object per line. Each names the request that it concerns."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from gemel_web.http.exchange import request_id

from ..output import printable

Format = Literal["text", "json"]


class TextLines(logging.Formatter):
    """A message, and the id of its request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        id = request_id.get()
        return printable(record.getMessage()) + (f" [{id}]" if id else "")


class JsonLines(logging.Formatter):
    """An object with the time, what happened, and fields of it; `request_id` where there is a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        found = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }  # fmt: skip
        if id := request_id.get():
            found["request_id"] = id
        return json.dumps(found)


FORMATS: dict[Format, type[logging.Formatter]] = {"text": TextLines, "json": JsonLines}


def start_log(form: Format) -> None:
    """Write to stderr what the server logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATS[form]())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("gemel_web").setLevel(logging.INFO)
