"""What happens in one world, as data: the calls, and whatever befalls them.

    Plan, Call             one world; `to_json` and `from_json` are the same as text
    unplayable(plan, …)    why a plan that somebody wrote makes no sense
    smaller(plan)          simpler plans, the boldest first, for finding the least that still fails

Names are those of the catalogues: `model` of the fake's scenarios, `search` and `client` of
`harness.causes`, hop faults of `harness.hop_faults`. An empty name is nothing out of the ordinary.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import cattrs
from attrs import asdict, evolve, field, fields_dict, frozen

from harness.topics import EARLIER, TOPICS

PROGRAMS = ("bff", "qs", "llmgw")
# What a call can do without, in the order in which it is tried.
_SMALLER = (
    "model", "model_times", "search", "client", "leaves_after_s", "leaves_at_step", "at_s",
    "citations_required", "deadline_ms", "top_k", "history", "reads_every_s", "store", "continues",
)  # fmt: skip
_converter = cattrs.Converter(forbid_extra_keys=True)


@frozen
class Call:
    """One client's call. `topic` is an index into `harness.topics.TOPICS`; -1 is off topic.

    `at_s` counts from the world's start. `leaves_after_s` counts from `at_s`, `leaves_at_step` the
    steps that all tasks take from then on; None: it stays. `model_times` is how often the model
    server plays `model` for it before it answers as usual; None: always.

    `deadline_ms` is how long it says that it will wait, `top_k` how many passages it wants,
    `history` how many messages of `harness.topics.EARLIER` it sends along; between two reads it
    takes `reads_every_s`. It `continues` the session of the call of this number, as soon as that is
    over and told of one. `store` is what befalls the store when it names a session of before.
    """

    topic: int = 0
    stream: bool = True
    at_s: float = 0.0
    model: str = ""
    search: str = ""
    store: str = ""
    client: str = ""
    leaves_after_s: float | None = None
    leaves_at_step: int | None = None
    citations_required: bool = True
    model_times: int | None = None
    deadline_ms: int | None = None
    top_k: int | None = None
    history: int = 0
    continues: int | None = None
    reads_every_s: float = 0.0


@frozen
class HopFaultAt:
    """A connection that is dialled to `host` gets this fault: the next one `after` so many."""

    host: str
    fault: str
    after: int = 0


@frozen
class Hold:
    """The network loses nothing of what is sent to `host` and from it, and brings it later."""

    host: str
    at_s: float
    for_s: float


@frozen
class Drain:
    """A program is told to stop, and drains."""

    program: str
    at_s: float


@frozen
class Plan:
    """One world. `server` is a scenario of the model server's listener; `pace` its latency.

    `latency_ms` is the network's, one way, on each of its connections.
    """

    seed: int = 0
    calls: tuple[Call, ...] = (Call(),)
    hops: tuple[HopFaultAt, ...] = ()
    drains: tuple[Drain, ...] = ()
    server: str = ""
    dialect: str = "openai"
    pace: str = "ttft=80ms,itl=8ms"
    environ: Mapping[str, str] = field(factory=dict)
    latency_ms: int = 0
    holds: tuple[Hold, ...] = ()

    @property
    def late_s(self) -> float:
        """The most by which the network makes anything later, from the client to the model."""
        held = sum(hold.for_s for hold in self.holds)
        return 4 * self.latency_ms / 1000 + held

    def arrives(self, host: str, at_s: float) -> float:
        """When what is sent to this host, or by it, is there."""
        for hold in self.holds:
            if hold.host == host and hold.at_s <= at_s < hold.at_s + hold.for_s:
                at_s = hold.at_s + hold.for_s
        return at_s + self.latency_ms / 1000

    def to_json(self) -> str:
        """On one line; what is as usual is left out."""
        return json.dumps(_unusual(self), separators=(",", ":"))


def from_json(text: str) -> Plan:
    """Raises ValueError for what is no plan."""
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("a plan is an object")  # noqa: TRY004 - of JSON, not of Python
    try:
        return _converter.structure(fields, Plan)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from None


def _unusual(thing: Plan | Call | HopFaultAt | Hold | Drain) -> dict[str, object]:
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
    stores: tuple[str, ...]
    clients: tuple[str, ...]
    hop_faults: tuple[str, ...]
    dialects: tuple[str, ...]


def unplayable(plan: Plan, names: Names) -> Iterator[str]:
    """Why this plan makes no sense: names that no catalogue has, two calls about the same."""
    for call in plan.calls:
        for known, what in (
            (names.models, call.model),
            (names.searches, call.search),
            (names.stores, call.store),
            (names.clients, call.client),
        ):
            if what not in ("", *known):
                yield f"nothing is called {what!r}"
        if not -1 <= call.topic < len(TOPICS):
            yield f"there is no topic {call.topic}"
        if sum((call.continues is not None, bool(call.store), bool(call.history))) > 1:
            yield "a call has one past, or none"
    if any(call.continues not in (None, *range(at)) for at, call in enumerate(plan.calls)):
        yield "a call continues one that stands before it"
    topics = {call.topic for call in plan.calls}
    if len(topics) < len(plan.calls) or topics.issuperset(range(len(TOPICS))):
        yield "each call has a topic of its own, and one is left over"
    for at in plan.hops:
        if at.host not in ("qs", "llmgw") or at.fault not in names.hop_faults:
            yield f"no fault is called {at.host}:{at.fault}"
    yield from (f"no program {it.program!r}" for it in plan.drains if it.program not in PROGRAMS)
    hosts = (*PROGRAMS, "model")
    yield from (f"no host {it.host!r}" for it in plan.holds if it.host not in hosts)
    if any(not 0 <= call.history <= len(EARLIER) for call in plan.calls):
        yield f"a history has no more than {len(EARLIER)} messages"
    if plan.server not in ("", *names.servers) or plan.dialect not in names.dialects:
        yield f"no model server is {plan.server!r} of {plan.dialect!r}"


def _without(calls: Sequence[Call], gone: int) -> Iterator[Call]:
    """All calls but one; those that it was continued by begin anew."""
    for at, call in enumerate(calls):
        if at != gone:
            of = call.continues
            moved = None if of in (None, gone) else of - (of > gone)
            yield evolve(call, continues=moved)


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, whole calls first."""
    for at in range(len(plan.calls)):
        if len(plan.calls) > 1:
            yield evolve(plan, calls=tuple(_without(plan.calls, at)))
    for at in range(len(plan.hops)):
        if len(plan.hops) > 1:
            yield evolve(plan, hops=plan.hops[:at] + plan.hops[at + 1 :])
    for name in ("hops", "drains", "holds", "server", "environ", "dialect", "pace", "latency_ms"):
        usual = getattr(Plan(), name)
        if getattr(plan, name) != usual:
            yield evolve(plan, **{name: usual})
    for at, call in enumerate(plan.calls):
        for name in _SMALLER:
            usual = getattr(Call(), name)
            if getattr(call, name) != usual:
                less = evolve(call, **{name: usual})
                yield evolve(plan, calls=(*plan.calls[:at], less, *plan.calls[at + 1 :]))
