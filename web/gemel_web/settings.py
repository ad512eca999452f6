"""What the server can be told from outside: GEMEL_SERVE_* of the environment, and options, which come first. Native."""

from __future__ import annotations

from typing import Annotated, Any

import gemel
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from .config import Config

PREFIX = "GEMEL_SERVE_"


class Settings(BaseSettings):
    """Every field may be given as an option, or in the environment: GEMEL_SERVE_PORT=8080."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    api_key: Annotated[SecretStr, Field(min_length=1)] | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    queue: Annotated[int, Field(ge=0, le=10_000)] = Config.queue
    max_body: Annotated[int, Field(ge=1024, le=1 << 30)] = Config.max_body
    body_seconds: Annotated[float, Field(gt=0, le=3600)] = Config.body_seconds
    write_seconds: Annotated[float, Field(gt=0, le=3600)] = Config.write_seconds
    head_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0   # within which a request's head must have come
    stop_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0   # that requests may go on when the server is to stop
    access_log: bool = False

    def config(self) -> Config:
        """Return what the app is told."""
        own = () if self.host in ("0.0.0.0", "::", "") else (self.host,)
        return Config(
            api_key=None if self.api_key is None else self.api_key.get_secret_value(),
            allowed_hosts=None if "*" in self.allowed_hosts else (*own, *self.allowed_hosts),
            allowed_origins=self.allowed_origins,
            queue=self.queue,
            max_body=self.max_body,
            body_seconds=self.body_seconds,
            write_seconds=self.write_seconds,
            where="native",
            access_log=self.access_log,
        )


def settings_of(options: dict[str, Any]) -> Settings:
    """Return the settings, options that were given (not None) first. ArgumentError names what can't be meant."""
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        raise gemel.ArgumentError(f"--{name.replace('_', '-')} or {PREFIX}{name.upper()}: {first['msg']}") from None
    except SettingsError as error:
        raise gemel.ArgumentError(f"the environment's {PREFIX}...: {error}") from None
