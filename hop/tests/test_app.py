"""The HTTP face: what is not routed, `/health`, `/ready`, `/metrics`, and the one rescue."""

import re

import pytest
import trio
from quart import Response
from trio.testing import MockClock

from contracts.chat import ChatRequest, ErrorBody
from contracts.codec import decode
from contracts.reasons import ReasonCode
from harness.hop_stage import ProbeSettings, Stage, chat, open_stage, probe
from hop.app import Answer, Check, json_response
from hop.incoming import Call, Outcome, Received, Refusal

IDS = {"x-request-id": "r-1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}


async def fine(call: Call, _: Received[ChatRequest]) -> Response:
    call.outcome = Outcome("ok", None)
    return json_response(200, {})


NOT_ROUTED = [
    ("GET", "/nowhere", 404, "INPUT_NOT_FOUND", None),
    ("POST", "/chat/", 404, "INPUT_NOT_FOUND", None),
    ("GET", "/%FF%00", 404, "INPUT_NOT_FOUND", None),
    ("GET", "//health", 404, "INPUT_NOT_FOUND", None),
    ("GET", "/chat", 405, "INPUT_METHOD", "OPTIONS, POST"),
    ("PUT", "/chat", 405, "INPUT_METHOD", "OPTIONS, POST"),
    ("POST", "/health", 405, "INPUT_METHOD", "GET, HEAD, OPTIONS"),
]


@pytest.mark.parametrize(("method", "path", "status", "code", "allow"), NOT_ROUTED)
async def test_what_is_not_routed_is_json_with_both_ids(
    autojump_clock: MockClock, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.client.request(method, f"http://hop{path}", headers=IDS)
        lines = stage.lines()
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers.get("allow") == allow
    body = decode(response.content, ErrorBody)
    assert (body.error.code, body.request_id, body.trace_id) == (code, "r-1", "ab" * 16)
    assert response.headers["x-request-id"] == "r-1"
    assert response.headers["x-trace-id"] == "ab" * 16
    (line,) = lines
    assert (line["request_id"], line["reason_code"], line["level"]) == ("r-1", code, "info")


async def raw_answer(stage: Stage, head: str) -> bytes:
    request = f"{head}\r\nhost: hop\r\nconnection: close\r\n\r\n"
    async with await stage.dial(request.encode()) as stream:
        return b"".join([data async for data in stream])


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_head_answers_as_get_without_the_body(autojump_clock: MockClock, path: str) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        got = await stage.client.get(f"http://hop{path}")
        answer = await raw_answer(stage, f"HEAD {path} HTTP/1.1")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n"), "no body"
    assert f"content-type: {got.headers['content-type']}".encode() in answer
    assert got.content


@pytest.mark.parametrize("path", ["/nowhere", "/chat"])
async def test_head_of_an_error_has_no_body(autojump_clock: MockClock, path: str) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        answer = await raw_answer(stage, f"HEAD {path} HTTP/1.1")
    assert re.match(rb"HTTP/1.1 40[45]", answer)
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "allow"), [("/chat", {"POST", "OPTIONS"}), ("/health", {"GET", "HEAD", "OPTIONS"})]
)
async def test_options_is_204_with_allow_and_nothing_else(
    autojump_clock: MockClock, path: str, allow: set[str]
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.client.options(f"http://hop{path}", headers=IDS)
        answer = await raw_answer(stage, f"OPTIONS {path} HTTP/1.1")
    assert response.status_code == 204
    assert set(response.headers["allow"].split(", ")) == allow
    assert b"content-type" not in answer
    assert b"content-length" not in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("OPTIONS", "/chat")],
)
async def test_both_ids_are_in_the_headers_of_every_response(
    autojump_clock: MockClock, method: str, path: str
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        response = await stage.client.request(method, f"http://hop{path}", headers=IDS)
    assert response.headers.get_list("x-request-id") == ["r-1"]
    assert response.headers.get_list("x-trace-id") == ["ab" * 16]


# /ready: a program's own resources decide, a neighbour only shows.


async def good() -> tuple[bool, str]:
    return True, "fine"


async def bad() -> tuple[bool, str]:
    return False, "broken"


async def hanging() -> tuple[bool, str]:
    await trio.sleep_forever()
    raise AssertionError


async def raising() -> tuple[bool, str]:
    raise RuntimeError("secret cause")


READY: list[tuple[Check, Check, int, bool, bool]] = [
    (good, good, 200, True, True),
    (good, bad, 200, True, False),
    (good, hanging, 200, True, False),
    (good, raising, 200, True, False),
    (bad, good, 503, False, True),
    (hanging, good, 503, False, True),
    (raising, good, 503, False, True),
]


@pytest.mark.parametrize(("own", "neighbour", "status", "own_ok", "neighbour_ok"), READY)
async def test_ready_is_decided_by_a_programs_own_checks(
    autojump_clock: MockClock,
    own: Check,
    neighbour: Check,
    status: int,
    own_ok: bool,
    neighbour_ok: bool,
) -> None:
    app = probe(fine, own={"index": own}, neighbours={"next": neighbour})
    async with open_stage(ProbeSettings, app) as stage:
        began = trio.current_time()
        response = await stage.client.get("http://hop/ready")
        took = trio.current_time() - began
        logged = stage.out.getvalue()
    assert response.status_code == status
    found = response.json()
    assert set(found) == {"ready", "checks"}
    assert found["ready"] is (status == 200)
    assert list(found["checks"]) == ["index", "next"]
    assert [check["ok"] for check in found["checks"].values()] == [own_ok, neighbour_ok]
    assert all(check["detail"] for check in found["checks"].values())
    assert took == pytest.approx(1.0 if hanging in (own, neighbour) else 0.0)
    assert "secret" not in response.text
    assert ("secret cause" in logged) is (raising in (own, neighbour))


async def test_ready_is_503_while_draining_and_health_still_answers(
    autojump_clock: MockClock,
) -> None:
    async with open_stage(ProbeSettings, probe(fine, own={"index": good})) as stage:
        stage.stop.set()
        await trio.sleep(0.1)
        ready = await stage.client.get("http://hop/ready")
        health = await stage.client.get("http://hop/health")
        refused = await stage.post(chat())
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        503,
        "ADMISSION_SHUTTING_DOWN",
    )


