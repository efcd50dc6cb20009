"""Goal: the BFF lets a call in by its page's origin, its key and its rate, before it reads a body.

Method: the BFF alone, in memory, with a QS that counts what it was asked; bytes where httpx would
not send them. Clients have no address here, so all that are told by it are one.
"""

import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import h11
import httpx
import pytest
import trio
from trio.testing import MockClock

from bff.app import open_app
from bff.config import BffSettings
from harness.alone import IDS
from harness.hop_stage import Stage, chat, open_stage
from harness.provided import answering

KEYED = {"BFF_API_KEYS": "first-secret,second-secret"}
RATED = {"BFF_RATE_PER_MINUTE": "6", "BFF_RATE_BURST": "2"}
LISTED = {"BFF_ALLOWED_ORIGINS": "https://app.example"}
BASE = {"BFF_QS_URL": "http://next"}
FOREIGN = {"origin": "https://evil.example"}
APP = {"origin": "https://app.example"}
KEY = {"x-api-key": "first-secret"}
OPEN = ["/health", "/ready", "/metrics", "/", "/page/chat.js"]
ASK = chat(**IDS)


def stage_of(*environs: Mapping[str, str]) -> AbstractAsyncContextManager[Stage]:
    environ = dict(BASE)
    for more in environs:
        environ |= more
    return open_stage(BffSettings, open_app, upstream=answering("bff"), environ=environ)


