"""The whole chain on a virtual clock: one question through BFF, QS, LLMGW and the fake."""

import json
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour
from harness.world import World, chat_body, hits_of, open_world

QUESTION = "How do I find out which package a file belongs to?"
PASSAGES = hits_of(
    "Run `dpkg -S filename` to find out which package a file belongs to.",
    "The apt tool installs a package from a repository.",
)
RESPONSE_KEYS = {
    "version", "trace_id", "request_id", "session_id", "status", "reason_code", "message_key",
    "answer", "citations", "sources", "next_action", "retry_after_ms", "model", "usage",
    "timings_ms",
}  # fmt: skip


def data_of(events: list[tuple[str, dict[str, object]]], name: str) -> dict[str, object]:
    (data,) = [data for event, data in events if event == name]
    return data


def ids_in(items: object) -> list[str]:
    return [item["chunk_id"] for item in cast(list[dict[str, str]], items)]


def code_of(reply: dict[str, object]) -> object:
    return reply["reason_code"]


async def test_a_plain_question_is_answered_with_proved_citations(
    autojump_clock: MockClock,
) -> None:
    async with open_world(PASSAGES) as world:
        response = await world.ask(QUESTION)
        reply = response.json()
    assert response.status_code == 200
    assert set(reply) == RESPONSE_KEYS
    assert (reply["status"], reply["reason_code"]) == ("ok", None)
    assert "dpkg -S filename" in reply["answer"]["content"]
    assert ids_in(reply["citations"]) == ["doc-1#1"]
    assert reply["citations"][0]["title"] == "Title 1"
    assert set(ids_in(reply["citations"])) <= set(ids_in(reply["sources"]))


async def test_a_streamed_question_arrives_in_order_and_over_time(
    autojump_clock: MockClock,
) -> None:
    times = []
    async with open_world(PASSAGES) as world, world.stream(QUESTION) as events:
        seen = []
        while (event := await events.next()) is not None:
            seen.append(event)
            times.append(trio.current_time())
    names = [name for name, _ in seen]
    assert names[:3] == ["meta", "sources", "citations"]
    assert names[-1] == "done"
    assert names.count("delta") > 3
    assert set(names[3:-1]) == {"delta"}
    assert len(set(times[3:-1])) > 3, "deltas arrive over time"
    assert data_of(seen, "done")["status"] == "ok"
    text = "".join(cast(str, data["delta"]) for name, data in seen if name == "delta")
    assert "dpkg -S filename" in text
    cited = ids_in(data_of(seen, "citations")["citations"])
    assert set(cited) <= set(ids_in(data_of(seen, "sources")["sources"]))


@pytest.mark.parametrize("variable", ["LLM_STREAM_ENABLED", "QS_CHAT_STREAM_ENABLED"])
async def test_a_stream_has_one_delta_when_an_inner_hop_does_not_stream(
    autojump_clock: MockClock, variable: str
) -> None:
    environ = {variable: "false"}
    async with open_world(PASSAGES, environ=environ) as world, world.stream(QUESTION) as events:
        names = [name for name, _ in await events.rest()]
    assert names == ["meta", "sources", "citations", "delta", "done"]


async def test_the_toy_answers_when_there_is_no_model_server(autojump_clock: MockClock) -> None:
    environ = {"LLM_PROVIDER": "toy"}
    async with open_world(PASSAGES, environ=environ, only=("llmgw", "qs", "bff")) as world:
        reply = (await world.ask(QUESTION)).json()
    assert reply["status"] == "ok"
    assert ids_in(reply["citations"]) == ["doc-1#1"]


async def test_plain_text_without_citations_when_none_are_required(
    autojump_clock: MockClock,
) -> None:
    async with open_world(PASSAGES, environ={"LLM_PROVIDER": "toy"}) as world:
        async with world.stream(QUESTION, options={"citations_required": False}) as events:
            seen = await events.rest()
        plain = (await world.ask(QUESTION, options={"citations_required": False})).json()
    assert "citations" not in [name for name, _ in seen]
    assert data_of(seen, "done")["status"] == "ok"
    assert (plain["status"], plain["citations"]) == ("ok", [])


async def test_the_model_servers_wish_reaches_the_client(autojump_clock: MockClock) -> None:
    behaviour = Behaviour(scenario="status-429-retry-after?for=20s")
    async with open_world(PASSAGES, behaviour=behaviour) as world:
        plain = (await world.ask(QUESTION)).json()
        async with world.stream(QUESTION) as events:
            streamed = data_of(await events.rest(), "done")
    for told in (plain, streamed):
        assert (code_of(told), told["retry_after_ms"]) == ("PROVIDER_RATE_LIMITED", 20_000)


