"""Whatever clients ask for and servers answer, the number of Prometheus's series has a bound.

Method: the chain on a virtual clock, and clients and a model server that say something new with
every call. What was said is in no label, every label's value is in its closed set, and a second
round of new words adds not one series to the first.
"""

import pytest
from trio.testing import MockClock

from harness.telemetry import Labels
from harness.world import World, chat_body, hits_of, open_world
from hop.metrics import LABELS
from llmgw import gen_ai
from llmgw.config import GatewaySettings

SETTINGS = GatewaySettings()
CLOSED = {**LABELS, **gen_ai.labels(SETTINGS)}
QUESTION = "Which command finds the package of a file?"
HITS = hits_of("The command `dpkg -S` finds the package of a file.")
NEW = "zarquon"


def series(world: World) -> set[tuple[str, str, Labels]]:
    """Every series but those of histograms' buckets, which stand with their counts."""
    return {
        (program, name, labels)
        for program, running in world.programs.items()
        for name, labels in running.told().figures
    }


async def ask_for_new_things(world: World, number: int) -> None:
    """Everything in a request, and in what a server answers, that is free text."""
    word = f"{NEW}-{number}"
    named = {"x-request-id": word, "user-agent": word}
    headers = {**named, "x-api-key": word, "origin": f"http://{word}"}
    post, get = world.client.post, world.client.get
    await post("http://bff/chat", json=chat_body(f"{QUESTION} {word}"), headers=named)
    await post("http://bff/chat", json=chat_body(word), headers=headers)
    await post(f"http://bff/{word}", json={})
    await get(f"http://qs/{word}?{word}={word}", headers=headers)
    await world.client.request(word.upper(), "http://llmgw/v1/generate")
    await post(f"http://bff/chat?{word}=true", json={word: word})
    for model in (word, f"fake:{word}", "fake:finish-unknown", SETTINGS.model):
        for stream in (False, True):
            await post("http://llmgw/v1/generate", json=generation(model, stream))


def generation(model: str, stream: bool) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "context": {"chunks": [{"chunk_id": "a#1", "content": HITS[0].content}]},
        "stream": stream,
    }


@pytest.mark.parametrize("traced", [False, True])
async def test_new_words_make_no_new_series(autojump_clock: MockClock, traced: bool) -> None:
    async with open_world(HITS, traced=traced) as world:
        for number in range(3):
            await ask_for_new_things(world, number)
        before = series(world)
        for number in range(3, 8):
            await ask_for_new_things(world, number)
        after = series(world)
    assert after == before
    for program, name, labels in after:
        for label, value in labels:
            assert value in CLOSED[label], (program, name, label, value)
    assert NEW not in repr(after)
    models = {value for _, _, labels in after for label, value in labels if "model" in label}
    assert models == {SETTINGS.model, gen_ai.OTHER}
