"""The Python of gemel.js's worker: the page's messages become calls of gemel, and their results become messages.

A message is {id, name, subject, options}. It is answered by any number of "progress", "output", "part",
"head" and "body", and finally one "value" or "error". {stop: id} ends a call. Pieces that follow quickly are sent
together.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import gemel
import gemel.browser
import js  # type: ignore[import-not-found]
from pyodide.ffi import JsBigInt, JsProxy, jsnull, to_js  # type: ignore[import-not-found]

from . import calls
from .logs import Logs

if TYPE_CHECKING:
    from gemel_web.tab import TabApp

PACE = 0.03          # minimum seconds between two messages of one call
CELL = "<cell>"      # the file name of a page's program in tracebacks
SUBJECTS = {
    "generate": "prompt", "chat": "messages", "count": "prompt", "embed": "texts", "run": "code", "delete": "name",
    "offers": "address",
}  # fmt: skip
BESIDE = ("list", "delete", "offers", "run")   # calls that need no model: a load does not end them
ENDLESS = {"max_tokens": "leave it out for no limit", "top_k": "pass 0 for no limit"}   # what Infinity may mean there
Post = Callable[..., None]


def plain(value: Any, where: str) -> Any:  # noqa: ANN401
    """Return the Python value of a JavaScript value: null becomes None; undefined fields are left out.

    Whole numbers become int, also those over 2**53, which Pyodide takes for decimal ones.

    where: names the value in the TypeError for what has no Python value, such as a Date.
    """
    if value is jsnull:
        return None
    if isinstance(value, JsBigInt) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if isinstance(value, JsProxy):
        value = value.to_py()
    if isinstance(value, JsProxy):
        raise TypeError(f"{where} is {kind_of(value)}: {calls.SENT}")
    if isinstance(value, dict):
        return {plain(key, where): plain(one, f"{where}.{key}") for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [plain(one, f"{where}[{i}]") for i, one in enumerate(value)]
    return value


def options_of(given: Any, call: str) -> dict[str, Any]:  # noqa: ANN401
    """Return the options of a call. TypeError for a seed that JavaScript has rounded, and for a limit of Infinity."""
    options: dict[str, Any] = plain(given, call)
    seed, bias = getattr(given, "seed", None), options.get("logit_bias")
    if isinstance(seed, float) and seed.is_integer():
        raise TypeError(f"seed={int(seed)}: JavaScript's numbers are exact up to 2**53: pass a BigInt, {int(seed)}n")
    for name, advice in ENDLESS.items():
        if options.get(name) == math.inf:
            raise gemel.ArgumentTypeError(f"{name}=Infinity: must be an integer; {advice}")
    if isinstance(bias, dict):   # keys of plain objects are texts
        options["logit_bias"] = {int(id) if str(id).isdecimal() else id: added for id, added in bias.items()}
    return options


def draft_of(given: Any) -> dict[str, Any]:  # noqa: ANN401
    """Take the option `draft` out of those of a load: it may be what only JavaScript has, such as a File."""
    draft = getattr(given, "draft", None)
    given.draft = None
    return {} if draft is None else {"draft": draft}


def model_of(given: Any) -> Any:  # noqa: ANN401
    """Return a model as gemel.open_async takes it. An error for a text that is neither an address nor a short name."""
    if not isinstance(given, str) or given in gemel.NAMES or ":" in given or "\\" in given:
        return given
    raise gemel.SourceError(
        f"{given!r} is not a short name of a model. A file beside the page is \"./{given}\". "
        "new Gemel({models}), or the attribute models of <gemel-chat>, is the folder that serves short names. They are "
        f"{', '.join(sorted(gemel.NAMES))}"
    )


def kind_of(value: Any) -> str:  # noqa: ANN401
    """Name a JavaScript object's class: "a Date"."""
    name = str(js.Object.prototype.toString.call(value)).removeprefix("[object ").removesuffix("]")
    return f"{'an' if name[:1] in 'AEIO' else 'a'} {name}"


