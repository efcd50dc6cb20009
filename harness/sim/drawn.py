"""A random world out of a seed: `draw(seed, names)` gives the same plan for the same seed, always.

Most of a world is as usual, so that what is out of the ordinary meets calls that are not.
"""

import random

from harness.attempts import OPENS_SOON
from harness.locks import KEYS, LOCKED, RATE
from harness.plans import Call, Drain, HopFaultAt, Names, Plan
from harness.topics import TOPICS

_RARE = 0.06  # how probable is what befalls few worlds
_ENVIRONS = (
    {"LLM_STREAM_ENABLED": "false"},
    {"QS_CHAT_STREAM_ENABLED": "false"},
    OPENS_SOON,
    KEYS,
    RATE,
    LOCKED,
)


def draw(seed: int, names: Names) -> Plan:
    """A random world out of these names."""
    dice = random.Random(seed)
    topics = dice.sample(range(-1, len(TOPICS)), dice.choice((1, 2, 2, 3, 4)))
    calls = tuple(_call(dice, topic, names) for topic in topics)
    hops = [
        HopFaultAt(dice.choice(("qs", "llmgw")), dice.choice(names.hop_faults))
        for _ in range(dice.choice((0, 0, 0, 0, 1, 2)))
    ]
    drains = [
        Drain(dice.choice(("bff", "qs", "llmgw")), round(dice.uniform(0, 6), 3))
        for _ in range(dice.random() < _RARE)
    ]
    return Plan(
        seed=seed,
        calls=calls,
        hops=tuple(hops),
        drains=tuple(drains),
        server=dice.choice(names.servers) if dice.random() < _RARE else "",
        dialect=dice.choice(names.dialects),
        pace=f"ttft={dice.choice((1, 80, 900))}ms,itl={dice.choice((1, 8, 150))}ms",
        environ={} if dice.random() > 2 * _RARE else dice.choice(_ENVIRONS),
    )


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
    )