async def test_nothing_found_ends_without_a_model_call(autojump_clock: MockClock) -> None:
    async with open_world([]) as world:
        reply = (await world.ask(QUESTION)).json()
        asked = list(world.fake.journal.entries)
    assert (reply["status"], code_of(reply)) == ("fallback", "RAG_NO_CHUNKS")
    assert reply["next_action"] == "REFINE_QUERY"
    assert reply["citations"] == []
    assert asked == []


async def test_nothing_good_enough_shows_what_was_searched(autojump_clock: MockClock) -> None:
    async with open_world(hits_of("Something else.", score=0.01)) as world:
        reply = (await world.ask(QUESTION)).json()
    assert code_of(reply) == "RAG_LOW_SCORE"
    assert ids_in(reply["sources"]) == ["doc-1#1"]


async def test_a_question_about_nothing_in_the_passages_is_abstained_from(
    autojump_clock: MockClock,
) -> None:
    off_topic = "What is the capital of Mongolia?"
    async with open_world(PASSAGES) as world, world.stream(off_topic) as events:
        seen = await events.rest()
    assert [name for name, _ in seen] == ["meta", "sources", "error", "done"]
    assert code_of(data_of(seen, "done")) == "MODEL_ABSTAINED"


DEAD = [
    (("llmgw", "qs", "bff"), "PROVIDER_UNREACHABLE"),
    (("qs", "bff"), "HOP_UNREACHABLE"),
    (("bff",), "HOP_UNREACHABLE"),
]


@pytest.mark.parametrize(("alive", "code"), DEAD)
async def test_a_dead_part_is_a_fallback_in_both_modes(
    autojump_clock: MockClock, alive: tuple[str, ...], code: str
) -> None:
    async with open_world(PASSAGES, only=alive) as world:
        plain = (await world.ask(QUESTION)).json()
        async with world.stream(QUESTION) as events:
            seen = await events.rest()
    assert code_of(plain) == code
    assert plain["answer"]["content"] == ReasonCode[code].text
    assert [name for name, _ in seen][-2:] == ["error", "done"]
    assert code_of(data_of(seen, "done")) == code


async def test_the_search_over_its_limit_is_a_fallback_at_that_moment(
    autojump_clock: MockClock,
) -> None:
    async with open_world(PASSAGES) as world:
        world.retriever.delay_s = 60
        began = trio.current_time()
        reply = (await world.ask(QUESTION)).json()
        took = trio.current_time() - began
    assert code_of(reply) == "RAG_TIMEOUT"
    assert took == pytest.approx(1.5)


async def test_one_request_id_and_trace_id_are_in_the_logs_of_all_three(
    autojump_clock: MockClock,
) -> None:
    headers = {
        "x-request-id": "one-call",
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
    }
    async with open_world(PASSAGES) as world:
        response = await world.client.post(
            "http://bff/chat", json=chat_body(QUESTION), headers=headers
        )
        ended = {name: running.ended() for name, running in world.programs.items()}
    assert response.headers["x-request-id"] == "one-call"
    assert response.json()["trace_id"] == "ab" * 16
    for name in ("bff", "qs", "llmgw"):
        (line,) = ended[name]
        assert (line["request_id"], line["trace_id"]) == ("one-call", "ab" * 16)
        assert line["status"] == "ok"


async def test_no_text_of_question_or_answer_is_in_any_log(autojump_clock: MockClock) -> None:
    async with open_world(PASSAGES) as world:
        await world.ask(QUESTION)
        async with world.stream("What is the capital of Mongolia?") as events:
            await events.rest()
        logged = "".join(running.out.getvalue() for running in world.programs.values())
    for text in ("dpkg", "belongs", "Mongolia", "Title 1"):
        assert text not in logged


async def test_question_and_reply_are_logged_when_log_content_asks_for_it(
    autojump_clock: MockClock,
) -> None:
    async with open_world(PASSAGES, environ={"LOG_CONTENT": "true"}) as world:
        await world.ask(QUESTION)
        asked = [line["content"] for line in world.programs["qs"].lines() if "content" in line]
        wrote = [line["content"] for line in world.programs["llmgw"].lines() if "content" in line]
    assert asked == [QUESTION]
    assert "dpkg -S filename" in "".join(cast(list[str], wrote))


