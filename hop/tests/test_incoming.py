"""What a call must be before anything acts on it, whose it is, and its one closing line."""

import json
import re
import time
from collections.abc import AsyncIterator

import pytest
import trio
from quart import Response
from trio.testing import MockClock

from contracts.chat import ChatRequest, ErrorBody
from contracts.codec import decode
from contracts.limits import CHAT_BODY_BYTES
from contracts.reasons import ReasonCode
from harness.hop_stage import ProbeSettings, Stage, chat, open_stage, probe
from harness.memory_stream import MemoryStream
from hop.app import body_response, json_response
from hop.incoming import Call, Outcome, Received, Refusal

JSON = {"content-type": "application/json"}


async def fine(call: Call, received: Received[ChatRequest]) -> Response:
    """Say what was received; a deadline of a minute."""
    call.named(received.body.request_id, received.body.trace_id)
    call.phase = "answering"
    deadline = call.due(60_000)
    call.outcome = Outcome("ok", None)
    response = json_response(
        200,
        {
            "stream": received.stream,
            "remaining_ms": deadline.remaining_ms(call.program.now()),
            "onward": call.onward_headers(),
            "timings": call.timings(),
        },
    )
    response.headers.update(call.ids.response())
    return response


async def answer_on(stream: MemoryStream) -> bytes:
    """One answer with a content-length, head and body."""
    answer = b""
    while not (found := re.search(rb"content-length: (\d+)\r\n(?s:.*?)\r\n\r\n", answer)) or len(
        answer
    ) < found.end() + int(found[1]):
        data = await stream.receive_some()
        assert data, answer
        answer += data
    return answer


def paths_of(body: bytes) -> list[str]:
    return [detail.path for detail in decode(body, ErrorBody).error.details]


# Media type.

MEDIA = [
    ("application/json", 200),
    ("Application/JSON; charset=UTF-8", 200),
    ('application/json;charset="utf-8"', 200),
    ("application/json; charset=latin-1", 415),
    ("application/jsonx", 415),
    ("application/json, text/plain", 415),
    ("text/json", 415),
    ("application/x-www-form-urlencoded", 415),
    ("multipart/form-data; boundary=x", 415),
    ("multipart/form-data", 415),
    ("", 415),
    (None, 415),
]