def sent(value: Any) -> Any:  # noqa: ANN401
    """Return the JavaScript value of a Python value; None becomes null."""
    return to_js(nulls(value), dict_converter=js.Object.fromEntries)


def nulls(value: Any) -> Any:  # noqa: ANN401
    """Return a value with JavaScript's null in place of None."""
    if isinstance(value, dict):
        return {key: nulls(one) for key, one in value.items()}
    if isinstance(value, list):
        return [nulls(one) for one in value]
    return jsnull if value is None else value


def floats(row: Any) -> Any:  # noqa: ANN401
    """Return a Float32Array of a numpy array or memoryview."""
    return js.Float32Array.new(to_js(memoryview(row).tobytes()).slice().buffer)


def described(error: BaseException) -> dict[str, str]:
    """Return an error as it is sent to the page; the traceback of a program begins in the program."""
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != CELL:
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace or error.__traceback__)
    if isinstance(error, SyntaxError) and trace is None:
        lines = traceback.format_exception_only(error)
    return {"name": type(error).__name__, "message": str(error), "traceback": "".join(lines)}


class RaisedError(Exception):
    """Wraps what a program raised: some exceptions of programs would end the event loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Call:
    """One message of the page, until its answer is complete."""

    def __init__(self, post: Post, id: int, name: str) -> None:
        self.name = name
        self.task: asyncio.Future[Any] | None = None
        self.generation: gemel.Generation | None = None
        self.before: set[asyncio.Task[Any]] | None = None   # of a program: the tasks that it did not start
        self.gone: asyncio.Event | None = None              # of a request to the app: set once the client has left
        self._post = post
        self._id = id
        self._texts: list[tuple[str, Any, str]] = []   # (stream or kind, ToolCall or None, text) not yet sent
        self._body = bytearray()                  # bytes of a response, not yet sent
        self._due = 0.0                           # when the next message may be sent
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, kind: str, **fields: Any) -> None:  # noqa: ANN401
        """Send the page a message about this call."""
        self._post(sent({"id": self._id, "kind": kind, **fields}))

    def text(self, text: str, stream: str, tool_call: Any = None) -> None:  # noqa: ANN401
        """Send a part of an answer, or of a program's output, now or with the next ones.

        stream: the part's kind, or stdout or stderr. tool_call: the gemel.ToolCall that the part belongs to.
        """
        if self._texts and self._texts[-1][0] == stream and self._texts[-1][1] is tool_call:
            self._texts[-1] = (stream, tool_call, self._texts[-1][2] + text)
        else:
            self._texts.append((stream, tool_call, text))
        self._soon()

    def body(self, piece: bytes) -> None:
        """Send bytes of a response, now or with the next ones."""
        self._body += piece
        self._soon()

    def _soon(self) -> None:
        wait = self._due - time.monotonic()
        if wait <= 0:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_event_loop().call_later(wait, self.flush)

    def flush(self) -> None:
        """Send all that is not yet sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for stream, tool_call, text in self._texts:
            if self.generation is None:
                self.tell("output", text=text, stream=stream)
            else:
                part: dict[str, Any] = {"kind": stream, "text": text}
                if tool_call is not None:
                    part["call"] = {"index": tool_call.index, "id": tool_call.id, "name": tool_call.name}
                self.tell("part", part=part, count=len(self.generation.ids))
        self._texts.clear()
        if self._body:
            piece = to_js(bytes(self._body)).slice()
            self._post(sent({"id": self._id, "kind": "body", "piece": piece}), to_js([piece.buffer]))
            self._body.clear()
        self._due = time.monotonic() + PACE

    def progress(self) -> Callable[[str, int, int], None]:
        """Return an on_progress that tells the page, with speed (bytes per second) and remaining time (seconds)."""
        begun: dict[str, tuple[float, int]] = {}
        due = 0.0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal due
            now = time.monotonic()
            start, first = begun.setdefault(stage, (now, done))
            if done < first:   # another file: a draft's
                start, first = begun[stage] = (now, done)
            if now < due and done < total:
                return
            due = now + PACE
            speed = (done - first) / (now - start) if now > start else 0.0
            left = (total - done) / speed if speed and total else None
            self.tell("progress", progress={"stage": stage, "done": done, "total": total, "speed": speed, "left": left})

        return report

    def stop(self) -> None:
        """End the call; its answer follows."""
        if self.gone is not None:
            self.gone.set()   # the app ends the work
            return
        if self.generation is not None:
            self.generation.close()
        elif self.before is not None:   # it may wait for one of its tasks synchronously (JSPI)
            for task in asyncio.all_tasks() - self.before:
                task.cancel()
        if self.task is not None and self.generation is None:
            self.task.cancel()


