"""The four programs in one process, over an in-memory network: the real apps, the real fake.

    async with open_world(hits) as world:
        reply = await world.ask("How do I …?")              a whole answer
        async with world.stream("How do I …?") as events:   its events, as they come

Only sockets, the search engine, the store and the clock are not the real ones: the engine is
`FixedRetriever`, the store is `world.store`, and under trio's mock clock time is virtual. At the
end nothing may be left: no connection is open.
"""

import io
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
import trio
from attrs import define, field, frozen

from bff.app import open_app as open_bff
from bff.config import BffSettings
from contracts import sse
from contracts.limits import EVENT_BYTES
from fakes.openai_compat_server import Behaviour, Fake, Journal, Tls
from fakes.openai_compat_server.catalogue import choose
from fakes.openai_compat_server.control import JOURNAL_BYTES_MAX
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.scenario import Listening
from harness.memory_store import MemoryStore, keeping_in_memory
from harness.memory_stream import MemoryStream
from harness.net import MemoryListener, MemoryNetwork, Sever, Way, clear_way, serve_memory
from harness.telemetry import Told, told_by
from hop.call import make_client
from hop.exchange import ResponseBytes
from hop.lifetime import Drain, HopApp
from hop.log import make_log
from hop.metrics import Metrics
from hop.program import Program
from hop.run import serving_limits
from hop.settings import HopSettings, load
from hop.spans import Span, Spans
from llmgw.app import make_llmgw, make_models
from llmgw.config import GatewaySettings
from qs.app import make_qs
from qs.config import QueryServiceSettings
from qs.retrieval.port import Hit, IndexState, Retriever

MODEL_HOST = "model"
URLS = {
    "BFF_QS_URL": "http://qs",
    "QS_LLM_URL": "http://llmgw",
    "LLM_BASE_URL": f"http://{MODEL_HOST}/v1",
    # What the model server is asked, it is asked by the world's calls.
    "LLM_PRELOAD": "false",
}
CHAT_URL = "http://bff/chat"


@define
class FixedRetriever:
    """A search engine that finds the same hits for every question, after `delay_s`."""

    hits: Sequence[Hit]
    delay_s: float = 0.0

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:  # noqa: ARG002 - the port's
        await trio.sleep(self.delay_s)
        return self.hits[:top_k]

    async def check(self) -> IndexState:
        return IndexState(True, f"{len(self.hits)} fixed hits")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@frozen
class Running:
    """One program of the world: what it logs, what it counts, and how to stop it."""

    program: Program
    out: io.StringIO
    stop: trio.Event
    spans: list[Span]  # those that have ended, in that order
    begun: list[str]  # the ids of all that began

    def lines(self) -> list[dict[str, object]]:
        """Its log lines so far."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def told(self) -> Told:
        """Its spans and figures so far."""
        service, metrics = self.program.settings.SERVICE, self.program.metrics
        return told_by(service, self.begun, self.spans, metrics)

    def ended(self) -> list[dict[str, object]]:
        """The closing line of each call."""
        return [line for line in self.lines() if line["event"] == "call ended"]


@define
class World:
    """A running chain and a client of it."""

    network: MemoryNetwork
    fake: Fake
    retriever: FixedRetriever
    client: httpx.AsyncClient
    store: MemoryStore = field(factory=MemoryStore)
    programs: dict[str, Running] = field(factory=dict)
    transports: list[httpx.AsyncHTTPTransport] = field(factory=list)  # the programs' own

    def busy_connections(self) -> int:
        """How many connections the programs' clients count as in use."""
        pools = [transport._pool for transport in self.transports]
        return sum(
            not (connection.is_idle() or connection.is_closed())
            for pool in pools
            for connection in pool.connections
        )

    async def ask(self, question: str, **fields: object) -> httpx.Response:
        """A plain call; `fields` are further keys of the body."""
        return await self.client.post(CHAT_URL, json=chat_body(question, **fields))

    @asynccontextmanager
    async def stream(self, question: str, **fields: object) -> AsyncIterator["Events"]:
        """A streaming call; leaving the block leaves the stream."""
        body = chat_body(question, **fields)
        async with self.client.stream("POST", f"{CHAT_URL}?stream=true", json=body) as response:
            chunks = ResponseBytes(response)
            try:
                yield Events(response, chunks)
            finally:
                await chunks.aclose(0)


@define
class Events:
    """The events of one stream, one after another, heartbeats left out."""

    response: httpx.Response
    _chunks: ResponseBytes
    _decoder: sse.Decoder = field(factory=lambda: sse.Decoder(EVENT_BYTES), init=False)

    async def next(self) -> tuple[str, dict[str, object]] | None:
        """The next event's name and data; None at the stream's end."""
        while (frame := self._decoder.next_frame()) is None:
            if (chunk := await self._chunks.next()) is None:
                return None
            self._decoder.feed(chunk)
        return frame.event, json.loads(frame.data or b"null")

    async def rest(self) -> list[tuple[str, dict[str, object]]]:
        """All events to the end."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


def chat_body(question: str, **fields: object) -> dict[str, object]:
    """A chat request's body."""
    return {"message": {"role": "user", "content": question}, **fields}


