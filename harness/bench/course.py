"""The course of one benchmark: which row is measured when, in rounds that take turns.

What else the machine does slows whoever is measured just then. So the rows take turns, every round
measures each of them, and a ratio is taken within a round before a median is taken over them.
"""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from attrs import define, field, frozen

from harness.bench import load, measures, processes
from harness.bench.measures import Leaving, Live
from harness.bench.rows import CHAIN, LITELLM, PORTKEY, Row, WrongAnswer, named
from harness.bench.subjects import Subjects

CONCURRENCIES: Final = (1, 16, 64)
STREAMS: Final = 16
LIVE_AIM: Final = 100
RATE: Final = 20.0  # calls a second of the open loop: less than the slowest row can do
GAP_MS: Final = 20.0  # between tokens, where the gaps of one stream are looked at
_TURNS: Final = 5  # of whom clients leave; how often they do is a multiple of it
_PACE: Final = "/bench/pace?ms={ms:g}"
Tell = Callable[[str], None]
T = TypeVar("T")


@frozen
class Size:
    """How much is measured. Seconds, and how often."""

    rounds: int
    seconds: float
    first_deltas: int
    live: Sequence[int]
    leaving: Sequence[tuple[int, int]]  # live streams, and how often they begin and leave

    @property
    def is_quick(self) -> bool:
        return self.rounds == 1


QUICK: Final = Size(1, 1.0, 10, (20, 50), ((1, 20),))
WHOLE: Final = Size(5, 3.0, 30, (25, 50, 100, 150, 200, 250, 300, 400, 500), ((1, 400), (200, 5)))


