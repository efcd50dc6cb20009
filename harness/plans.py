"""What happens in one world, as data: the calls, and whatever befalls them.

    Plan, Call             one world; `to_json` and `from_json` are the same as text
    draw(seed)             a random world: same seed, same plan
    smaller(plan)          simpler plans, the boldest first, for finding the least that still fails

Names are those of the catalogues: `model` of the fake's scenarios, `search` and `client` of
`harness.causes`, hop faults of `harness.hop_faults`. An empty name is nothing out of the ordinary.
"""

import json
import random
from collections.abc import Iterator, Mapping

import cattrs
from attrs import asdict, evolve, field, fields_dict, frozen

from harness.topics import TOPICS

_converter = cattrs.Converter(forbid_extra_keys=True)


@frozen
class Call:
    """One client's call. `topic` is an index into `harness.topics.TOPICS`; -1 is off topic.

    `at_s` counts from the world's start. `leaves_after_s` counts from `at_s`, `leaves_at_step` the
    steps that all tasks take from then on; None: it stays.
    """

    topic: int = 0
    stream: bool = True
    at_s: float = 0.0
    model: str = ""
    search: str = ""
    client: str = ""
    leaves_after_s: float | None = None
    leaves_at_step: int | None = None
    citations_required: bool = True


@frozen
class HopFaultAt:
    """The next connection that is dialled to `host` gets this fault."""

    host: str
    fault: str


@frozen
class Drain:
    """A program is told to stop, and drains."""

    program: str
    at_s: float


@frozen
class Plan:
    """One world. `server` is a scenario of the model server's listener; `pace` its latency."""

    seed: int = 0
    calls: tuple[Call, ...] = (Call(),)
    hops: tuple[HopFaultAt, ...] = ()
    drains: tuple[Drain, ...] = ()
    server: str = ""
    dialect: str = "openai"
    pace: str = "ttft=80ms,itl=8ms"
    environ: Mapping[str, str] = field(factory=dict)

    def to_json(self) -> str:
        """On one line; what is as usual is left out."""
        return json.dumps(_unusual(self), separators=(",", ":"))


def from_json(text: str) -> Plan:
    """Raises ValueError for what is no plan."""
    try:
        return _converter.structure(json.loads(text), Plan)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from None


def _unusual(thing: Plan | Call | HopFaultAt | Drain) -> dict[str, object]:
    usual = fields_dict(type(thing))
    found: dict[str, object] = {}
    for name, value in asdict(thing, recurse=False).items():
        if isinstance(value, tuple):
            value = [_unusual(part) for part in value]
            if value or name == "calls":
                found[name] = value
        elif value != usual[name].default and value != {}:
            found[name] = value
    return found


@frozen
class Names:
    """What can befall a world, by the catalogues' names; `servers` are the listener's scenarios."""

    models: tuple[str, ...]
    servers: tuple[str, ...]
    searches: tuple[str, ...]
    clients: tuple[str, ...]
    hop_faults: tuple[str, ...]
    dialects: tuple[str, ...]


def draw(seed: int, names: Names) -> Plan:
    """A random world out of these names: most of it as usual, so that faults meet good calls."""
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
        environ={} if dice.random() > _RARE else {dice.choice(_NOT_STREAMING): "false"},
    )


_RARE = 0.06
_NOT_STREAMING = ("LLM_STREAM_ENABLED", "QS_CHAT_STREAM_ENABLED")


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
    )


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, whole calls first."""
    for at in range(len(plan.calls)):
        if len(plan.calls) > 1:
            yield evolve(plan, calls=plan.calls[:at] + plan.calls[at + 1 :])
    for name in ("hops", "drains", "server", "environ", "dialect", "pace"):
        usual = getattr(Plan(), name)
        if getattr(plan, name) != usual:
            yield evolve(plan, **{name: usual})
    for at, call in enumerate(plan.calls):
        for name in ("model", "search", "client", "leaves_after_s", "at_s", "citations_required"):
            usual = getattr(Call(), name)
            if getattr(call, name) != usual:
                less = evolve(call, **{name: usual})
                yield evolve(plan, calls=(*plan.calls[:at], less, *plan.calls[at + 1 :]))
