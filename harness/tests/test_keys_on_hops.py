"""Goal: keys belong to one hop: each service demands its own, sends its own on, and shows none.

Method: the four programs in memory, with keys that fit and with keys that do not; every answer that
a stranger can ask for, and every log line, is searched for each of them.
"""

from collections.abc import Mapping

import httpx
import pytest
from trio.testing import MockClock

from harness.locks import CLIENT_KEY, KEYS, LLMGW_KEY, QS_KEY, STRANGERS_KEY
from harness.world import World, chat_body, hits_of, open_world

QUESTION = "When is the zarquon lamp wound?"
HITS = hits_of("The zarquon lamp is wound before the winter.")
GOOD_KEY = {"bff": CLIENT_KEY, "qs": QS_KEY, "llmgw": LLMGW_KEY}
PATHS = {"bff": "/chat", "qs": "/chat", "llmgw": "/v1/generate"}
ALL_KEYS = {key for value in KEYS.values() for key in value.split(",")}


GENERATE = {
    "messages": [{"role": "user", "content": QUESTION}],
    "context": {"chunks": [{"chunk_id": "d#1", "content": HITS[0].content}]},
}


def body_for(host: str) -> Mapping[str, object]:
    return GENERATE if host == "llmgw" else chat_body(QUESTION)


async def call(world: World, host: str, headers: Mapping[str, str]) -> httpx.Response:
    url = f"http://{host}{PATHS[host]}"
    return await world.client.post(url, json=body_for(host), headers=headers)


def logged(world: World) -> str:
    return "".join(running.out.getvalue() for running in world.programs.values())


@pytest.mark.parametrize("host", PATHS)
async def test_each_service_takes_its_own_keys_alone(autojump_clock: MockClock, host: str) -> None:
    async with open_world(HITS, environ=KEYS) as world:
        for key in {*ALL_KEYS, STRANGERS_KEY, ""} - {GOOD_KEY[host]}:
            if host == "bff" and key in KEYS["BFF_API_KEYS"] and key:
                continue  # it has two
            response = await call(world, host, {"x-api-key": key})
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "INPUT_UNAUTHORIZED"
            assert response.headers["www-authenticate"] == "Bearer"
            assert not any(one in response.text for one in ALL_KEYS)
        for headers in ({"x-api-key": GOOD_KEY[host]},
                        {"authorization": f"Bearer {GOOD_KEY[host]}"}):  # fmt: skip
            assert (await call(world, host, headers)).json()["status"] == "ok"
        assert not any(key in logged(world) for key in {*ALL_KEYS, STRANGERS_KEY})


@pytest.mark.parametrize("host", PATHS)
@pytest.mark.parametrize("key", ["", STRANGERS_KEY])
async def test_stranger_is_refused_whatever_the_body_is(
    autojump_clock: MockClock, host: str, key: str
) -> None:
    """Before it is read: neither its form nor its size nor its type is looked at."""
    headers = {"x-api-key": key} if key else {}
    async with open_world(HITS, environ=KEYS) as world:
        for body in (b"", b"{", b"x" * 600_000):
            url = f"http://{host}{PATHS[host]}"
            response = await world.client.post(url, content=body, headers=headers)
            assert response.status_code == 401
        assert not world.fake.journal.entries


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_what_watches_needs_no_key_and_learns_none(
    autojump_clock: MockClock, path: str
) -> None:
    async with open_world(HITS, environ=KEYS) as world:
        await call(world, "bff", {"x-api-key": CLIENT_KEY})
        for host in PATHS:
            response = await world.client.get(f"http://{host}{path}")
            assert response.status_code == 200
            assert not any(key in response.text for key in ALL_KEYS)


MISFITS = {
    "none to QS": ("bff", "qs", {**KEYS, "BFF_QS_API_KEY": ""}),
    "another to QS": ("bff", "qs", {**KEYS, "BFF_QS_API_KEY": CLIENT_KEY}),
    "none to LLMGW": ("qs", "llmgw", {**KEYS, "QS_LLM_API_KEY": ""}),
    "another to LLMGW": ("qs", "llmgw", {**KEYS, "QS_LLM_API_KEY": QS_KEY}),
}


@pytest.mark.parametrize("case", MISFITS)
async def test_key_that_the_next_hop_refuses_is_no_fault_of_the_client(
    autojump_clock: MockClock, case: str
) -> None:
    sender, refuser, environ = MISFITS[case]
    async with open_world(HITS, environ=environ) as world:
        key = {"x-api-key": CLIENT_KEY}
        plain = await call(world, "bff", key)
        assert (plain.status_code, plain.json()["reason_code"]) == (200, "HOP_PROTOCOL_ERROR")
        url = "http://bff/chat?stream=true"
        streamed = await world.client.post(url, json=chat_body(QUESTION), headers=key)
        assert '"reason_code":"HOP_PROTOCOL_ERROR"' in streamed.text
        checks = (await world.client.get(f"http://{sender}/ready")).json()
        assert checks["ready"] is True
        assert checks["checks"][refuser] == {
            "ok": False,
            "detail": f"http://{refuser}: it refuses our key",
        }
        assert not any(one in logged(world) for one in ALL_KEYS)
        assert "our call was refused: INPUT_UNAUTHORIZED" in logged(world)


async def test_nobody_needs_a_key_when_none_is_set(autojump_clock: MockClock) -> None:
    """A key that is sent all the same is no fault."""
    async with open_world(HITS) as world:
        for host in PATHS:
            for headers in ({}, {"x-api-key": "any"}, {"authorization": "Basic dTpw"}):
                assert (await call(world, host, headers)).json()["status"] == "ok"
