"""Goal: a network that is late, or holds what is sent, changes when things happen and not what.

Method: plans with latency, holds, impatient and slow clients, beside the same world without.
"""

import pytest
from attrs import evolve

from harness.checkers import judge
from harness.evidence import Evidence
from harness.plans import Call, Hold, HopFaultAt, Plan
from harness.play import run
from harness.tests.doctoring import exchange_of

USUAL = Plan()


def judged(plan: Plan) -> Evidence:
    world = run(plan)
    assert judge(world) == []
    return world


def ended_at(world: Evidence, host: str = "bff") -> float:
    at = exchange_of(world, host, 0).ended_at
    assert at is not None
    return at


def words(world: Evidence) -> list[str]:
    return [seen.ends_in for seen in world.seen()]


def test_every_hop_adds_the_networks_latency() -> None:
    usual, late = judged(USUAL), judged(evolve(USUAL, latency_ms=20))
    assert words(usual) == words(late) == ["ok"]
    # There and back for three connections to programs and one to the model; the last goes unseen.
    assert ended_at(late) - ended_at(usual) == pytest.approx(7 * 0.02, abs=1e-6)


@pytest.mark.parametrize("host", ["bff", "qs", "llmgw", "model"])
def test_what_is_held_for_a_moment_comes_whole(host: str) -> None:
    held = judged(evolve(USUAL, holds=(Hold(host, 0.15, 0.9),)))
    assert words(held) == ["ok"]
    arrived = [
        record.at
        for record in held.wire.records
        if record.what == "taken" and held.wire.links[record.link].host == host
    ]
    assert not [at for at in arrived if 0.15 < at < 1.05]
    assert [at for at in arrived if at >= 1.05]


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("qs", "HOP_TIMEOUT"),
        ("llmgw", "HOP_TIMEOUT"),
        ("model", "PROVIDER_FIRST_TOKEN_TIMEOUT"),
    ],
)
def test_what_is_held_for_too_long_ends_by_the_clock_of_who_waits(host: str, word: str) -> None:
    held = judged(evolve(USUAL, holds=(Hold(host, 0.0, 25.0),)))
    assert words(held) == [word]
    assert held.recovered == "ok"


@pytest.mark.parametrize("stream", [True, False])
def test_client_that_takes_its_time_gets_all_of_it(stream: bool) -> None:
    slow = judged(Plan(calls=(Call(stream=stream, reads_every_s=0.3),)))
    usual = judged(Plan(calls=(Call(stream=stream),)))
    assert words(slow) == ["ok"]
    assert len(exchange_of(slow, "bff", 0).answer) == len(exchange_of(usual, "bff", 0).answer)


def test_client_that_will_not_wait_is_answered_in_its_time() -> None:
    plan = Plan(calls=(Call(deadline_ms=1500),), pace="ttft=80ms,itl=150ms")
    world = judged(plan)
    assert words(world) == ["PROVIDER_TIMEOUT"]
    assert ended_at(world) == pytest.approx(1.0)


def test_a_later_connection_can_be_the_one_that_fails() -> None:
    calls = (Call(), Call(1, at_s=1.0), Call(2, at_s=2.0))
    faulty = HopFaultAt("qs", "html", after=1)
    # Each call leaves in the midst, so that its connection is not kept for the next.
    leaving = tuple(evolve(call, leaves_after_s=0.15) for call in calls[:2])
    world = judged(Plan(calls=(*leaving, calls[2]), hops=(faulty,)))
    links = [link.fault for link in world.wire.links if link.host == "qs"]
    assert links[:3] == ["", "html", ""]
