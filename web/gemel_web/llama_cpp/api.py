"""The routes of llama.cpp's API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gemel
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.apis import Style
from ..http.body import decoded
from ..http.connection import EventStream
from ..http.errors import invalid
from ..jobs.answer import Prompt, Prompts
from ..jobs.events import Event, Ids
from ..jobs.fim import infill
from ..jobs.service import Service, json_of
from ..jobs.work import Completion, Counting
from ..models import ServedModel
from ..openai import prompts
from ..openai.requests import continues, generate_request, limit_of
from ..openai.wire import check_refused as check_openai
from . import wire
from .answers import Events, Gathered, Head

STYLE = Style(("/completion", "/infill", "/tokenize", "/detokenize", "/apply-template", "/props", "/slots"))


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of an app. /health is the app's."""
    api = Api(service)
    return [
        Route("/completion", api.complete, methods=["POST"]),
        Route("/infill", api.infill, methods=["POST"]),
        Route("/tokenize", api.tokenize, methods=["POST"]),
        Route("/detokenize", api.detokenize, methods=["POST"]),
        Route("/apply-template", api.apply_template, methods=["POST"]),
        Route("/props", api.props),
        Route("/slots", api.slots),
    ]


class Api:
    """The routes of one app."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._config = service.config

    async def _found(self, request: Request, named: str | None) -> tuple[str, ServedModel]:
        alias = self._service.alias(named)
        return alias, await self._service.open(request, alias)

    # ---- Text --------------------------------------------------------------------------------------------------------

    async def complete(self, request: Request) -> Response | EventStream:
        """POST /completion."""
        body = await decoded(request, wire.CompletionRequest, self._config)
        pieces: list[str | int] = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        if not pieces:
            raise invalid("prompt", "it is empty")
        if len(pieces) > 1 and all(isinstance(one, str) for one in pieces):
            raise invalid("prompt", "one prompt per request: POST /v1/completions takes several")
        return await self._answer(request, body, _mixed(pieces), pieces)

    async def infill(self, request: Request) -> Response | EventStream:
        """POST /infill."""
        body = await decoded(request, wire.InfillRequest, self._config)
        others = [_extra(one, f"input_extra[{i}]") for i, one in enumerate(body.input_extra or ())]
        made = infill(
            body.input_prefix, body.input_suffix, param="input_suffix", begun=body.prompt or "", others=others
        )
        return await self._answer(request, body, made, [body.prompt or ""])

    async def _answer(
        self, request: Request, body: wire.Base, made: Prompts, pieces: list[str | int]
    ) -> Response | EventStream:
        wire.check_refused(body)
        check_openai(body)
        alias, served = await self._found(request, body.model)
        n_vocab = served.model.n_vocab
        if (most := max((one for one in pieces if isinstance(one, int)), default=0)) >= n_vocab:
            raise invalid("prompt", f"{most} is not a token id of this model: they are 0 to {n_vocab - 1}")
        biases = wire.biases_of(body.logit_bias) if body.logit_bias is not None else {}
        body.logit_bias = {str(id): bias for id, bias in biases.items()} or None
        n_top = body.n_probs or (0 if body.return_tokens else None)
        wanted = generate_request(
            request, body, served.defaults, max_tokens=limit_of(body, served.defaults.max_tokens), n_top=n_top,
            echo=False, param="prompt",
        )
        text = "".join(one if isinstance(one, str) else served.model.detokenize([one], special=True) for one in pieces)
        settings = {
            **msgspec.to_builtins(asdict(wanted.sampling)), "n_predict": wanted.max_tokens or -1, "stop": wanted.stops,
        }  # fmt: skip
        head = Head(
            model=served.model, alias=alias, prompt=text, settings=settings, n_probs=body.n_probs,
            has_tokens=bool(body.return_tokens),
        )
        job = self._service.submit(served, Completion(made, wanted))
        if body.stream:
            return await self._service.streamed(request, job, Events(head))
        return await self._service.whole(request, job, Gathered(head))

    # ---- Tokens ------------------------------------------------------------------------------------------------------

    async def tokenize(self, request: Request) -> Response:
        """POST /tokenize."""
        body = await decoded(request, wire.TokenizeRequest, self._config)
        _, served = await self._found(request, body.model)
        special, with_bos = body.parse_special is not False, bool(body.add_special)

        def made(model: gemel.Model) -> Iterator[Prompt]:
            yield model.tokenize(body.content, special=special, bos_eos=with_bos)

        shape = Tokens(served.model, with_pieces=bool(body.with_pieces))
        return await self._service.whole(request, self._service.submit(served, Counting(made, param="content")), shape)

    async def detokenize(self, request: Request) -> Response:
        """POST /detokenize."""
        body = await decoded(request, wire.DetokenizeRequest, self._config)
        _, served = await self._found(request, body.model)
        if (most := max(body.tokens, default=0)) >= served.model.n_vocab:
            last = served.model.n_vocab - 1
            raise invalid("tokens", f"{most} is not a token id of this model: they are 0 to {last}")
        return json_of({"content": served.model.detokenize(body.tokens, special=True)})

    async def apply_template(self, request: Request) -> Response:
        """POST /apply-template."""
        body = await decoded(request, wire.TemplateRequest, self._config)
        check_openai(body)
        _, served = await self._found(request, body.model)
        work = Counting(prompts.of_chat(body, continues(body), served.defaults), param="messages")
        return await self._service.whole(request, self._service.submit(served, work), Rendered(served.model))

    # ---- Facts -------------------------------------------------------------------------------------------------------

    async def props(self, request: Request) -> Response:
        """GET /props; ?model= names one of several models."""
        alias, served = await self._found(request, request.query_params.get("model"))
        model, n_ctx = served.model, served.context
        ends = {name: _text(model, id) for name, id in (("bos_token", model.bos_id), ("eos_token", model.eos_id))}
        return json_of({
            "default_generation_settings": {"n_ctx": n_ctx, "params": msgspec.to_builtins(asdict(gemel.Sampling()))},
            "total_slots": self._config.parallel, "model_alias": alias, "model_path": served.model.name,
            "modalities": {"vision": False, "audio": False}, "chat_template": model.chat_template or "", **ends,
            "build_info": f"gemel-{gemel.__version__}",
        })  # fmt: skip

    async def slots(self, request: Request) -> Response:
        """GET /slots; ?model= names one of several models. The first ones are those in use."""
        _, served = await self._found(request, request.query_params.get("model"))
        n, n_ctx = self._service.n_running(served), served.context
        return json_of([
            {"id": i, "n_ctx": n_ctx, "speculative": False, "is_processing": i < n}
            for i in range(self._config.parallel)
        ])  # fmt: skip


class Tokens:
    """The ids of a text."""

    def __init__(self, model: gemel.Model, *, with_pieces: bool) -> None:
        self._model = model
        self._with_pieces = with_pieces
        self._ids: tuple[int, ...] = ()

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Ids):
            self._ids = event.ids

    def value(self) -> dict[str, Any]:
        """Return them, with their texts if those are wanted: bytes of half a character are numbers."""
        if not self._with_pieces:
            return {"tokens": self._ids}
        return {"tokens": [{"id": id, "piece": self._piece(id)} for id in self._ids]}

    def _piece(self, id: int) -> str | list[int]:
        raw = self._model.piece(id, special=True)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return list(raw)


class Rendered:
    """The text of a chat's prompt, without the BOS that /completion adds."""

    def __init__(self, model: gemel.Model) -> None:
        self._model = model
        self._text = ""

    def event(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Ids):
            model, ids = self._model, event.ids
            begins = model.adds_bos and ids[:1] == (model.bos_id,)
            self._text = model.detokenize(ids[1:] if begins else ids, special=True)

    def value(self) -> dict[str, str]:
        """Return it."""
        return {"prompt": self._text}


def _text(model: gemel.Model, id: int | None) -> str:
    return "" if id is None else model.piece(id, special=True).decode("utf-8", "replace")


def _mixed(pieces: list[str | int]) -> Prompts:
    """Return a function that makes a prompt of texts and ids. Control tokens in texts count; BOS as the file asks."""

    def made(model: gemel.Model) -> Iterator[Prompt]:
        ids: list[int] = []
        for i, one in enumerate(pieces):
            if isinstance(one, str):
                ids += model.prompt_ids(one, special=True) if i == 0 else model.tokenize(one, special=True)
            else:
                ids.append(one)
        yield ids

    return made


def _extra(given: dict[str, Any], where: str) -> str:
    text = given.get("text")
    if not isinstance(text, str) or not set(given) <= {"text", "filename"}:
        raise invalid(where, 'must be like {"filename": ..., "text": ...}')
    return text
