"""Plays a plan: the four programs, the clients and the faults, in memory, on a virtual clock.

    run(plan) -> Evidence          the whole world, from its start until nothing is left in it

Everything comes from the plan: the order in which tasks run too. While the calls go on, whatever
the plan says befalls them; then the faults stop, and the chain must answer one more question. At
last nothing happens for so long that every connection nobody uses is closed, and what is left then
is a leak.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import trio
import trio._core._run as trio_run
import trio.testing
from attrs import define, field, frozen
from hypothesis import seed as _  # noqa: F401 - where it is imported, trio's order can be seeded
from trio.testing import MockClock

from fakes.openai_compat_server import Behaviour, Fake, Rule, Script, Then, Tls, parse_latency
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.over_trio import serve_trio_stream
from harness.attempts import cooldown_s
from harness.causes import PlannedRetriever, PlannedStore, environ_of, session_of_before
from harness.driver import perform
from harness.evidence import AtRest, Evidence, ModelCall
from harness.hop_faults import FAULTS, Breaking, Broken, HopFault, Impostor, Lost, Refused
from harness.memory_stream import Arrives, End
from harness.net import Sever, Way, refused
from harness.plans import Call, Plan
from harness.steps import CancelAfter
from harness.topics import OFF_TOPIC, TOPICS
from harness.wire_log import MODEL, Piece, Record, What, WireLog
from harness.wire_log import Way as Direction
from harness.world import MODEL_HOST, World, open_world
from llmgw.model_state import PROBE_AGAIN_S, PROBE_S

BFF_URL: Final = "http://bff"
_FELT_S: Final = 0.25  # as CONTRACT §6 has it
# Longer than any program keeps a connection that nobody uses; and before that, the gateway asks a
# server that was healed what it had not learned of it.
_QUIET_S: Final = 90.0 + PROBE_AGAIN_S + PROBE_S
_SMALL_BUFFER_BYTES: Final = 1024
# Keys are not drawn from any seed: one set of them does for every world.
_TLS: Final = Tls((MODEL_HOST,))


def run(plan: Plan) -> Evidence:
    """Play the plan. The same plan gives the same evidence, in any process."""
    assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    dice, trio_run._r = trio_run._r, random.Random(plan.seed)
    try:
        return trio.run(_play, plan, clock=MockClock(autojump_threshold=0))
    finally:
        trio_run._r = dice


async def _play(plan: Plan) -> Evidence:
    network = _Network(plan)
    retriever = PlannedRetriever(
        {_question(call): call.search for call in plan.calls if call.search}
    )
    store = PlannedStore(
        faults={session_of_before(call): call.store for call in plan.calls if call.store}
    )
    async with open_world(
        [],
        environ=environ_of(plan),
        behaviour=behaviour_of(plan),
        seed=plan.seed,
        search=retriever,
        store=store,
        way=network.way,
        tls=_TLS if _is_secured(plan) else None,
    ) as world:
        await trio.testing.wait_all_tasks_blocked()
        tasks = tasks_there_are()
        await _calls(plan, world)
        ended_at = trio.current_time()
        # Who has left is felt on every hop first: what is under way is not the new server's.
        await trio.sleep(_FELT_S + plan.late_s)
        network.heal()
        recovered = None if plan.drains else await _recovery(plan, world)
        await trio.sleep(_QUIET_S)
        return Evidence(
            plan=plan,
            wire=network.log,
            model=tuple(_model_calls(world)),
            searches=tuple(retriever.performed),
            stores=tuple(store.performed),
            kept=tuple(_kept(store)),
            logs={name: tuple(running.lines()) for name, running in world.programs.items()},
            at_rest=at_rest_of(world, tasks),
            recovered=recovered,
            calls_end_at=ended_at,
            told={name: running.told() for name, running in world.programs.items()},
        )


async def _calls(plan: Plan, world: World) -> None:
    talks = [_Talk() for call in plan.calls]
    async with trio.open_nursery() as nursery:
        for number in range(len(plan.calls)):
            nursery.start_soon(_call, world, plan, number, talks)
        for drain in plan.drains:
            nursery.start_soon(_drain, world, drain.program, drain.at_s)


@define
class _Talk:
    """A call's session, known when it is over."""

    over: trio.Event = field(factory=trio.Event)
    session_id: str | None = None


