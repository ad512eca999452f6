"""`gemel keys add, list, revoke`: the file of keys that `gemel serve --keys` reads."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import gemel
import typer

from ..options import JsonOption, usage_error
from ..output import console, print_json, say, table
from .packages import check_packages

if TYPE_CHECKING:
    from gemel_web.access import Scope
    from gemel_web.keys.file import Record

keys = typer.Typer(name="keys", no_args_is_help=False, help="Make, list and revoke keys of gemel serve --keys FILE.")
FileOption = Annotated[
    Path,
    typer.Option(
        "--keys", metavar="FILE", envvar="GEMEL_SERVE_KEYS", show_envvar=False, show_default="GEMEL_SERVE_KEYS",
        help="The file of keys. add makes it if it is not there.",
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, in lists and logs.")]


@keys.command()
def add(
    name: NameArgument, *,
    file: FileOption,
    scope: Annotated[str, typer.Option(
        "--scope", metavar="SCOPE,...",
        help="What the key may do: use (ask models), manage (change what is served), metrics.",
    )] = "use",
    rate: Annotated[str | None, typer.Option(
        "--rate", metavar="N/TIME", show_default="no limit",
        help="Requests per time, such as 60/min (of s, min, h, day).",
    )] = None,
    tokens: Annotated[str | None, typer.Option(
        "--tokens", metavar="N/TIME", show_default="no limit",
        help="Tokens of prompts and answers per time, such as 100000/day.",
    )] = None,
    expires: Annotated[str | None, typer.Option(
        "--expires", metavar="WHEN", show_default="never", help="A span, such as 90d (of m, h, d, w), or a date (UTC).",
    )] = None,
) -> None:  # fmt: skip
    """Make a key, and print it. It can't be shown again: the file has only its SHA-256."""
    check_packages("keys")
    from gemel_web.keys.file import Record, expiry_of
    from gemel_web.keys.file import add as added
    from gemel_web.keys.limits import limit_of

    scopes = scopes_of(scope)
    for option, limit in (("--rate", rate), ("--tokens", tokens)):
        try:
            if limit is not None:
                limit_of(limit)
        except ValueError as error:
            raise usage_error(f"{option}: {error}") from None
    try:
        until = None if expires is None else expiry_of(expires, datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        raise usage_error(f"--expires: {error}") from None

    def record(sha256: str) -> Record:
        return Record(
            name=name, sha256=sha256, scopes=scopes, created=int(time.time()), expires=until, rate=rate, tokens=tokens
        )

    key = added(file, record)
    say(f"the key of {name}, for {', '.join(scopes)}; it is shown only now:")
    typer.echo(key)


@keys.command("list")
def list_keys(*, file: FileOption, as_json: JsonOption = False) -> None:
    """List the keys of a file: name, scopes, limits, when they expire."""
    check_packages("keys")
    from gemel_web.keys.file import read

    records = read(file)
    if as_json:
        print_json({"keys": [fact(one) for one in records]})
        return
    if not records:
        say(f"{file} has no key; gemel keys add NAME makes one")
        return
    shown = table("name", "scopes", "requests", "tokens", "expires")
    for one in records:
        until = "never" if one.expires is None else when(one.expires)
        over = " (over)" if one.expires is not None and one.expires <= time.time() else ""
        shown.add_row(one.name, ",".join(one.scopes), one.rate or "", one.tokens or "", until + over)
    console().print(shown)


@keys.command()
def revoke(name: NameArgument, *, file: FileOption) -> None:
    """Delete a key. A running server refuses it from the next request on."""
    check_packages("keys")
    from gemel_web.keys.file import revoke as revoked

    revoked(file, name)
    typer.echo(f"{name}: revoked")


def scopes_of(given: str) -> tuple[Scope, ...]:
    """Return the scopes of an option. A usage error for an unknown one."""
    from gemel_web.access import SCOPES

    names = given.split(",")
    for name in names:
        if name not in SCOPES:
            raise usage_error(f"--scope {given!r}: {name!r} is not a scope: write some of {', '.join(SCOPES)}")
    return tuple(one for one in SCOPES if one in names)


def fact(record: Record) -> dict[str, object]:
    """Return what --json says of a key."""
    return {
        "name": record.name, "scopes": list(record.scopes), "rate": record.rate, "tokens": record.tokens,
        "created": when(record.created), "expires": None if record.expires is None else when(record.expires),
    }  # fmt: skip


def when(seconds: int) -> str:
    """Return a time.

    >>> when(0)
    '1970-01-01T00:00:00Z'
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        raise gemel.ArgumentError(f"{seconds} is not a time in seconds since 1970") from None