def code_of(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


async def sent(
    stage: Stage, *headers: bytes, body: bytes = b""
) -> tuple[int, Mapping[str, str], dict[str, object]]:
    """A call in bytes. Without a body none is sent, though one is announced."""
    length = b"content-length: %d" % (len(body) or 60_000)
    lines = [b"POST /chat HTTP/1.1", b"host: hop", b"content-type: application/json", length]
    async with await stage.dial(b"\r\n".join([*lines, *headers, b"", body])) as stream:
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method="POST", target="/", headers=[("host", "hop")]))
        data = b""
        with trio.fail_after(1):
            while not isinstance(event := reader.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    reader.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    data += event.data
    found = {name.decode(): value.decode() for name, value in head.headers}
    return head.status_code, found, json.loads(data)


# Keys.

REFUSED = {
    "none": [],
    "wrong": [b"x-api-key: third-secret"],
    "empty": [b"x-api-key:"],
    "other case": [b"x-api-key: First-secret"],
    "prefix": [b"x-api-key: first-secre"],
    "list": [b"x-api-key: first-secret,second-secret"],
    "8 KiB": [b"x-api-key: " + b"k" * 8192],
    "not ASCII": [b"x-api-key: first-secret\xff\xfe"],
    "two headers": [b"x-api-key: first-secret", b"x-api-key: second-secret"],
    "both headers": [b"x-api-key: first-secret", b"authorization: Bearer second-secret"],
    "right and empty": [b"x-api-key: first-secret", b"authorization: Bearer"],
    "wrong and right": [b"x-api-key: third-secret", b"authorization: Bearer first-secret"],
    "bare": [b"authorization: first-secret"],
    "another scheme": [b"authorization: Basic first-secret"],
    "with a blank": [b"authorization: Bearer first -secret"],
    "cookie": [b"cookie: x-api-key=first-secret"],
    "query": [b"x-api-key-: first-secret"],
}
TAKEN = {
    "first": [b"x-api-key: first-secret"],
    "second": [b"x-api-key: second-secret"],
    "bearer": [b"authorization: Bearer first-secret"],
    "bearer case": [b"Authorization: bEARER first-secret"],
    "extra spaces": [b"authorization: Bearer    first-secret   "],
    "round the value": [b"x-api-key:    first-secret  "],
    "both the same": [b"x-api-key: first-secret", b"authorization: Bearer first-secret"],
    "twice": [b"x-api-key: first-secret", b"x-api-key: first-secret"],
    "beside a proxy's": [b"x-api-key: first-secret", b"authorization: Basic dTpw"],
}


@pytest.mark.parametrize("case", REFUSED)
async def test_call_without_a_key_that_is_taken_is_refused_before_its_body(
    autojump_clock: MockClock, case: str
) -> None:
    async with stage_of(KEYED) as stage:
        status, headers, body = await sent(stage, *REFUSED[case])
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert body["error"]["code"] == "INPUT_UNAUTHORIZED"  # type: ignore[index]  # an error body
        assert "-secret" not in str(body)
        assert "-secret" not in stage.out.getvalue()
        assert stage.ended() == [("error", "INPUT_UNAUTHORIZED", "receiving")]


@pytest.mark.parametrize("case", TAKEN)
async def test_call_with_a_key_that_is_taken_is_served(
    autojump_clock: MockClock, case: str
) -> None:
    async with stage_of(KEYED) as stage:
        status, headers, body = await sent(stage, *TAKEN[case], body=ASK)
        assert (status, body["status"]) == (200, "ok")
        assert "www-authenticate" not in headers
        assert "-secret" not in stage.out.getvalue()


@pytest.mark.parametrize("path", OPEN)
async def test_what_is_no_call_is_open_when_keys_are_needed(
    autojump_clock: MockClock, path: str
) -> None:
    async with stage_of(KEYED, RATED) as stage:
        for _ in range(4):
            assert (await stage.client.get(f"http://hop{path}")).status_code == 200
        assert (await stage.client.options("http://hop/chat")).status_code == 204


async def test_query_holds_no_key(autojump_clock: MockClock) -> None:
    async with stage_of(KEYED) as stage:
        response = await stage.post(ASK, "/chat?api_key=first-secret")
        assert code_of(response) == "INPUT_UNAUTHORIZED"
        assert "first-secret" not in stage.out.getvalue()


async def test_key_is_needed_under_both_names(autojump_clock: MockClock) -> None:
    async with stage_of(KEYED) as stage:
        for path in ("/chat", "/v1/chat", "/chat?stream=true"):
            assert (await stage.post(ASK, path)).status_code == 401
            assert (await stage.post(ASK, path, KEY)).status_code == 200


# Rates.


async def test_key_is_limited_when_its_calls_come_too_often(autojump_clock: MockClock) -> None:
    async with stage_of(KEYED, RATED) as stage:
        for left, full_in in ((1, 10), (0, 20)):
            response = await stage.post(ASK, headers=KEY)
            assert response.status_code == 200
            assert response.headers["ratelimit-policy"] == '"calls";q=2;w=20'
            assert response.headers["ratelimit"] == f'"calls";r={left};t={full_in}'
        refused = await stage.post(ASK, headers=KEY)
        assert (refused.status_code, code_of(refused)) == (429, "ADMISSION_RATE_LIMITED")
        assert refused.headers["retry-after"] == "10"
        assert refused.headers["ratelimit"] == '"calls";r=0;t=20'
        other = await stage.post(ASK, headers={"authorization": "Bearer second-secret"})
        assert other.status_code == 200, "each key has its own"
        await trio.sleep(9.9)
        assert (await stage.post(ASK, headers=KEY)).headers["retry-after"] == "1"
        await trio.sleep(0.1)
        assert (await stage.post(ASK, "/chat?stream=true", KEY)).status_code == 200
        assert (await stage.post(ASK, headers=KEY)).status_code == 429


async def test_limited_call_is_refused_before_its_body(autojump_clock: MockClock) -> None:
    async with stage_of(RATED) as stage:
        for _ in range(2):
            await stage.post(ASK)
        status, headers, _ = await sent(stage)
        assert (status, headers["retry-after"]) == (429, "10")


async def test_address_is_limited_when_no_key_is_needed(autojump_clock: MockClock) -> None:
    async with stage_of(RATED) as stage:
        statuses = [
            (await stage.post(ASK, headers={"x-api-key": str(number)})).status_code
            for number in range(3)
        ]
    assert statuses == [200, 200, 429], "a key that nobody asked for makes no caller of its own"


async def test_nobody_is_counted_when_there_is_no_rate(autojump_clock: MockClock) -> None:
    async with stage_of(KEYED) as stage:
        for _ in range(30):
            response = await stage.post(ASK, headers=KEY)
            assert response.status_code == 200
            assert "ratelimit" not in response.headers
            assert (await stage.post(ASK)).status_code == 401


async def test_guessing_is_limited_and_no_answer_tells_a_right_guess(
    autojump_clock: MockClock,
) -> None:
    async with stage_of(KEYED, RATED) as stage:
        for guess in ("a", "b"):
            assert (await stage.post(ASK, headers={"x-api-key": guess})).status_code == 401
        wrong = await stage.post(ASK, headers={"x-api-key": "c"})
        right = await stage.post(ASK, headers=KEY)
        assert wrong.status_code == right.status_code == 429
        assert wrong.json() == right.json() | {
            name: wrong.json()[name] for name in ("trace_id", "request_id")
        }
        names = ("retry-after", "ratelimit", "www-authenticate", "content-length")
        assert [wrong.headers.get(n) for n in names] == [right.headers.get(n) for n in names]
        await trio.sleep(10)
        assert (await stage.post(ASK, headers=KEY)).status_code == 200
        assert (await stage.post(ASK, headers=KEY)).status_code == 200, "no stranger's call"


async def test_right_keys_are_no_guesses(autojump_clock: MockClock) -> None:
    async with stage_of(KEYED, RATED) as stage:
        for _ in range(5):
            await stage.post(ASK, headers=KEY)
        assert (await stage.post(ASK)).status_code == 401


async def test_origins_and_bad_bodies_are_judged_in_their_order(
    autojump_clock: MockClock,
) -> None:
    """A foreign page costs nobody a call; what is let in and then refused has cost one."""
    async with stage_of(KEYED, RATED) as stage:
        for _ in range(5):
            assert code_of(await stage.post(ASK, headers=FOREIGN | KEY)) == "INPUT_FORBIDDEN"
        assert code_of(await stage.post(b"{", headers=KEY)) == "INPUT_INVALID"
        assert code_of(await stage.post(b"{", headers=KEY)) == "INPUT_INVALID"
        assert (await stage.post(ASK, headers=KEY)).status_code == 429


# Origins.


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"null", b"", b"http://hop", b"http://hop:80", b"\xff"]
)
@pytest.mark.parametrize("environ", [{}, LISTED], ids=["none listed", "another listed"])
async def test_foreign_page_is_refused_before_its_body(
    autojump_clock: MockClock, origin: bytes, environ: dict[str, str]
) -> None:
    async with stage_of(environ) as stage:
        status, headers, body = await sent(stage, b"origin: " + origin)
        assert status == 403
        assert body["error"]["code"] == "INPUT_FORBIDDEN"  # type: ignore[index]  # an error body
        assert not [name for name in headers if name.startswith("access-control-")]
        assert headers["vary"] == "origin"


