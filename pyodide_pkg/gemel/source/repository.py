"""The files of a repository of the hub become models, and hf:owner/repo:QUANT becomes the address of one of them.

The rules are those of llama.cpp's -hf, except that nothing is guessed: where several models fit, it is an error that
names them. This file says what to ask and what to take; the host sends the requests.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import SourceError
from .catalog import part_names
from .hub_address import HubAddress, HubModel

LOG = logging.getLogger("gemel")   # INFO: which file was taken; WARNING: the cache decided
DEFAULTS = ("Q4_K_M", "Q8_0")   # without a quantisation, in this order
# Files beside models: projectors of images, importance matrices, drafts for speculative decoding.
BESIDE = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
BEFORE = r"(?<![A-Za-z0-9])(?<!Q\d_)(?<!Q\d_\w_)"   # a quantisation begins: not inside a word, nor inside Q4_K_M
PAGES_MAX = 100        # of a list of files; the hub sends up to 1000 files per page
NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


class UnlistedError(Exception):
    """The hub did not send the list of files. It becomes a SourceError unless the cache decides."""


@dataclass(frozen=True)
class Answer:
    """One answer of the hub's API."""

    status: int
    body: bytes
    link: str = ""     # the header Link
    reason: str = ""   # of the status
    sent: bool | None = None   # a token went along; None: this host sends none


@dataclass(frozen=True)
class RepoModel:
    """A model of a repository: a GGUF file, or the first of a split model."""

    file: str   # its path in the repository
    size: int   # bytes of all its parts; 0: unknown

    def __str__(self) -> str:
        n_parts = len(part_names(self.file))
        parts = f"{n_parts} parts, " if n_parts > 1 else ""
        return f"{self.file} ({parts}{size_text(self.size)})" if self.size else self.file


@dataclass(frozen=True)
class Choice:
    """Which model an address means, and what else there is."""

    address: HubAddress         # as it was asked for
    taken: RepoModel
    others: tuple[RepoModel, ...]

    @property
    def name(self) -> str:
        """The address of the file that was taken."""
        return str(self.address.of_file(self.taken.file))

    def __str__(self) -> str:
        rest = f"; also there: {_named(self.others)}" if self.others else ""
        return f"{self.address}: using {self.taken}{rest}"


def size_text(size: int) -> str:
    """Return bytes as people read them.

    >>> size_text(7216), size_text(807694464)
    ('7.2 kB', '807.7 MB')
    """
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB")) if size >= unit), (1e3, "kB"))
    return f"{size / unit:.1f} {name}"


# ---- What is there ---------------------------------------------------------------------------------------------------


def listing(address: HubAddress) -> Generator[str, Answer, Choice]:
    """Yield the URL of each page of the list and take its answer; return the choice.

    UnlistedError when there is no list; SourceError when no model fits, or several do.
    """
    sizes = yield from all_files(address)
    return choose(address, models_of(sizes), sizes)


def offers(address: HubAddress) -> Generator[str, Answer, list[HubModel]]:
    """As listing, but return all models of the repository. SourceError when there is none."""
    sizes = yield from all_files(address)
    models = models_of(sizes)
    if not models:
        choose(address, models, sizes)   # raises
    fitting = [model for model in models if model.file == address.file] if address.file else _fitting(address, models)
    return [HubModel(str(address.of_file(one.file)), one.size, fitting == [one]) for one in models]


def all_files(address: HubAddress) -> Generator[str, Answer, dict[str, int]]:
    """Yield the URL of each page of the list and take its answer; return all files {path: bytes}."""
    url, sizes = address.listing, dict[str, int]()
    for _ in range(PAGES_MAX):
        answer = yield url
        sizes.update(_files_of(address, answer))
        found = NEXT.search(answer.link)
        if found is None:
            return sizes
        url = _following(address, url, found[1])
    raise UnlistedError(f"{address}: the list of files has over {PAGES_MAX} pages: name the file, {_form(address)}")


def _files_of(address: HubAddress, answer: Answer) -> Iterable[tuple[str, int]]:
    if answer.status != 200:
        raise UnlistedError(f"{address}: the hub does not list its files: {_refusal(address, answer)}")
    try:
        entries: Any = json.loads(answer.body)
        return [(str(one["path"]), int(one.get("size") or 0)) for one in entries if one["type"] == "file"]
    except (ValueError, TypeError, KeyError, AttributeError):
        start = answer.body[:60].decode("utf-8", "replace")
        raise UnlistedError(
            f"{address}: {address.listing} sent no list of files, but {start!r}: check the network (a login page?) "
            "and HF_ENDPOINT"
        ) from None


def _refusal(address: HubAddress, answer: Answer) -> str:
    from .hub import advice

    if answer.status in (401, 403):
        what = advice(address.page, sent=answer.sent)
    else:
        what = "check owner, repository and revision" if answer.status == 404 else "try again later"
    return f"HTTP {answer.status} {answer.reason}".rstrip() + f"; {what}"


