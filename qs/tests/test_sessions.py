"""Goal: a session is begun, continued, read, rated and erased, by its owner and nobody else.

Method: QS alone, in memory, over the real spool and a store in memory; a gateway that plays an
answer, and notes what it was asked.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from attrs import define
from trio.testing import MockClock

from contracts.codec import decode
from contracts.generation import GenerateRequest
from contracts.reasons import ReasonCode
from contracts.sessions import SessionResponse
from harness.alone import HITS, OK, TEXT, frame, generated_answer, good_stream
from harness.hop_stage import Play, Stage, Upstream, chat, open_stage, raw, sse, whole
from harness.memory_store import MemoryStore, keeping_in_memory
from harness.memory_stream import MemoryStream
from harness.store_laws import a_turn
from hop.exchange import ResponseBytes
from hop.lifetime import HopApp
from hop.program import Program
from qs.app import make_qs
from qs.config import QueryServiceSettings
from qs.retrieval.port import Hit, IndexState
from qs.store.port import StoreFault

JSON = {"content-type": "application/json"}
BOTH = ["/chat", "/chat?stream=true"]
ALICE, BOB = {"x-session-owner": "a" * 16}, {"x-session-owner": "b" * 16}
DOWN = StoreFault("as the test says")


@define
class Engine:
    """Finds `HITS`, and notes what was searched for."""

    searched: list[str]

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:
        await trio.lowlevel.checkpoint()
        self.searched.append(query)
        return HITS[:top_k]

    async def check(self) -> IndexState:
        return IndexState(True, "fine")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@define
class Qs:
    """QS, running, and what its neighbours were asked."""

    stage: Stage
    upstream: Upstream
    store: MemoryStore
    searched: list[str]

    async def asks(
        self,
        text: str,
        path: str = "/chat",
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> httpx.Response:
        return await self.stage.post(chat(text, **more), path, headers)

    async def begun(self, text: str, headers: Mapping[str, str] | None = None) -> str:
        """Begin a session; its id."""
        response = await self.asks(text, headers=headers)
        assert response.json()["status"] == "ok", response.text
        return str(response.json()["session_id"])

    async def read(
        self, session_id: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self.stage.client.get(f"http://hop/sessions/{session_id}", headers=headers)

    async def turns(self, session_id: str) -> list[str]:
        """The questions of a session, as it is shown."""
        body = (await self.read(session_id)).content
        return [turn.message.content for turn in decode(body, SessionResponse).turns]

    async def erase(
        self, session_id: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self.stage.client.delete(f"http://hop/sessions/{session_id}", headers=headers)

    async def rate(
        self, request_id: str, headers: Mapping[str, str] | None = None, **more: object
    ) -> httpx.Response:
        body = json.dumps({"request_id": request_id, "rating": "up", **more}).encode()
        return await self.stage.post(body, "/feedback", headers)

    def asked(self) -> GenerateRequest:
        """What the gateway was asked last."""
        return decode(self.upstream.asked[-1].body, GenerateRequest)


async def answers(upstream: list[Upstream], stream: MemoryStream) -> None:
    """The gateway: whatever is asked is answered well, under the ids it came with."""
    asked = upstream[0].asked[-1]
    ids = {
        "request_id": asked.headers["x-request-id"],
        "trace_id": asked.headers["traceparent"][3:35],
    }
    play: Play
    if json.loads(asked.body).get("stream"):
        meta, *rest = good_stream("qs", OK)
        events = [("meta", {**meta[1], **ids}), *rest]
        play = sse(*(frame(name, data) for name, data in events))
    else:
        play = whole(200, {**generated_answer(OK), **ids})
    await play(stream)


@asynccontextmanager
async def qs(play: Play | None = None, **environ: str) -> AsyncIterator[Qs]:
    store, searched = MemoryStore(), list[str]()
    self: list[Upstream] = []
    upstream = Upstream(play or partial(answers, self))
    self.append(upstream)

    @asynccontextmanager
    async def open_app(
        program: Program, settings: QueryServiceSettings, client: httpx.AsyncClient
    ) -> AsyncIterator[HopApp]:
        async with keeping_in_memory(program, store) as keeping:
            yield make_qs(program, settings, client, Engine(searched), keeping)

    env = {"QS_LLM_URL": "http://next", **environ}
    async with open_stage(QueryServiceSettings, open_app, upstream=upstream, environ=env) as stage:
        yield Qs(stage, upstream, store, searched)


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, str(response.json()["error"]["code"])


def told(response: httpx.Response) -> str:
    """The session that an answer of either mode is of."""
    text = response.text
    data = text if text.startswith("{") else text.partition("data: ")[2].partition("\n")[0]
    return str(json.loads(data)["session_id"])


# What a question is part of.


@pytest.mark.parametrize("path", BOTH)
async def test_a_question_without_a_past_begins_a_session(
    autojump_clock: MockClock, path: str
) -> None:
    async with qs() as here:
        first, second = [told(await here.asks("Why?", path)) for _ in range(2)]
        assert first != second
        assert len(bytes.fromhex(first)) == 16
        assert await here.turns(first) == ["Why?"]


@pytest.mark.parametrize("path", BOTH)
async def test_a_session_is_continued_with_what_was_said(
    autojump_clock: MockClock, path: str
) -> None:
    async with qs() as here:
        session = await here.begun("What is APT?")
        answer = await here.asks("And dpkg?", path, session_id=session)
        assert told(answer) == session
        said = [(message.role, message.content) for message in here.asked().messages]
        assert said == [("user", "What is APT?"), ("assistant", TEXT), ("user", "And dpkg?")]
        assert await here.turns(session) == ["What is APT?", "And dpkg?"]


@pytest.mark.parametrize("failed", [11, 12, 40])
async def test_a_session_is_continued_with_what_was_said_when_much_has_failed_since(
    autojump_clock: MockClock, failed: int
) -> None:
    async with qs() as here:
        session = await here.begun("What is APT?")
        await trio.sleep(1)
        others = [
            a_turn(number, "gone", owner="", session_id=session, opens=False)
            for number in range(1, failed + 1)
        ]
        await here.store.put(others)
        await here.asks("And dpkg?", session_id=session)
        said = [message.content for message in here.asked().messages]
        assert said == ["What is APT?", TEXT, "And dpkg?"]


async def test_a_follow_up_question_is_searched_for_with_the_one_before(
    autojump_clock: MockClock,
) -> None:
    async with qs() as here:
        session = await here.begun("What is APT?")
        await here.asks("And how do I remove it?", session_id=session)
        assert here.searched == ["What is APT?", "remove apt", "And how do I remove it?"]
        assert here.asked().messages[-1].content == "And how do I remove it?"


@pytest.mark.parametrize("path", BOTH)
async def test_a_history_of_the_clients_own_is_stateless(
    autojump_clock: MockClock, path: str
) -> None:
    history = [{"role": "user", "content": "What is APT?"}, {"role": "assistant", "content": "It."}]
    async with qs() as here:
        answer = await here.asks("And how do I remove it?", path, history=history)
        assert told(answer) == "None"
        assert here.searched == ["remove apt", "And how do I remove it?"]
        assert [message.content for message in here.asked().messages[:2]] == ["What is APT?", "It."]
        request_id = answer.headers["x-request-id"]
        assert (await here.rate(request_id)).status_code == 204, "it is kept all the same"


async def test_history_beside_a_session_is_refused_at_both_places(
    autojump_clock: MockClock,
) -> None:
    async with qs() as here:
        history = [{"role": "user", "content": "a"}]
        response = await here.asks("Why?", session_id="a", history=history)
        assert code_of(response) == (400, "INPUT_INVALID")
        places = [detail["path"] for detail in response.json()["error"]["details"]]
        assert places == ["$.session_id", "$.history"]


@pytest.mark.parametrize("path", BOTH)
async def test_two_questions_at_once_are_both_kept(autojump_clock: MockClock, path: str) -> None:
    async with qs() as here:
        session = await here.begun("First?")
        async with trio.open_nursery() as nursery:
            for text in ("Second?", "Third?"):
                nursery.start_soon(partial(here.asks, text, path, session_id=session))
        turns = await here.turns(session)
        assert (turns[0], sorted(turns[1:])) == ("First?", ["Second?", "Third?"])


@asynccontextmanager
async def streaming(here: Qs, text: str, **more: object) -> AsyncIterator[str]:
    """A question whose answer has begun and goes on no further: the id of its session."""
    async with here.stage.client.stream(
        "POST", "http://hop/chat?stream=true", content=chat(text, **more), headers=JSON
    ) as response:
        pieces = ResponseBytes(response)
        try:
            data = (await pieces.next() or b"").decode().partition("data: ")[2]
            yield str(json.loads(data.partition("\n")[0])["session_id"])
        finally:
            await pieces.aclose(0)


async def test_a_session_can_be_continued_while_its_first_turn_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with qs(raw("hang")) as here, streaming(here, "First?") as session:
        assert (await here.read(session)).json()["turns"] == []
        answer = await here.asks("Second?", session_id=session, headers={"x-deadline-ms": "900"})
        assert answer.json()["reason_code"] == "HOP_TIMEOUT"
        assert await here.turns(session) == ["Second?"]


async def test_a_turn_that_its_client_left_is_shown_without_an_answer(
    autojump_clock: MockClock,
) -> None:
    async with qs(raw("hang")) as here:
        async with streaming(here, "First?") as session:
            pass
        await trio.sleep(1)
        (turn,) = decode((await here.read(session)).content, SessionResponse).turns
        assert (turn.status, turn.answer) == (None, None)
        assert turn.reason_code is ReasonCode.CLIENT_DISCONNECTED
        assert [source.chunk_id for source in turn.sources] == ["d#1", "d#2"]


async def test_a_session_erased_while_it_is_answered_stays_erased(
    autojump_clock: MockClock,
) -> None:
    async with qs() as here:
        session = await here.begun("First?")
        async with trio.open_nursery() as nursery:
            answered: list[httpx.Response] = []

            async def ask() -> None:
                answered.append(await here.asks("Second?", session_id=session))

            here.upstream.play = slowly(here.upstream.play)
            nursery.start_soon(ask)
            await trio.sleep(0.5)
            assert (await here.erase(session)).status_code == 204
        assert answered[0].json()["status"] == "ok", "it was taken, and is answered"
        await trio.sleep(1)
        assert code_of(await here.read(session)) == (404, "INPUT_NOT_FOUND")
        assert (here.store.sessions, here.store.turns) == ({}, {})


async def test_a_session_erased_while_its_first_turn_goes_on_stays_erased(
    autojump_clock: MockClock,
) -> None:
    async with qs(raw("hang")) as here:
        async with streaming(here, "First?") as session:
            assert (await here.erase(session)).status_code == 204
        await trio.sleep(1)
        assert code_of(await here.read(session)) == (404, "INPUT_NOT_FOUND")
        assert (here.store.sessions, here.store.turns) == ({}, {})


def slowly(play: Play) -> Play:
    async def later(stream: MemoryStream) -> None:
        await trio.sleep(1)
        await play(stream)

    return later


# Whose it is.


async def test_another_owners_session_is_as_unknown_as_none(autojump_clock: MockClock) -> None:
    async with qs() as here:
        hers = await here.begun("What is APT?", ALICE)
        gone = await here.begun("Why?", BOB)
        await here.erase(gone, BOB)
        refusals = set()
        for session in (hers, gone, "0" * 32, "nobody"):
            for path in BOTH:
                ask = await here.asks("And?", path, BOB, session_id=session)
                refusals.add((ask.status_code, json.dumps(ask.json()["error"])))
            for response in (await here.read(session, BOB), await here.erase(session, BOB)):
                refusals.add((response.status_code, json.dumps(response.json()["error"])))
        assert len(refusals) == 1
        assert refusals.pop()[0] == 404
        assert (await here.asks("And?", headers=ALICE, session_id=hers)).status_code == 200
        assert (await here.read(hers, ALICE)).json()["turns"][0]["request_id"]


async def test_only_its_asker_rates_an_answer(autojump_clock: MockClock) -> None:
    async with qs() as here:
        await here.asks("Why?", headers=ALICE, request_id="r-1")
        assert code_of(await here.rate("r-1", BOB)) == (404, "INPUT_NOT_FOUND")
        assert code_of(await here.rate("r-2", ALICE)) == (404, "INPUT_NOT_FOUND")
        assert (await here.rate("r-1", ALICE)).status_code == 204


async def test_a_callers_own_key_is_part_of_whose_a_session_is(autojump_clock: MockClock) -> None:
    async with qs(QS_API_KEYS="one-key,two-key") as here:
        one, two = [{**ALICE, "x-api-key": key} for key in ("one-key", "two-key")]
        session = await here.begun("Why?", one)
        assert (await here.read(session, one)).status_code == 200
        assert code_of(await here.read(session, two)) == (404, "INPUT_NOT_FOUND")
        alone = {"x-api-key": "one-key"}
        assert code_of(await here.read(session, alone)) == (404, "INPUT_NOT_FOUND")
        assert code_of(await here.read(session, ALICE)) == (401, "INPUT_UNAUTHORIZED")


@pytest.mark.parametrize("owner", ["", "A" * 16, "a" * 15, "a" * 65, "g" * 16, "a" * 16 + " b"])
async def test_an_owner_that_is_none_is_refused_before_a_body_is_read(
    autojump_clock: MockClock, owner: str
) -> None:
    async with qs() as here:
        headers = {"x-session-owner": owner}
        for response in (
            await here.stage.post(b"{", "/chat", headers),
            await here.stage.post(b"{", "/feedback", headers),
            await here.read("a", headers),
            await here.erase("a", headers),
        ):
            assert code_of(response) == (400, "INPUT_INVALID")
            assert response.json()["error"]["details"][0]["path"] == "x-session-owner"


async def test_two_owners_are_refused(autojump_clock: MockClock) -> None:
    async with qs() as here:
        two = [("x-session-owner", "a" * 16), ("x-session-owner", "a" * 16)]
        response = await here.stage.client.get("http://hop/sessions/a", headers=two)
        assert code_of(response) == (400, "INPUT_INVALID")


# Reading, erasing, rating.


async def test_a_session_is_shown_as_it_was_answered(autojump_clock: MockClock) -> None:
    async with qs() as here:
        answer = (await here.asks("What is APT?", request_id="r-7")).json()
        response = await here.read(answer["session_id"], {"x-request-id": "r-8"})
        body = decode(response.content, SessionResponse)
        assert (body.request_id, body.session_id) == ("r-8", answer["session_id"])
        assert response.headers["x-request-id"] == "r-8"
        (turn,) = response.json()["turns"]
        for key in ("status", "answer", "citations", "sources", "model", "next_action"):
            assert turn[key] == answer[key]
        assert (turn["request_id"], turn["feedback"]) == ("r-7", None)
        assert body.created_at == body.turns[0].asked_at


async def test_feedback_is_shown_and_given_again_replaces(autojump_clock: MockClock) -> None:
    async with qs() as here:
        session = str((await here.asks("Why?", request_id="r-1")).json()["session_id"])
        await here.rate("r-1", comment="Good.")
        await here.rate("r-1", rating="down")
        (turn,) = (await here.read(session)).json()["turns"]
        assert turn["feedback"] == {"rating": "down", "comment": None}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"rating": "sideways"}, "$.rating"),
        ({"comment": ""}, "$.comment"),
        ({"comment": None}, "$.comment"),
        ({"comment": "x" * 1_001}, "$.comment"),
        ({"request_id": "a b"}, "$.request_id"),
        ({"colour": "red"}, "$.colour"),
    ],
)
async def test_feedback_outside_the_contract_is_refused(
    autojump_clock: MockClock, change: dict[str, object], path: str
) -> None:
    async with qs() as here:
        response = await here.rate(**{"request_id": "r-1", **change})  # type: ignore[arg-type]
        assert code_of(response) == (400, "INPUT_INVALID")
        assert [detail["path"] for detail in response.json()["error"]["details"]] == [path]


async def test_an_erased_session_is_nowhere(autojump_clock: MockClock) -> None:
    async with qs() as here:
        session = await here.begun("Why?")
        erased = await here.erase(session)
        assert (erased.status_code, erased.content) == (204, b"")
        assert code_of(await here.erase(session)) == (404, "INPUT_NOT_FOUND")
        assert code_of(await here.read(session)) == (404, "INPUT_NOT_FOUND")
        assert code_of(await here.asks("And?", session_id=session)) == (404, "INPUT_NOT_FOUND")
        assert (here.store.sessions, here.store.turns) == ({}, {})


async def test_head_shows_that_a_session_is_there(autojump_clock: MockClock) -> None:
    async with qs() as here:
        session = await here.begun("Why?")
        head = await here.stage.client.head(f"http://hop/sessions/{session}")
        assert (head.status_code, head.content) == (200, b"")


async def test_no_log_names_a_session(autojump_clock: MockClock) -> None:
    async with qs() as here:
        session = await here.begun("Why?")
        await here.read(session)
        await here.erase(session)
        await here.asks("And?", session_id=session)
        assert session not in here.stage.out.getvalue()


# A store that fails.


@pytest.mark.parametrize("path", BOTH)
async def test_a_store_that_is_down_ends_a_continuing_question_in_a_fallback(
    autojump_clock: MockClock, path: str
) -> None:
    async with qs() as here:
        session = await here.begun("Why?")
        await trio.sleep(1)
        here.store.fault = DOWN
        answer = await here.asks("And?", path, session_id=session)
        assert answer.status_code == 200
        assert told(answer) == session
        assert '"reason_code":"STORE_UNAVAILABLE"' in answer.text
        assert len(here.upstream.asked) == 1, "no model was asked"
        new = await here.asks("Why?", path)
        assert '"status":"ok"' in new.text
        assert '"status":"ok"' in (await here.asks("And?", path, session_id=told(new))).text, (
            "what has not been moved can be read"
        )
        here.store.fault = None
        await trio.sleep(10)
        assert await here.turns(session) == ["Why?"]
        kept = sorted(turn.asked.question for turn in here.store.turns.values())
        assert kept == ["And?", "And?", "Why?", "Why?"], "and none is lost"


async def test_a_store_that_is_down_is_an_error_elsewhere(autojump_clock: MockClock) -> None:
    async with qs() as here:
        session = await here.begun("Why?")
        await trio.sleep(1)
        here.store.fault = DOWN
        for response in (
            await here.read(session),
            await here.erase(session),
            await here.rate("r-1"),
        ):
            assert code_of(response) == (503, "STORE_UNAVAILABLE")


async def test_a_part_of_a_session_is_not_shown_for_the_whole(autojump_clock: MockClock) -> None:
    async with qs() as here:
        session = await here.begun("First?")
        await trio.sleep(1)
        here.store.fault = DOWN
        again = await here.begun("Other?")
        assert code_of(await here.read(again)) == (503, "STORE_UNAVAILABLE")
        here.store.fault = None
        await trio.sleep(10)
        assert await here.turns(session) == ["First?"]


async def test_a_store_that_is_silent_has_its_limit(autojump_clock: MockClock) -> None:
    async with qs(QS_STORE_TIMEOUT_MS="300") as here:
        session = await here.begun("Why?")
        await trio.sleep(1)
        here.store.silent_s = 60.0
        began = trio.current_time()
        answer = await here.asks("And?", session_id=session)
        assert answer.json()["reason_code"] == "STORE_UNAVAILABLE"
        assert code_of(await here.read(session)) == (503, "STORE_UNAVAILABLE")
        assert trio.current_time() - began == pytest.approx(0.6)
