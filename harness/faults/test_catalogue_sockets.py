"""Goal: whatever a model server does, the client gets what the fake's catalogue demands.

Method: every row of the fake's catalogue, content operators too, in both modes through the four
processes; each family's cases are played together when the first of them is asked for, and each is
then judged alone. What only a listener can do befalls a fake that is started for it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import trio

from fakes.openai_compat_server.catalogue import FAMILIES
from fakes.openai_compat_server.scenario import Face, Scenario
from harness.faults.cases import CASES, Case, Played, play
from harness.faults.chain import QUESTION, make_whole, otherwise, serves, word_of, words
from harness.raw_client import dial
from harness.stack import Stack

ANSWERED = [case for case in CASES if case.row.face is Face.ANSWER]
LISTENERS = [row for row in FAMILIES["connection"] if row.face is Face.LISTENER]


@pytest.fixture(scope="session")
def wanted(request: pytest.FixtureRequest) -> frozenset[Case]:
    """The cases that this run is to judge: a selected few are not played among all."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    return frozenset(call.params["case"] for call in calls if call and "case" in call.params)


@pytest.fixture(scope="session")
def played(chain: Stack, wanted: frozenset[Case]) -> Callable[[Case], Played]:
    """A case, played with those of its family that are wanted too."""
    found: dict[Case, Played] = {}
    tried: set[str] = set()

    async def play_family(family: str) -> None:
        rows = [row.name for row in FAMILIES[family]]
        cases = [one for one in ANSWERED if one in wanted and one.row.name in rows]
        found.update(await play(chain, cases))
        await serves(chain)

    def of(case: Case) -> Played:
        (family,) = (name for name, rows in FAMILIES.items() if case.row in rows)
        if family not in tried:
            tried.add(family)
            make_whole(chain)
            trio.run(play_family, family)
        assert case in found, "its family could not be played"
        return found[case]

    return of


@pytest.mark.parametrize("case", ANSWERED, ids=str)
def test_fault_ends_as_the_catalogue_demands(
    case: Case, played: Callable[[Case], Played], record_property: Callable[[str, object], None]
) -> None:
    one = played(case)
    record_property("took_s", f"{one.took_s:.3f}")
    assert list(one.faults()) == []


@pytest.fixture
def listening(stack: Stack, tmp_path: Path) -> Iterator[Callable[[Scenario], None]]:
    """Has a fake listen as a row says, and a gateway trust it where it speaks TLS."""
    changed = ["fake"]

    def listen(row: Scenario) -> None:
        stack["fake"].kill()
        ca = tmp_path / "ca.pem"
        tls = ("--tls-ca", str(ca)) if row.needs_tls else ()
        options = ("--scenario", row.name, *tls)
        stack.launch("fake", options, {}, ready=lambda fake: "Playing" in fake.text())
        if row.needs_tls:
            url = f"https://localhost:{stack['fake'].port}/v1"
            changed.append("llmgw")
            stack.restart("llmgw", LLM_BASE_URL=url, LLM_CA_FILE=str(ca), LLM_PRELOAD="false")

    yield listen
    for name in changed:
        stack[name].kill()


@pytest.mark.parametrize("row", LISTENERS, ids=lambda row: row.name)
async def test_fault_of_a_listener_ends_as_the_catalogue_demands(
    row: Scenario, stack: Stack, listening: Callable[[Scenario], None]
) -> None:
    listening(row)
    ended = await play(stack, [case for case in CASES if case.row is row])
    assert {str(case): list(one.faults()) for case, one in ended.items()} == {
        str(case): [] for case in ended
    }


async def test_chain_serves_again_when_the_listener_is_as_usual(stack: Stack) -> None:
    await serves(stack)


async def test_failures_are_repeated_and_then_not_asked_for_when_both_are_switched_on(
    stack: Stack,
) -> None:
    """All else here has neither: a fault that passes is not seen, one that stays is left alone."""
    bff = stack["bff"].port
    script = {
        "rule": [
            {"text": "(passes)", "play": ["status-503-busy", "reset-before-bytes"]},
            {"text": "(stays)", "play": ["status-500"], "then": "last"},
        ]
    }
    on = {"MAX_ATTEMPTS": "3", "BREAKER_FAILURES": "2", "BREAKER_COOLDOWN_MS": "2000"}
    with otherwise(stack, "llmgw", {f"LLM_{name}": value for name, value in on.items()}):
        await load_script(stack["fake"].port, script)
        assert await word_of(bff, stream=True, question=f"{QUESTION} (passes)") == "ok"
        for stream in (True, False):
            word = await word_of(bff, stream=stream, question=f"{QUESTION} (stays)")
            assert word == "PROVIDER_SERVER_ERROR"
        asked = stack["fake"].text().count("POST ")
        assert await words(bff) == ("PROVIDER_CIRCUIT_OPEN", "PROVIDER_CIRCUIT_OPEN")
        assert stack["fake"].text().count("POST ") == asked, "it is left alone"
        await trio.sleep(2)
        assert await word_of(bff, stream=True) == "ok"
        await serves(stack)
    stack["fake"].kill()  # with the script
    make_whole(stack)
    await serves(stack)


async def load_script(port: int, script: Mapping[str, object]) -> None:
    """Have the fake play this one in the place of the one it was started with."""
    body = json.dumps(script).encode()
    head = f"PUT /__admin/script HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
    async with dial(port) as client:
        await client.send_raw(head.encode() + body)
        assert await client.head() == 200, await client.body()
