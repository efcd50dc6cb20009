"""Loading and the probe, on virtual time: who waits for what, and what is sent afterwards."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from io import StringIO

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock, wait_all_tasks_blocked

from contracts.reasons import ReasonCode
from hop.log import make_log
from llmgw.constraint import Finding, is_held, schema_by
from llmgw.faults import GenerationFault
from llmgw.model_state import LOAD_POLL_S, PROBE_AGAIN_S, ModelState
from llmgw.prompt import reply_schema
from llmgw.providers.port import Content, Finished, ModelCall, ModelEvent, SchemaRefused

HELD = '{"citations": [{"chunk_id": "c0"}], "answer": "Hello."}'
CALL = ModelCall("m", (), 8, 0.0, stream=True, schema=reply_schema(1))
LOADING, DOWN = ReasonCode.PROVIDER_LOADING, ReasonCode.PROVIDER_UNREACHABLE


@define
class Server:
    """A model server. `loads_for` seconds it says it is loading, or, if `silent`, says nothing."""

    loads_for: float = 0.0
    silent: bool = False
    down_until: float = 0.0
    says: Callable[[ModelCall], str | None] = lambda call: HELD if call.schema else "Hello!"
    calls: list[tuple[float, ModelCall]] = field(factory=list)

    @asynccontextmanager
    async def open(self, call: ModelCall) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        now = trio.current_time()
        self.calls.append((now, call))
        await trio.lowlevel.checkpoint()
        if now < self.down_until:
            raise GenerationFault(DOWN, "refused")
        if now < self.loads_for:
            if not self.silent:
                raise GenerationFault(LOADING, "HTTP 503")
            await trio.sleep_until(self.loads_for)
        async with aclosing(self._events(call)) as events:
            yield events

    async def _events(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
        text = self.says(call)
        if text is None:
            yield SchemaRefused()
        yield Content(text or "Hello!")
        yield Finished("stop")

    async def check(self) -> tuple[bool, str]:
        return True, "here"


@asynccontextmanager
async def running(
    server: Server,
    *,
    prepares: bool = True,
    load_timeout_s: float = 120.0,
    sends_schema: bool = True,
    streams: bool = True,
) -> AsyncIterator[ModelState]:
    log = make_log("llmgw", "debug", StringIO())
    state = ModelState(
        server,
        "m",
        log,
        load_timeout_s,
        prepares,
        sends_schema=sends_schema,
        streams=streams,
    )
    async with trio.open_nursery() as nursery:
        state.begin()
        nursery.start_soon(state.run)
        yield state
        nursery.cancel_scope.cancel()


async def ask(state: ModelState, call: ModelCall = CALL) -> list[ModelEvent]:
    await state.wait_ready(call.model)
    async with state.open(call) as events:
        return [event async for event in events]


@pytest.mark.parametrize("silent", [False, True], ids=["says so", "says nothing"])
async def test_requests_wait_when_the_model_loads_at_start(
    silent: bool, autojump_clock: MockClock
) -> None:
    server = Server(loads_for=20.0, silent=silent)
    async with running(server) as state:
        await state.wait_ready("m")
        assert 20.0 <= trio.current_time() <= 20.0 + LOAD_POLL_S
        preloads = [call for at, call in server.calls if at < 20.0]
        assert all(call.schema is None and call.max_tokens == 1 for call in preloads)


async def test_other_models_never_wait(autojump_clock: MockClock) -> None:
    async with running(Server(loads_for=20.0)) as state:
        await state.wait_ready("other")
        assert trio.current_time() == 0.0
        assert state.is_loading


async def test_waiting_ends_when_loading_takes_too_long(autojump_clock: MockClock) -> None:
    async with running(Server(loads_for=900.0, silent=True), load_timeout_s=60.0) as state:
        await state.wait_ready("m")
        assert trio.current_time() == 60.0


async def test_a_load_goes_on_when_whoever_waits_leaves(autojump_clock: MockClock) -> None:
    server = Server(loads_for=20.0, silent=True)
    async with running(server) as state:
        with trio.move_on_after(5.0) as left:
            await state.wait_ready("m")
        assert left.cancelled_caught
        await state.wait_ready("m")
        assert trio.current_time() == 20.0
        assert [at for at, call in server.calls if call.schema is None] == [0.0]


async def test_one_preload_runs_when_many_are_told_that_it_is_loading(
    autojump_clock: MockClock,
) -> None:
    server = Server()
    async with running(server) as state:
        await trio.sleep(1.0)
        server.calls.clear()
        server.loads_for = 10.0

        async def told(_: int) -> None:
            with pytest.raises(GenerationFault):
                async with state.open(CALL):
                    pass
            await ask(state)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(told, number)
        preloads = [at for at, call in server.calls if call.max_tokens == 1]
        assert preloads == [1.0 + LOAD_POLL_S * n for n in range(len(preloads))]
        assert 10.0 <= trio.current_time() <= 10.0 + LOAD_POLL_S


async def test_another_models_loading_is_its_own(autojump_clock: MockClock) -> None:
    server = Server()
    async with running(server) as state:
        await trio.sleep(1.0)
        server.loads_for = 10.0
        with pytest.raises(GenerationFault):
            await ask(state, evolve(CALL, model="other"))
        assert not state.is_loading


async def test_nobody_waits_when_the_server_is_down_at_start(autojump_clock: MockClock) -> None:
    server = Server(down_until=40.0)
    async with running(server) as state:
        await state.wait_ready("m")
        assert trio.current_time() == 0.0
        assert state.finding.name == "UNKNOWN"
        await trio.sleep(2 * PROBE_AGAIN_S + 1)
        assert state.finding.name == "ENFORCED_WITH_LENGTH", "it is probed once it is back"


def refuses_length(call: ModelCall) -> str | None:
    return None if "maxLength" in str(call.schema) else HELD


def garbles_length(call: ModelCall) -> str | None:
    return "Hello!" if "maxLength" in str(call.schema) else HELD


FOUND: Mapping[Finding, list[Callable[[ModelCall], str | None]]] = {
    Finding.ENFORCED_WITH_LENGTH: [lambda _: HELD, lambda _: HELD[:20]],
    Finding.ENFORCED: [refuses_length, garbles_length],
    Finding.IGNORED: [lambda _: "Hello!", lambda _: "", lambda _: '{"hello": 1}'],
    Finding.REFUSED: [lambda _: None],
}


@pytest.mark.parametrize(
    ("finding", "says"), [(finding, says) for finding, rows in FOUND.items() for says in rows]
)
async def test_the_probe_finds(
    finding: Finding, says: Callable[[ModelCall], str | None], autojump_clock: MockClock
) -> None:
    async with running(Server(says=says)) as state:
        await trio.sleep(1.0)
        assert state.finding is finding
        ok, detail = await state.check_constraint()
        assert (ok, detail) == (True, f"m: {finding.value}")


async def test_no_request_waits_for_the_probe(autojump_clock: MockClock) -> None:
    server = Server()

    class Slow(Server):
        @asynccontextmanager
        async def open(self, call: ModelCall) -> AsyncIterator[AsyncIterator[ModelEvent]]:
            if call.max_tokens > 8:
                await trio.sleep_forever()
            async with server.open(call) as events:
                yield events

    async with running(Slow()) as state:
        await ask(state)
        assert trio.current_time() == 0.0
        await wait_all_tasks_blocked()
        server.loads_for = 3.0
        with pytest.raises(GenerationFault):
            await ask(state)
        await ask(state)
        assert trio.current_time() <= 3.0 + LOAD_POLL_S, "loading goes before probing"


async def test_a_refused_schema_is_remembered(autojump_clock: MockClock) -> None:
    async with running(Server(says=lambda _: None), prepares=False) as state:
        assert state.schema_for("m", 2, 512) == reply_schema(2)
        assert SchemaRefused() in await ask(state)
        assert state.schema_for("m", 2, 512) is None


async def test_nothing_is_asked_at_start_when_that_is_switched_off(
    autojump_clock: MockClock,
) -> None:
    server = Server()
    async with running(server, prepares=False) as state:
        await state.wait_ready("m")
        await trio.sleep(100.0)
        assert server.calls == []


def test_other_models_are_asked_by_prompt_only() -> None:
    state = ModelState(Server(), "m", make_log("llmgw", "debug", StringIO()), 1.0)
    assert state.schema_for("other", 2, 512) is None
    assert state.schema_for("m", 2, 512) == reply_schema(2)


def test_the_answers_length_is_capped_where_that_is_taken() -> None:
    assert schema_by(Finding.ENFORCED_WITH_LENGTH, 2, 100, 900) == reply_schema(2, 300)
    assert schema_by(Finding.ENFORCED_WITH_LENGTH, 2, 32_768, 900) == reply_schema(2, 900)
    assert schema_by(Finding.ENFORCED, 2, 100, 900) == reply_schema(2)


async def test_no_schema_is_ever_sent_when_it_is_turned_off(autojump_clock: MockClock) -> None:
    server = Server()
    async with running(server, sends_schema=False) as state:
        await state.wait_ready("m")
        await trio.sleep(PROBE_AGAIN_S + 1)
        assert state.schema_for("m", 2, 512) is None
        assert [call.schema for _, call in server.calls] == [None], "loaded, and not probed"
        assert (await state.check_constraint())[1] == "m: turned off: by prompt only"


@pytest.mark.parametrize("text", ["Hello", HELD])
async def test_a_probe_reads_no_more_than_tells(text: str, autojump_clock: MockClock) -> None:
    """A slow server would write for minutes, and then again."""
    read: list[str] = []

    class Endless(Server):
        async def _events(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
            while call.schema is not None:
                await trio.sleep(1.0)
                read.append(text)
                yield Content(text)

    async with running(Endless()) as state:
        await trio.sleep(29.0)
        assert state.finding is (Finding.ENFORCED_WITH_LENGTH if text == HELD else Finding.IGNORED)
        assert len(read) == (1 if text == HELD else 2 * 13)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_probe_streams_where_calls_may(streams: bool, autojump_clock: MockClock) -> None:
    server = Server()
    async with running(server, streams=streams):
        await trio.sleep(1.0)
        assert [call.stream for _, call in server.calls if call.schema] == [streams]


@pytest.mark.parametrize("text", [HELD, '\n{ "citations" : [', '{"citations":'])
def test_a_reply_that_begins_as_the_schema_does_is_held(text: str) -> None:
    assert is_held(text)


@pytest.mark.parametrize("text", ["", "{", "Hello", '{"answer": "x"}', f"Sure: {HELD}"])
def test_any_other_reply_is_not(text: str) -> None:
    assert not is_held(text)