class Output(io.TextIOBase):
    """A program's stdout or stderr."""

    def __init__(self, call: Call, stream: str) -> None:
        self._call = call
        self._stream = stream

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Send text to the page, soon."""
        if text:
            self._call.text(text, self._stream)
        return len(text)

    def flush(self) -> None:
        """Send it now."""
        self._call.flush()


class Tab:
    """Receives the messages of worker.js. listen(True) lets the page interrupt Python, listen(False) forbids it.

    install_server() installs what only the server's app imports.
    """

    def __init__(
        self,
        post: Post,
        listen: Callable[[bool], None],
        install_server: Callable[[], Awaitable[None]],
        threads: int | None,
        models: str | None,
    ) -> None:
        self._post = post
        self._listen = listen
        self._install_server = install_server
        self._threads = threads
        self._calls: dict[int, Call] = {}
        self._model: gemel.Model | None = None
        self._batches: dict[str, gemel.Batch] = {}   # by the type of their caches
        self._before: tuple[gemel.Model, dict[str, gemel.Batch]] | None = None   # what a load is about to replace
        self._newest: Call | None = None   # the last load that began
        self._left: asyncio.Future[None] | None = None    # done when nothing uses the model before
        self._app: TabApp | None = None
        self._installing = asyncio.Lock()
        self._cells = asyncio.Lock()   # all programs share stdout: one runs at a time
        self._namespace: dict[str, Any] = {"__name__": "__main__"}
        if models is not None:
            gemel.browser.configure(models_url=models)
        self._methods: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
            "load": self.load, "generate": self.generate, "chat": self.chat, "embed": self.embed, "run": self.run,
            "count": self.count, "fetch": self.fetch, "list": self.list_cache, "delete": self.delete_cached,
            "offers": self.offers,
        }  # fmt: skip

    def handle(self, message: Any) -> None:  # noqa: ANN401
        """Start a call, or stop one. Errors of a call are sent, not raised."""
        if hasattr(message, "stop"):
            call = self._calls.get(message.stop)
            if call is not None:
                call.stop()
            return
        call = self._calls[message.id] = Call(self._post, message.id, message.name)
        try:
            name = message.name
            subject = message.subject if name == "load" else plain(message.subject, SUBJECTS.get(name, name))
            if name in SUBJECTS and subject is None:
                raise TypeError(f"{name}: its first parameter, {SUBJECTS[name]}, is null or undefined")
            if name in SUBJECTS:
                calls.check_subject(name, SUBJECTS[name], subject, kind_of(message.subject))
            options = draft_of(message.options) if name == "load" else {}
            options |= options_of(message.options, name)
            if name != "load":   # load checks its own: it ends what came before in any case
                calls.check_options(name, options, lambda option: calls.reads(self._model, option, options))
            work = self._methods[name](call, subject, options)
        except Exception as error:
            self._end(message.id, None, error)
            return
        call.task = asyncio.ensure_future(work)
        call.task.add_done_callback(lambda task: self._ended(message.id, task))

    def _ended(self, id: int, task: asyncio.Future[Any]) -> None:
        if task.cancelled():
            self._end(id, None, asyncio.CancelledError(f"{self._calls[id].name} was stopped"))
        else:
            error = task.exception()
            self._end(id, None if error else task.result(), error.error if isinstance(error, RaisedError) else error)

    def _end(self, id: int, value: Any, error: BaseException | None) -> None:  # noqa: ANN401
        call = self._calls.pop(id)
        call.flush()
        if error is None:
            call.tell("value", value=value, memory=self._memory())
        elif call is self._newest and self._model is not None:
            call.tell("error", error=described(error), info=self._info(self._model))
        else:
            call.tell("error", error=described(error))

    # ---- The model --------------------------------------------------------------------------------------------------

    def load(self, call: Call, model: Any, options: dict[str, Any]) -> Coroutine[Any, Any, Any]:  # noqa: ANN401
        """Load a model, after ending all calls that came before, other loads too.

        It replaces the current one as soon as its header is found good. After an earlier error, that one goes on.
        """
        others = [one for one in self._calls.values() if one is not call and one.name not in BESIDE]
        for other in others:
            if other.gone is None:   # requests to the app end with its own error
                other.stop()
        if self._model is not None:
            self._before = (self._model, self._batches)
        self._model, self._batches, self._newest = None, {}, call
        self._left = asyncio.ensure_future(self._leave(others, self._left))
        return self._load(call, model, options, self._left)

    async def _leave(self, others: list[Call], before: asyncio.Future[None] | None) -> None:
        """Wait until nothing uses the model any more. It ends even if the load that waits for it is stopped."""
        if self._app is not None:
            await self._app.drop()
        ending = [one for one in (*(other.task for other in others), before) if one is not None]
        if ending:
            await asyncio.wait(ending)

    async def _load(
        self, call: Call, model: Any, options: dict[str, Any], left: asyncio.Future[None]  # noqa: ANN401
    ) -> dict[str, Any]:
        try:
            await asyncio.shield(left)
            calls.check_options("load", options)
            source = model_of(model)
            if "draft" in options:
                options["draft"] = model_of(options["draft"])
            how: dict[str, Any] = {"threads": self._threads, "on_progress": call.progress(), **options}
            if self._before is None:
                opened = await gemel.open_async(source, **how)
            else:
                opened = await gemel.browser.replace(self._before[0], source, **how)
        except BaseException:
            await asyncio.wait([left])   # also after a stop: what it ends must not end what is restored
            if call is self._newest and self._before is not None and not self._before[0].closed:
                self._use(*self._before)
            raise
        self._use(opened, {})
        return self._info(opened)

    def _use(self, model: gemel.Model, batches: dict[str, gemel.Batch]) -> None:
        """Answer with a model from now on."""
        self._model, self._batches, self._before = model, batches, None
        if self._app is not None:
            self._app.serve(model)

    def _loaded(self) -> gemel.Model:
        if self._model is None:
            raise gemel.StateError("no model is loaded: await gemel.load(...) first")
        return self._model

    def _info(self, model: gemel.Model) -> dict[str, Any]:
        what = model.info
        return {
            "name": model.name, "arch": model.arch, "n_params": model.n_params, "n_ctx": model.n_ctx,
            "default_n_ctx": model.default_n_ctx, "n_embd": model.n_embd,
            "has_chat": bool(model.chat_template or model.chat_templates),
            "engine": what.engine, "isa": what.isa, "threads": what.threads, "why": what.why,
            "tools": what.tools, "reasoning": what.reasoning,
            "weight_size": model.weight_size, "kv_size": model.kv_size, "memory": self._memory(),
            "warnings": list(model.warnings),
            "why_uncached": gemel.browser.why_uncached(model),
        }  # fmt: skip

    def _memory(self) -> int:
        return gemel.browser.memory_size()

    # ---- Text -------------------------------------------------------------------------------------------------------

    def _batch(self, kv_type: Any = None) -> gemel.Batch:  # noqa: ANN401
        """Return what evaluates all answers over such a cache together, and texts beside them."""
        key = repr(kv_type)
        if key not in self._batches:
            self._batches[key] = self._loaded().batch(kv_type=kv_type, step_seconds=gemel.Pace.WORKER_SECONDS)
        return self._batches[key]

    def generate(self, call: Call, prompt: Any, options: dict[str, Any]) -> Coroutine[Any, Any, Any]:  # noqa: ANN401
        """Start immediately, so that a stop finds the generation."""
        logs = self._logs(options)
        call.generation = self._batch(options.pop("kv_type", None)).generate(prompt, **options)
        return self._stream(call, call.generation, logs, is_checked=options.get("strict") is False)

    def chat(self, call: Call, messages: Any, options: dict[str, Any]) -> Coroutine[Any, Any, Any]:  # noqa: ANN401
        """As generate; what earlier answers evaluated of the messages is not evaluated again."""
        if not isinstance(messages, list):
            raise gemel.ArgumentTypeError(f"messages={messages!r:.50}: must be a list of {{role, content}}")
        opened = {name: options.pop(name) for name in calls.OF_CHAT if name in options}
        values = options.pop("template_options", {})
        calls.check_template_options(values, lambda name: calls.reads(self._model, name, opened))
        logs = self._logs(options)
        batch = self._batch(opened.pop("kv_type", None))
        opened.setdefault("n_ctx", batch.n_ctx)   # the same for all answers: what they evaluated can be shared
        call.generation = batch.answer(
            calls.continued(messages, options), template_options=values, **opened, **options
        )
        return self._answer(call, call.generation, logs, is_checked=options.get("strict") is False)

    def _logs(self, options: dict[str, Any]) -> Logs | None:
        """Return what notes log-probabilities, if an answer's options ask for them; the options then have it."""
        n = options.pop("top_logprobs", None)
        if n is None:
            return None
        logs = Logs(self._loaded(), n)
        options["on_drawn"] = logs.log
        return logs

    async def count(self, call: Call, prompt: Any, options: dict[str, Any]) -> int:  # noqa: ANN401
        """Return how many tokens an answer to a prompt or messages begins with."""
        values = options.pop("template_options", {})
        calls.check_template_options(values, lambda name: calls.reads(self._model, name, options))
        return len(self._loaded().prompt_ids(prompt, **options, **values))

    async def _answer(
        self, call: Call, generation: gemel.Generation, logs: Logs | None, *, is_checked: bool
    ) -> dict[str, Any]:
        """As _stream; the result has reasoning and calls, too."""
        result = await self._stream(call, generation, logs, is_checked=is_checked)
        return {**result, "reasoning": generation.reasoning, "calls": [asdict(one) for one in generation.calls]}

    async def _stream(
        self, call: Call, generation: gemel.Generation, logs: Logs | None, *, is_checked: bool
    ) -> dict[str, Any]:
        """Send the parts; return the result. is_checked: it says why a whole answer is not valid by its schema."""
        with generation, contextlib.suppress(gemel.CancelledError):   # the model was closed
            async for part in generation.parts():
                call.text(part.text, part.kind, part.call)
        reason = generation.stop_reason
        n_prompt, n_new, timings = len(generation.prompt_ids), len(generation.ids), generation.timings
        checked: dict[str, str] = {}
        if is_checked and reason in ("stop", "eos"):
            try:
                _ = generation.parsed
            except gemel.AnswerError as error:
                checked["invalid"] = str(error)
        return {
            "text": generation.text,
            "stop_reason": "cancelled" if reason == "error" else reason,
            "seed": generation.seed,
            "usage": {"prompt_tokens": n_prompt, "completion_tokens": n_new, "total_tokens": n_prompt + n_new},
            "timings": {
                **asdict(timings), "prompt_tok_s": timings.prompt_tok_s, "decode_tok_s": timings.decode_tok_s,
            },
            **({} if logs is None else {"logprobs": logs.of(n_new)}),
            **checked,
        }  # fmt: skip

    async def embed(self, call: Call, texts: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return a Float32Array, or an array of them, evaluated beside the answers."""
        model = self._loaded()
        if not isinstance(texts, str | list):
            raise TypeError(f"texts is {texts!r:.50}: must be a string or an array of strings")
        if not texts:
            return floats(model.embed(texts, **options))   # raises
        for i, text in enumerate([] if isinstance(texts, str) else texts):
            if not isinstance(text, str):
                raise TypeError(f"texts[{i}] is {text!r:.50}: must be a string")
        all_texts = [texts] if isinstance(texts, str) else texts
        prompt, overflow = options.get("prompt", ""), options.pop("overflow", "error")
        if overflow != "error" or not isinstance(prompt, str):   # a text may have parts
            rows = []
            for text in all_texts:
                rows.append(floats(model.embed(text, overflow=overflow, **options)))
                await asyncio.sleep(0)   # others may call
            return rows[0] if isinstance(texts, str) else rows
        options.pop("prompt", None)
        batch, rows = self._batch(), []
        waiting, running = deque(all_texts), deque[gemel.BatchFuture[Any]]()
        try:
            while waiting or running:
                while waiting and len(running) < batch.max_running:   # so many are made ready
                    running.append(batch.embed(prompt + waiting.popleft(), **options))
                rows.append(floats(await running.popleft()))
        finally:
            for future in running:
                future.close()
        return rows[0] if isinstance(texts, str) else rows

    # ---- The server's app -------------------------------------------------------------------------------------------

    def fetch(self, call: Call, request: Any, options: dict[str, Any]) -> Coroutine[Any, Any, Any]:  # noqa: ANN401
        """Answer a request to the app: a "head" with status and headers, then the body in pieces."""
        call.gone = asyncio.Event()   # set before the task runs: load() must find it
        return self._fetch(call, call.gone, request)

    async def _fetch(self, call: Call, gone: asyncio.Event, request: dict[str, Any]) -> None:
        app = await self._served()
        from gemel_web.tab import TabRequest

        asked = TabRequest(
            request["method"], request["path"], request["query"], [(name, value) for name, value in request["headers"]],
            bytes(request["body"]),
        )  # fmt: skip

        def head(status: int, headers: list[tuple[str, str]]) -> None:
            call.tell("head", status=status, headers=[list(one) for one in headers])

        await app.ask(asked, gone=gone, head=head, piece=call.body)

    async def _served(self) -> TabApp:
        """Return the app that serves the tab's model; the first time, install and import what it needs."""
        async with self._installing:
            if self._app is None:
                await self._install_server()
                importlib.invalidate_caches()
                from gemel_web.tab import TabApp

                self._app = TabApp()
                if self._model is not None:
                    self._app.serve(self._model)
        return self._app

    # ---- Programs and the cache -------------------------------------------------------------------------------------

    async def run(self, call: Call, code: str, options: dict[str, Any]) -> str | None:
        """Run a program; return the repr of its last expression."""
        from pyodide.code import eval_code_async  # type: ignore[import-not-found]

        if not isinstance(code, str):
            raise TypeError(f"run: a program must be a string, not {code!r:.50}")
        async with self._cells:
            call.before = asyncio.all_tasks()
            out, errors = Output(call, "stdout"), Output(call, "stderr")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                self._listen(True)
                try:
                    value = await eval_code_async(code, self._namespace, filename=CELL)
                    return None if value is None else repr(value)
                except asyncio.CancelledError:
                    raise
                except BaseException as error:
                    raise RaisedError(error) from error
                finally:
                    self._listen(False)

    async def list_cache(self, call: Call, subject: None, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what is cached."""
        entries = await gemel.cache.list_async()
        return [{"name": entry.name, "size": entry.size, "complete": entry.complete} for entry in entries]

    async def offers(self, call: Call, address: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the models of a repository of the hub."""
        if not isinstance(address, str):
            raise TypeError(f"hubModels: the address must be a string, not {address!r:.50}")
        return [asdict(one) for one in await gemel.browser.hub_models(address)]

    async def delete_cached(self, call: Call, name: str, options: dict[str, Any]) -> int:
        """Delete a model from the cache; return the bytes freed."""
        if not isinstance(name, str):
            raise TypeError(f"cache.delete: the name of a model must be a string, not {name!r:.50}")
        return await gemel.cache.delete_async(name)
