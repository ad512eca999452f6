"""Requests and responses of OpenAI's API as msgspec Structs.

Decoding is strict: no coercion, no unknown fields. A field that is not supported has the type Any and a row in REFUSED,
with the values that are accepted because they change nothing. Sampling fields have gemel's names in Python and
llama.cpp's in JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ..http.errors import Refusals, check_fields

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Meta(ge=-1)]   # -1: no limit
Seed = int   # gemel.Sampling checks its range: msgspec compares up to 2**63 - 1
Id = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Whole = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Stop = Annotated[str, Meta(max_length=1000)]
Inputs = str | list[str | Id | list[Id]]

RENAMED = {
    "penalty_last_n": "repeat_last_n",
    "dry_last_n": "dry_penalty_last_n",
    "dry_breakers": "dry_sequence_breakers",
}
ALIASES = {   # other names: their field
    "repetition_penalty": "repeat_penalty", "n_predict": "max_tokens", "max_completion_tokens": "max_tokens",
    "stop_sequences": "stop", "reasoning_budget_tokens": "reasoning_budget",
    "thinking_budget_tokens": "reasoning_budget",
}  # fmt: skip
# A field: the value that, beside one by another name, is as if left out.
LEFT_OUT = {"max_tokens": -1, "reasoning_budget": -1}


class StreamOptions(Struct, forbid_unknown_fields=True):
    """How an answer is streamed."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None   # accepted; chunks have no such field


class WithoutEffect(Struct, kw_only=True):
    """What clients send to any path, about caches of other servers and their records: accepted, without effect."""

    user: Any = None
    cache_prompt: Any = None
    keep_alive: Any = None
    id_slot: Any = None
    ttl: Any = None
    chat_id: Any = None
    session_id: Any = None
    conversation_id: Any = None


class Sampled(WithoutEffect, forbid_unknown_fields=True, kw_only=True, rename=RENAMED):
    """What chats and completions have in common. null is the same as absent."""

    model: str | None = None   # absent or empty: the only model served
    n: Count | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: Stop | list[Stop] | None = None
    stop_sequences: Stop | list[Stop] | None = None
    max_tokens: Limit | None = None
    n_predict: Limit | None = None
    seed: Seed | None = None
    logit_bias: dict[str, Bias] | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    # gemel.Sampling's other fields
    top_k: Whole | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    penalty_last_n: Whole | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: Whole | None = None
    dry_last_n: Whole | None = None
    dry_breakers: Annotated[list[str], Meta(max_length=100)] | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: Whole | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    # what the answer may be
    response_format: Any = None
    grammar: str | None = None
    json_schema: Any = None
    close_at_max_tokens: bool | None = None
    fast_forward: bool | None = None
    # accepted, without effect on the answer
    metadata: Any = None
    store: Any = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    return_progress: Any = None
    timings_per_token: Any = None
    # how it is evaluated beside others
    priority: Whole | None = None   # lower ones begin first
    # Only requests with the same one share what was evaluated.
    cache_salt: Annotated[str, Meta(max_length=1000)] | None = None


class Message(Struct, forbid_unknown_fields=True, kw_only=True):
    """One message of a chat; the fields of an earlier answer, which clients send back, are accepted."""

    role: str
    content: str | list[str | dict[str, Any]] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None   # another name of reasoning_content
    prefix: bool | None = None     # of the assistant's last message: the answer continues it
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    audio: Any = None
    # accepted, without effect on the answer
    annotations: Any = None
    cache_control: Any = None
    id: Any = None
    opts: Any = None


class ChatRequest(Sampled, kw_only=True):
    """POST /v1/chat/completions."""

    messages: list[Message]
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    think: bool | None = None
    reasoning_budget: Limit | None = None   # tokens
    reasoning_budget_tokens: Limit | None = None
    thinking_budget_tokens: Limit | None = None
    prediction: Any = None
    continue_final_message: bool | None = None   # absent: if the last message is the assistant's
    add_generation_prompt: bool | None = None    # true: begin a new message in any case
    chat_template_kwargs: dict[str, Any] | None = None
    # refused
    functions: Any = None
    function_call: Any = None
    modalities: Any = None
    audio: Any = None
    verbosity: Any = None
    web_search_options: Any = None
    options: Any = None


class CompletionRequest(Sampled, kw_only=True):
    """POST /v1/completions."""

    prompt: Inputs
    logprobs: bool | Annotated[int, Meta(ge=0, le=20)] | None = None   # false: none; true is no number of them
    echo: bool | None = None
    best_of: Count | None = None
    suffix: str | None = None   # what follows the answer


