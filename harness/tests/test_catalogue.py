"""Goal: whatever the model server does, the gateway ends in the code that the catalogue demands.

Method: every scenario of the fake's catalogue against the real gateway, in memory on a virtual
clock, in both modes. What is owed yet stands in a table with the code that came instead; an entry
of it that is paid fails the test until it is taken out.
"""

from collections.abc import Mapping

import pytest
from attrs import evolve
from trio.testing import MockClock

from contracts.reasons import Modes, ReasonCode
from fakes.openai_compat_server import Behaviour
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.scenario import Face, Listening
from harness.world import Events, World, open_world
from hop.exchange import ResponseBytes
from qs.retrieval.port import Hit

GENERATE_URL = "http://llmgw/v1/generate"
CHUNKS = [
    {
        "chunk_id": f"doc-{number}#1",
        "title": f"Title {number}",
        "url": f"https://docs.example/{number}",
        "content": content,
    }
    for number, content in enumerate(
        (
            "Run `dpkg -S filename` to find out which package a file belongs to.",
            "The apt tool installs a package from a repository.",
        ),
        start=1,
    )
]
QUESTION = "How do I find out which package a file belongs to?"
# (scenario, mode): what came instead.
OWED: Mapping[tuple[str, str], str] = {}
# TLS is not among the fake's faces; an open circuit is the gateway's own doing.
NOT_OF_A_SCENARIO = {ReasonCode.PROVIDER_TLS_ERROR, ReasonCode.PROVIDER_CIRCUIT_OPEN}
# Only a kernel's queue of connections can be full.
ON_SOCKETS_ONLY = {"slow-connect"}


def request(scenario: str, stream: bool) -> dict[str, object]:
    answered_by = CATALOGUE[scenario].face is Face.ANSWER
    return {
        "version": "v1",
        "model": f"fake:{scenario}" if answered_by else "fake",
        "messages": [{"role": "user", "content": QUESTION}],
        "context": {"chunks": CHUNKS},
        "stream": stream,
    }


async def end_of(world: World, body: dict[str, object]) -> str:
    """The reason code an answer ends in, `ok` where it is one."""
    if not body["stream"]:
        reply = (await world.client.post(GENERATE_URL, json=body)).json()
        return str(reply["reason_code"] or reply["status"])
    async with world.client.stream("POST", GENERATE_URL, json=body) as response:
        chunks = ResponseBytes(response)
        try:
            name, done = (await Events(response, chunks).rest())[-1]
        finally:
            await chunks.aclose(0)
    assert name == "done"
    return str(done["reason_code"] or done["status"])


@pytest.mark.parametrize("mode", ["plain", "streaming"])
@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in ON_SOCKETS_ONLY])
async def test_an_answer_ends_in_the_code_its_row_demands(
    name: str, mode: str, autojump_clock: MockClock
) -> None:
    row, stream = CATALOGUE[name], mode == "streaming"
    behaviour = evolve(Behaviour(), scenario="" if row.face is Face.ANSWER else name)
    listens = ("model",) if row.listening is not Listening.REFUSE else ()
    async with open_world([], behaviour=behaviour, only=(*listens, "llmgw")) as world:
        end = await end_of(world, request(name, stream))
    assert end == OWED.get((name, mode), row.ends.of(stream))


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
async def test_the_chain_plays_the_model_it_is_set_to(
    stream: bool, autojump_clock: MockClock
) -> None:
    """The bytes of a question reach the model server by way of the settings alone."""
    hit = Hit("doc-1#1", "doc-1", "Title", "https://docs.example/1", str(CHUNKS[0]["content"]), 0.9)
    environ = {"QS_LLM_MODEL": "fake:status-503-busy"}
    async with open_world([hit], environ=environ) as world:
        if stream:
            async with world.stream(QUESTION) as events:
                _, reply = (await events.rest())[-1]
        else:
            reply = (await world.ask(QUESTION)).json()
    assert (reply["status"], reply["reason_code"]) == ("fallback", "PROVIDER_OVERLOADED")


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
def test_every_code_that_a_model_server_can_bring_about_has_a_row(stream: bool) -> None:
    impossible = Modes.PLAIN if stream else Modes.STREAMING
    brought_about = {
        code
        for code in ReasonCode
        if code.startswith(("PROVIDER_", "OUTPUT_", "CITATIONS_", "MODEL_"))
        and code.modes is not impossible
    }
    assert brought_about - {row.ends.of(stream) for row in CATALOGUE.values()} == NOT_OF_A_SCENARIO
