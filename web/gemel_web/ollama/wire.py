"""Requests of Ollama's API as msgspec Structs, and its errors. null is the same as absent; decoding is strict.

Responses are plain objects, made in answers.py and cards.py.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ..http.errors import ApiError, refused

Whole = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Stop = Annotated[str, Meta(max_length=1000)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]


class Options(Struct, forbid_unknown_fields=True, kw_only=True, rename={"penalty_last_n": "repeat_last_n"}):
    """Sampling and limits."""

    num_predict: Annotated[int, Meta(ge=-2)] | None = None   # -1, -2: until the context is full
    stop: Stop | list[Stop] | None = None
    seed: int | None = None
    temperature: float | None = None
    top_k: Whole | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    penalty_last_n: Whole | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mirostat: Whole | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    tfs_z: float | None = None
    penalize_newline: bool | None = None
    num_ctx: Annotated[int, Meta(ge=0)] | None = None   # of a prompt and its answer; 0: what the model has
    # how other servers evaluate: accepted, without effect on the answer
    numa: Any = None
    num_batch: Any = None
    num_gpu: Any = None
    num_keep: Any = None
    num_thread: Any = None
    main_gpu: Any = None
    low_vram: Any = None
    f16_kv: Any = None
    logits_all: Any = None
    vocab_only: Any = None
    use_mmap: Any = None
    use_mlock: Any = None
    embedding_only: Any = None


SAMPLING = (
    "seed", "temperature", "top_k", "top_p", "min_p", "typical_p", "penalty_last_n", "repeat_penalty",
    "presence_penalty", "frequency_penalty", "mirostat", "mirostat_tau", "mirostat_eta",
)  # fmt: skip


class Request(Struct, forbid_unknown_fields=True, kw_only=True):
    """What requests to evaluate something have in common."""

    model: str | None = None   # absent or empty: the only model served
    options: Options | None = None
    keep_alive: str | float | None = None
    truncate: bool | None = None


class Answered(Request, kw_only=True):
    """What chats and texts have in common."""

    stream: bool | None = None   # absent: true
    format: Any = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    shift: bool | None = None


class Message(Struct, forbid_unknown_fields=True, kw_only=True):
    """One message of a chat."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[Any] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ChatRequest(Answered, kw_only=True):
    """POST /api/chat."""

    messages: list[Message] | None = None
    tools: list[dict[str, Any]] | None = None


class GenerateRequest(Answered, kw_only=True):
    """POST /api/generate."""

    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    images: list[Any] | None = None
    width: Any = None
    height: Any = None
    steps: Any = None


class EmbedRequest(Request, kw_only=True):
    """POST /api/embed."""

    input: str | list[str]
    dimensions: int | None = None


class EmbeddingsRequest(Request, kw_only=True):
    """POST /api/embeddings."""

    prompt: str


class Named(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /api/show."""

    model: str | None = None
    name: str | None = None   # an earlier name of `model`
    verbose: bool | None = None


class CreateRequest(Struct, forbid_unknown_fields=True, kw_only=True, rename={"base": "from"}):
    """POST /api/create."""

    model: str | None = None
    name: str | None = None
    base: str | None = None
    system: str | None = None
    parameters: Options | None = None
    messages: list[Message] | None = None
    license: str | list[str] | None = None
    stream: bool | None = None
    template: str | None = None
    modelfile: str | None = None
    files: dict[str, Any] | None = None
    adapters: dict[str, Any] | None = None
    quantize: str | None = None


class CopyRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /api/copy."""

    source: str
    destination: str


class PullRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /api/pull."""

    model: str | None = None
    name: str | None = None
    insecure: bool | None = None
    stream: bool | None = None


IMAGES = "images are not supported: leave them out"
FIXED = "the server's models are those that it was started with"
REFUSED: dict[str, str] = {   # fields that ask for something unless they are empty
    "images": IMAGES, "template": "templates in Go's language are not supported: the file's own is used; leave it out",
    "context": "not supported: send the earlier messages to /api/chat", "width": IMAGES, "height": IMAGES,
    "steps": IMAGES,
    "truncate": "a prompt that does not fit is an error, and is never truncated: leave it out",
    "modelfile": "not supported: send its parts as from, system, parameters and messages",
    "files": "files can't be uploaded: put them into the folder of --models-dir",
    "adapters": "adapters are not supported: leave them out", "quantize": "not supported: pull a quantised file",
    "shift": "the context is not shifted: an answer ends when it is full; leave it out",
}  # fmt: skip


def check_refused(request: Struct, where: str = "") -> None:
    """Raise a 400 for a field that is not supported and would change the answer. where: the message that has it."""
    for name in request.__struct_fields__:
        if name in REFUSED and getattr(request, name):
            raise refused(where + name, REFUSED[name])


def error_of(error: ApiError) -> dict[str, Any]:
    """Return the body of an error."""
    return {"error": error.message}
