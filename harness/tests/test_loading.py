"""Loading and the probe through the whole chain: who waits, what it ends in, what is learned."""

import json
from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from fakes.openai_compat_server import Behaviour, Plan, Rule, Script, raw
from harness.topics import TOPICS
from harness.world import World, open_world

TOPIC = TOPICS[0]
PRELOADS = {"LLM_PRELOAD": "true"}


async def ready(world: World) -> dict[str, object]:
    checks = (await world.client.get("http://llmgw/ready")).json()["checks"]
    found: dict[str, object] = checks["constrained_decoding"]
    return found


def sent(world: World) -> list[dict[str, object]]:
    """The bodies of the chat calls that the model server got."""
    bodies = (entry.request.partition(b"\r\n\r\n")[2] for entry in world.fake.journal.entries)
    return [json.loads(body) for body in bodies if body]


async def test_a_schema_with_a_length_is_sent_once_the_probe_showed_that_it_is_taken(
    autojump_clock: MockClock,
) -> None:
    async with open_world(TOPIC.hits(), environ=PRELOADS) as world:
        await world.ask(TOPIC.question)
        reply = (await world.ask(TOPIC.question)).json()
        assert reply["status"] == "ok"
        found = await ready(world)
        assert found["ok"] is True
        assert "enforced, maxLength is taken" in str(found["detail"])
        assert '"maxLength": 1500' in json.dumps(sent(world)[-1])
        assert sent(world)[0]["max_tokens"] == 1


NO_GRAMMAR = b'{"error": {"message": "failed to parse grammar", "type": "invalid_request_error"}}'
REFUSES = raw(b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n%b" % (len(NO_GRAMMAR), NO_GRAMMAR))
PROBES: Mapping[str, tuple[str | Plan, ...]] = {
    "ignored": ("ok", "content-prose-before", "content-prose-before", "ok"),
    "refused": ("ok", REFUSES, "ok", REFUSES, "ok"),
    "enforced, maxLength is not taken": ("ok", REFUSES, "ok", "ok"),
}


@pytest.mark.parametrize("finding", PROBES)
async def test_what_the_probe_found_decides_what_is_sent(
    finding: str, autojump_clock: MockClock
) -> None:
    probed = Behaviour(script=Script((Rule(PROBES[finding]),)))
    async with open_world(TOPIC.hits(), environ=PRELOADS, behaviour=probed) as world:
        await trio.sleep(10.0)  # of virtual time: whatever the probe does is over
        assert finding in str((await ready(world))["detail"])
        assert (await world.ask(TOPIC.question)).json()["status"] == "ok"
        body = sent(world)[-1]
        assert ("response_format" in body) is finding.startswith("enforced")
        assert "maxLength" not in json.dumps(body)


async def test_a_schema_refused_to_a_request_is_not_sent_again(autojump_clock: MockClock) -> None:
    refuses = Behaviour(script=Script((Rule((REFUSES, "ok", "ok")),)))
    async with open_world(TOPIC.hits(), behaviour=refuses) as world:
        replies = [(await world.ask(TOPIC.question)).json() for _ in range(2)]
        assert [reply["status"] for reply in replies] == ["ok", "ok"]
        assert ["response_format" in body for body in sent(world)] == [True, False, False]
        assert "refused" in str((await ready(world))["detail"])


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
async def test_a_request_waits_for_a_load_and_says_so_when_its_time_is_up(
    stream: bool, autojump_clock: MockClock
) -> None:
    silent_at_first = Behaviour(script=Script((Rule(("silence",)),)))
    async with open_world(TOPIC.hits(), environ=PRELOADS, behaviour=silent_at_first) as world:
        if stream:
            async with world.stream(TOPIC.question) as events:
                _, reply = (await events.rest())[-1]
        else:
            reply = (await world.ask(TOPIC.question)).json()
        assert reply["reason_code"] == "PROVIDER_LOADING"
        assert len(sent(world)) == 1, "only the preload: nobody aborts a load"
        [ended] = world.programs["llmgw"].ended()
        assert ended["phase"] == "loading"


async def test_the_next_request_waits_when_the_model_says_that_it_is_loading(
    autojump_clock: MockClock,
) -> None:
    loads = Behaviour(script=Script((Rule(("status-503-loading",) * 3 + ("ok",)),)))
    environ = {"LLM_MAX_ATTEMPTS": "1"}
    async with open_world(TOPIC.hits(), environ=environ, behaviour=loads) as world:
        assert (await world.ask(TOPIC.question)).json()["reason_code"] == "PROVIDER_LOADING"
        assert (await world.ask(TOPIC.question)).json()["status"] == "ok"


async def test_a_load_goes_on_when_the_client_that_waits_for_it_leaves(
    autojump_clock: MockClock,
) -> None:
    slow = Behaviour(script=Script((Rule(("status-503-loading",) * 8 + ("ok",)),)))
    async with open_world(TOPIC.hits(), environ=PRELOADS, behaviour=slow) as world:
        async with world.stream(TOPIC.question) as events:
            assert (await events.next() or ("", {}))[0] == "meta"
            await trio.sleep(2.0)
        await trio.sleep(0.25)
        [ended] = world.programs["llmgw"].ended()
        assert (ended["reason_code"], ended["phase"]) == ("CLIENT_DISCONNECTED", "loading")
        assert (await world.ask(TOPIC.question)).json()["status"] == "ok"
        assert trio.current_time() == pytest.approx(8.0, abs=1.5)
