"""hf:owner/repo becomes its parts: a repository of the hub, a revision, and a file or the name of a quantisation.

    hf:owner/repo/file.gguf     hf:owner/repo     hf:owner/repo:Q4_K_M     each with @revision after the repository
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..core.errors import SourceError

MAIN = "main"
FORM = re.compile(
    r"hf:(?P<owner>[^/@:]+)/(?P<repo>[^/@:]+)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/:]+|[^/:]+))?"
    r"(?:/(?P<file>.*[^/])|:(?P<quant>[\w.-]+))?",
    re.DOTALL | re.IGNORECASE,
)
PAGE = re.compile(   # the path of a repository's page, or of a page inside it
    r"/(?P<owner>[^/@:]+)/(?P<repo>[^/@:]+)"
    r"(?:/(?:tree|blob|resolve)/(?P<revision>[^/]+)(?:/(?P<file>.+\.gguf))?)?(?:/.*)?",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class HubAddress:
    """One address of the hub. At most one of `file` and `quant` is set."""

    owner: str
    repo: str
    revision: str = MAIN   # a branch, a tag or a commit
    file: str = ""         # a path inside the repository
    quant: str = ""        # such as "Q4_K_M", or a file's name; "" takes the default

    def __str__(self) -> str:
        """Return the address, in one spelling per file."""
        revision = "" if self.revision == MAIN else f"@{self.revision}"
        tail = f"/{self.file}" if self.file else f":{self.quant}" if self.quant else ""
        return f"hf:{self.owner}/{self.repo}{revision}{tail}"

    def of_file(self, file: str) -> HubAddress:
        """Return the address of a file of this repository and revision."""
        return replace(self, file=file, quant="")

    def same_repository(self, other: HubAddress) -> bool:
        """Tell whether two addresses are of one revision of one repository."""
        return (self.owner, self.repo, self.revision) == (other.owner, other.repo, other.revision)

    @property
    def url(self) -> str:
        """The URL of the file."""
        from urllib.parse import quote

        return f"{self.page}/resolve/{quote(self.revision, safe='')}/{quote(self.file)}"

    @property
    def page(self) -> str:
        """The URL of the repository's page."""
        from urllib.parse import quote  # here: it is half of what `import gemel` would cost in a tab

        from .hub import endpoint

        return f"{endpoint()}/{quote(self.owner)}/{quote(self.repo)}"

    @property
    def listing(self) -> str:
        """The URL of the first page of the list of all files."""
        from urllib.parse import quote

        from .hub import endpoint

        where = f"{quote(self.owner)}/{quote(self.repo)}/tree/{quote(self.revision, safe='')}"
        return f"{endpoint()}/api/models/{where}?recursive=1"


@dataclass(frozen=True)
class HubModel:
    """A model that a repository of the hub offers.

    Attributes:
        name: hf:owner/repo/file.gguf, as gemel.open takes it
        size: bytes of all its parts; 0: unknown
        is_meant: the address that was asked for means this one
    """

    name: str
    size: int
    is_meant: bool


def hub_address(name: str) -> HubAddress | None:
    """Return the parts of an hf: address; None for any other name. SourceError for one that is malformed.

    >>> hub_address("hf:owner/repo@v1:q8_0")
    HubAddress(owner='owner', repo='repo', revision='v1', file='', quant='q8_0')
    >>> str(hub_address("HF:owner/repo@main/sub/file.gguf"))
    'hf:owner/repo/sub/file.gguf'
    """
    if name[:3].lower() != "hf:":
        return None
    parts = FORM.fullmatch(name)
    if parts is None:
        raise SourceError(
            f"{name!r}: an address of the hub looks like hf:owner/repo/file.gguf, hf:owner/repo or "
            "hf:owner/repo:Q4_K_M, optionally with @revision after the repository"
        )
    return HubAddress(**{key: part for key, part in parts.groupdict().items() if part})


def page_address(url: str) -> HubAddress | None:
    """Return the address of what a page of the hub shows: a file, or a repository. None for any other URL.

    >>> from gemel.source.hub import HUB
    >>> str(page_address(f"{HUB}/owner/repo/blob/v1/a/m.gguf?download=true"))
    'hf:owner/repo@v1/a/m.gguf'
    """
    from urllib.parse import unquote, urlsplit

    from .hub import HUB, endpoint

    there = urlsplit(url)
    for home in (urlsplit(HUB), urlsplit(endpoint())):   # of the page, and of the mirror that is used
        found = PAGE.fullmatch(there.path.removeprefix(home.path))
        if found is not None and there.netloc == home.netloc and there.path.startswith(home.path):
            return HubAddress(**{key: unquote(part) for key, part in found.groupdict().items() if part})
    return None


def canonical(name: str) -> str:
    """Return a name or address in the one spelling that the cache uses."""
    address = hub_address(name)
    return name if address is None else str(address)
