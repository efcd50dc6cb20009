"""Goal: a chat ends by the book when a program is told to stop, killed or frozen meanwhile.

Method: SIGTERM, SIGKILL and SIGSTOP to each program while an answer is being written in both modes.
SIGTERM drains as CONTRACT §6 says; what SIGKILL cuts, the program before it explains; what SIGSTOP
holds up ends by a limit. Once the program is back, or goes on, the chain serves again.
"""

import json
import time
from typing import Final

import h11
import pytest
import trio

from harness.faults.chain import (
    GENERATION_S,
    GRACE_S,
    HOPS,
    LEFT_S,
    QUESTION,
    SLOWLY_AT_ONCE,
    closing_line,
    ends_in,
    eventually,
    make_whole,
    serves,
    streaming,
    struck,
    words,
)
from harness.raw_client import StreamEnded, dial
from harness.stack import Stack

WITHIN_MS: Final = 5_000
GONE_S: Final = 5.0  # from SIGTERM to the end of the process (CONTRACT §6)
PATHS: Final = {"bff": "/chat", "qs": "/chat", "llmgw": "/v1/generate"}
# What is said of a call whose program was killed, and of calls while that program is down.
KILLED: Final = {
    "qs": ("HOP_DISCONNECTED", "HOP_UNREACHABLE"),
    "llmgw": ("HOP_DISCONNECTED", "HOP_UNREACHABLE"),
    "fake": ("PROVIDER_DISCONNECTED", "PROVIDER_UNREACHABLE"),
}
# By which limit a frozen program's call ends: streaming, and plain.
FROZEN: Final = {
    "qs": ("HOP_TIMEOUT", "HOP_TIMEOUT"),
    "llmgw": ("HOP_TIMEOUT", "HOP_TIMEOUT"),
    "fake": ("PROVIDER_IDLE_TIMEOUT", "PROVIDER_TIMEOUT"),
}
CUT: Final = (h11.RemoteProtocolError, trio.BrokenResourceError, StreamEnded)


@pytest.mark.parametrize("name", HOPS)
async def test_stream_ends_by_the_book_when_a_hop_is_told_to_stop(stack: Stack, name: str) -> None:
    async with streaming(stack["bff"].port) as client:
        told = time.monotonic()
        stack[name].terminate()
        ends_in(await client.rest(), "ADMISSION_SHUTTING_DOWN")
    assert await trio.to_thread.run_sync(stack[name].wait_ended) == 0
    assert time.monotonic() - told < GONE_S
    if name != "bff":
        assert await words(stack["bff"].port) == ("HOP_UNREACHABLE", "HOP_UNREACHABLE")
    make_whole(stack)
    await serves(stack)


@pytest.mark.parametrize("name", HOPS)
async def test_plain_call_gets_its_time_and_a_new_one_its_refusal_when_a_hop_is_told_to_stop(
    stack: Stack, name: str
) -> None:
    async with dial(stack["bff"].port) as client, dial(stack[name].port) as late:
        await client.ask(f"{QUESTION} {SLOWLY_AT_ONCE}", stream=False)
        await trio.sleep(1)
        told = time.monotonic()
        stack[name].terminate()
        await trio.sleep(0.1)
        await late.post(PATHS[name], b"{}")
        assert (await late.head(), late.headers["connection"]) == (503, "close")
        assert code_in(await late.body()) == "ADMISSION_SHUTTING_DOWN"
        assert await client.head() == (503 if name == "bff" else 200)
        assert code_in(await client.body()) == "ADMISSION_SHUTTING_DOWN"
    assert await trio.to_thread.run_sync(stack[name].wait_ended) == 0
    assert time.monotonic() - told < GONE_S
    make_whole(stack)
    await serves(stack)


def code_in(body: bytes) -> object:
    """The reason code of an answer or of an error."""
    reply = json.loads(body)
    return reply["error"]["code"] if "error" in reply else reply["reason_code"]


async def test_stream_is_cut_and_explained_when_the_model_server_is_told_to_stop(
    stack: Stack,
) -> None:
    events, word = await struck(stack["bff"].port, stack["fake"].terminate)
    ends_in(events, KILLED["fake"][0])
    assert word in KILLED["fake"]
    assert await trio.to_thread.run_sync(stack["fake"].wait_ended, 2.0 + GRACE_S) == 0
    make_whole(stack)
    await serves(stack)


@pytest.mark.parametrize("name", KILLED)
async def test_answer_is_explained_when_a_program_is_killed_and_served_when_it_is_back(
    stack: Stack, name: str
) -> None:
    cut, down = KILLED[name]
    with trio.fail_after(GENERATION_S + GRACE_S):
        events, word = await struck(stack["bff"].port, stack[name].kill)
    ends_in(events, cut)
    # Where nothing had come yet over a kept connection, the call is made anew: nobody is there.
    assert word in (cut, down)
    assert await words(stack["bff"].port) == (down, down)
    make_whole(stack)
    await serves(stack)


async def test_answer_is_cut_and_let_go_of_everywhere_when_the_bff_is_killed(stack: Stack) -> None:
    left = stack["fake"].text().count("client left")
    async with streaming(stack["bff"].port, "orphan") as client:
        stack["bff"].kill()
        with pytest.raises(CUT):
            while True:
                name, _ = await client.event()
                assert name == "delta", "nobody is left to say that it ended"
    await eventually(lambda: stack["fake"].text().count("client left") > left, LEFT_S)
    for name in ("qs", "llmgw"):
        line = await closing_line(stack[name], "orphan")
        assert line["reason_code"] == "CLIENT_DISCONNECTED"
    make_whole(stack)
    await serves(stack)


@pytest.mark.parametrize("name", FROZEN)
async def test_answer_ends_by_its_limit_when_a_program_is_frozen(stack: Stack, name: str) -> None:
    within_ms = None if name == "fake" else WITHIN_MS
    try:
        with trio.fail_after(WITHIN_MS / 1000 + GENERATION_S + GRACE_S):
            events, word = await struck(stack["bff"].port, stack[name].freeze, within_ms)
    finally:
        stack[name].thaw()
    ends_in(events, FROZEN[name][0])
    assert word == FROZEN[name][1]
    await serves(stack)


async def test_answer_still_ends_once_when_the_bff_was_frozen_past_its_limit(stack: Stack) -> None:
    """Nobody can be told anything meanwhile. QS, which went on, may have said the code by then."""
    async with streaming(stack["bff"].port, "late", WITHIN_MS) as client:
        stack["bff"].freeze()
        try:
            await trio.sleep(WITHIN_MS / 1000)
        finally:
            stack["bff"].thaw()
        with trio.fail_after(GRACE_S):
            events = await client.rest()
    assert [name for name, _ in events].count("done") == 1
    assert events[-1][0] == "done"
    assert events[-1][1]["reason_code"] in ("HOP_TIMEOUT", "PROVIDER_TIMEOUT", None)
    await serves(stack)
