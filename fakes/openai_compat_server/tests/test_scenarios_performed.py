"""Goal: every scenario is performed, and does to the bytes exactly what its row says.

Method: each is asked for over a connection in memory on a virtual clock, in both modes; what the
client sees is held against the plan, against the ordinary answer, and, for each fault, against
what its row promises, in a table of its own.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Mapping

import anyio
import pytest
import trio
import trio.testing
from anyio.streams.stapled import StapledObjectStream
from attrs import evolve, frozen

from fakes.openai_compat_server import (
    Behaviour,
    Ending,
    Fake,
    Latency,
    Plan,
    plan_response,
    serve_stream,
)
from fakes.openai_compat_server.catalogue import CATALOGUE, FAMILIES
from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.scenario import Face
from fakes.openai_compat_server.tests.fake_client import (
    chat,
    dechunked,
    framed,
    on_the_wire,
    posted,
)
from harness.memory_stream import MemoryStream, memory_pair

SCHEMA: dict[str, object] = {"properties": {"citations": {}, "answer": {}}}
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
PROMPT = framed(
    "How do I find out which package a file belongs to?",
    "Run `dpkg -S filename` to find out which package a file belongs to.",
)
CALM = Behaviour(latency=Latency(0.1, 0.01))
AN_HOUR_S = 3_600
PERFORMED = [name for name, row in CATALOGUE.items() if row.face is Face.ANSWER]
FAULTS = [row.name for family, rows in FAMILIES.items() if family != "content" for row in rows]
BY_LISTENERS = {
    "accept-close": Ending.CLOSE,
    "accept-reset": Ending.RESET,
    "accept-silence": Ending.SILENCE,
}


def asked(scenario: str, stream: bool) -> dict[str, object]:
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    return {
        **chat(PROMPT, response_format=FORM, stream=stream, **usage),
        "model": f"fake:{scenario}" if scenario else "m",
    }


@frozen
class Seen:
    """What a client got, how the connection went on, and how long that took."""

    data: bytes
    ending: Ending
    took_s: float

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def events(self) -> list[bytes]:
        return dechunked(self.body).split(b"\n\n")[:-1]


async def received(client: MemoryStream, until_bytes: int) -> tuple[bytes, Ending]:
    """What comes until the connection ends, or, all being there, keeps silent for an hour."""
    data = bytearray()
    with trio.move_on_after(AN_HOUR_S + 2_000):
        try:
            while len(data) < until_bytes or until_bytes == 0:
                part = await client.receive_some()
                if not part:
                    return bytes(data), Ending.CLOSE
                data += part
        except trio.BrokenResourceError:
            return bytes(data), Ending.RESET
        return bytes(data), Ending.KEEP
    return bytes(data), Ending.SILENCE


async def seen(nursery: trio.Nursery, scenario: str, stream: bool) -> Seen:
    plan = plan_of(scenario, stream)
    client, server = memory_pair()
    nursery.start_soon(serve_trio_stream, server, Fake(CALM))
    began = trio.current_time()
    await client.send_all(on_the_wire(asked(scenario, stream)))
    keeps = plan.ending is Ending.KEEP
    data, ending = await received(client, plan.size_bytes if keeps else 0)
    took_s = trio.current_time() - began
    await client.aclose()
    return Seen(data, ending, took_s)


def plan_of(scenario: str, stream: bool, behaviour: Behaviour = CALM) -> Plan:
    return plan_response(behaviour, posted(asked(scenario, stream)))


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
@pytest.mark.parametrize("name", PERFORMED)
async def test_a_client_sees_the_plan_and_nothing_else(
    name: str, stream: bool, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    plan = plan_of(name, stream)
    assert plan == plan_of(name, stream), "the same request has the same plan"
    result = await seen(nursery, name, stream)
    assert result.ending is plan.ending
    if plan.ending is Ending.RESET:
        # A reset overtakes what is under way.
        assert b"".join(step.data for step in plan.steps).startswith(result.data)
        return
    assert result.data == b"".join(step.data for step in plan.steps)
    if plan.ending is not Ending.SILENCE:
        assert result.took_s == pytest.approx(sum(step.delay_s for step in plan.steps))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", [name for name in PERFORMED if name in FAULTS])
def test_a_fault_shows_in_every_dialect_and_only_in_its_modes(name: str, dialect: str) -> None:
    behaviour = evolve(CALM, dialect=DIALECTS[dialect])
    ends = CATALOGUE[name].ends
    for stream, end in ((True, ends.streaming), (False, ends.plain)):
        request = posted({**asked(name, stream), "model": "m"})
        changed = plan_response(evolve(behaviour, scenario=name), request) != plan_response(
            behaviour, request
        )
        # Lines end with LF anyway: that row is there to be exercised with its siblings.
        assert changed == (end is not None and name != "lf-lines")


@pytest.mark.parametrize("name", BY_LISTENERS)
async def test_a_listener_does_it_before_the_first_request(
    name: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client, server = memory_pair()
    fake = Fake(evolve(CALM, scenario=name))
    nursery.start_soon(serve_trio_stream, server, fake)
    await trio.testing.wait_all_tasks_blocked()
    assert await received(client, 0) == (b"", BY_LISTENERS[name])
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert fake.journal.entries[0].request_line == "(connected)"


async def test_a_late_listener_serves_when_it_has_looked(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client, server = memory_pair()
    nursery.start_soon(serve_trio_stream, server, Fake(evolve(CALM, scenario="slow-accept?for=9s")))
    await client.send_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await client.receive_some()).startswith(b"HTTP/1.1 200 OK")
    assert trio.current_time() == 9


def data_of(events: list[bytes]) -> list[dict[str, object]]:
    return [json.loads(e.removeprefix(b"data: ")) for e in events if e.startswith(b"data: {")]


def status(number: int) -> "Check":
    return lambda it, _: it.data.startswith(b"HTTP/1.1 %d " % number)


def refusal(number: int, saying: bytes) -> "Check":
    """That status, a JSON error that says so, and a length that is true."""
    length = re.compile(rb"\r\ncontent-length: (\d+)\r\n")

    def check(it: Seen, _: Seen) -> bool:
        found = length.search(it.data)
        assert found
        assert int(found[1]) == len(it.body)
        assert "error" in json.loads(it.body)
        return it.data.startswith(b"HTTP/1.1 %d " % number) and saying in it.body

    return check


def declared(it: Seen) -> int:
    found = re.search(rb"\r\ncontent-length: (\d+)\r\n", it.data)
    assert found
    return int(found[1])


def cut_after(it: Seen, usual: Seen, tail: bytes) -> bool:
    """The head, five events as they would have been, and then this."""
    assert it.data.endswith(tail)
    body = it.body[: len(it.body) - len(tail)] + b"0\r\n\r\n"
    return dechunked(body).count(b"\n\n") == 5


def finished(it: Seen, reason: str | None) -> bool:
    *_, finish, usage = data_of(it.events)
    return choice(finish)["finish_reason"] == reason and usage["choices"] == []


def choice(frame: Mapping[str, object]) -> dict[str, object]:
    choices = frame["choices"]
    assert isinstance(choices, list)
    return dict(choices[0])


def deltas(it: Seen) -> list[dict[str, object]]:
    choices = [choice(frame) for frame in data_of(it.events) if frame["choices"]]
    return [dict(one["delta"]) for one in choices]  # type: ignore[call-overload]  # a frame's delta is an object


def text(it: Seen) -> str:
    return "".join(str(delta.get("content") or "") for delta in deltas(it))


def half_gunzipped(it: Seen) -> bytes:
    with pytest.raises(EOFError):
        gzip.decompress(dechunked(it.body))
    return zlib.decompressobj(31).decompress(dechunked(it.body))


Check = Callable[[Seen, Seen], bool]
_DONE = b"data: [DONE]"
# What a streaming client sees; the second of each pair is the ordinary answer.
SHOWN: Mapping[str, Check] = {
    "reset-before-bytes": lambda it, _: it.data == b"",
    "close-before-bytes": lambda it, _: it.data == b"",
    "silence": lambda it, _: it.data == b"" and it.took_s > AN_HOUR_S,
    "reset-mid-stream": lambda it, _: b"[DONE]" not in it.data,
    "close-mid-stream": lambda it, usual: cut_after(it, usual, b""),
    "half-status-line": lambda it, _: it.data == b"HTTP/1.1 2",
    "half-headers": lambda it, _: it.data.startswith(b"HTTP/1.1 200 OK\r\n") and not it.body,
    "status-400": refusal(400, b"Unsupported value"),
    "status-401": refusal(401, b"invalid_api_key"),
    "status-403": refusal(403, b"not supported"),
    "status-404": refusal(404, b"model_not_found"),
    "status-408": refusal(408, b"timeout"),
    "status-413": refusal(413, b"too large"),
    "status-422": refusal(422, b"Unprocessable"),
    "status-429": lambda it, _: status(429)(it, it) and b"retry-after" not in it.data,
    "status-429-retry-after": lambda it, _: b"\r\nretry-after: 2\r\n" in it.data,
    "status-500": refusal(500, b"error"),
    "status-502": refusal(502, b"Bad gateway"),
    "status-503-busy": refusal(503, b"overloaded"),
    "status-503-loading": refusal(503, b"Loading model"),
    "status-504": refusal(504, b"Gateway timeout"),
    "context-overflow": refusal(400, b"context_length_exceeded"),
    "error-as-string": lambda it, _: it.body == b'"Internal Server Error"',
    "error-as-html": lambda it, _: status(502)(it, it) and it.body.startswith(b"<html>"),
    "status-302": lambda it, _: status(302)(it, it) and b"\r\nlocation: /login\r\n" in it.data,
    "status-204": lambda it, _: it.data == b"HTTP/1.1 204 No Content\r\n\r\n",
    "status-101": lambda it, _: status(101)(it, it) and it.body == b"",
    "wrong-content-type": lambda it, _: b"\r\ncontent-type: text/plain" in it.data,
    "short-content-length": lambda it, _: declared(it) == len(it.body) // 2,
    "long-content-length": lambda it, _: declared(it) == len(it.body) + 1_000,
    "chunk-size-garbage": lambda it, usual: cut_after(it, usual, b"zz, not a size\r\n"),
    "chunk-cut": lambda it, usual: cut_after(it, usual, b"400\r\ndata: {"),
    "no-final-chunk": lambda it, _: it.data.endswith(_DONE + b"\n\n\r\n"),
    "gzip-truncated": lambda it, _: half_gunzipped(it).startswith(b"data: {"),
    "long-headers": lambda it, _: 90_000 < len(it.data) - len(it.body) < 90_300,
    "interim-responses": lambda it, _: it.data.count(b"HTTP/1.1 103 Early Hints\r\n") == 1_000,
    "no-done": lambda it, _: _DONE not in it.data and finished(it, "stop"),
    "done-twice": lambda it, _: it.events[-2:] == [_DONE, _DONE],
    "events-after-done": lambda it, _: it.events[it.events.index(_DONE) + 1 :] == it.events[
        : len(it.events) - it.events.index(_DONE) - 1
    ],
    "error-then-done": lambda it, _: b'"error"' in it.events[-2] and it.events[-1] == _DONE,
    "error-then-eof": lambda it, _: b'data: {"error"' in it.events[-1] and len(it.events) == 6,
    "error-line": lambda it, _: it.events[-1].startswith(b'error: {"error"'),
    "empty-delta-then-eof": lambda it, _: deltas(it)[-1] == {"content": ""}
    and len(it.events) == 6,
    "cr-lines": lambda it, _: dechunked(it.body).endswith(_DONE + b"\r\r"),
    "lf-lines": lambda it, _: it.events[-1] == _DONE and b"\r" not in dechunked(it.body),
    "crlf-lines": lambda it, _: dechunked(it.body).endswith(_DONE + b"\r\n\r\n"),
    "no-space": lambda it, _: dechunked(it.body).startswith(b'data:{"id"'),
    "multi-line-data": lambda it, _: it.events[0].startswith(b'data: {\ndata:  "id"'),
    "no-final-blank-line": lambda it, _: dechunked(it.body).endswith(b"\n\n" + _DONE + b"\n"),
    "bom": lambda it, _: dechunked(it.body).startswith(b"\xef\xbb\xbfdata: {"),
    "line-separator": lambda it, _: text(it).count("\u2028") == 1,
    "utf8-split": lambda it, _: "é—😀" in text(it) and b"\r\n1\r\n\xf0\r\n1\r\n\x9f\r\n" in it.data,
    "invalid-utf8": lambda it, _: it.events[5].startswith(b'data: {"id":"\xff'),
    "invalid-json": lambda it, _: not it.events[5].endswith(b"}"),
    "half-character": lambda it, _: b'"content":"\\ud800' in it.events[5],
    "huge-event": lambda it, _: 10_000_000 < len(it.events[5]) < 10_001_000,
    "byte-writes": lambda it, _: it.events[-1] == _DONE,
    "one-write": lambda it, _: it.events[-1] == _DONE,
    "no-finish": lambda it, _: finished(it, None) and it.events[-1] == _DONE,
    "content-after-finish": lambda it, _: deltas(it)[-1] == {"content": " And"},
    "finish-length": lambda it, _: finished(it, "length"),
    "finish-content-filter": lambda it, _: finished(it, "content_filter"),
    "finish-unknown": lambda it, _: finished(it, "tired"),
    "refusal": lambda it, _: deltas(it)[-1]["refusal"] == "I can not help with that.",
    "tool-call": lambda it, _: "tool_calls" in deltas(it)[-1] and finished(it, "tool_calls"),
    "no-content": lambda it, _: text(it) == "" and finished(it, "stop"),
    "no-choices": lambda it, _: data_of(it.events)[0]["choices"] == [],
    "null-content": lambda it, _: deltas(it)[0] == {"content": None},
    "index-1": lambda it, _: choice(data_of(it.events)[0])["index"] == 1,
    "no-role": lambda it, usual: b'"role"' not in it.data and b'"role"' in usual.data,
    "only-reasoning": lambda it, _: text(it) == "" and b'"reasoning_content":"' in it.data,
    "changing-ids": lambda it, _: len({f["id"] for f in data_of(it.events)}) == len(it.events) - 1,
    "no-usage": lambda it, _: b'"usage"' not in it.data,
    "small-usage": lambda it, _: b'"prompt_tokens":1,' in it.events[-2],
    "slow-first-token": lambda it, _: 30 <= it.took_s < 31,
    "cold-load": lambda it, _: 30 <= it.took_s < 31,
    "stall": lambda it, _: 30 <= it.took_s < 31,
    "slow-drip": lambda it, _: it.took_s == pytest.approx(4 * len(it.events)),
    "endless": lambda it, usual: text(it) == "Well, let me see. " * 3000 + text(usual),
    "heartbeats-only": lambda it, _: it.events[:600] == [b": still here"] * 600,
    "heartbeats-hide-stall": lambda it, _: it.events[5:605] == [b": still here"] * 600,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wait", "header"),
    [("500ms", 1), ("1s", 1), ("1001ms", 2), ("1.5s", 2), ("9000ms", 9), ("1m", 60), ("0s", 0)],
)
def test_retry_after_is_never_shorter_than_asked_for(wait: str, header: int) -> None:
    plan = plan_of(f"status-429-retry-after?for={wait}", stream=False)
    assert b"\r\nretry-after: %d\r\n" % header in plan.steps[0].data


def test_no_fault_goes_unobserved() -> None:
    assert set(SHOWN) == {name for name in FAULTS if name in PERFORMED}


@pytest.mark.parametrize("name", SHOWN)
async def test_a_fault_is_what_its_row_says(
    name: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    assert SHOWN[name](await seen(nursery, name, True), await seen(nursery, "", True))


@pytest.mark.parametrize(("name", "steps"), [("byte-writes", None), ("one-write", 1)])
def test_writes_are_cut_and_joined_without_a_change_to_the_bytes(
    name: str, steps: int | None
) -> None:
    request = posted(asked("", True))
    ordinary = plan_response(CALM, request)
    plan = plan_response(evolve(CALM, scenario=name), request)
    data = b"".join(step.data for step in plan.steps)
    assert data == b"".join(step.data for step in ordinary.steps)
    assert len(plan.steps) == (steps or len(data))


async def test_a_reset_is_a_close_where_a_stream_has_none() -> None:
    """Anyio's own memory streams know no reset."""
    to_server, at_server = anyio.create_memory_object_stream[bytes](100)
    to_client, at_client = anyio.create_memory_object_stream[bytes](100)
    client = StapledObjectStream(to_server, at_client)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_stream, StapledObjectStream(to_client, at_server), Fake(CALM))
        await client.send(on_the_wire(asked("reset-before-bytes", True)))
        with pytest.raises(anyio.EndOfStream):
            await client.receive()
        await client.aclose()