@define
class Found:
    """All figures: of what is measured in rounds, by figure and row, a value for each round."""

    rounds: dict[str, dict[str, list[float]]] = field(
        factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    events: dict[str, int] = field(factory=dict)  # with text, in one stream of each row
    live: list[Live] = field(factory=list)
    leaving: list[Leaving] = field(factory=list)
    idle_bytes: int = 0  # memory of the chain before the live streams, and after all of them
    after_bytes: int = 0
    idle_files: int = 0
    after_files: int = 0
    left_open: int = 0  # upstream, when all is over
    missing: dict[str, str] = field(factory=dict)
    began_at: float = field(factory=time.time)

    def note(self, figure: str, row: str, value: float) -> None:
        """One more value of a figure."""
        self.rounds[figure][row].append(value)


@define
class Course:
    """One benchmark, under way."""

    subjects: Subjects
    size: Size
    tell: Tell
    found: Found = field(factory=Found)

    async def run(self) -> Found:
        """All of it."""
        self.found.missing = dict(self.subjects.missing)
        for row in self._all():
            await self._if_it_can(row, self._warm_up)
        for number in range(1, self.size.rounds + 1):
            for row in self._all():
                self.tell(f"round {number} of {self.size.rounds}: {row.name}")
                await self._if_it_can(row, self._round)
        await self._live()
        await self._leaving()
        return self.found

    def _all(self) -> list[Row]:
        return [self.subjects.direct, self.subjects.fake, *self.subjects.rows]

    async def _if_it_can(self, row: Row, measure: Callable[[Row], Awaitable[None]]) -> None:
        """Measure a row. Somebody else's that fails is left out from then on, all its figures too;
        one of ours ends the benchmark."""
        try:
            await measure(row)
        except (load.Cut, WrongAnswer, TimeoutError) as error:
            if row.name not in (LITELLM, PORTKEY):
                raise
            self.found.missing[row.name] = f"failed: {error}"[:300]
            self.tell(f"{row.name} is left out: {self.found.missing[row.name]}")
            self.subjects.rows.remove(row)
            for rounds in self.found.rounds.values():
                for name in [name for name in rounds if name.partition(":")[0] == row.name]:
                    del rounds[name]

    async def _warm_up(self, row: Row) -> None:
        self.tell(f"warming up: {row.name}")
        for _ in range(3):
            row.check_plain(await load.answered(row.port, row.plain))
            answer = await load.answered(row.port, row.stream)
            self.found.events[row.name] = row.check_stream(answer)
        await load.closed_loop(row.port, row.stream, STREAMS, 1.0)
        await measures.settle()

    async def _round(self, row: Row) -> None:
        note, name = self.found.note, row.name
        for concurrency in CONCURRENCIES:
            plain = await measures.plain(row, concurrency, self.size.seconds)
            note(f"plain/s at {concurrency}", name, plain.per_s)
            note(f"plain p50 at {concurrency}", name, plain.p50_s)
            note(f"plain p99 at {concurrency}", name, plain.p99_s)
            if concurrency == STREAMS:
                self._note_cpu("plain", row, plain.cpu_us)
            await measures.settle()
        p50, p99 = await measures.at_rate(row, RATE, self.size.seconds)
        note("plain p50 at rate", name, p50)
        note("plain p99 at rate", name, p99)
        streaming = await measures.streaming(row, STREAMS, self.size.seconds)
        note("events/s", name, streaming.events_per_s)
        self._note_cpu("event", row, streaming.cpu_us)
        await measures.settle()
        note("first delta", name, await measures.first_delta(row, self.size.first_deltas))
        if row is not self.subjects.fake:
            await self._gaps(row)

    async def _gaps(self, row: Row) -> None:
        p50, p99 = await self._paced(GAP_MS, partial(measures.gaps, row))
        self.found.note("gap p50", row.name, p50)
        self.found.note("gap p99", row.name, p99)

    async def _paced(self, pace_ms: float, measure: Callable[[], Awaitable[T]]) -> T:
        """With an upstream that takes its time."""
        port = self.subjects.upstream_port
        await measures.control(port, _PACE.format(ms=pace_ms))
        try:
            return await measure()
        finally:
            await measures.control(port, _PACE.format(ms=0))

    def _note_cpu(self, what: str, row: Row, cpu_us: Mapping[str, float]) -> None:
        for process, used_us in cpu_us.items():
            self.found.note(f"cpu {what}", f"{row.name}: {process}", used_us)

    async def _live(self) -> None:
        """The whole chain with ever more live streams, until it does not hold."""
        row = self._chain()
        self._note_rest(before=True)
        for streams in self.size.live:
            self.tell(f"{streams} live streams through the whole chain")
            measure = partial(measures.live, row, streams)
            live = await self._paced(measures.TOKEN_S * 1000, measure)
            self.found.live.append(live)
            await measures.settle()
            if not live.holds and streams >= LIVE_AIM:
                break
        self._note_rest(before=False)

    async def _leaving(self) -> None:
        rows, port = (self.subjects.relays, self._chain()), self.subjects.upstream_port
        for streams, times in self.size.leaving:
            parts: dict[str, list[Leaving]] = {row.name: [] for row in rows}
            for turn in range(_TURNS):
                for row in rows:
                    told = f"{row.name}, {turn + 1} of {_TURNS}"
                    self.tell(f"clients that leave amid {streams} live streams: {told}")
                    measure = partial(measures.leaving, row, port, streams, times // _TURNS)
                    part = await self._paced(measures.LEAVING_TOKEN_S * 1000, measure)
                    parts[row.name].append(part)
                    await measures.settle()
            self.found.leaving.extend(map(measures.together, parts.values()))
        seen = await measures.control(port, "/bench/seen")
        self.found.left_open = int(str(seen["open"]))

    def _chain(self) -> Row:
        row = named(self.subjects.rows, CHAIN)
        assert row is not None, "the chain is always measured"
        return row

    def _note_rest(self, *, before: bool) -> None:
        """What the chain holds while nobody asks."""
        pids = self.subjects.chain_pids.values()
        memory, files = processes.memory_of(pids), sum(map(processes.open_files, pids))
        if before:
            self.found.idle_bytes, self.found.idle_files = memory, files
        else:
            self.found.after_bytes, self.found.after_files = memory, files