async def _call(world: World, plan: Plan, number: int, talks: Sequence[_Talk]) -> None:
    """Every client is one of its own, and gone for good when it has its answer."""
    call, session_id = plan.calls[number], None
    await trio.sleep(call.at_s)
    if call.continues is not None:
        await talks[call.continues].over.wait()
        session_id = talks[call.continues].session_id
    with trio.CancelScope() as patience:
        leaving = CancelAfter(call.leaves_at_step, patience)
        if call.leaves_at_step is not None:  # every step of the world is slower for it
            trio.lowlevel.add_instrument(leaving)
        async with world.network.client(timeout=None) as client:
            key = _key_of(plan)
            answer = await perform(client, BFF_URL, call, number, key, session_id)
            talks[number].session_id = None if call.store else answer.session_id
    leaving.done = True
    talks[number].over.set()


async def _drain(world: World, program: str, at_s: float) -> None:
    await trio.sleep(at_s)
    world.programs[program].stop.set()


async def _recovery(plan: Plan, world: World) -> str:
    """The last word of an ordinary call, when everything that befell this world has stopped."""
    await trio.sleep(cooldown_s(plan))
    await trio.sleep_until(max((hold.at_s + hold.for_s for hold in plan.holds), default=0.0))
    asked = {call.topic for call in plan.calls}
    fresh = next(topic for topic in range(len(TOPICS)) if topic not in asked)
    async with world.network.client(timeout=None) as client:
        last = Call(topic=fresh)
        answer = await perform(client, BFF_URL, last, len(plan.calls), _key_of(plan))
    return answer.word


def _key_of(plan: Plan) -> str:
    """What clients were given: the last of the keys that the BFF takes."""
    return environ_of(plan).get("BFF_API_KEYS", "").rpartition(",")[2]


def _is_secured(plan: Plan) -> bool:
    return bool(plan.server) and CATALOGUE[plan.server].needs_tls


def behaviour_of(plan: Plan) -> Behaviour:
    """The model server of a plan: each question gets its call's scenario, so often as that says."""
    rules = tuple(
        Rule(
            play=(call.model,) * (call.model_times or 1),
            text=_question(call),
            then=Then.LAST if call.model_times is None else Then.PASS,
        )
        for call in plan.calls
        if call.model
    )
    return Behaviour(
        seed=plan.seed,
        latency=parse_latency(plan.pace),
        dialect=DIALECTS[plan.dialect],
        scenario=plan.server,
        script=Script(rules) if rules else None,
    )


def _question(call: Call) -> str:
    return OFF_TOPIC if call.topic < 0 else TOPICS[call.topic].question


@define
class _Network:
    """What befalls connections, and the log of all of them."""

    plan: Plan
    log: WireLog = field(factory=WireLog, init=False)
    healed: Fake | None = None
    _faults: dict[str, list[tuple[int, HopFault]]] = field(init=False)
    _dialled: Counter[str] = field(factory=Counter, init=False)
    _breaking: list[Breaking] = field(factory=list, init=False)
    _to_the_old_one: list[Sever] = field(factory=list, init=False)

    def heal(self) -> None:
        """From here on nothing befalls anybody, and another model server has the old one's port.

        The old one has ended, and its connections with it.
        """
        tls = _TLS if _is_secured(self.plan) else None
        usual = Behaviour(seed=self.plan.seed, latency=parse_latency(self.plan.pace))
        self.healed = Fake(usual, tls=tls)
        for breaking in self._breaking:
            breaking.mended = True
        for sever in self._to_the_old_one:
            sever("reset")

    def __attrs_post_init__(self) -> None:
        self._faults = {}
        for at in self.plan.hops:
            self._faults.setdefault(at.host, []).append((at.after, FAULTS[at.fault]))

    def way(self, host: str, sever: Sever) -> Way:
        if host == MODEL:
            return self._to_the_model(host, sever)
        return self._to_a_program(host, self._next_fault(host), sever)

    def _next_fault(self, host: str) -> HopFault | None:
        waiting = self._faults.get(host, []) if self.healed is None else []
        due = next((it for it in waiting if it[0] <= self._dialled[host]), None)
        self._dialled[host] += 1
        if due is None:
            return None
        waiting.remove(due)
        return due[1]

    def _arrives(self, host: str) -> Arrives | None:
        """When what is sent on a connection to this host arrives."""
        latency_s = self.plan.latency_ms / 1000
        if not (latency_s or any(hold.host == host for hold in self.plan.holds)):
            return None

        def arrives(now: float) -> float:
            return self.plan.arrives(host, now) if self.healed is None else now + latency_s

        return arrives

    def _to_the_model(self, host: str, sever: Sever) -> Way:
        link = self.log.open(MODEL, trio.current_time(), "" if self.healed else self.plan.server)
        taps = _Tap(self.log, link, "up"), _Tap(self.log, link, "down")
        if self.healed is not None:
            return Way(*taps, instead=partial(serve_trio_stream, fake=self.healed))
        self._to_the_old_one.append(sever)
        return Way(*taps, arrives=self._arrives(host))

    def _to_a_program(self, host: str, fault: HopFault | None, sever: Sever) -> Way:
        link = self.log.open(host, trio.current_time(), fault.name if fault else "")
        up = _Tap(self.log, link, "up")
        what = fault.what if fault else None
        if isinstance(what, Refused):
            raise refused(host)
        breaking = Breaking(what, sever) if isinstance(what, Broken) else None
        self._breaking += [breaking] if breaking else []
        return Way(
            up,
            _Tap(self.log, link, "down", breaking),
            instead=what.take if isinstance(what, Impostor) else None,
            lost=isinstance(what, Lost),
            capacity=_SMALL_BUFFER_BYTES if host == "bff" else Way().capacity,
            arrives=self._arrives(host),
        )