async def test_metrics_are_the_programs_own(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        await stage.post(chat())
        response = await stage.client.get("http://hop/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'bsl_requests_total{reason_code="",service="probe",status="ok"} 1.0' in response.text
    assert 'bsl_in_flight_calls{service="probe"} 0.0' in response.text


# The rescue.


async def refusing(_: Call, __: Received[ChatRequest]) -> Response:
    raise Refusal(ReasonCode.ADMISSION_QUEUE_FULL, "full", retry_after_ms=1_001)


async def failing(call: Call, _: Received[ChatRequest]) -> Response:
    call.phase = "thinking"
    raise RuntimeError("secret cause")


async def test_a_refusal_is_its_own_error_with_retry_after(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(refusing)) as stage:
        response = await stage.post(chat(), headers=IDS)
        ended = stage.ended()
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert decode(response.content, ErrorBody).request_id == "r-1"
    assert ended == [("error", "ADMISSION_QUEUE_FULL", "receiving")]


async def failing_in_a_nursery(call: Call, received: Received[ChatRequest]) -> Response:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing, call, received)
    raise AssertionError


@pytest.mark.parametrize("answer", [failing, failing_in_a_nursery])
async def test_an_unforeseen_failure_is_500_and_its_cause_is_only_logged(
    autojump_clock: MockClock, answer: Answer[ChatRequest]
) -> None:
    async with open_stage(ProbeSettings, probe(answer)) as stage:
        response = await stage.post(chat(), headers=IDS)
        again = await stage.client.get("http://hop/health")
        lines, ended = stage.lines(), stage.ended()
        counted = stage.sample("bsl_requests_total", status="error", reason_code="INTERNAL_ERROR")
    assert response.status_code == 500
    assert decode(response.content, ErrorBody).error.code == "INTERNAL_ERROR"
    assert response.headers["x-trace-id"] == "ab" * 16
    assert "secret" not in response.text
    assert ended == [("error", "INTERNAL_ERROR", "thinking")]
    (unforeseen,) = [line for line in lines if line["level"] == "error"]
    assert "secret cause" in str(unforeseen["exception"])
    assert (unforeseen["request_id"], unforeseen["phase"]) == ("r-1", "thinking")
    assert again.status_code == 200
    assert counted == 1


BAD_HEADS = [
    b"host: a b\r\n",
    b"host: <script>\r\n",
    b"host: \xff\r\n",
    b"host: hop:99999999\r\n",
    b"",
    b"cookie: a=\xff; ;;=\r\n",
    b"content-type: application/json; charset*=x''%ff\r\n",
    b"authorization: Basic \xff\xfe\r\n",
    b"accept-language: ;;q=\r\n",
    b"x-request-id: \xff\xfe\r\ntraceparent: \xff\r\nx-deadline-ms: \xff\r\n",
]


@pytest.mark.parametrize("header", BAD_HEADS)
@pytest.mark.parametrize("path", [b"/chat", b"/nowhere", b"/health", b"/chat?%ff&stream=%00&="])
async def test_an_odd_head_is_never_an_internal_error(
    autojump_clock: MockClock, header: bytes, path: bytes
) -> None:
    request = b"POST %b HTTP/1.1\r\n%bcontent-length: 2\r\nconnection: close\r\n\r\n{}"
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        async with await stage.dial(request % (path, header)) as stream:
            answer = b"".join([data async for data in stream])
        errors = [line for line in stage.lines() if line["level"] == "error"]
        again = await stage.post(chat())
    assert re.match(rb"HTTP/1.1 4\d\d", answer), answer
    assert errors == []
    assert again.status_code == 200


async def test_what_is_refused_before_it_is_a_call_is_logged_and_counted(
    autojump_clock: MockClock,
) -> None:
    async with open_stage(ProbeSettings, probe(fine)) as stage:
        stream = await stage.network.connect("hop")
        await stream.send_all(b"\x16\x03\x01 not HTTP\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        left = await stage.network.connect("hop")
        await left.send_all(b"GET /health HTTP/1.1\r\nhost: hop\r\n\r\n")
        await left.aclose()
        await trio.sleep(2)
        lines = [line for line in stage.lines() if line["event"] == "not served"]
        exposed = (await stage.client.get("http://hop/metrics")).text
    assert (lines[0]["http_status"], lines[0]["reason_code"]) == (400, None)
    assert 'reason_code="",service="probe",status="refused"} 1.0' in exposed
