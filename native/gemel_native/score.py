"""`gemel score`: how likely a text is according to a model.

The text's ids are cut into chunks of at most --ctx; each is evaluated in an empty session. If the model adds BOS, each
chunk begins with it (it counts towards --ctx), and every id of the text is scored. Otherwise the first id of a chunk
has no context and is not scored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import gemel
import typer
from gemel import KvType, Overrides

from .opening import check_ctx, opened
from .options import IsaOption, JsonOption, KvTypeOption, ModelArgument, ThreadsOption, usage_error, whole
from .output import counted, name_of, print_json, read_text
from .overrides import with_overrides
from .progress import Bar

DEFAULT_CTX = 2048
FILE_HELP = "A UTF-8 text file; - reads stdin."
CTX_HELP = "Tokens per chunk, including BOS. Each chunk is scored on its own."
IDS_HELP = "With --json: also print each chunk's ids, log-probabilities and most likely ids."


@dataclass(frozen=True)
class Chunk:
    """One evaluated chunk. log_probs and top have one item for each id except the first."""

    ids: list[int]            # BOS included
    log_probs: list[float]    # natural logarithms
    top: list[int]            # the most likely id at each position


@dataclass
class Total:
    """Sums over chunks."""

    tokens: int = 0                # scored
    hits: int = 0                  # of them the most likely
    sums: list[float] = field(default_factory=list)   # of log-probabilities, one per chunk

    def add(self, chunk: Chunk) -> None:
        """Count one chunk."""
        self.tokens += len(chunk.log_probs)
        self.hits += sum(a == b for a, b in zip(chunk.ids[1:], chunk.top, strict=True))
        self.sums.append(math.fsum(chunk.log_probs))

    def summary(self) -> dict[str, Any]:
        """Return means over all tokens; nll in natural logarithms."""
        nll = -math.fsum(self.sums) / self.tokens
        perplexity = math.exp(nll) if nll < 700 else math.inf
        return {"nll": nll, "perplexity": perplexity, "top1": self.hits / self.tokens, "tokens": self.tokens}


@with_overrides
def score(
    name: ModelArgument,
    file: Annotated[str, typer.Argument(metavar="TEXTFILE", help=FILE_HELP, show_default=False)],
    *,
    ctx: Annotated[
        int | None,
        typer.Option(
            "--ctx", metavar="N", parser=whole(2), help=CTX_HELP,
            show_default=f"the file's limit, at most {DEFAULT_CTX}",
        ),
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help=IDS_HELP)] = False,
    json: JsonOption = False,
    threads: ThreadsOption = None,
    isa: IsaOption = None,
    kv_type: KvTypeOption = None,
    overrides: Overrides,
) -> None:
    """Print the mean negative log-likelihood and the perplexity of a text.

    Chunks begin with BOS if the model adds it; otherwise the first token of each chunk is not scored.
    """
    if ids and not json:
        raise usage_error("--ids has no effect without --json")
    text = read_text(file)
    total, parts = Total(), []
    with opened(name, threads=threads, isa=isa, overrides=overrides) as loaded, Bar() as bar:
        model = loaded.model
        size = check_ctx(model, ctx) or min(model.n_ctx, DEFAULT_CTX)
        text_ids = model.tokenize(text)
        start = time.perf_counter()
        for done, chunk in score_chunks(model, text_ids, size, kv_type):
            bar("score", done, len(text_ids))
            total.add(chunk)
            parts += [asdict(chunk)] if ids else []
        seconds = time.perf_counter() - start
        bos = bool(model.prompt_ids(""))
    if not total.tokens:
        raise gemel.ArgumentError(
            f"{name_of(file)} has {counted(len(text_ids), 'token')}: "
            "a token is scored only after another one"
        )
    result = total.summary() | {
        "n_ids": len(text_ids), "chunks": len(total.sums), "ctx": size, "bos": bos, "seconds": seconds,
    }
    if json:
        print_json(result | ({"parts": parts} if ids else {}))
    else:
        typer.echo(_line(result, file))


def score_chunks(
    model: gemel.Model, ids: Sequence[int], size: int, kv_type: KvType | None = None
) -> Iterator[tuple[int, Chunk]]:
    """Yield (ids of the text done, chunk), each of at most `size` ids; a last chunk of one id can't be scored."""
    head = model.prompt_ids("")   # BOS, if the model adds it
    step = size - len(head)
    with model.session(min(size, len(ids) + len(head)) or 1, kv_type=kv_type) as session:
        for start in range(0, len(ids), step):
            chunk = [*head, *ids[start : start + step]]
            if len(chunk) < 2:
                return
            session.truncate(0)
            log_probs, top = session.score(chunk)
            yield min(start + step, len(ids)), Chunk(chunk, log_probs[1:], top[1:])


def _line(result: dict[str, Any], file: str) -> str:
    chunks = f"{counted(result['chunks'], 'chunk')} of at most {result['ctx']}"
    return (
        f"{name_of(file)}: mean NLL {result['nll']:.6f}, perplexity {result['perplexity']:.4f}, "
        f"top-1 {100 * result['top1']:.2f} %; {counted(result['tokens'], 'token')} scored in {chunks}"
    )