async def test_own_page_and_programs_are_served(autojump_clock: MockClock) -> None:
    async with stage_of({"BFF_HOST": "hop"}) as stage:
        for headers in ({}, {"origin": "http://hop"}, {"origin": "https://hop"}):
            response = await stage.post(ASK, headers=headers)
            assert response.status_code == 200
            assert response.headers["vary"] == "origin"
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["/chat", "/chat?stream=true", "/v1/chat"])
async def test_allowed_page_may_read_its_answer(autojump_clock: MockClock, path: str) -> None:
    async with stage_of(LISTED) as stage:
        response = await stage.post(ASK, path, APP)
        assert response.status_code == 200
        assert readable(response)


def readable(response: httpx.Response) -> bool:
    exposed = set(response.headers["access-control-expose-headers"].split(", "))
    assert exposed >= {"x-request-id", "x-trace-id", "retry-after"}
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers.get_list("vary") == ["origin"]
    return response.headers["access-control-allow-origin"] == APP["origin"]


async def test_allowed_page_may_read_its_refusals(autojump_clock: MockClock) -> None:
    async with stage_of(LISTED, KEYED, RATED) as stage:
        answers = [
            await stage.post(ASK, headers=APP),
            await stage.post(b"{", headers=APP | KEY),
            await stage.client.get("http://hop/nowhere", headers=APP),
            await stage.client.put("http://hop/chat", headers=APP),
        ]
        assert [answer.status_code for answer in answers] == [401, 400, 404, 405]
        assert all(readable(answer) for answer in answers)


async def test_preflight_tells_an_allowed_page_what_it_may_send(
    autojump_clock: MockClock,
) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    async with stage_of(LISTED, KEYED) as stage:
        response = await stage.client.options("http://hop/chat", headers=APP | asks)
        assert (response.status_code, response.content) == (204, b"")
        assert readable(response)
        methods = response.headers["access-control-allow-methods"]
        assert methods == response.headers["allow"]
        assert set(methods.split(", ")) == {"POST", "OPTIONS"}
        sendable = set(response.headers["access-control-allow-headers"].split(", "))
        assert sendable >= {"content-type", "authorization", "x-api-key", "x-request-id"}
        assert int(response.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize("headers", [FOREIGN, {"origin": "null"}, {}])
async def test_preflight_tells_nobody_else_anything(
    autojump_clock: MockClock, headers: dict[str, str]
) -> None:
    asks = {"access-control-request-method": "POST"}
    async with stage_of(LISTED) as stage:
        response = await stage.client.options("http://hop/chat", headers=headers | asks)
        assert response.status_code == 204
        assert not re.search("access-control-", str(response.headers))


# Onward.


@pytest.mark.parametrize("path", ["/chat", "/chat?stream=true"])
async def test_qs_gets_the_bffs_own_key_and_never_the_clients(
    autojump_clock: MockClock, path: str
) -> None:
    upstream = answering("bff")
    environ = {**BASE, **KEYED, "BFF_QS_API_KEY": "for-qs"}
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=environ) as stage:
        assert (await stage.post(ASK, path, KEY)).status_code == 200
        (asked,) = upstream.asked
        assert asked.headers["authorization"] == "Bearer for-qs"
        assert "first-secret" not in str(asked)
        assert "for-qs" not in stage.out.getvalue()


@pytest.mark.parametrize("given", [KEY, {"authorization": "Bearer first-secret"}])
async def test_qs_gets_no_key_when_the_bff_has_none_of_its_own(
    autojump_clock: MockClock, given: dict[str, str]
) -> None:
    upstream = answering("bff")
    environ = {**BASE, **KEYED}
    async with open_stage(BffSettings, open_app, upstream=upstream, environ=environ) as stage:
        assert (await stage.post(ASK, headers=given)).status_code == 200
    (asked,) = upstream.asked
    assert not {"authorization", "x-api-key"} & set(asked.headers)
    assert "first-secret" not in str(asked)
