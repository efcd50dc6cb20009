"""Goal: a model server behind TLS is a model server like any other, unless TLS itself fails.

Method: the chain in memory with real TLS at its far end. The catalogue has what TLS gets wrong.
"""

import pytest
from trio.testing import MockClock

from fakes.openai_compat_server import Behaviour, Tls
from fakes.openai_compat_server.catalogue import CATALOGUE
from harness.topics import TOPICS
from harness.world import MODEL_HOST, open_world

TOPIC = TOPICS[0]


async def last_word(behaviour: Behaviour, tls: Tls, *, stream: bool) -> str:
    async with open_world(TOPIC.hits(), behaviour=behaviour, tls=tls) as world:
        if not stream:
            reply = (await world.ask(TOPIC.question)).json()
        else:
            async with world.stream(TOPIC.question) as events:
                _, reply = (await events.rest())[-1]
    return str(reply["reason_code"] or reply["status"])


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
@pytest.mark.parametrize("name", ["tls-wrong-host", "tls-expired"])
async def test_an_answer_is_ok_when_the_same_authority_says_what_is_right(
    name: str, stream: bool, autojump_clock: MockClock
) -> None:
    """So what a scenario of TLS ends in is its own fault's, and neither trust's nor TLS's."""
    tls = Tls((MODEL_HOST,))
    behaviours = Behaviour(), Behaviour(scenario=name)
    ends = [await last_word(behaviour, tls, stream=stream) for behaviour in behaviours]
    assert ends == ["ok", "PROVIDER_TLS_ERROR"]


@pytest.mark.parametrize("name", ["reset-mid-stream", "close-mid-stream", "status-503-busy"])
async def test_another_scenario_ends_as_ever_behind_tls(
    name: str, autojump_clock: MockClock
) -> None:
    behaviour = Behaviour(scenario=name)
    end = await last_word(behaviour, Tls((MODEL_HOST,)), stream=True)
    assert end == CATALOGUE[name].ends.streaming
