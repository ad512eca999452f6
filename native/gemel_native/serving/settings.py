"""The server's settings: options, then GEMEL_SERVE_* of the environment, then defaults."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import gemel
from gemel_web import Config
from gemel_web.config import HOST, ORIGIN
from gemel_web.keys import file as keys_file
from gemel_web.keys.keyring import Keyring
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from .logs import Format

PREFIX = "GEMEL_SERVE_"
KEY = re.compile(r"[!-~]+")
USUAL = (("http://", ":80"), ("https://", ":443"))   # default ports, which browsers leave out
OPTIONS = {
    "host": "--host", "port": "--port", "parallel": "--parallel", "cache_memory": "--cache-memory", "queue": "--queue",
    "log_format": "--log-format",
    "api_key": "--api-key", "keys": "--keys", "allowed_hosts": "--allowed-host", "allowed_origins": "--allowed-origin",
    "ssl_certfile": "--ssl-certfile", "ssl_keyfile": "--ssl-keyfile",
}  # fmt: skip


def origin(given: str) -> str:
    """Return an origin as browsers write it; raise ValueError if no browser would send it."""
    text = given.lower()
    if given == "*":
        return given
    if not ORIGIN.fullmatch(text):
        raise ValueError(f"{given!r} is not an origin: write scheme, host and port, as in https://example.org, or *")
    for scheme, port in USUAL:
        if text.startswith(scheme):
            text = text.removesuffix(port)
    return text


def host(given: str) -> str:
    """Return a host name; raise ValueError if it is invalid."""
    if given != "*" and not HOST.fullmatch(given.lower()):
        raise ValueError(f"{given!r} is not a host name: write it without scheme, port or path, such as box.lan, or *")
    return given.lower()


def key(given: SecretStr) -> SecretStr:
    """Return an API key; raise ValueError if a header can't carry it."""
    if not KEY.fullmatch(given.get_secret_value()):
        raise ValueError("a key must be ASCII characters from ! to ~, without spaces: it is sent in a header")
    return given


def keys(given: Path) -> Path:
    """Return a file of keys; raise ValueError if it is invalid."""
    try:
        keys_file.read(given)
    except gemel.GemelError as error:
        raise ValueError(f"{error} (gemel keys makes it)") from None
    return given


Origin = Annotated[str, AfterValidator(origin)]
Host = Annotated[str, AfterValidator(host)]
Key = Annotated[SecretStr, AfterValidator(key)]
Keys = Annotated[Path, AfterValidator(keys)]


class Settings(BaseSettings):
    """Each field can be set in the environment, such as GEMEL_SERVE_PORT=8080; some are also options."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    api_key: Key | None = None
    keys: Keys | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None   # None: in ssl_certfile
    allowed_hosts: tuple[Host, ...] = ()
    allowed_origins: tuple[Origin, ...] = ()
    parallel: Annotated[int, Field(ge=1, le=124)] = Config.parallel
    cache_memory: Annotated[int, Field(ge=0, le=1 << 30)] | None = None   # MB (10^6 bytes)
    queue: Annotated[int, Field(ge=0, le=10_000)] = Config.queue
    max_body: Annotated[int, Field(ge=1024, le=1 << 30)] = Config.max_body
    body_seconds: Annotated[float, Field(gt=0, le=3600)] = Config.body_seconds
    write_seconds: Annotated[float, Field(gt=0, le=3600)] = Config.write_seconds
    answer_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    ping_seconds: Annotated[float, Field(gt=0, le=3600)] = Config.ping_seconds
    head_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0   # within which a request's head must arrive
    stop_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0   # that requests may go on after Ctrl-C
    access_log: bool = False
    log_format: Format = "text"

    @property
    def cache_bytes(self) -> int | None:
        """cache_memory in bytes."""
        return None if self.cache_memory is None else 10**6 * self.cache_memory

    def config(self) -> Config:
        """Return the app's configuration."""
        own = () if self.host in ("0.0.0.0", "::", "") else (self.host,)
        return Config(
            api_key=None if self.api_key is None else self.api_key.get_secret_value(),
            keys=None if self.keys is None else Keyring(self.keys),
            allowed_hosts=None if "*" in self.allowed_hosts else (*own, *self.allowed_hosts),
            allowed_origins=self.allowed_origins,
            parallel=self.parallel,
            cache_memory=self.cache_bytes,
            queue=self.queue,
            max_body=self.max_body,
            body_seconds=self.body_seconds,
            write_seconds=self.write_seconds,
            answer_seconds=self.answer_seconds,
            ping_seconds=self.ping_seconds,
            where="native",
            access_log=self.access_log,
        )


class FileTable(Protocol):
    """The table of a settings file."""

    def fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of fields that neither options nor the environment set."""

    def error(self, key: str, why: str) -> gemel.ArgumentError:
        """Return the error for a key."""


def settings_of(options: Mapping[str, Any], file: FileTable | None = None) -> Settings:
    """Return the settings; options that were given (not None) come first. ArgumentError names what is invalid."""
    given = {name: value for name, value in options.items() if value is not None}
    of_file = {} if file is None else file.fields(given)

    def invalid(name: str, why: str) -> gemel.ArgumentError:
        if file is not None and name in of_file:
            return file.error(name, why)
        where = " or ".join(filter(None, (OPTIONS.get(name), PREFIX + name.upper())))
        return gemel.ArgumentError(f"{where}: {why}")

    try:
        settings = Settings(**of_file, **given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise invalid(str(first["loc"][0]), first["msg"].removeprefix("Value error, ")) from None
    except SettingsError as error:
        raise gemel.ArgumentError(f"environment variable {PREFIX}...: {error}") from None
    if settings.ssl_certfile is None and settings.ssl_keyfile is not None:
        raise invalid("ssl_keyfile", "it needs a certificate: give --ssl-certfile, too")
    try:
        tls_of(settings)
    except (OSError, ValueError) as error:
        raise invalid("ssl_certfile", f"no certificate with its key can be read: {error}") from None
    return settings


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Return what HTTPS needs; None: HTTP. Raises OSError or ValueError for files that are invalid."""
    if settings.ssl_certfile is None:
        return None

    def password() -> str:
        raise ValueError("the private key has a password: write it without one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
    return context