def hits_of(*contents: str, score: float = 0.9) -> list[Hit]:
    """Hits with these contents, each with an id, a title and a url of its own."""
    return [
        Hit(f"doc-{n}#1", f"doc-{n}", f"Title {n}", f"https://docs.example/{n}", content, score)
        for n, content in enumerate(contents, start=1)
    ]


@asynccontextmanager
async def open_world(
    hits: Sequence[Hit],
    *,
    environ: Mapping[str, str] | None = None,
    behaviour: Behaviour | None = None,
    seed: int = 0,
    only: Sequence[str] = ("model", "llmgw", "qs", "bff"),
    search: Retriever | None = None,
    store: MemoryStore | None = None,
    way: Callable[[str, Sever], Way] = clear_way,
    tls: Tls | None = None,
    traced: bool = True,
) -> AsyncIterator[World]:
    """The chain, running. `environ` is what the programs would find in theirs.

    `search` stands in for the engine that finds `hits`, `store` for an empty one; `way` is the
    network's. With `tls` the model server is behind TLS, as MODEL_HOST, and the programs trust its
    authority alone. Spans are kept where the world is `traced`.
    """
    secured = {"LLM_BASE_URL": f"https://{MODEL_HOST}/v1"} if tls else {}
    env = {**URLS, **secured, **(environ or {})}
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        network = MemoryNetwork(nursery, way)
        client = await stack.enter_async_context(network.client(timeout=None))
        journal = Journal(entry_bytes_max=JOURNAL_BYTES_MAX)
        fake = Fake(behaviour or Behaviour(), tls=tls, journal=journal)
        world = World(network, fake, FixedRetriever(hits), client, store or MemoryStore())
        engine = search or world.retriever
        dice, span_dice = random.Random(seed), random.Random(f"spans of {seed}")
        await _Builder(world, stack, env, dice, engine, traced, span_dice).start(only)
        yield world
        nursery.cancel_scope.cancel()


@frozen
class _Builder:
    world: World
    stack: AsyncExitStack
    environ: Mapping[str, str]
    dice: random.Random
    engine: Retriever
    traced: bool
    span_dice: random.Random

    async def start(self, only: Sequence[str]) -> None:
        if "model" in only:
            self._serve_model()
        if "llmgw" in only:
            gateway, _ = load(GatewaySettings, self.environ)
            program = self._program(gateway)
            models = make_models(program, gateway, await self._client())
            models.begin()
            self.world.network.nursery.start_soon(models.run)
            self._serve("llmgw", make_llmgw(program, gateway, models))
        if "qs" in only:
            query, _ = load(QueryServiceSettings, self.environ)
            program = self._program(query)
            opening = keeping_in_memory(program, self.world.store)
            keeping = await self.stack.enter_async_context(opening)
            app = make_qs(program, query, await self._client(), self.engine, keeping)
            self._serve("qs", app)
        if "bff" in only:
            bff, _ = load(BffSettings, self.environ)
            opened = open_bff(self._program(bff), bff, await self._client())
            self._serve("bff", await self.stack.enter_async_context(opened))

    def _serve_model(self) -> None:
        """The model server, listening as its scenario would have it."""
        fake, network = self.world.fake, self.world.network
        chosen = choose("", fake.behaviour.scenario)
        serve = partial(serve_trio_stream, fake=fake)
        match chosen.scenario.listening:
            case Listening.SERVE:
                network.listen(MODEL_HOST, serve)
            case Listening.STALL:
                listener = network.listener(MODEL_HOST, backlog=0)
                network.nursery.start_soon(_accept_late, chosen.values["for"], serve, listener)

    def _program(self, settings: HopSettings) -> Program:
        out = io.StringIO()
        log = make_log(settings.SERVICE, "debug", out)
        begun: list[str] = []
        ended: list[Span] = []

        def span_hex(digits: int) -> str:
            """Apart from all other dice: a world runs the same with spans and without."""
            begun.append(f"{self.span_dice.getrandbits(4 * digits) or 1:0{digits}x}")
            return begun[-1]

        spans = Spans(span_hex, trio.current_time, ended.append) if self.traced else None
        metrics = Metrics(settings.SERVICE)
        program = Program(settings, log, metrics, Drain(), self._hex, spans=spans)
        self.world.programs[settings.SERVICE] = Running(program, out, trio.Event(), ended, begun)
        return program

    def _hex(self, digits: int) -> str:
        return f"{self.dice.getrandbits(4 * digits):0{digits}x}"

    def _serve(self, host: str, app: HopApp) -> None:
        running = self.world.programs[host]
        serve_memory(
            self.world.network,
            host,
            app,
            drain=running.program.drain,
            limits=serving_limits(running.program.settings),
            stop=running.stop.wait,
        )

    async def _client(self) -> httpx.AsyncClient:
        tls = self.world.fake.tls
        transport = self.world.network.transport(tls.trust() if tls else None)
        self.world.transports.append(transport)
        return await self.stack.enter_async_context(make_client(transport))


async def _accept_late(
    delay_s: float, serve: Callable[[MemoryStream], Awaitable[object]], listener: MemoryListener
) -> None:
    await trio.sleep(delay_s)
    await trio.serve_listeners(serve, [listener])
