"""Goal: a client may leave at any moment at all, and nothing of its call is left anywhere.

Method: one world for each step that any task of the chain takes while a call is under way; the
client leaves right before it. So it leaves between any two wake-ups, also of the same moment. And
one world with a thousand clients who crowd before few slots, and leave at moments by chance.
"""

import random
from collections import Counter
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from fakes.openai_compat_server import Behaviour, parse_latency
from harness.checkers import judge
from harness.checkers.codes import last_said
from harness.driver import perform
from harness.plans import Call, Plan
from harness.play import BFF_URL, at_rest_of, run, tasks_there_are
from harness.topics import TOPICS
from harness.world import hits_of, open_world

# The model server fails at once, so the end of a call that fails is under way in few steps.
FAILING = "close-before-bytes"


@pytest.mark.parametrize("model", ["", FAILING], ids=["answered", "failing"])
@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
def test_a_client_that_leaves_at_any_step_leaves_nothing(stream: bool, model: str) -> None:
    end = "ok" if not model else "PROVIDER_DISCONNECTED"
    for step in count(1):
        evidence = run(Plan(calls=(Call(stream=stream, model=model, leaves_at_step=step),)))
        assert judge(evidence) == [], f"replay: {evidence.plan.to_json()}"
        if last_said(evidence, evidence.seen()[0]) == end:
            break
    assert step > 50, "it was answered before it could be left"


CLIENTS = 1_000
# More than the slots serve, so that a queue is always there to be left.
WITHIN_S = 40.0
CROWDED = {"LLM_MAX_CONCURRENCY": "4", "LLM_MAX_QUEUE": "8"}


async def test_a_thousand_clients_that_leave_by_chance_leave_nothing(
    autojump_clock: MockClock,
) -> None:
    dice = random.Random(1)
    calls = [
        Call(
            topic=number % len(TOPICS),
            stream=dice.random() < 0.5,
            at_s=dice.uniform(0, WITHIN_S),
            leaves_after_s=dice.choice((0.02, 0.3, 1.0, 4.0)) * dice.random(),
        )
        for number in range(CLIENTS)
    ]
    behaviour = Behaviour(latency=parse_latency("ttft=200ms,itl=5ms"))
    hits = hits_of(*TOPICS[0].passages)
    async with open_world(hits, environ=CROWDED, behaviour=behaviour) as world:
        await trio.testing.wait_all_tasks_blocked()
        before, words = tasks_there_are(), Counter[str]()

        async def come(number: int, call: Call) -> None:
            await trio.sleep(call.at_s)
            async with world.network.client(timeout=None) as client:
                words[(await perform(client, BFF_URL, call, number)).word] += 1

        async with trio.open_nursery() as nursery:
            for number, call in enumerate(calls):
                nursery.start_soon(come, number, call)
        await trio.sleep(0.25)
        held = at_rest_of(world, before)
        assert not any(held.busy.values()), held
        assert not any(held.open_upstreams.values()), held
        await trio.sleep(90)
        rest = at_rest_of(world, before)
        assert (rest.tasks_more, rest.connections, rest.pooled) == ((), (), 0)
        async with world.network.client(timeout=None) as client:
            assert (await perform(client, BFF_URL, Call(), CLIENTS)).word == "ok"
        phases = Counter(
            str(line["phase"])
            for line in world.programs["llmgw"].ended()
            if line["reason_code"] == "CLIENT_DISCONNECTED"
        )
    assert words["(left)"] > CLIENTS / 2, words
    assert min(phases["queue"], phases["model"]) > 20, phases