async def test_tokens_are_counted(autojump_clock: MockClock) -> None:
    async with open_world(PASSAGES) as world:
        usage = (await world.ask(QUESTION)).json()["usage"]
        exposed = world.programs["llmgw"].program.metrics.exposition().decode()
    for kind in ("prompt", "completion"):
        expected = f'bsl_tokens_total{{kind="{kind}",service="llmgw"}} {usage[f"{kind}_tokens"]}.0'
        assert expected in exposed


async def left_alone(world: World) -> None:
    """Wait, in no time, until every hop has felt the leaving; then nothing may be open."""
    await trio.sleep(0.25)
    assert [link.host for link in world.network.links] == []
    for running in world.programs.values():
        assert running.program.drain.live == 0


LEAVING_EVENTS = ["meta", "sources", "citations", "delta"]


@pytest.mark.parametrize("last", LEAVING_EVENTS)
async def test_a_client_that_leaves_is_felt_at_once_on_every_hop(
    autojump_clock: MockClock, last: str
) -> None:
    async with open_world(PASSAGES) as world:
        async with world.stream(QUESTION) as events:
            while (event := await events.next()) is not None and event[0] != last:
                pass
        left_at = trio.current_time()
        await world.client.aclose()
        await left_alone(world)
        ended = {name: running.ended() for name, running in world.programs.items()}
        journal = list(world.fake.journal.entries)
    for name in ("bff", "qs", "llmgw"):
        codes = {line["reason_code"] for line in ended[name]}
        assert codes <= {"CLIENT_DISCONNECTED"}, (name, ended[name])
    for entry in journal:
        assert entry.client_left_at is not None
        assert entry.client_left_at - left_at <= 0.001


async def test_an_event_stream_carries_its_headers(autojump_clock: MockClock) -> None:
    async with open_world(PASSAGES) as world, world.stream(QUESTION) as events:
        headers = events.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"
        assert "x-request-id" in headers
        await events.rest()


BAD = [
    (b"{}", "$.message", 400),
    (b"[]", "$", 400),
    (b"\xff\xfe", "$", 400),
    (b'{"message": {"role": "user", "content": 1}}', "$.message.content", 400),
    (b'{"message": {"role": "user", "content": "x"}, "session_id": null}', "$.session_id", 400),
    (b'{"message": {"role": "user", "content": "x"}, "x": 1}', "$.x", 400),
]


@pytest.mark.parametrize(("body", "path", "status"), BAD)
async def test_bad_input_names_its_place_and_the_next_request_is_served(
    autojump_clock: MockClock, body: bytes, path: str, status: int
) -> None:
    async with open_world(PASSAGES) as world:
        response = await world.client.post(
            "http://bff/chat", content=body, headers={"content-type": "application/json"}
        )
        again = await world.ask(QUESTION)
    assert response.status_code == status
    error = response.json()["error"]
    assert path in [detail["path"] for detail in error["details"]]
    assert again.json()["status"] == "ok"


async def test_an_unknown_session_stays_404_through_the_bff(autojump_clock: MockClock) -> None:
    async with open_world(PASSAGES) as world:
        response = await world.ask(QUESTION, session_id="nobody")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "INPUT_NOT_FOUND"


async def test_a_deadline_of_the_caller_is_kept(autojump_clock: MockClock) -> None:
    async with open_world(PASSAGES) as world:
        world.retriever.delay_s = 60
        began = trio.current_time()
        response = await world.client.post(
            "http://bff/chat", json=chat_body(QUESTION), headers={"x-deadline-ms": "1000"}
        )
        took = trio.current_time() - began
    assert code_of(response.json()) == "RAG_TIMEOUT"
    assert took == pytest.approx(0.75), "QS speaks one margin before the BFF would"


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [("soon", 400, "INPUT_INVALID"), ("-1", 400, "INPUT_INVALID"),
     ("0", 504, "ADMISSION_DEADLINE_EXPIRED")],
)  # fmt: skip
async def test_an_unusable_deadline_is_refused(
    autojump_clock: MockClock, value: str, status: int, code: str
) -> None:
    async with open_world(PASSAGES) as world:
        response = await world.client.post(
            "http://bff/chat", json=chat_body(QUESTION), headers={"x-deadline-ms": value}
        )
    assert response.status_code == status
    assert json.loads(response.content)["error"]["code"] == code


async def test_the_chain_asks_for_the_model_it_is_set_to(autojump_clock: MockClock) -> None:
    """The bytes of a question reach the model server by way of the settings alone."""
    async with open_world(PASSAGES, environ={"QS_LLM_MODEL": "fake:status-503-busy"}) as world:
        reply = (await world.ask(QUESTION)).json()
    assert code_of(reply) == "PROVIDER_OVERLOADED"
