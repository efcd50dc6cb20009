"""Goal: sessions and feedback through the BFF: proved, relayed, on behalf of the client's key.

Method: the BFF alone, in memory, with a QS that plays scripted bytes.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

import httpx
import pytest
from trio.testing import MockClock

from bff.app import open_app
from bff.config import BffSettings
from contracts.reasons import ReasonCode
from harness.alone import FELL_BACK as FALLBACK
from harness.alone import IDS, META, REQUEST, TRACE, done_data, error_data, frame
from harness.hop_stage import Play, Stage, Upstream, chat, open_stage, raw, sse, whole

SESSION = "5" * 32
READ = ("GET", f"/sessions/{SESSION}", b"")
ERASE = ("DELETE", f"/sessions/{SESSION}", b"")
RATE = ("POST", "/feedback", b'{"request_id": "r-7", "rating": "down", "comment": "Wrong."}')
CALLS = [READ, ERASE, RATE]
KEYED = {"BFF_API_KEYS": "first-secret,second-secret"}
ENVIRON = {"BFF_QS_URL": "http://next"}
HEADERS = {"x-request-id": REQUEST, "x-trace-id": TRACE}
TURN: dict[str, object] = {
    "request_id": "r-0",
    "asked_at": "2026-01-31T12:00:00.000Z",
    "message": {"role": "user", "content": "Why?"},
    "status": "ok",
    "reason_code": None,
    "message_key": None,
    "answer": {"role": "assistant", "content": "So."},
    "citations": [],
    "sources": [],
    "next_action": "NONE",
    "model": None,
    "feedback": {"rating": "up", "comment": None},
}
SHOWN: dict[str, object] = {
    "version": "v1",
    **IDS,
    "session_id": SESSION,
    "created_at": "2026-01-31T12:00:00.000Z",
    "turns": [TURN],
    "more": False,
}
DONE = raw(b"HTTP/1.1 204 X\r\n\r\n")
GOOD: Mapping[str, Play] = {"GET": whole(200, SHOWN), "DELETE": DONE, "POST": DONE}
Asking = tuple[str, str, bytes]


def error(code: ReasonCode) -> dict[str, object]:
    return {"error": {"code": code, "message": "because", "details": []}, **IDS}


async def asked(
    call: Asking,
    play: Play | None,
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[httpx.Response, Upstream, Stage]:
    """The answer to one of the calls where QS plays this; without a play there is no QS."""
    method, path, body = call
    upstream = Upstream(play or DONE)
    env = {**ENVIRON, **(environ or {})}
    given = {**HEADERS, **({"content-type": "application/json"} if body else {}), **(headers or {})}
    async with open_stage(
        BffSettings, open_app, upstream=upstream if play else None, environ=env
    ) as stage:
        response = await stage.client.request(
            method, f"http://hop{path}", content=body, headers=given
        )
        assert response.headers["x-request-id"] == REQUEST
        assert response.headers["x-trace-id"] == TRACE
        await stage.at_rest()
    return response, upstream, stage


def code_of(response: httpx.Response) -> str:
    body = response.json()
    assert (body["request_id"], body["trace_id"]) == (REQUEST, TRACE)
    return str(body["error"]["code"])


async def test_a_session_is_relayed_as_it_came(autojump_clock: MockClock) -> None:
    response, upstream, stage = await asked(READ, GOOD["GET"])
    assert (response.status_code, response.json()) == (200, SHOWN)
    assert response.content == json.dumps(SHOWN).encode()
    (got,) = upstream.asked
    assert (got.line, got.body) == (f"GET /sessions/{SESSION} HTTP/1.1", b"")
    assert stage.ended() == [("ok", None, "relaying")]


@pytest.mark.parametrize("call", [ERASE, RATE])
async def test_what_is_done_is_said_without_a_body(autojump_clock: MockClock, call: Asking) -> None:
    response, upstream, _ = await asked(call, DONE)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers
    (got,) = upstream.asked
    assert got.line == f"{call[0]} {call[1]} HTTP/1.1"
    assert json.loads(got.body or b"{}") == json.loads(call[2] or b"{}")


@pytest.mark.parametrize("call", CALLS)
async def test_head_and_time_go_on_and_keys_do_not(autojump_clock: MockClock, call: Asking) -> None:
    headers = {"x-deadline-ms": "9000", "x-api-key": "first-secret", "x-session-owner": "f" * 16}
    _, upstream, _ = await asked(call, GOOD[call[0]], headers, KEYED)
    (got,) = upstream.asked
    assert got.headers["x-deadline-ms"] == "8750"
    assert got.headers["x-request-id"] == REQUEST
    assert "x-api-key" not in got.headers
    digest = sha256(sha256(b"first-secret").digest()).hexdigest()
    assert digest.startswith(got.headers["x-session-owner"])
    assert len(got.headers["x-session-owner"]) == 16


@pytest.mark.parametrize("stream", [False, True])
async def test_a_question_carries_its_askers_name(autojump_clock: MockClock, stream: bool) -> None:
    owners = []
    for key in ("first-secret", "second-secret", "first-secret"):
        upstream = Upstream(raw("eof"))
        env = {**ENVIRON, **KEYED}
        async with open_stage(BffSettings, open_app, upstream=upstream, environ=env) as stage:
            path = "/chat?stream=true" if stream else "/chat"
            await stage.post(chat(), path, {"x-api-key": key})
        owners.append(upstream.asked[0].headers["x-session-owner"])
    assert owners[0] == owners[2] != owners[1]


@pytest.mark.parametrize("call", CALLS)
async def test_nobodys_name_goes_on_where_no_keys_are(
    autojump_clock: MockClock, call: Asking
) -> None:
    _, upstream, _ = await asked(call, GOOD[call[0]], {"x-session-owner": "f" * 16})
    assert "x-session-owner" not in upstream.asked[0].headers


RELAYED = [
    *(code for code in ReasonCode if code.startswith("ADMISSION_")),
    ReasonCode.INPUT_NOT_FOUND,
    ReasonCode.STORE_UNAVAILABLE,
    ReasonCode.INTERNAL_ERROR,
]


@pytest.mark.parametrize("code", RELAYED)
async def test_an_error_that_concerns_the_asker_is_told_again(
    autojump_clock: MockClock, code: ReasonCode
) -> None:
    for call in CALLS:
        play = whole(code.elsewhere or 0, error(code), "retry-after: 7")
        response, _, stage = await asked(call, play)
        assert (response.status_code, code_of(response)) == (code.elsewhere, code)
        assert response.json()["error"]["message"] == "because"
        assert response.headers["retry-after"] == "7"
        assert stage.ended() == [("error", code, "relaying")]


OURS = [
    code
    for code in ReasonCode
    if code.startswith("INPUT_") and code is not ReasonCode.INPUT_NOT_FOUND
]


@pytest.mark.parametrize("code", OURS)
async def test_a_mistake_of_ours_is_not_the_askers(
    autojump_clock: MockClock, code: ReasonCode
) -> None:
    for call in CALLS:
        response, _, _ = await asked(call, whole(code.http or 0, error(code)))
        assert (response.status_code, code_of(response)) == (502, "HOP_PROTOCOL_ERROR")


BREACHES: Mapping[str, Play] = {
    "no JSON": whole(200, b"{"),
    "no session": whole(200, {**SHOWN, "turns": None}),
    "unknown key": whole(200, {**SHOWN, "colour": "red"}),
    "a turn against its laws": whole(200, {**SHOWN, "turns": [{**TURN, "answer": None}]}),
    "another call's": whole(200, {**SHOWN, "request_id": "r-2"}),
    "another trace's": whole(200, {**SHOWN, "trace_id": "cd" * 16}),
    "another session": whole(200, {**SHOWN, "session_id": "6" * 32}),
    "another media type": whole(200, SHOWN, media_type="text/html"),
    "nothing": DONE,
    "an error of another status": whole(404, error(ReasonCode.STORE_UNAVAILABLE)),
    "an error that is none": whole(404, {"error": "no"}),
    "a redirect": whole(302, b"", "location: /"),
    "an answer's code": whole(200, error(ReasonCode.INPUT_NOT_FOUND)),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_a_session_outside_the_contract_is_a_protocol_error(
    autojump_clock: MockClock, name: str
) -> None:
    response, _, _ = await asked(READ, BREACHES[name])
    assert (response.status_code, code_of(response)) == (502, "HOP_PROTOCOL_ERROR")


@pytest.mark.parametrize("call", [ERASE, RATE])
async def test_done_is_said_by_its_status_alone(autojump_clock: MockClock, call: Asking) -> None:
    for play in (whole(200, SHOWN), whole(200, b"")):
        response, _, _ = await asked(call, play)
        assert (response.status_code, code_of(response)) == (502, "HOP_PROTOCOL_ERROR")


CUT_HEAD = b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
FAILS: Mapping[str, tuple[Play | None, int, str]] = {
    "refused": (None, 502, "HOP_UNREACHABLE"),
    "gone": (raw("eof"), 502, "HOP_DISCONNECTED"),
    "cut": (raw(CUT_HEAD, b"{", "eof"), 502, "HOP_DISCONNECTED"),
    "silent": (raw("hang"), 504, "HOP_TIMEOUT"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", FAILS)
async def test_a_qs_that_fails_is_an_error_with_its_code(
    autojump_clock: MockClock, name: str, call: Asking
) -> None:
    play, status, code = FAILS[name]
    response, _, stage = await asked(call, play, {"x-deadline-ms": "700"})
    assert (response.status_code, code_of(response)) == (status, code)
    assert [line["reason_code"] for line in stage.lines() if line["level"] == "warning"] == [code]


@pytest.mark.parametrize("call", CALLS)
async def test_no_time_and_odd_queries_are_refused(autojump_clock: MockClock, call: Asking) -> None:
    method, path, body = call
    response, upstream, _ = await asked(call, DONE, {"x-deadline-ms": "0"})
    assert (response.status_code, code_of(response)) == (504, "ADMISSION_DEADLINE_EXPIRED")
    odd = (method, f"{path}?stream=true", body)
    response, more, _ = await asked(odd, DONE, {"x-deadline-ms": "soon"})
    assert (response.status_code, code_of(response)) == (400, "INPUT_INVALID")
    places = [detail["path"] for detail in response.json()["error"]["details"]]
    assert places == ["?stream", "x-deadline-ms"]
    assert upstream.asked == more.asked == []


@pytest.mark.parametrize("named", ["a%20b", "%2e%2e", "a.b", "x" * 129, "é", "a%00"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_can_be_no_id_is_not_asked_for(
    autojump_clock: MockClock, method: str, named: str
) -> None:
    response, upstream, _ = await asked((method, f"/sessions/{named}", b""), DONE)
    assert (response.status_code, code_of(response)) == (404, "INPUT_NOT_FOUND")
    assert upstream.asked == []


@pytest.mark.parametrize("call", CALLS)
async def test_the_door_is_the_same_as_for_questions(
    autojump_clock: MockClock, call: Asking
) -> None:
    foreign, _, _ = await asked(call, DONE, {"origin": "https://evil.example"})
    keyless, _, _ = await asked(call, DONE, environ=KEYED)
    assert (foreign.status_code, keyless.status_code) == (403, 401)
    rated = {"BFF_RATE_PER_MINUTE": "6", "BFF_RATE_BURST": "1"}
    async with open_stage(
        BffSettings, open_app, upstream=Upstream(GOOD[call[0]]), environ={**ENVIRON, **rated}
    ) as stage:
        method, path, body = call
        typed = {"content-type": "application/json"}
        answers = [
            await stage.client.request(method, f"http://hop{path}", content=body, headers=typed)
            for _ in range(2)
        ]
    assert answers[0].headers["ratelimit"].startswith('"calls";r=0')
    assert answers[1].status_code == 429


@pytest.mark.parametrize("call", CALLS)
async def test_an_allowed_page_is_told_what_it_may_do(
    autojump_clock: MockClock, call: Asking
) -> None:
    method, path, _ = call
    app = {"origin": "https://app.example", "access-control-request-method": method}
    environ = {"BFF_ALLOWED_ORIGINS": "https://app.example"}
    response, upstream, _ = await asked(("OPTIONS", path, b""), DONE, app, environ)
    assert response.status_code == 204
    allowed = response.headers["access-control-allow-methods"].split(", ")
    assert sorted(allowed) == sorted(response.headers["allow"].split(", "))
    assert method in allowed
    assert upstream.asked == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_draining_bff_asks_nothing(autojump_clock: MockClock, call: Asking) -> None:
    method, path, body = call
    async with open_stage(
        BffSettings, open_app, upstream=Upstream(raw("hang")), environ=ENVIRON
    ) as stage:
        stage.program.drain.begin(3.0)
        typed = {"content-type": "application/json"}
        response = await stage.client.request(
            method, f"http://hop{path}", content=body, headers=typed
        )
    assert (response.status_code, response.json()["error"]["code"]) == (
        503,
        "ADMISSION_SHUTTING_DOWN",
    )


async def test_no_log_names_a_session(autojump_clock: MockClock) -> None:
    for call in (READ, ERASE, ("PUT", READ[1], b""), ("GET", f"{READ[1]}/x", b"")):
        _, _, stage = await asked(call, GOOD.get(call[0], DONE))
        assert SESSION not in stage.out.getvalue()
        assert "/sessions/" in stage.out.getvalue()


# A question's own answer is of the session that it named.

CONTINUING = chat(session_id=SESSION, **IDS)
STATELESS = chat(history=[{"role": "user", "content": "a"}], **IDS)


def told(session_id: str | None) -> Play:
    """A stream that says this session, and falls back."""
    meta = frame("meta", {**META, "session_id": session_id})
    failed = frame("error", error_data(discard=False))
    return sse(meta, failed, frame("done", done_data(FALLBACK)))


@pytest.mark.parametrize(
    ("body", "session_id", "code"),
    [
        (CONTINUING, SESSION, "PROVIDER_TIMEOUT"),
        (CONTINUING, "6" * 32, "HOP_PROTOCOL_ERROR"),
        (CONTINUING, None, "HOP_PROTOCOL_ERROR"),
        (STATELESS, None, "PROVIDER_TIMEOUT"),
        (STATELESS, SESSION, "HOP_PROTOCOL_ERROR"),
        (chat(**IDS), SESSION, "PROVIDER_TIMEOUT"),
    ],
)
async def test_an_answer_of_another_session_is_a_protocol_error(
    autojump_clock: MockClock, body: bytes, session_id: str | None, code: str
) -> None:
    async with open_stage(
        BffSettings, open_app, upstream=Upstream(told(session_id)), environ=ENVIRON
    ) as stage:
        answer = await stage.post(body, "/chat?stream=true")
    assert f'"reason_code":"{code}"' in answer.text


@pytest.mark.parametrize("path", ["/chat", "/chat?stream=true"])
async def test_a_fallback_of_our_own_names_the_session_that_was_asked(
    autojump_clock: MockClock, path: str
) -> None:
    async with open_stage(BffSettings, open_app, environ=ENVIRON) as stage:
        answer = await stage.post(CONTINUING, path)
    assert f'"session_id":"{SESSION}"' in answer.text
    assert '"reason_code":"HOP_UNREACHABLE"' in answer.text
