"""One request to a server of OpenAI's API, streamed, and what it took. Needs only the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import gemel

from ..output import printable
from .datasets import Prompt

Api = Literal["chat", "completions"]
PATHS: dict[Api, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
LONGEST = 120   # characters of an error


@dataclass
class Record:
    """What a request took. Times are in seconds, from when it was sent.

    Attributes:
        late: how much later it was sent than planned
        first: until the first token; None: there was none
        gaps: between the pieces of the stream that have tokens
        whole: until the end
        n_tokens: of the answer: as the server counts them, or else its pieces
        n_prompt: tokens; None: the server did not say
        error: why it failed; "": it did not
    """

    late: float = 0.0
    first: float | None = None
    gaps: list[float] = field(default_factory=list)
    whole: float = 0.0
    n_tokens: int = 0
    n_prompt: int | None = None
    error: str = ""

    @property
    def per_token(self) -> float | None:
        """Seconds per token after the first; None: there are fewer than two."""
        if self.first is None or self.n_tokens < 2:
            return None
        return (self.whole - self.first) / (self.n_tokens - 1)


class Target:
    """A server. url: with or without /v1."""

    def __init__(self, url: str, *, key: str | None, api: Api, seconds: float) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise gemel.ArgumentError(f"--serve {url}: write an address such as http://127.0.0.1:8090")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self.api = api
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._host, self._port, self._is_tls = parts.hostname, port, parts.scheme == "https"
        self._key, self._seconds = key, seconds

    def _connected(self) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._seconds, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)

    def _headers(self) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Content-Type": "application/json", "Accept": "text/event-stream", **bearer}

    def models(self) -> list[str]:
        """Return the names of its models. Raises GemelError if it does not answer."""
        connection = self._connected()
        try:
            connection.request("GET", f"{self._path}/v1/models", headers=self._headers())
            response = connection.getresponse()
            raw = response.read()
            if response.status != 200:
                raise gemel.GemelError(f"{self.url}: {refusal(response.status, raw)}")
            return [str(one["id"]) for one in json.loads(raw)["data"]]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise gemel.GemelError(f"{self.url}: no server of OpenAI's API answers there: {error}") from None
        finally:
            connection.close()

    def body(self, model: str, prompt: Prompt, max_tokens: int, temperature: float) -> dict[str, Any]:
        """Return the body of a request."""
        asked: dict[str, Any] = (
            {"messages": prompt.messages()} if self.api == "chat" else {"prompt": prompt.text()}
        )
        return {
            "model": model, **asked, "max_tokens": prompt.max_tokens or max_tokens, "temperature": temperature,
            "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip

    def ask(self, body: dict[str, Any], record: Record) -> None:
        """Send a request, and fill in what it took. Errors are the record's, and never raised."""
        raw = json.dumps(body).encode()
        connection = self._connected()
        start = time.perf_counter()
        try:
            connection.request("POST", self._path + PATHS[self.api], raw, self._headers())
            response = connection.getresponse()
            if response.status != 200:
                record.error = refusal(response.status, response.read())
            else:
                read_stream(response, record, start)
        except (ValueError, TypeError, LookupError, AttributeError):   # of JSON that is no event of this API
            record.error = "the stream has an event that is not of OpenAI's API"
        except (OSError, http.client.HTTPException) as error:
            record.error = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"[:LONGEST]
        finally:
            record.whole = time.perf_counter() - start
            connection.close()


def read_stream(response: http.client.HTTPResponse, record: Record, start: float) -> None:
    """Read events until [DONE]; take the time of each that has a piece of the answer."""
    last, n_pieces, n_tokens = start, 0, 0
    while line := response.readline():
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            record.n_tokens = n_tokens or n_pieces
            return
        now = time.perf_counter()
        try:
            event = json.loads(data)
        except ValueError:
            record.error = "the stream has an event that is not JSON"
            return
        if isinstance(event, dict) and event.get("error"):
            record.error = f"in the stream: {_message(event['error'])}"
            return
        if has_piece(event):
            n_pieces += 1
            if record.first is None:
                record.first = now - start
            else:
                record.gaps.append(now - last)
            last = now
        usage = event.get("usage") if isinstance(event, dict) else None
        if isinstance(usage, dict):
            n_tokens = int(usage.get("completion_tokens") or 0)
            record.n_prompt = usage.get("prompt_tokens")
    record.error = "the stream ended without [DONE]"


def has_piece(event: Any) -> bool:  # noqa: ANN401
    """Tell whether an event has a piece of an answer, of its reasoning or of a call.

    >>> has_piece({"choices": [{"delta": {"content": "a"}}]}), has_piece({"choices": [{"delta": {"role": "tool"}}]})
    (True, False)
    >>> has_piece({"choices": [{"text": "a"}]}), has_piece({"choices": [], "usage": {}})
    (True, False)
    """
    choices = event.get("choices") if isinstance(event, dict) else None
    if not choices:
        return False
    delta = choices[0].get("delta") or {}
    return bool(choices[0].get("text") or any(
        delta.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls")
    ))  # fmt: skip


def refusal(status: int, raw: bytes) -> str:
    """Return a status with the server's words."""
    try:
        return f"{status}: {_message(json.loads(raw)['error'])}"
    except (ValueError, KeyError, TypeError):
        return f"{status}: {http.client.responses.get(status, 'unknown status')}"


def _message(error: Any) -> str:  # noqa: ANN401
    words = str(error.get("message", error) if isinstance(error, dict) else error)
    return printable(words[:LONGEST])
