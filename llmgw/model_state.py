"""What the gateway knows of its model: whether it is loading, and whether a schema holds it.

`run` lives in the app's nursery. At start, and when `LLM_MODEL` answers that it is loading, it
makes one preload: a call that is repeated while the server says "loading", and waits as long as the
server is silent, so that nobody's leaving aborts a load. Requests for `LLM_MODEL` wait for it, each
inside its own deadline; other models never do. Then it probes for constrained decoding
(`llmgw.constraint`), which no request waits for. A schema that the server refused to a request is
not sent again.

It stands before the provider, and is one. Without `run` it only remembers refusals.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Final

import trio
from attrs import define, field

from contracts import limits
from contracts.reasons import ReasonCode
from hop.log import Log
from llmgw.constraint import Finding, is_held, preload_call, probe_call, schema_by, tells
from llmgw.faults import GenerationFault
from llmgw.providers.port import Content, ModelCall, ModelEvent, Provider, SchemaRefused

LOAD_POLL_S: Final = 1.0
PROBE_S: Final = 30.0
# A server that was down at start is probed once it is back.
PROBE_AGAIN_S: Final = 30.0


@define(eq=False)
class ModelState:
    """The provider with what is known of `model`. `prepares`: load and probe at start.

    `answer_chars`: the longest answer that a schema allows. Without `sends_schema` none is sent,
    and without `streams` the probe is a plain call.
    """

    provider: Provider
    model: str
    log: Log
    load_timeout_s: float
    prepares: bool = True
    answer_chars: int = limits.SCHEMA_ANSWER_CHARS_DEFAULT
    sends_schema: bool = True
    streams: bool = True
    finding: Finding = field(init=False)
    _is_running: bool = field(default=False, init=False)
    _wanted: trio.Event = field(factory=trio.Event, init=False)
    _probing: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _loaded: trio.Event | None = field(default=None, init=False)  # None: not loading

    @finding.default
    def _nothing_is_known(self) -> Finding:
        return Finding.UNKNOWN if self.sends_schema else Finding.OFF

    @property
    def is_loading(self) -> bool:
        """Whether requests for the model wait."""
        return self._loaded is not None

    async def wait_ready(self, model: str) -> None:
        """Returns once this model is not loading. The deadline is the caller's."""
        while model == self.model and self._loaded is not None:
            await self._loaded.wait()

    def schema_for(
        self, model: str, alias_count: int, max_tokens: int
    ) -> Mapping[str, object] | None:
        """The schema to send; None: by prompt only, as for every model that is not proved."""
        if model != self.model:
            return None
        return schema_by(self.finding, alias_count, max_tokens, self.answer_chars)

    @asynccontextmanager
    async def open(self, call: ModelCall) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        """One attempt, as the provider's own; what it says of the model is noted."""
        try:
            async with self.provider.open(call) as events:
                yield _Noting(events, self, call.model)
        except GenerationFault as fault:
            if fault.code is ReasonCode.PROVIDER_LOADING and call.model == self.model:
                self._want_loading()
            raise

    async def check(self) -> tuple[bool, str]:
        """The provider's own."""
        return await self.provider.check()

    async def check_constraint(self) -> tuple[bool, str]:
        """The finding, for `/ready`: good to know, and never a fault."""
        await trio.lowlevel.checkpoint()
        loading = ", loading" if self.is_loading else ""
        return True, f"{self.model}{loading}: {self.finding.value}"

    def begin(self) -> None:
        """From here on requests wait for what `run` prepares; call it before serving."""
        self._is_running = True
        if self.prepares:
            self._want_loading()

    async def run(self) -> None:
        """Prepare whenever it is wanted, for ever."""
        while True:
            asks_again = self.prepares and self.finding is Finding.UNKNOWN
            with trio.move_on_after(PROBE_AGAIN_S if asks_again else inf):
                await self._wanted.wait()
            self._wanted = trio.Event()
            try:
                await self._prepare()
            except Exception:
                self.log.exception("unforeseen", phase="loading")

    def note_refusal(self, model: str) -> None:
        """A call to this model was only taken without its schema."""
        if model == self.model and self.finding is not Finding.REFUSED:
            self._find(Finding.REFUSED)

    def _want_loading(self) -> None:
        if self._is_running and self._loaded is None:
            self._loaded = trio.Event()
            self._wanted.set()
            self._probing.cancel()  # What requests wait for goes first.

    async def _prepare(self) -> None:
        if self._loaded is not None:
            try:
                with trio.move_on_after(self.load_timeout_s):
                    await self._preload()
            finally:
                self._loaded.set()
                self._loaded = None
        if self.prepares and self.finding is Finding.UNKNOWN:
            with trio.move_on_after(PROBE_S) as self._probing:
                await self._probe()

    async def _preload(self) -> None:
        while await self._says_loading():  # noqa: ASYNC110 - it is the server that is asked
            await trio.sleep(LOAD_POLL_S)

    async def _says_loading(self) -> bool:
        try:
            async with self.provider.open(preload_call(self.model)) as events:
                async for _ in events:
                    pass
        except GenerationFault as fault:
            if fault.code is ReasonCode.PROVIDER_LOADING:
                return True
            self.log.warning("not preloaded", reason_code=fault.code, detail=fault.detail)
        else:
            self.log.info("model loaded", model=self.model)
        return False

    async def _probe(self) -> None:
        try:
            found = await self._ask(with_length=True)
            if found is not Finding.ENFORCED_WITH_LENGTH:
                found = await self._ask(with_length=False)
        except GenerationFault as fault:
            self.log.warning("not probed", reason_code=fault.code, detail=fault.detail)
            if fault.code is ReasonCode.PROVIDER_LOADING:
                self._want_loading()
            return
        if self.finding is Finding.UNKNOWN:  # A request may have learned it meanwhile.
            self._find(found)

    async def _ask(self, *, with_length: bool) -> Finding:
        text = ""
        answer_chars = self.answer_chars if with_length else None
        probe = probe_call(self.model, answer_chars, stream=self.streams)
        async with self.provider.open(probe) as events:
            async for event in events:
                if isinstance(event, SchemaRefused):
                    return Finding.REFUSED
                if isinstance(event, Content):
                    text += event.text
                if tells(text):  # The rest would cost a slow server minutes.
                    break
        if not is_held(text):
            return Finding.IGNORED
        return Finding.ENFORCED_WITH_LENGTH if with_length else Finding.ENFORCED

    def _find(self, finding: Finding) -> None:
        self.finding = finding
        self.log.info("constrained decoding", model=self.model, detail=finding.value)


@define
class _Noting:
    """A reply's events as they come; the refusal of a schema is noted on the way."""

    _events: AsyncIterator[ModelEvent]
    _state: ModelState
    _model: str

    def __aiter__(self) -> "_Noting":
        return self

    async def __anext__(self) -> ModelEvent:
        event = await anext(self._events)
        if isinstance(event, SchemaRefused):
            self._state.note_refusal(self._model)
        return event