@frozen
class _Tap:
    """Notes what passes in one direction, and lets it be broken."""

    log: WireLog
    link: int
    way: Direction
    breaking: Breaking | None = None

    def sent(self, data: bytes) -> bytes:
        passed = self.breaking.pass_on(data) if self.breaking else data
        self._note("sent", data)
        if len(passed) < len(data) or (self.breaking and self.breaking.done):
            self._note("broken")
        return passed

    def taken(self, size: int) -> None:
        self._note("taken", size=size)

    def ended(self, end: End) -> None:
        self._note(end)

    def _note(self, what: What, data: bytes = b"", size: int = 0) -> None:
        now = trio.current_time()
        self.log.records.append(Record(now, self.link, self.way, what, size or len(data), data))


def _kept(store: PlannedStore) -> Iterator[tuple[str, str, str]]:
    for turn in store.turns.values():
        yield turn.asked.request_id, turn.asked.session_id, turn.ended.status


def _model_calls(world: World) -> Sequence[ModelCall]:
    return [
        ModelCall(
            scenario=entry.scenario,
            request=entry.request,
            sent=tuple(Piece(chunk.at, chunk.data) for chunk in entry.chunks),
            began_at=entry.began_at,
            ended_at=entry.ended_at,
            client_left_at=entry.client_left_at,
            whole=entry.steps_sent == entry.steps_planned,
        )
        for entry in world.fake.journal.entries
    ]


def at_rest_of(world: World, tasks_before: Counter[str]) -> AtRest:
    """What the world holds now, and the tasks it has more than before."""
    gauges: dict[str, float] = {}
    busy: dict[str, int] = {}
    for name, running in world.programs.items():
        busy[name] = running.program.drain.live
        registry, labels = running.program.metrics.registry, {"service": name}
        for held in ("bsl_in_flight_calls", "bsl_slots_taken", "bsl_queue_length"):
            busy[name] += int(registry.get_sample_value(held, labels) or 0)
        gauges[name] = registry.get_sample_value("bsl_open_upstream_streams", labels) or 0.0
    return AtRest(
        tasks_more=tuple(sorted((tasks_there_are() - tasks_before).elements())),
        busy=busy,
        open_upstreams=gauges,
        connections=tuple(link.host for link in world.network.links if not link.server.closed),
        pooled=world.busy_connections(),
    )


def tasks_there_are() -> Counter[str]:
    """The tasks there are, ours and trio's, by name. Listening is what a server is for."""
    root = trio.lowlevel.current_root_task()
    waiting, names = [root] if root else [], Counter[str]()
    while waiting:
        task = waiting.pop()
        names[task.name.rpartition(".")[2]] += 1
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    del names["_serve_one_listener"]
    return names