class EmbeddingRequest(WithoutEffect, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/embeddings."""

    model: str | None = None
    input: Inputs
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None


STORE = "storing is not supported: leave it out, or send false"
FUNCTIONS = 'not supported: send tools, such as [{"type": "function", "function": {"name": ..., "parameters": ...}}]'
CHOICE = 'not supported: send tool_choice, such as "auto" or {"type": "function", "function": {"name": ...}}'
CALL = 'not supported: send tool_calls: [{"id": ..., "type": "function", "function": {"name": ..., "arguments": ...}}]'
REFUSED: Refusals = {
    "store": ((False,), STORE),
    "functions": (([],), FUNCTIONS),
    "function_call": (("none", "auto"), CHOICE),
    "modalities": ((["text"],), 'only ["text"] is supported'),
    "audio": ((), "audio is not supported"),
    "options": (({},), "not supported: send its members, such as temperature, as fields of the request"),
    "verbosity": ((), "not supported: leave it out"),
    "web_search_options": ((), "web search is not supported"),
}

OF_MESSAGE = {**REFUSED, "function_call": ((), CALL)}


def check_refused(request: Struct, where: str = "") -> None:
    """Raise a 400 for a field that is not supported and would change the answer. where: the message that has it."""
    check_fields(request, OF_MESSAGE if where else REFUSED, where)


# ---- Responses -------------------------------------------------------------------------------------------------------


class PromptDetails(Struct, frozen=True):
    """Of the prompts' tokens, those that were not evaluated: the cache had them."""

    cached_tokens: int


class AnswerDetails(Struct, frozen=True):
    """Of the answers' tokens, those of reasoning."""

    reasoning_tokens: int


class Usage(Struct, frozen=True):
    """Tokens of the prompts and the answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: AnswerDetails | UnsetType = UNSET   # absent if there was no reasoning


class InputUsage(Struct, frozen=True):
    """Tokens of the embedded texts."""

    prompt_tokens: int
    total_tokens: int


class TopLogprob(Struct, frozen=True):
    """A candidate token."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob, frozen=True):
    """A sampled token, and the most likely tokens at its position."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Struct, frozen=True):
    """Log-probabilities of a chat answer."""

    content: list[TokenLogprob]
    refusal: None = None


class Logprobs(Struct, frozen=True):
    """Log-probabilities of a completion."""

    tokens: list[str]
    token_logprobs: list[float | None]   # None: of the first token of a prompt
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CalledFunction(Struct, frozen=True):
    """The tool that a call names, and its arguments: a JSON object, as text."""

    name: str
    arguments: str


class ToolCall(Struct, frozen=True, kw_only=True):
    """A call of a tool."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """The message of the model."""

    role: Literal["assistant"] = "assistant"
    content: str | None   # None: there are only reasoning and calls
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET


class ChatChoice(Struct, frozen=True):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: str
    invalid: str | UnsetType = UNSET   # why it is not valid by the request's schema, whose strict is false


class FunctionDelta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to a call: its name once, and its arguments as they grow."""

    name: str | UnsetType = UNSET
    arguments: str


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """What a chunk says about a call. Only the first chunk of a call has its id, type and name."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionDelta


class Delta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to a message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """What a chunk adds to an answer."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: str | None
    invalid: str | UnsetType = UNSET


class TextChoice(Struct, frozen=True):
    """One completion, or what a chunk adds to it."""

    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: str | None
    invalid: str | UnsetType = UNSET


class Answer(Struct, frozen=True, kw_only=True):
    """A chat or completion, or a chunk of one."""

    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice] | list[ChunkChoice] | list[TextChoice]
    usage: Usage | UnsetType | None = UNSET


class Embedding(Struct, frozen=True):
    """One vector."""

    object: str
    index: int
    embedding: list[float] | str


class Embeddings(Struct, frozen=True):
    """All vectors of a request."""

    object: str
    data: list[Embedding]
    model: str
    usage: InputUsage


class ModelMeta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts about a model, under llama.cpp's names if it has them, and the fields of gemel.Info."""

    n_params: int
    n_vocab: int
    n_embd: int
    n_ctx_train: int
    n_ctx: int   # tokens of a prompt and its answer
    size: int    # bytes of weights in memory
    engine: str
    isa: str
    threads: int
    why: str
    tools: str = ""       # how its chat template has it call tools; absent without a template
    reasoning: str = ""   # and how its reasoning is marked
    warnings: tuple[str, ...] = ()   # what the file lacks or has wrong; absent if there is nothing


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What the header of a model says that is not loaded."""

    n_params: int
    n_ctx: int
    size: int


class ModelStatus(Struct, frozen=True, omit_defaults=True):
    """Whether a model is loaded; while it is, how far: 0 to 1."""

    value: str
    progress: float | None = None


class Model(Struct, frozen=True, kw_only=True):
    """A served model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "gemel"
    status: ModelStatus
    meta: ModelMeta | ModelFacts | None


class ModelList(Struct, frozen=True):
    """All served models."""

    object: str
    data: list[Model]
