"""Goal: a peer that is there and is not (it vanished, it does not read, it resets) holds up nobody.

Method: relays between the programs that let every connection of one go half-open while an answer
is being written in both modes; and clients that stop reading for good, vanish, or send RST. What a
limit ends is ended everywhere, and others are served meanwhile and afterwards.
"""

import json
import socket

import h11
import pytest
import trio

from fakes.openai_compat_server.socket_wire import RESET_ON_CLOSE
from harness.faults.chain import (
    AT_LENGTH,
    GENERATION_S,
    GRACE_S,
    HOPS,
    LEFT_S,
    QUESTION,
    SLOWLY_AT_ONCE,
    STALL_S,
    closing_line,
    ends_in,
    eventually,
    serves,
    streaming,
    struck,
    words,
)
from harness.faults.relay import Relays, open_relay, open_relays
from harness.raw_client import Client, dial, named
from harness.stack import Stack, free_ports

WITHIN_MS = 5_000
# Who vanished, and what the client is told: by the limit for silence, or for a whole plain answer.
VANISHED = {
    "qs": ("HOP_TIMEOUT", "HOP_TIMEOUT"),
    "llmgw": ("HOP_TIMEOUT", "HOP_TIMEOUT"),
    "fake": ("PROVIDER_IDLE_TIMEOUT", "PROVIDER_TIMEOUT"),
}


@pytest.mark.parametrize("host", VANISHED)
async def test_answer_ends_by_its_limit_when_a_program_vanishes(
    host: str, relayed: Stack, relays: Relays
) -> None:
    within_ms = None if host == "fake" else WITHIN_MS
    async with open_relays(relayed, relays) as opened:
        with trio.fail_after(WITHIN_MS / 1000 + GENERATION_S + GRACE_S):
            bff = relayed["bff"].port
            events, word = await struck(bff, opened[host].vanish, within_ms)
        ends_in(events, VANISHED[host][0])
        assert word == VANISHED[host][1]
        await serves(relayed)
    await eventually(lambda: is_idle(relayed), GENERATION_S + GRACE_S)


def is_idle(stack: Stack) -> bool:
    """Whether no program of ours holds a call, or a stream to the next."""
    gauges = [gauge for name in HOPS for gauge in _gauges(stack[name].port)]
    return len(gauges) == 2 * len(HOPS) and not any(gauges)


def _gauges(port: int) -> list[float]:
    with socket.create_connection(("127.0.0.1", port), timeout=GRACE_S) as asked:
        asked.sendall(b"GET /metrics HTTP/1.1\r\nhost: hop\r\nconnection: close\r\n\r\n")
        text = b"".join(iter(lambda: asked.recv(65_536), b""))
    wanted = (b"bsl_in_flight_calls{", b"bsl_open_upstream_streams{")
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    return [float(line.rpartition(b" ")[2]) for line in lines]


@pytest.mark.parametrize("host", VANISHED)
async def test_idle_connection_that_went_half_open_costs_its_call_and_no_other(
    host: str, relayed: Stack, relays: Relays
) -> None:
    """Nobody can know that an idle connection is half-open but by asking on it.

    None is kept for more than two seconds: on a machine that is so slow there may be none.
    """
    async with open_relays(relayed, relays) as opened:
        await serves(relayed)
        opened[host].vanish()
        silent = {"fake": ("PROVIDER_FIRST_TOKEN_TIMEOUT", "PROVIDER_TIMEOUT")}
        due = silent.get(host, ("HOP_TIMEOUT", "HOP_TIMEOUT"))
        found = await words(relayed["bff"].port, within_ms=WITHIN_MS)
        assert all(word in (wanted, "ok") for word, wanted in zip(found, due, strict=True)), found
        await serves(relayed)


@pytest.mark.parametrize("vanishes", [False, True], ids=["stalls", "vanishes"])
async def test_client_that_reads_no_more_is_dropped_and_the_others_are_served(
    vanishes: bool, stack: Stack
) -> None:
    (port,) = free_ports(("client",)).values()
    call, left = f"reader-{vanishes}", stack["fake"].text().count("client left")
    async with (
        open_relay(port, stack["bff"].port) as relay,
        dial(port if vanishes else stack["bff"].port, receive_buffer=4096) as client,
    ):
        await client.ask(f"{QUESTION} {AT_LENGTH}", headers={"x-request-id": call})
        assert await client.head() == 200
        if vanishes:
            relay.vanish()
        await serves(stack)
        line = await closing_line(stack["bff"], call, STALL_S + GENERATION_S + GRACE_S)
        assert (line["status"], line["reason_code"]) == ("gone", "CLIENT_TOO_SLOW")
        if not vanishes:
            with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
                await client.rest()
    await eventually(lambda: stack["fake"].text().count("client left") > left, LEFT_S)
    for name in ("qs", "llmgw"):
        line = await closing_line(stack[name], call)
        assert line["reason_code"] == "CLIENT_DISCONNECTED"
    await eventually(lambda: is_idle(stack), GRACE_S)
    await serves(stack)


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
async def test_reset_by_the_client_is_felt_by_the_whole_chain(stream: bool, stack: Stack) -> None:
    call = f"reset-{stream}"
    left = stack["fake"].text().count("client left")
    if stream:
        async with streaming(stack["bff"].port, call) as client:
            reset(client)
    else:
        async with dial(stack["bff"].port) as client:
            question = f"{QUESTION} {SLOWLY_AT_ONCE}"
            await client.ask(question, stream=False, headers={"x-request-id": call})
            await trio.sleep(1)
            reset(client)
    await eventually(lambda: stack["fake"].text().count("client left") > left, LEFT_S)
    for name in HOPS:
        line = await closing_line(stack[name], call)
        assert line["reason_code"] == "CLIENT_DISCONNECTED"
    await serves(stack)


def reset(client: Client) -> None:
    """RST."""
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    client.stream.socket.close()


async def test_reset_between_two_calls_is_no_failure_of_the_next(
    relayed: Stack, relays: Relays
) -> None:
    """All idle connections of the chain are reset at once; the next call dials anew."""
    async with open_relays(relayed, relays):
        await serves(relayed)
    async with open_relays(relayed, relays):
        async with dial(relayed["bff"].port) as client:
            await client.ask(QUESTION)
            assert await client.head() == 200
            assert named(await client.rest(), "done")["status"] == "ok"
        async with dial(relayed["bff"].port) as client:
            await client.ask(QUESTION, stream=False)
            assert await client.head() == 200
            assert json.loads(await client.body())["status"] == "ok"