@pytest.mark.parametrize(("media_type", "status"), MEDIA)
async def test_only_json_is_taken(
    autojump_clock: MockClock, media_type: str | None, status: int
) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.client.post("http://hop/chat", content=chat(), headers=headers)
        again = await stage.post(chat())
    assert response.status_code == status
    if status == 415:
        assert decode(response.content, ErrorBody).error.code == "INPUT_MEDIA_TYPE"
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("encoding", "status"), [("identity", 200), ("Identity", 200), ("gzip", 415), ("br", 415)]
)
async def test_an_encoded_body_is_refused(
    autojump_clock: MockClock, encoding: str, status: int
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(chat(), headers={"content-encoding": encoding})
    assert response.status_code == status


# Size and time.


async def pieces(total: int, size: int = 10_000) -> AsyncIterator[bytes]:
    for _ in range(total // size):
        yield b" " * size


def padded(size: int) -> bytes:
    return chat().ljust(size)


async def test_a_body_of_exactly_the_cap_is_taken_and_one_byte_more_is_not(
    autojump_clock: MockClock,
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        at = await stage.post(padded(CHAT_BODY_BYTES))
        over = await stage.post(padded(CHAT_BODY_BYTES + 1))
        chunked = await stage.client.post(
            "http://hop/chat", content=pieces(1_000_000), headers=JSON
        )
        again = await stage.post(chat())
        ended = stage.ended()
        took = trio.current_time()
    assert at.status_code == 200
    for response in (over, chunked):
        assert response.status_code == 413
        error = decode(response.content, ErrorBody).error
        assert (error.code, error.message) == ("INPUT_TOO_LARGE", "the body is over 65536 bytes")
    assert again.status_code == 200
    assert ended[1:3] == [("error", "INPUT_TOO_LARGE", "receiving")] * 2
    assert took == trio.current_time(), "refused at once"


HALF = b"POST /chat HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n%b\r\n"


@pytest.mark.parametrize(
    ("header", "sent", "own_ms", "after_s"),
    [
        (b"content-length: 100\r\n", b'{"message"', 5_000, 5.0),
        (b"content-length: 100\r\n", b"", 5_000, 5.0),
        (b"transfer-encoding: chunked\r\n", b"3\r\n{  \r\n", 5_000, 5.0),
        (b"content-length: 100\r\n", b"{", 300, 0.3),
        (b"content-length: 100\r\nx-deadline-ms: 2000\r\n", b"{", 5_000, 2.0),
        (b"content-length: 100\r\nx-deadline-ms: 9000\r\n", b"{", 5_000, 5.0),
        (b"content-length: 100\r\nx-deadline-ms: soon\r\n", b"{", 5_000, 5.0),
    ],
)
async def test_half_a_body_and_silence_is_408_at_exactly_the_limit(
    autojump_clock: MockClock, header: bytes, sent: bytes, own_ms: int, after_s: float
) -> None:
    environ = {"BODY_TIMEOUT_MS": str(own_ms)}
    async with open_stage(ProbeSettings, probe(fine), environ=environ) as stage:
        began = trio.current_time()
        async with await stage.dial(HALF % header + sent) as stream:
            answer = await answer_on(stream)
            took = trio.current_time() - began
        again = await stage.post(chat())
        ended = stage.ended()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"INPUT_TIMEOUT" in answer
    assert took == pytest.approx(after_s)
    assert ended[0] == ("error", "INPUT_TIMEOUT", "receiving")
    assert again.status_code == 200


async def test_a_body_that_drips_is_held_to_the_same_limit(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        stream = await stage.dial(HALF % b"content-length: 100\r\n")
        began = trio.current_time()
        async with stream, trio.open_nursery() as nursery:

            async def drip() -> None:
                while True:
                    await trio.sleep(0.4)
                    await stream.send_all(b" ")

            nursery.start_soon(drip)
            answer = await answer_on(stream)
            took = trio.current_time() - began
            nursery.cancel_scope.cancel()
    assert answer.startswith(b"HTTP/1.1 408")
    assert took == pytest.approx(5.0)


async def test_a_body_still_arriving_when_a_drain_is_over_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        async with await stage.dial(HALF % b"content-length: 100\r\n" + b"{") as stream:
            await trio.sleep(1)
            began = trio.current_time()
            stage.stop.set()
            answer = await answer_on(stream)
            took = trio.current_time() - began
        ended = stage.ended()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"ADMISSION_SHUTTING_DOWN" in answer
    assert took == pytest.approx(3.0)
    assert ended == [("error", "ADMISSION_SHUTTING_DOWN", "receiving")]


async def test_a_call_that_comes_while_draining_is_refused_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        stage.stop.set()
        await trio.sleep(0.1)
        began = trio.current_time()
        response = await stage.post(chat())
        took = trio.current_time() - began
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "ADMISSION_SHUTTING_DOWN"
    assert took < 0.1


# The contract.


def query(text: str) -> str:
    return f"/chat?{text}"


BAD_QUERIES = [
    ("stream=yes", ["?stream"]),
    ("stream=", ["?stream"]),
    ("stream", ["?stream"]),
    ("stream=TRUE", ["?stream"]),
    ("Stream=true", ["?Stream"]),
    ("stream=true&stream=1", ["?stream"]),
    ("debug=1&stream=true&top_k=3", ["?debug", "?top_k"]),
    ("%00=1", ["?\x00"]),
    ("%ED%A0%80=1", ["?%ED%A0%80"]),
]


@pytest.mark.parametrize(("text", "paths"), BAD_QUERIES)
async def test_query_keys_are_strict(
    autojump_clock: MockClock, text: str, paths: list[str]
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(chat(), query(text))
    assert response.status_code == 400
    assert paths_of(response.content) == paths


@pytest.mark.parametrize(
    ("text", "stream"), [("stream=true", True), ("stream=false", False), ("", False)]
)
async def test_the_query_asks_for_a_stream(
    autojump_clock: MockClock, text: str, stream: bool
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(chat(), query(text))
    assert response.json()["stream"] is stream


async def test_every_place_is_named_at_once(autojump_clock: MockClock) -> None:
    body = b'{"message": {"role": "system", "content": ""}, "x": 1, "options": {"top_k": 1.5}}'
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(body, query("a=1"), {"x-deadline-ms": "1.5"})
        ended = stage.ended()
    assert response.status_code == 400
    assert set(paths_of(response.content)) == {
        "?a",
        "x-deadline-ms",
        "$.message.role",
        "$.message.content",
        "$.options.top_k",
        "$.x",
    }
    error = decode(response.content, ErrorBody).error
    assert error.message == "the request breaks the contract in 6 places"
    assert ended == [("error", "INPUT_INVALID", "receiving")]


@pytest.mark.parametrize("in_query", [0, 10, 40])
async def test_the_first_32_places_are_listed_and_all_are_counted(
    autojump_clock: MockClock, in_query: int
) -> None:
    body = json.dumps({**json.loads(chat()), **{f"k{n:03}": 1 for n in range(100)}}).encode()
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(body, query("&".join(f"q{n}=1" for n in range(in_query))))
    error = decode(response.content, ErrorBody).error
    assert len(error.details) == 32
    total = 100 + in_query
    assert error.message == (
        f"the request breaks the contract in {total} places; the first 32 are listed"
    )


TEN_THOUSAND_TURNS = b'{"message": {"role": "user", "content": "x"}, "history": [%b]}' % (
    b"0," * 9_999 + b"0"
)
NOISE = {
    "10,000 turns": (TEN_THOUSAND_TURNS, ["$.history"]),
    "64 KiB of lists": (b"[" * CHAT_BODY_BYTES, ["$"]),
    "64 KiB of objects": (b'{"a":' * (CHAT_BODY_BYTES // 5), ["$"]),
    "closed nesting": (b"[" * 32_000 + b"]" * 32_000, ["$"]),
    "nesting in a key": (b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", ["$"]),
    "32,000 zeros": (b"[" + b"0," * 32_000 + b"0]", ["$"]),
    "one long number": (b"1" * CHAT_BODY_BYTES, ["$"]),
    "binary": (bytes(range(256)) * 256, ["$"]),
    "NULs": (b"\0" * 1_000, ["$"]),
    "utf-16": ('{"message": 1}'.encode("utf-16"), ["$"]),
    "a BOM": (b"\xef\xbb\xbf" + chat(), ["$"]),
    "empty": (b"", ["$"]),
    "two values": (chat() + chat(), ["$"]),
    "null": (b"null", ["$"]),
}


@pytest.mark.parametrize("name", NOISE)
async def test_noise_is_refused_by_its_place_and_quickly(
    autojump_clock: MockClock, name: str
) -> None:
    body, paths = NOISE[name]
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        began = time.process_time()
        response = await stage.post(body)
        took = time.process_time() - began
        again = await stage.post(chat())
        ended = stage.ended()
    assert response.status_code == 400
    assert paths_of(response.content) == paths
    assert took < 0.2
    assert ended[0] == ("error", "INPUT_INVALID", "receiving")
    assert again.status_code == 200


# Ids.


async def test_body_ids_win_over_headers_and_rewrite_what_goes_on(
    autojump_clock: MockClock,
) -> None:
    body = chat(request_id="from-body", trace_id="11" * 16)
    headers = {"x-request-id": "from-head", "traceparent": f"00-{'22' * 16}-{'33' * 8}-00"}
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(body, headers=headers)
        (line,) = [line for line in stage.lines() if line["event"] == "call ended"]
    onward = response.json()["onward"]
    assert response.headers["x-request-id"] == onward["x-request-id"] == "from-body"
    assert response.headers["x-trace-id"] == "11" * 16
    assert onward["traceparent"].split("-")[1] == "11" * 16
    assert (line["request_id"], line["trace_id"]) == ("from-body", "11" * 16)


@pytest.mark.parametrize("bad", ["", "a b", "é", "x" * 129, "a/b"])
async def test_a_bad_id_in_the_header_is_replaced_and_in_the_body_refused(
    autojump_clock: MockClock, bad: str
) -> None:
    headers = {
        b"content-type": b"application/json",
        b"x-request-id": bad.encode(),
        b"x-trace-id": b"00" * 16,
    }
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        replaced = await stage.client.post("http://hop/chat", content=chat(), headers=headers)
        refused = await stage.post(chat(request_id=bad, trace_id="00" * 16))
    assert replaced.status_code == 200
    assert replaced.headers["x-request-id"] not in (bad, "")
    assert replaced.headers["x-trace-id"] != "00" * 16
    error = decode(refused.content, ErrorBody)
    assert {detail.path for detail in error.error.details} == {"$.request_id", "$.trace_id"}
    assert refused.headers["x-request-id"] == error.request_id


# The deadline.


@pytest.mark.parametrize(
    ("callers", "remaining", "onward"),
    [("1000", 1_000, "750"), ("90000", 60_000, "59750"), (None, 60_000, "59750")],
)
async def test_the_smaller_deadline_counts_and_what_remains_goes_on(
    autojump_clock: MockClock, callers: str | None, remaining: int, onward: str
) -> None:
    headers = {} if callers is None else {"x-deadline-ms": callers}
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.post(chat(), headers=headers)
    assert response.json()["remaining_ms"] == remaining
    assert response.json()["onward"]["x-deadline-ms"] == onward


async def test_the_deadline_runs_from_the_arrival_of_the_head(autojump_clock: MockClock) -> None:
    head = HALF % b"content-length: %d\r\nx-deadline-ms: 4000\r\n" % len(chat())
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        stream = await stage.dial(head)
        await trio.sleep(3)
        await stream.send_all(chat())
        answer = await answer_on(stream)
        await stream.aclose()
    assert b'"remaining_ms":1000' in answer
    assert b'"total":3000' in answer


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        ("0", 504, "ADMISSION_DEADLINE_EXPIRED"),
        ("-1", 400, "INPUT_INVALID"),
        ("", 400, "INPUT_INVALID"),
        ("1e3", 400, "INPUT_INVALID"),
        ("9" * 5_000, 400, "INPUT_INVALID"),
        ("١", 400, "INPUT_INVALID"),
    ],
)
async def test_an_unusable_deadline_is_refused(
    autojump_clock: MockClock, value: str, status: int, code: str
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.client.post(
            "http://hop/chat",
            content=chat(),
            headers={b"content-type": b"application/json", b"x-deadline-ms": value.encode()},
        )
    assert response.status_code == status
    assert decode(response.content, ErrorBody).error.code == code


# The closing line.


async def waiting(call: Call, _: Received[ChatRequest]) -> Response:
    call.phase = "waiting"
    await trio.sleep_forever()
    raise AssertionError


async def long_answer(call: Call, _: Received[ChatRequest]) -> Response:
    call.outcome = Outcome("ok", None)
    return body_response(b"x" * 2_000_000, call.ids)


async def refused(call: Call, _: Received[ChatRequest]) -> Response:
    call.phase = "admitting"
    raise Refusal(ReasonCode.ADMISSION_RATE_LIMITED, "too many", retry_after_ms=1)


def only_end(stage: Stage) -> tuple[object, object, object]:
    (end,) = stage.ended()
    return end


async def test_the_closing_line_has_every_key(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        await stage.post(chat())
        (line,) = stage.lines()
        counted = stage.sample("bsl_requests_total", status="ok", reason_code="")
        await stage.at_rest()
    assert list(line)[:6] == ["ts", "level", "service", "event", "trace_id", "request_id"]
    assert {k: line[k] for k in ("path", "status", "reason_code", "phase", "ttft_ms")} == {
        "path": "/chat",
        "status": "ok",
        "reason_code": None,
        "phase": "answering",
        "ttft_ms": None,
    }
    assert line["duration_ms"] == 0
    assert counted == 1


async def test_a_refused_call_has_one_closing_line(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(refused)) as stage:
        response = await stage.post(chat())
        end = only_end(stage)
        await stage.at_rest()
    assert response.headers["retry-after"] == "1"
    assert end == ("error", "ADMISSION_RATE_LIMITED", "admitting")


async def test_a_client_that_leaves_while_it_waits_has_one_closing_line(
    autojump_clock: MockClock,
) -> None:
    async with open_stage(ProbeSettings, probe(waiting)) as stage:
        with trio.move_on_after(1):
            await stage.post(chat())
        left = trio.current_time()
        await stage.at_rest()
        (line,) = stage.lines()
    assert only_end(stage) == ("gone", "CLIENT_DISCONNECTED", "waiting")
    assert line["duration_ms"] == 1_000, left


@pytest.mark.parametrize("body", [b"", b'{"message"'])
async def test_a_client_that_leaves_in_its_body_has_one_closing_line(
    autojump_clock: MockClock, body: bytes
) -> None:
    async with open_stage(ProbeSettings, probe(waiting)) as stage:
        stream = await stage.dial(HALF % b"content-length: 100\r\n" + body)
        await trio.sleep(1)
        await stream.aclose()
        await stage.at_rest()
    assert only_end(stage) == ("gone", "CLIENT_DISCONNECTED", "receiving")


async def test_a_client_that_stops_reading_a_long_answer_is_too_slow(
    autojump_clock: MockClock,
) -> None:
    request = HALF % b"content-length: %d\r\n" % len(chat()) + chat()
    async with open_stage(ProbeSettings, probe(long_answer)) as stage:
        stream = await stage.dial(request)
        await trio.sleep(9.9)
        assert stage.ended() == []
        await trio.sleep(0.2)
        end = only_end(stage)
        await stream.aclose()
        await stage.at_rest()
    assert end == ("gone", "CLIENT_TOO_SLOW", "receiving")


async def test_a_client_that_leaves_in_the_middle_of_a_long_answer_was_not_answered(
    autojump_clock: MockClock,
) -> None:
    request = HALF % b"content-length: %d\r\n" % len(chat()) + chat()
    async with open_stage(ProbeSettings, probe(long_answer)) as stage:
        stream = await stage.dial(request)
        await trio.sleep(1)
        await stream.aclose()
        await stage.at_rest()
    assert only_end(stage) == ("gone", "CLIENT_DISCONNECTED", "receiving")