def _following(address: HubAddress, url: str, link: str) -> str:
    """Return the URL of the next page, which must be on the same host: a token may go with it."""
    from urllib.parse import urljoin, urlsplit

    joined = urljoin(url, link)
    if urlsplit(joined)[:2] != urlsplit(url)[:2]:
        raise UnlistedError(f"{address}: the list of files continues on another host, {joined}: name the file")
    return joined


def models_of(sizes: dict[str, int]) -> list[RepoModel]:
    """Return the models among files {path: bytes}, by path: files beside models are left out."""
    models = []
    for file in sorted(sizes):
        name = file.rpartition("/")[2].lower()
        parts = part_names(file)
        if name.endswith(".gguf") and parts[0] == file and not any(word in name for word in BESIDE):
            known = [sizes.get(part, 0) for part in parts]
            models.append(RepoModel(file, sum(known) if all(known) else 0))
    return models


# ---- Which is meant --------------------------------------------------------------------------------------------------


def choose(address: HubAddress, models: Sequence[RepoModel], files: Iterable[str] = ()) -> Choice:
    """Return the model that an address means. `files`: everything there, for the error when no model is there."""
    fitting = _fitting(address, models)
    if len(fitting) != 1:
        raise SourceError(f"{address}: {_unclear(address, models, fitting, files)}")
    return Choice(address, fitting[0], tuple(model for model in models if model != fitting[0]))


def _fitting(address: HubAddress, models: Sequence[RepoModel]) -> list[RepoModel]:
    quant = address.quant
    if quant.lower() not in ("", "latest"):
        return of_quant(models, quant)
    for default in DEFAULTS:
        if found := of_quant(models, default):
            return found
    return list(models)


def of_quant(models: Sequence[RepoModel], quant: str) -> list[RepoModel]:
    """Return the models of a quantisation: by the names of files, or else by those of their folders; any case.

    >>> of_quant([RepoModel("m-BF16.gguf", 1), RepoModel("m-f16.gguf", 1), RepoModel("F16/m.gguf", 1)], "F16")
    [RepoModel(file='m-f16.gguf', size=1)]
    """
    if quant.lower().endswith(".gguf"):
        return [model for model in models if model.file.rpartition("/")[2].lower() == quant.lower()]
    whole = re.compile(BEFORE + re.escape(quant) + "(?![A-Za-z0-9_])", re.IGNORECASE)
    by_name = [model for model in models if whole.search(model.file.rpartition("/")[2].removesuffix(".gguf"))]
    return by_name or [model for model in models if whole.search(model.file.rpartition("/")[0])]


def _unclear(
    address: HubAddress, models: Sequence[RepoModel], fitting: Sequence[RepoModel], files: Iterable[str]
) -> str:
    if not models:
        some = ", ".join(sorted(files)[:5])
        return (
            f"there is no GGUF model in it{f', only {some}' if some else ''}; repositories with GGUF files often have "
            "names that end with -GGUF"
        )
    if not fitting:
        return f"no file has the quantisation {address.quant}; there are {_named(models)}"
    kind = address.quant or next((one for one in DEFAULTS if of_quant(models, one)), "")
    which = f"there are {len(fitting)} models, and none has a default quantisation"
    if kind:
        which = f"{len(fitting)} files have the quantisation {kind}"
    return f"{which}: {_named(fitting)}; name one, {_form(address, fitting[0].file)}"


def _named(models: Iterable[RepoModel]) -> str:
    return ", ".join(map(str, models))


def _form(address: HubAddress, file: str = "FILE.gguf") -> str:
    return str(address.of_file(file))


def choose_held(address: HubAddress, held: Iterable[tuple[str, int]], why: str) -> Choice | None:
    """Return the model that an address means among those of the cache, (name, bytes); None where none fits.

    `why` begins the error when several fit.
    """
    from .hub_address import hub_address

    models = []
    for name, size in held:
        one = hub_address(name)
        if one is not None and one.file and one.same_repository(address):
            models.append(RepoModel(one.file, size))
    if not _fitting(address, models):
        return None
    try:
        return choose(address, models)
    except SourceError as error:
        raise SourceError(f"{why}{error}") from None


# ---- What is said ----------------------------------------------------------------------------------------------------


def held_instead(address: HubAddress, held: Iterable[tuple[str, int]], error: UnlistedError) -> Choice:
    """Return what the cache has for an address that the hub did not list, and say so; or raise its error."""
    choice = choose_held(address, held, f"{error}; in the cache, ")
    if choice is None:
        raise SourceError(str(error)) from error
    LOG.warning("%s; %s is used, which is in the cache", error, choice.taken)
    return choice


def tell(choice: Choice) -> None:
    """Log which file was taken."""
    LOG.info("%s", choice)
