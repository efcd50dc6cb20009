"""One generation over the real app and the fake server, in memory: attempts, pauses, the breaker.

What was asked, and when, is the fake's own journal; what was answered is the gateway's HTTP.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour, Rule, Script
from harness.world import World, open_world

URL = "http://llmgw/v1/generate"
CHUNK = {"chunk_id": "d#1", "content": "Run `dpkg -S filename` to find a file's package."}
BODY = {
    "messages": [{"role": "user", "content": "Which package does a file belong to?"}],
    "context": {"chunks": [CHUNK]},
}
BUSY = "status-503-busy"
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])


@asynccontextmanager
async def gateway(*played: str, scenario: str = "", **environ: str) -> AsyncIterator[World]:
    """The gateway before a server that plays these one after another, and then answers."""
    script = Script((Rule(played),)) if played else None
    behaviour = Behaviour(script=script, scenario=scenario)
    async with open_world([], behaviour=behaviour, environ=environ, only=("model", "llmgw")) as it:
        yield it


@frozen
class Answer:
    """What a caller got, and how long it took."""

    code: str
    retry_after_ms: int | None
    events: Sequence[str]
    took_s: float


async def ask(world: World, stream: bool, deadline_ms: int = 15_000) -> Answer:
    began, headers = trio.current_time(), {"x-deadline-ms": str(deadline_ms)}
    response = await world.client.post(URL, json={**BODY, "stream": stream}, headers=headers)
    frames = [frame.split("\ndata: ") for frame in response.text.split("\n\n") if "data: " in frame]
    last = json.loads(frames[-1][1]) if stream else response.json()
    code, retry = str(last["reason_code"] or last["status"]), last["retry_after_ms"]
    names = [name.removeprefix("event: ") for name, _ in frames]
    return Answer(code, retry, names, trio.current_time() - began)


def asked_at(world: World) -> list[float]:
    return [entry.began_at for entry in world.fake.journal.entries]


@BOTH
async def test_it_answers_when_the_server_fails_twice_and_then_works(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway(BUSY, "status-500") as world:
        answer = await ask(world, stream)
        first, second, third = asked_at(world)
    assert answer.code == "ok"
    assert 0.125 <= second - first <= 0.26, "a quarter of a second, or half of it"
    assert 0.25 <= third - second <= 0.51
    if stream:
        assert list(answer.events[:2]) == ["meta", "citations"], "nothing of the failures is told"


@BOTH
async def test_the_last_code_stands_when_every_attempt_fails(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway("status-500", BUSY, "status-429", "status-500") as world:
        answer = await ask(world, stream)
        assert len(asked_at(world)) == 3
    assert answer.code == "PROVIDER_RATE_LIMITED"


@BOTH
async def test_it_is_asked_once_when_one_attempt_is_granted(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway(BUSY, LLM_MAX_ATTEMPTS="1") as world:
        assert (await ask(world, stream)).code == "PROVIDER_OVERLOADED"
        assert len(asked_at(world)) == 1


@BOTH
async def test_it_comes_back_no_sooner_than_the_server_asked(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway("status-429-retry-after?for=3s") as world:
        answer = await ask(world, stream)
        first, second = asked_at(world)
    assert answer.code == "ok"
    assert 3.125 <= second - first <= 3.26


@BOTH
async def test_the_caller_is_told_at_once_when_the_pause_would_pass_the_deadline(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway("status-429-retry-after?for=20s") as world:
        answer = await ask(world, stream)
        assert len(asked_at(world)) == 1
    assert (answer.code, answer.retry_after_ms) == ("PROVIDER_RATE_LIMITED", 20_000)
    assert answer.took_s < 0.1


async def test_nothing_is_asked_again_once_something_was_shown(autojump_clock: MockClock) -> None:
    async with gateway("close-mid-stream?after=30") as world:
        answer = await ask(world, stream=True)
        assert len(asked_at(world)) == 1
    assert answer.code == "PROVIDER_DISCONNECTED"
    assert "citations" in answer.events


@pytest.mark.parametrize("name", ["status-400", "invalid-json", "no-finish"])
async def test_what_would_not_pass_by_itself_is_not_asked_again(
    name: str, autojump_clock: MockClock
) -> None:
    async with gateway(name) as world:
        assert (await ask(world, stream=False)).code != "ok"
        assert len(asked_at(world)) == 1


@BOTH
async def test_the_deadline_cuts_an_attempt_that_is_not_the_first(
    stream: bool, autojump_clock: MockClock
) -> None:
    async with gateway(BUSY, "silence") as world:
        answer = await ask(world, stream, deadline_ms=2_000)
        assert len(asked_at(world)) == 2
    assert answer.code == "PROVIDER_TIMEOUT"
    assert answer.took_s == pytest.approx(2.0)


@BOTH
async def test_leaving_in_a_pause_is_felt_at_once(stream: bool, autojump_clock: MockClock) -> None:
    async with gateway("status-429-retry-after?for=5s") as world:
        with trio.move_on_after(1):
            await ask(world, stream)
        await trio.sleep(0.01)
        (ended,) = world.programs["llmgw"].ended()
        await trio.sleep(10)
        assert len(asked_at(world)) == 1
        assert world.busy_connections() == 0
    assert (ended["reason_code"], ended["duration_ms"]) == ("CLIENT_DISCONNECTED", 1_000)


async def test_no_connection_is_held_in_a_pause(autojump_clock: MockClock) -> None:
    async with gateway("status-429-retry-after?for=5s") as world, trio.open_nursery() as nursery:
        nursery.start_soon(ask, world, True)
        await trio.sleep(2)
        registry = world.programs["llmgw"].program.metrics.registry
        gauge = registry.get_sample_value("bsl_open_upstream_streams", {"service": "llmgw"})
        assert (world.busy_connections(), gauge) == (0, 0.0)


@BOTH
async def test_the_circuit_opens_probes_and_closes(stream: bool, autojump_clock: MockClock) -> None:
    async with gateway(*["status-500"] * 9, LLM_BREAKER_FAILURES="2") as world:
        failed = {(await ask(world, stream)).code for _ in range(2)}
        refused = await ask(world, stream)
        assert len(asked_at(world)) == 6, "each in all its attempts, and the third not at all"
        await trio.sleep(10)
        failed.add((await ask(world, stream)).code)
        assert (await ask(world, stream)).code == "PROVIDER_CIRCUIT_OPEN"
        assert len(asked_at(world)) == 9
        await trio.sleep(10)
        again = [(await ask(world, stream)).code for _ in range(2)]
    assert failed == {"PROVIDER_SERVER_ERROR"}
    assert (refused.code, refused.took_s) == ("PROVIDER_CIRCUIT_OPEN", 0.0)
    assert refused.retry_after_ms == 10_000
    assert again == ["ok", "ok"]
    said = [line["state"] for line in world.programs["llmgw"].lines() if "state" in line]
    assert said == ["open", "open", "closed"]


async def test_the_circuit_stays_closed_when_it_is_turned_off(autojump_clock: MockClock) -> None:
    async with gateway(scenario="status-500", LLM_BREAKER_FAILURES="0") as world:
        codes = {(await ask(world, stream=False)).code for _ in range(6)}
        assert len(asked_at(world)) == 18
    assert codes == {"PROVIDER_SERVER_ERROR"}


async def test_a_server_that_only_refuses_does_not_open_the_circuit(
    autojump_clock: MockClock,
) -> None:
    async with gateway(scenario="status-400") as world:
        codes = {(await ask(world, stream=False)).code for _ in range(8)}
    assert codes == {str(ReasonCode.PROVIDER_BAD_REQUEST)}


@pytest.mark.parametrize(("deadline_ms", "code"), [
    (15_000, "PROVIDER_CIRCUIT_OPEN"),
    (900, "PROVIDER_TIMEOUT"),
])  # fmt: skip
async def test_a_silent_server_opens_it_and_an_impatient_caller_does_not(
    deadline_ms: int, code: str, autojump_clock: MockClock
) -> None:
    async with gateway(scenario="silence", LLM_BREAKER_FAILURES="2") as world:
        codes = [(await ask(world, False, deadline_ms)).code for _ in range(3)]
    assert codes == ["PROVIDER_TIMEOUT", "PROVIDER_TIMEOUT", code]


async def test_a_probe_that_is_left_leaves_its_place_to_another(autojump_clock: MockClock) -> None:
    async with gateway(*["status-500"] * 3, "silence", LLM_BREAKER_FAILURES="1") as world:
        await ask(world, stream=True)
        await trio.sleep(10)
        with trio.move_on_after(1):
            await ask(world, stream=True)
        await trio.sleep(0.1)
        assert (await ask(world, stream=True)).code == "ok"


async def test_each_request_has_a_boundary_of_its_own(autojump_clock: MockClock) -> None:
    """A passage that was written with one at hand could pose as the end of itself."""
    async with gateway() as world:
        for _ in range(3):
            assert (await ask(world, stream=False)).code == "ok"
        prompts = [entry.request.decode() for entry in world.fake.journal.entries]
    boundaries = [re.findall(r"<<<question ([0-9a-f]+)>>>", prompt) for prompt in prompts]
    assert [len(found) for found in boundaries] == [1, 1, 1]
    assert len({found[0] for found in boundaries}) == 3
