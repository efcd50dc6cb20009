"""A random world out of a seed: `draw(seed, names)` gives the same plan for the same seed, always.

Most of a world is as usual, so that what is out of the ordinary meets calls that are not.
"""

import random

from attrs import evolve

from harness.attempts import OPENS_SOON
from harness.locks import KEYS, LOCKED, RATE
from harness.plans import Call, Drain, Hold, HopFaultAt, Names, Plan
from harness.topics import TOPICS

_RARE = 0.06  # how probable is what befalls few worlds
_ENVIRONS = (
    {"LLM_STREAM_ENABLED": "false"},
    {"LLM_STREAM_ALWAYS": "true"},
    {"QS_CHAT_STREAM_ENABLED": "false"},
    OPENS_SOON,
    KEYS,
    RATE,
    LOCKED,
    {"LLM_BREAKER_FAILURES": "1", "LLM_BREAKER_COOLDOWN_MS": "2000"},
    {"LLM_MAX_ATTEMPTS": "1"},
    {"LLM_MAX_ATTEMPTS": "5"},
    {"LLM_PRELOAD": "true"},
    {"LLM_MAX_CONCURRENCY": "1", "LLM_MAX_QUEUE": "0"},
    {"LLM_MAX_CONCURRENCY": "1", "LLM_MAX_QUEUE": "1", "LLM_QUEUE_TIMEOUT_MS": "900"},
    {"LLM_MAX_CONCURRENCY": "1"},
)


def draw(seed: int, names: Names) -> Plan:
    """A random world out of these names."""
    dice = random.Random(seed)
    topics = dice.sample(range(-1, len(TOPICS)), dice.choice((1, 2, 2, 3, 4)))
    calls = tuple(_call(dice, topic, names) for topic in topics)
    hops = [
        HopFaultAt(
            dice.choice(("qs", "llmgw")), dice.choice(names.hop_faults), dice.choice((0, 0, 0, 1))
        )
        for _ in range(dice.choice((0, 0, 0, 0, 1, 2)))
    ]
    drains = [
        Drain(dice.choice(("bff", "qs", "llmgw")), round(dice.uniform(0, 6), 3))
        for _ in range(dice.random() < _RARE)
    ]
    plan = Plan(
        seed=seed,
        calls=calls,
        hops=tuple(hops),
        drains=tuple(drains),
        server=dice.choice(names.servers) if dice.random() < _RARE else "",
        dialect=dice.choice(names.dialects),
        pace=f"ttft={dice.choice((1, 80, 900))}ms,itl={dice.choice((1, 8, 150))}ms",
        environ={} if dice.random() > 3 * _RARE else dice.choice(_ENVIRONS),
        latency_ms=dice.choice((1, 5, 20)) if dice.random() < 2 * _RARE else 0,
        holds=tuple(_hold(dice) for _ in range(dice.random() < _RARE)),
    )
    past = [_with_past(dice, at, call, names) for at, call in enumerate(calls)]
    return evolve(plan, calls=tuple(past))


def _with_past(dice: random.Random, at: int, call: Call, names: Names) -> Call:
    """A call that continues a session, of this world or of before."""
    if call.history:
        return call
    if dice.random() < _RARE:
        return evolve(call, store=dice.choice(names.stores))
    continues = at > 0 and dice.random() < 0.3
    return evolve(call, continues=dice.randrange(at)) if continues else call


def _hold(dice: random.Random) -> Hold:
    """Short ones nobody may feel but as a pause; a long one outlasts every clock of the chain."""
    host = dice.choice(("bff", "qs", "llmgw", "model"))
    lengths = (0.2, 0.9, 25.0) if host != "bff" else (0.2, 0.9)
    return Hold(host, round(dice.uniform(0, 4), 3), dice.choice(lengths))


def _call(dice: random.Random, topic: int, names: Names) -> Call:
    leaves_after_s = round(dice.choice((0.0, 0.1, 0.5, 3.0, 20.0)) * dice.random(), 4)
    return Call(
        topic=topic,
        stream=dice.random() < 0.7,
        at_s=round(dice.choice((0.0, dice.uniform(0, 3))), 4),
        model=dice.choice(names.models) if dice.random() < 0.4 else "",
        search=dice.choice(names.searches) if dice.random() < 0.08 else "",
        client=dice.choice(names.clients) if dice.random() < 0.08 else "",
        leaves_after_s=leaves_after_s if dice.random() < 0.2 else None,
        citations_required=dice.random() < 0.9,
        model_times=dice.choice((None, None, 1, 2, 3)),
        deadline_ms=dice.choice((1, 300, 700, 1500, 4000, 30000)) if dice.random() < 0.1 else None,
        top_k=dice.choice((1, 2, 20)) if dice.random() < 0.1 else None,
        history=dice.choice((1, 2, 5, 6)) if dice.random() < 0.1 else 0,
        reads_every_s=dice.choice((0.02, 0.3)) if dice.random() < _RARE else 0.0,
    )
