"""The outermost middleware: checks host, origin, API key and scope, adds headers, answers errors that nothing caught.

A refused request is refused before its body is read; then the connection is closed, so that the client stops sending.
Of an error the log has only its type and location; once, an origin that was refused.
What manages is logged with who did it, and its result.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access import Caller
from ..config import HOST as HOST_NAME
from ..config import ORIGIN, Config
from .addresses import hint_of
from .apis import Apis
from .body import ClientGoneError
from .errors import ApiError, log, log_failure, of_failure
from .scopes import scope_of
from .visits import VISIT, Visit

audit = logging.getLogger("gemel_web.audit")
WITHOUT_V1 = ("/chat/completions", "/completions", "/embeddings")   # where clients look by mistake
HOST = "Gemel-Host"                    # the header that says where the app runs
PIECE = 1 << 16                        # bytes that a client must take within Config.write_seconds
ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
OF_API = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MOST_REFUSED = 20      # origins that the log names
LIMITS = ", ".join(
    f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")
)
EXPOSED = f"{HOST}, Retry-After, Content-Range, ETag, X-Request-Id"   # headers that pages may read
OF_STATIC = {
    "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED,
    "Cross-Origin-Resource-Policy": "cross-origin", "Cache-Control": "no-cache",
}  # fmt: skip
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Max-Age": "600",
}


NOBODY = Caller("")         # where no key is needed
OWNER = Caller("api-key")   # who has --api-key: all scopes, no limits


class Guard:
    """The middleware of one app."""

    def __init__(self, app: ASGIApp, *, config: Config, apis: Apis) -> None:
        self._app = app
        self._config = config
        self._apis = apis
        self._refused: set[str] = set()   # origins that the log names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await Exchange(self._app, self._config, self._apis, scope, receive, send, self._refused).go()


class Exchange:
    """One request and its response."""

    def __init__(
        self, app: ASGIApp, config: Config, apis: Apis, scope: Scope, receive: Receive, send: Send, refused: set[str]
    ) -> None:
        self._app = app
        self._config = config
        self._apis = apis
        self._scope = scope = tidy(scope, apis)
        self._receive = receive
        self._send = send
        self._headers = Headers(scope=scope)
        self._path = get_route_path(scope)   # as routes see it: without the prefix of a mounted app
        self._is_api = apis.has(self._path)
        self._body_read = not ("transfer-encoding" in self._headers or self._headers.get("content-length", "0") != "0")
        self._status = 0
        self._refused = refused
        self._visit = Visit(NOBODY)

    async def go(self) -> None:
        """Pass the request on or refuse it; it always gets a response, unless the client has left."""
        try:
            self._check_host()
            self._check_length()
            if self._path in WITHOUT_V1:
                raise ApiError(404, f"there is nothing at this path{hint_of(self._path)}", code="not_found")
            if self._is_api:
                self._check_origin()
            if self._is_preflight():
                await self._answer_preflight()
                return
            if self._is_api:
                self._check_key()
            VISIT.set(self._visit)
            await self._app(self._scope, self._received, self._sent)
        except ClientGoneError:
            return
        except Exception as error:
            await self._fail(error)
        finally:
            self._audit()

    async def _fail(self, error: Exception) -> None:
        log_failure(error)
        if not self._status:
            await self._apis.response(self._path, of_failure(error))(self._scope, self._received, self._sent)

    # ---- Access ----------------------------------------------------------------------------------------------------

    def _check_host(self) -> None:
        allowed = self._config.allowed_hosts
        if allowed is None:
            return
        name = host_of(self._headers.get("host", ""))
        if not is_address(name) and name not in {"localhost", *(one.lower() for one in allowed)}:
            option = allowing("--allowed-host", name, HOST_NAME)
            words = f"host {name[:100]!r} (header Host) is not allowed: allow it with {option}"
            raise ApiError(403, words, code="host_not_allowed")

    def _check_length(self) -> None:
        if "transfer-encoding" in self._headers and "content-length" in self._headers:   # RFC 9112, 6.3
            words = "the request has both Content-Length and Transfer-Encoding: send only one of them"
            raise ApiError(400, words, code="malformed_request")

    def _check_origin(self) -> None:
        origin = self._headers.get("origin")
        if origin is not None and not self._is_own(origin) and not self._is_allowed(origin):
            option = allowing("--allowed-origin", origin, ORIGIN)
            words = f"pages of {origin[:100]!r} may not use this API: allow them with {option}"
            self._log_refused(origin)
            raise ApiError(403, words, code="origin_not_allowed")

    def _log_refused(self, origin: str) -> None:
        """Say once per origin how to allow it; up to MOST_REFUSED, so that nobody fills the log."""
        if ORIGIN.fullmatch(origin) and origin not in self._refused and len(self._refused) < MOST_REFUSED:
            self._refused.add(origin)
            log.warning("refused a page of %s: to allow it, start with --allowed-origin %s", origin, origin)

    def _is_own(self, origin: str) -> bool:
        return origin.lower() == f"{self._scope.get('scheme', 'http')}://{self._headers.get('host', '')}".lower()

    def _is_allowed(self, origin: str) -> bool:
        return origin in self._config.allowed_origins or "*" in self._config.allowed_origins

    def _check_key(self) -> None:
        scope = scope_of(self._path)
        if scope is None:
            return
        caller = caller_of(self._headers, self._config)
        if caller is None:
            raise ApiError(
                401, "missing or invalid API key: send the header Authorization: Bearer KEY, or X-Api-Key: KEY",
                code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"},
            )
        self._visit.caller, self._visit.why_not = caller, self._why_not()
        method = self._scope["method"]
        acts = scope == "manage" and method not in ("GET", "HEAD")   # reading changes nothing
        self._visit.require(scope, f"{method} {self._path}" if acts else "")
        if caller.allowance is not None:
            caller.allowance.admit()

    def _why_not(self) -> str:
        """Return why the request may not manage, whatever its key is; "": it may."""
        origin = self._headers.get("origin")
        if origin is not None and not self._is_own(origin):
            return "pages of other origins may not manage the server, not even allowed ones"
        client = self._scope.get("client")   # None: a tab, or a socket of this machine
        if self._visit.caller is NOBODY and client is not None and not is_loopback(client[0]):
            return "without a key, only this machine may manage the server: start it with --keys or --api-key"
        return ""

    def _audit(self) -> None:
        """Log what the request managed, or tried to: who, what, result."""
        visit = self._visit
        if visit.acts:
            who = visit.caller.name or f"no key, {(self._scope.get('client') or ('here',))[0]}"
            audit.info("audit: %s: %s: %s", who, ", ".join(visit.acts), visit.result or self._status or "gone")

    def _is_preflight(self) -> bool:
        asked = "access-control-request-method" in self._headers
        return self._scope["method"] == "OPTIONS" and asked and "origin" in self._headers

    async def _answer_preflight(self) -> None:
        headers = MutableHeaders(PREFLIGHT)
        if self._headers.get("access-control-request-private-network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        await self._sent({"type": "http.response.start", "status": 204, "headers": headers.raw})
        await self._sent({"type": "http.response.body", "body": b""})

    # ---- Messages -------------------------------------------------------------------------------------------------

    async def _received(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._body_read = True
        return message

    async def _sent(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": self._with_ours(message["headers"])}
        if message["type"] != "http.response.body":
            await self._taken(message)
            return
        rest, more = memoryview(message.get("body", b"")), message.get("more_body", False)
        while len(rest) > PIECE:
            await self._taken({**message, "body": bytes(rest[:PIECE]), "more_body": True})
            rest = rest[PIECE:]
        await self._taken({**message, "body": bytes(rest), "more_body": more})

    async def _taken(self, message: Message) -> None:
        """Send a message; raise ClientGoneError if the client does not take it in time."""
        try:
            async with asyncio.timeout(self._config.write_seconds):
                await self._send(message)
        except TimeoutError:
            raise ClientGoneError from None

    def _with_ours(self, raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = MutableHeaders(raw=list(raw))
        for name, value in {**ALWAYS, **(OF_API if self._is_api else OF_STATIC)}.items():
            headers.setdefault(name, value)
        if self._config.where is not None:
            headers[HOST] = self._config.where
        if self._visit.caller.allowance is not None:
            headers.update(self._visit.caller.allowance.headers())
        origin = self._headers.get("origin")
        if self._is_api and self._config.allowed_origins:
            headers.add_vary_header("Origin")
            if origin is not None and self._is_allowed(origin):
                headers["Access-Control-Allow-Origin"] = origin
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                exposed = EXPOSED if self._visit.caller.allowance is None else f"{EXPOSED}, {LIMITS}"
                headers["Access-Control-Expose-Headers"] = exposed
        if not self._body_read:
            headers["Connection"] = "close"
        return headers.raw


def tidy(scope: Scope, apis: Apis) -> Scope:
    """Return the scope with an API path without doubled slashes and a slash at its end: clients put them together."""
    path = re.sub("//+", "/", scope["path"])
    path = path.rstrip("/") or "/"
    tidied = {**scope, "path": path}
    return tidied if path != scope["path"] and apis.has(get_route_path(tidied)) else scope


def caller_of(headers: Headers, config: Config) -> Caller | None:
    """Return who sends a request; None: a key is needed, and it has none that is valid."""
    if config.api_key is None and config.keys is None:
        return NOBODY
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = [bearer.strip() if scheme.lower() == "bearer" else "", headers.get("x-api-key", "").strip()]
    for one in given:
        raw = one.encode("latin-1")   # the bytes as they arrived
        if config.api_key is not None and hmac.compare_digest(raw, config.api_key.encode()):
            return OWNER
        if raw and config.keys is not None and (found := config.keys.find(raw)) is not None:
            return found
    return None


def allowing(option: str, value: str, names: re.Pattern[str]) -> str:
    """Return an option with what to give it, so that it allows a value that a request sent.

    >>> allowing("--allowed-origin", "https://example.org", ORIGIN), allowing("--allowed-origin", "null", ORIGIN)
    ('--allowed-origin', "--allowed-origin '*' (all: this one has no name that could be allowed)")
    """
    return option if names.fullmatch(value) else f"{option} '*' (all: this one has no name that could be allowed)"


def host_of(header: str) -> str:
    """Return the name in a Host header without its port, in lower case.

    >>> host_of("Localhost:8080"), host_of("[::1]:80")
    ('localhost', '[::1]')
    """
    name, colon, port = header.rpartition(":")
    return (name if colon and (port.isdecimal() or not port) and not name.endswith(":") else header).lower()


def is_address(name: str) -> bool:
    """Tell whether a host is an IP address: unlike names, no foreign page can point one to this server."""
    try:
        ipaddress.ip_address(name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether a client is on this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("::ffff:127.0.0.1"), is_loopback("192.168.7.7")
    (True, True, True, False)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
