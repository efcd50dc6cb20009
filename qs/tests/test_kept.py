"""What is kept of a turn, however it ends, and that it can be read at once and is stored once.

QS on a network in memory, over the real spool and a store in memory that can be told to fail.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import httpx
import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from contracts.chat import Citation, Usage
from contracts.events import CitationsProved, Delta, Done, Meta, failed, to_wire
from contracts.framing import PROMPT_VERSION
from contracts.reasons import NextAction, ReasonCode
from harness.hop_stage import (
    SSE_HEAD,
    Play,
    Stage,
    Upstream,
    chat,
    chunk,
    open_stage,
    raw,
    sse,
)
from harness.memory_store import MemoryStore, keeping_in_memory
from harness.store_laws import a_turn
from harness.world import FixedRetriever
from hop.lifetime import HopApp
from hop.program import Program
from hop.run import OpenApp
from qs.app import make_qs
from qs.config import QueryServiceSettings
from qs.retrieval.port import Hit
from qs.store.kept import Kept
from qs.store.port import Feedback, KeptTurn, StoreFault, StoreRefused
from qs.store.spool_file import hash_of

T = TypeVar("T")
ENVIRON: Final = {"QS_LLM_URL": "http://next"}
STREAM, PLAIN = "/chat?stream=true", "/chat"
CONTENT: Final = "One. " * 200
HITS: Final = [
    Hit("d#1", "d", "First", "https://x.example/1", CONTENT, 0.9),
    Hit("d#2", "d", None, None, "Two.", 0.5),
]
CODE: Final = ReasonCode.PROVIDER_IDLE_TIMEOUT
C1: Final = Citation("d#1", "c1", "First", "https://x.example/1")
META: Final = to_wire(Meta("v1", "ab" * 16, "r-1", None))
CITED: Final = to_wire(CitationsProved((C1,)))
DELTA: Final = to_wire(Delta("Sesame [c1]."))
ERROR: Final = to_wire(failed(CODE, discard=False))
DISCARD: Final = to_wire(failed(CODE, discard=True))
DOWN: Final = StoreFault("the store is down")


def done(code: ReasonCode | None = None) -> bytes:
    ended = Done(
        status="fallback" if code else "ok",
        reason_code=code,
        message_key=code.message if code else None,
        next_action=code.next_action if code else NextAction.NONE,
        retry_after_ms=None,
        model="m",
        citations=() if code else (C1,),
        usage=Usage(3, 4),
        timings_ms={"total": 7},
    )
    return to_wire(ended)


OK: Final = sse(META, CITED, DELTA, DELTA, done())


@define
class Kitchen:
    """QS, running, and what is behind it."""

    store: MemoryStore
    stage: Stage = field(init=False)
    kept: Kept = field(init=False)

    async def turns(self) -> list[KeptTurn]:
        """What is in the store, once the spool has had its time."""
        await trio.sleep(0.01)
        return list(self.store.turns.values())

    async def the_turn(self) -> KeptTurn:
        (turn,) = await self.turns()
        return turn


@asynccontextmanager
async def qs_with(play: Play = OK, hits: list[Hit] = HITS) -> AsyncIterator[Kitchen]:
    kitchen = Kitchen(MemoryStore())
    env, upstream = ENVIRON, Upstream(play)
    opened = over(kitchen, FixedRetriever(hits))
    async with open_stage(QueryServiceSettings, opened, upstream=upstream, environ=env) as stage:
        kitchen.stage = stage
        yield kitchen


def over(kitchen: Kitchen, engine: FixedRetriever) -> OpenApp[QueryServiceSettings]:
    @asynccontextmanager
    async def open_app(
        program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
    ) -> AsyncIterator[HopApp]:
        async with keeping_in_memory(program, kitchen.store) as keeping:
            kitchen.kept = keeping.kept
            yield make_qs(program, settings, client, engine, keeping)

    return open_app


def ask(request_id: str = "r-1", content: str = "Why?") -> bytes:
    return chat(content, request_id=request_id, trace_id="ab" * 16)


# How turns end.


async def test_answer_is_kept_with_all_it_rests_on(autojump_clock: MockClock) -> None:
    async with qs_with() as kitchen:
        await kitchen.stage.post(ask(), STREAM)
        turn = await kitchen.the_turn()
    asked = turn.asked
    assert (asked.question, asked.request_id, asked.trace_id) == ("Why?", "r-1", "ab" * 16)
    assert (asked.owner, asked.opens, asked.prompt_version) == ("", True, PROMPT_VERSION)
    assert len(asked.session_id) == 32
    ended = turn.ended
    assert (ended.status, ended.reason_code, ended.model) == ("ok", None, "m")
    assert ended.usage == Usage(3, 4)
    assert {"retrieval", "generation", "total"} <= ended.timings_ms.keys()
    assert turn.answer == "Sesame [c1]." * 2
    assert turn.citations == (C1,)
    assert [source.chunk_id for source in turn.sources] == ["d#1", "d#2"]
    assert turn.content_hashes == {"d#1": hash_of(CONTENT), "d#2": hash_of("Two.")}


@pytest.mark.parametrize("path", [STREAM, PLAIN])
@pytest.mark.parametrize(
    ("play", "code", "sources"),
    [
        (sse(META, ERROR, done(CODE)), CODE, 2),
        (sse(META, CITED, DELTA, DISCARD, done(CODE)), CODE, 2),
        (raw("eof"), ReasonCode.HOP_DISCONNECTED, 2),
        (None, ReasonCode.RAG_NO_CHUNKS, 0),
    ],
)
async def test_fallback_is_kept_without_a_word_of_the_models(
    autojump_clock: MockClock, play: Play | None, code: ReasonCode, sources: int, path: str
) -> None:
    hits = HITS if play else []
    async with qs_with(play or OK, hits) as kitchen:
        await kitchen.stage.post(ask(), path)
        turn = await kitchen.the_turn()
    if path == PLAIN and code is CODE:
        code = ReasonCode.HOP_PROTOCOL_ERROR  # a plain call that is answered by a stream
    assert (turn.ended.status, turn.ended.reason_code) == ("fallback", code)
    assert (turn.answer, turn.citations, len(turn.sources)) == (None, (), sources)
    assert "Sesame" not in repr(turn)


async def test_turn_is_gone_when_its_client_leaves_in_the_middle_of_the_text(
    autojump_clock: MockClock,
) -> None:
    play = raw(SSE_HEAD, chunk(META), chunk(CITED), chunk(DELTA * 400), "hang")
    async with qs_with(play) as kitchen:
        call = (
            b"POST /chat?stream=true HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(ask()), ask())
        )
        stream = await kitchen.stage.dial(call)
        got = b""
        while b"Sesame" not in got:
            got += await stream.receive_some()
        assert kitchen.store.turns == {}
        await stream.aclose()
        turn = await kitchen.the_turn()
        await kitchen.stage.at_rest()
    assert turn.ended.status == "gone"
    assert turn.ended.reason_code is ReasonCode.CLIENT_DISCONNECTED
    assert (turn.answer, len(turn.sources)) == (None, 2)


@pytest.mark.parametrize(("path", "status"), [(STREAM, "fallback"), (PLAIN, "error")])
async def test_turn_is_kept_as_it_was_told_when_a_drain_ends_it(
    autojump_clock: MockClock, path: str, status: str
) -> None:
    async with qs_with(raw("hang")) as kitchen, trio.open_nursery() as nursery:
        nursery.start_soon(kitchen.stage.post, ask(), path)
        await trio.sleep(1)
        kitchen.stage.program.drain.begin(trio.current_time() + 1)
        await trio.sleep(1.1)
        turn = await kitchen.the_turn()
    assert turn.ended.status == status
    assert turn.ended.reason_code is ReasonCode.ADMISSION_SHUTTING_DOWN


@pytest.mark.parametrize(("path", "status"), [(STREAM, "fallback"), (PLAIN, "error")])
async def test_turn_is_kept_as_it_was_told_when_nobody_foresaw_its_end(
    autojump_clock: MockClock, path: str, status: str
) -> None:
    class Broken(FixedRetriever):
        async def search(self, query: str, top_k: int) -> list[Hit]:  # noqa: ARG002 - the port's
            raise ZeroDivisionError

    kitchen = Kitchen(MemoryStore())
    opened = over(kitchen, Broken([]))
    async with open_stage(QueryServiceSettings, opened, environ=ENVIRON) as kitchen.stage:
        await kitchen.stage.post(ask(), path)
        turn = await kitchen.the_turn()
    assert (turn.ended.status, turn.ended.reason_code) == (status, ReasonCode.INTERNAL_ERROR)


async def test_nothing_is_kept_of_a_call_that_is_refused(autojump_clock: MockClock) -> None:
    async with qs_with() as kitchen:
        for body in (b"{}", chat("Why?", version="v2"), b"["):
            assert (await kitchen.stage.post(body)).status_code == 400
        assert await kitchen.turns() == []


async def test_turn_is_kept_as_it_was_told_when_its_time_is_up_while_its_end_is_written(
    autojump_clock: MockClock,
) -> None:
    async with qs_with() as kitchen:
        kitchen.kept._spool.run_blocking = slowly
        body = ask()
        told = (await kitchen.stage.post(body, STREAM, {"x-deadline-ms": "1500"})).content
        await trio.sleep(5)
        turn = await kitchen.the_turn()
    assert b'"reason_code":"HOP_TIMEOUT"' in told
    assert (turn.ended.status, turn.ended.reason_code) == ("fallback", ReasonCode.HOP_TIMEOUT)
    assert turn.answer is None


async def slowly(work: Callable[[], T], /) -> T:
    """A disk that takes its time, and finishes what it has begun."""
    await trio.lowlevel.checkpoint()
    with trio.CancelScope(shield=True):
        await trio.sleep(1)
    return work()


# Before and after.


async def test_question_is_on_disk_before_the_model_is_asked_and_its_end_before_done_leaves(
    autojump_clock: MockClock,
) -> None:
    seen: list[tuple[str, int]] = []

    async def play(stream: object) -> None:
        waiting = kitchen.kept._spool
        files = list(waiting.folder.path("").glob("*.turn"))
        seen.append(("asked", sum(b"Why?" in Path.read_bytes(file) for file in files)))
        await OK(stream)  # type: ignore[arg-type]  # any stream

    async with qs_with(play) as kitchen:
        kitchen.store.fault = DOWN
        kitchen.kept._spool.run_blocking = slowly
        body = ask()
        async with kitchen.stage.client.stream(
            "POST",
            f"http://hop{STREAM}",
            content=body,
            headers={"content-type": "application/json"},
        ) as response:
            async for piece in response.aiter_bytes():
                if b"event: done" in piece:
                    seen.append(("ended", len(kitchen.kept._spool.waiting)))
    assert seen == [("asked", 1), ("ended", 1)]


async def test_every_turn_is_stored_once_when_the_store_comes_back(
    autojump_clock: MockClock,
) -> None:
    async with qs_with() as kitchen:
        kitchen.store.fault = DOWN
        for _ in range(120):
            response = await kitchen.stage.post(ask(), STREAM, {"x-request-id": "x"})
            assert response.status_code == 200
        await trio.sleep(20)
        assert kitchen.store.turns == {}
        ready = (await kitchen.stage.client.get("http://hop/ready")).json()
        assert ready["checks"]["store"] == {"ok": False, "detail": "the store is down"}
        assert ready["checks"]["spool"] == {"ok": True, "detail": "120 turns waiting"}
        assert kitchen.stage.sample("bsl_spool_waiting") == 120
        assert (kitchen.stage.sample("bsl_store_failures_total") or 0) > 3
        kitchen.store.fault = None
        await trio.sleep(6)
        assert len(kitchen.store.turns) == 1, "they are attempts at one request"
        assert len(kitchen.store.sessions) == 120
        assert kitchen.stage.sample("bsl_spool_waiting") == 0
        events = [line["event"] for line in kitchen.stage.lines()]
    assert (events.count("store down"), events.count("store back")) == (1, 1)
    assert "Why?" not in kitchen.stage.out.getvalue()
    assert "Sesame" not in kitchen.stage.out.getvalue()


async def test_turn_that_no_store_takes_is_set_aside_and_the_others_are_stored(
    autojump_clock: MockClock,
) -> None:
    class Picky(MemoryStore):
        async def put(self, turns: object) -> None:
            assert isinstance(turns, list)
            if any(turn.asked.request_id == "bad" for turn in turns):
                raise StoreRefused("what is this")
            await super().put(turns)

    kitchen = Kitchen(Picky())
    opened = over(kitchen, FixedRetriever(HITS))
    async with open_stage(
        QueryServiceSettings, opened, upstream=Upstream(raw("eof")), environ=ENVIRON
    ) as kitchen.stage:
        kitchen.store.fault = DOWN
        for request_id in ("one", "bad", "two"):
            await kitchen.stage.post(ask(request_id))
        kitchen.store.fault = None
        await trio.sleep(6)
        assert {key[1] for key in kitchen.store.turns} == {"one", "two"}
        spool = kitchen.kept._spool
        assert len(list(spool.folder.path("").glob("*.bad"))) == 1
        assert len(spool.waiting) == 0
        assert "turn refused" in kitchen.stage.out.getvalue()


async def test_turns_are_stored_when_many_at_once_are_too_many_for_its_time(
    autojump_clock: MockClock,
) -> None:
    class Slow(MemoryStore):
        async def put(self, turns: object) -> None:
            assert isinstance(turns, list)
            if len(turns) > 3:
                raise StoreFault("no answer within 2 s")
            await super().put(turns)

    kitchen = Kitchen(Slow())
    opened = over(kitchen, FixedRetriever(HITS))
    async with open_stage(
        QueryServiceSettings, opened, upstream=Upstream(OK), environ=ENVIRON
    ) as kitchen.stage:
        kitchen.store.fault = DOWN
        for number in range(30):
            await kitchen.stage.post(ask(f"r-{number}"))
        kitchen.store.fault = None
        await trio.sleep(60)
        assert len(kitchen.store.turns) == 30


async def test_store_is_ready_again_when_it_was_down_at_the_start_and_nobody_asks(
    autojump_clock: MockClock,
) -> None:
    kitchen = Kitchen(MemoryStore(fault=DOWN))
    opened = over(kitchen, FixedRetriever(HITS))
    async with open_stage(
        QueryServiceSettings, opened, upstream=Upstream(OK), environ=ENVIRON
    ) as kitchen.stage:
        await trio.sleep(60)
        assert (await kitchen.stage.client.get("http://hop/ready")).status_code == 503
        kitchen.store.fault = None
        await trio.sleep(6)
        assert (await kitchen.stage.client.get("http://hop/ready")).status_code == 200


# Reading what is kept.


async def test_turn_can_be_read_rated_and_erased_while_the_store_is_down_or_slow(
    autojump_clock: MockClock,
) -> None:
    async with qs_with() as kitchen:
        kept, store = kitchen.kept, kitchen.store
        store.fault = DOWN
        response = await kitchen.stage.post(ask(), STREAM)
        assert b'"status":"ok"' in response.content
        (ready,) = kept._spool.waiting.next(9)
        session = ready.asked.session_id
        transcript = await kept.read(session, "", 5)
        assert transcript is not None
        assert not transcript.complete
        assert [turn.answer for turn in transcript.turns] == ["Sesame [c1]." * 2]
        assert await kept.rate("r-1", "", Feedback("down", "no", 7))
        with pytest.raises(StoreFault):
            await kept.read("unknown", "", 5)
        with pytest.raises(StoreFault):
            await kept.read(session, "somebody else", 5)
        with pytest.raises(StoreFault):
            await kept.erase(session, "")
        store.fault = None
        await trio.sleep(6)
        again = await kept.read(session, "", 5)
        assert again is not None
        assert again.complete
        assert [turn.feedback for turn in again.turns] == [Feedback("down", "no", 7)]
        assert await kept.rate("r-1", "", Feedback("up", None, 8))
        assert await kept.erase(session, "")
        assert await kept.read(session, "", 5) is None


async def test_session_is_there_while_its_first_turn_is_answered_and_for_its_owner_alone(
    autojump_clock: MockClock,
) -> None:
    async with qs_with(raw(SSE_HEAD, chunk(META), "hang")) as kitchen:
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kitchen.stage.post, ask(), STREAM)
                await trio.sleep(0.5)
                (session,) = kitchen.kept._spool.waiting.opening
                transcript = await kitchen.kept.read(session, "", 5)
                assert transcript is not None
                assert transcript.turns == ()
                assert await kitchen.kept.read(session, "other", 5) is None
                kitchen.store.fault = DOWN
                for stranger, unknown in (("other", session), ("", "unknown")):
                    with pytest.raises(StoreFault):
                        await kitchen.kept.read(unknown, stranger, 5)


async def test_turn_of_an_erased_session_stays_away_however_it_ends(
    autojump_clock: MockClock,
) -> None:
    async with qs_with(raw(SSE_HEAD, chunk(META), 5.0, "eof")) as kitchen:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kitchen.stage.post, ask(), STREAM)
            await trio.sleep(0.5)
            (session,) = kitchen.kept._spool.waiting.opening
            assert await kitchen.kept.erase(session, "")
        assert await kitchen.turns() == []
        assert kitchen.store.sessions == {}


async def test_transcript_joins_store_and_spool_with_each_request_once(
    autojump_clock: MockClock,
) -> None:
    async with qs_with() as kitchen:
        kept, store = kitchen.kept, kitchen.store
        await store.put([a_turn(1, owner=""), a_turn(2, "gone", owner="", request_id="again")])
        store.fault = DOWN
        for number in (3, 4):
            turn = a_turn(number, owner="", request_id="again" if number == 3 else None)
            spooled = await kept._spool.begin(turn.asked)
            await spooled.ends(turn.ended)
            spooled.hand_over()
        session = turn.asked.session_id
        here = await kept.read(session, "", 9)
        store.fault = None
        both = await kept.read(session, "", 9)
        newest = await kept.read(session, "", 2)
        await trio.sleep(6)
        stored = await kept.read(session, "", 9)
    numbers = [
        [turn.asked.turn_id[-1] for turn in found.turns] if found else None
        for found in (here, both, newest, stored)
    ]
    assert numbers == [["4", "3"], ["4", "3", "1"], ["4", "3"], ["4", "3", "1"]]


# Its own end.


async def test_sessions_unused_for_long_are_purged(autojump_clock: MockClock) -> None:
    day_s = 24 * 3_600
    async with qs_with() as kitchen:
        kitchen.kept._retention_days = 2
        await kitchen.stage.post(ask(), STREAM)
        assert len(await kitchen.turns()) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kitchen.kept._purge_now_and_then)
            await trio.sleep(1.9 * day_s)
            assert len(kitchen.store.turns) == 1
            await trio.sleep(0.2 * day_s)
            assert kitchen.store.turns == {}
            nursery.cancel_scope.cancel()
