"""The measurements: each asks one row one thing, and gives numbers back. Nothing is printed here.

Whatever a row answered is held against what the model said (`Row.check_*`): a wrong or cut answer
ends the benchmark (`WrongAnswer`, `Cut`), but for the live streams, where it is what is counted.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from attrs import evolve, frozen

from harness.bench import load, processes
from harness.bench.figures import percentile
from harness.bench.load import Connection
from harness.bench.rows import Row

LATE_S: Final = 0.250
TOKEN_S: Final = 0.050  # 20 tokens a second
# So slow that nobody's answer is over before its turn to leave has come.
LEAVING_TOKEN_S: Final = 0.200
_SETTLE_S: Final = 0.3
_LEFT_S: Final = 5.0


@frozen
class Plain:
    """Plain calls of one row at one concurrency. Seconds; `cpu_us` is by process, for each call."""

    per_s: float
    p50_s: float
    p99_s: float
    cpu_us: Mapping[str, float]


async def plain(row: Row, concurrency: int, seconds: float) -> Plain:
    """So many askers, each after its answer."""
    before = processes.cpu_of(row.pids)
    began = time.monotonic()
    whole, _ = await load.closed_loop(row.port, row.plain, concurrency, seconds)
    took_s = time.monotonic() - began
    used = _used(row, before)
    for answer in whole:
        row.check_plain(answer)
    if not whole:
        raise load.Cut(f"{row.name}: no answer in time")
    waits = [answer.took_s for answer in whole]
    cpu = {name: used_s / len(whole) * 1e6 for name, used_s in used.items()}
    return Plain(len(whole) / took_s, percentile(waits, 0.5), percentile(waits, 0.99), cpu)


async def at_rate(row: Row, rate: float, seconds: float) -> tuple[float, float]:
    """p50 and p99 where so many calls come in a second, whoever is waiting; seconds from when each
    was due."""
    took = await load.open_loop(row.port, row.plain, rate, seconds)
    return percentile(took, 0.5), percentile(took, 0.99)


@frozen
class Streaming:
    """Streams of one row as fast as they go: events with text, and processor time for each."""

    events_per_s: float
    cpu_us: Mapping[str, float]


async def streaming(row: Row, concurrency: int, seconds: float) -> Streaming:
    """So many askers, each after its stream."""
    before = processes.cpu_of(row.pids)
    began = time.monotonic()
    whole, under_way = await load.closed_loop(row.port, row.stream, concurrency, seconds)
    took_s = time.monotonic() - began
    used = _used(row, before)
    events = sum(row.check_stream(answer) for answer in whole)
    events += sum(row.texts_in(answer) for answer in under_way)
    if not events:
        raise load.Cut(f"{row.name}: no event in time")
    cpu = {name: used_s / events * 1e6 for name, used_s in used.items()}
    return Streaming(events / took_s, cpu)


async def first_delta(row: Row, times: int) -> float:
    """The median time to the first text, one stream after another. Seconds."""
    connection = await load.dial(row.port)
    try:
        waits = []
        for _ in range(times):
            await connection.ask(row.stream)
            row.check_stream(connection.answer)
            waits.append(connection.answer.first_with(row.marks.first) or 0.0)
        return percentile(waits, 0.5)
    finally:
        connection.leave()


async def gaps(row: Row) -> tuple[float, float]:
    """p50 and p99 of the time between two texts of one paced stream. Seconds."""
    answer = await load.answered(row.port, row.stream)
    row.check_stream(answer)
    at = row.text_times(answer)
    between = [after - before for before, after in pairwise(at)]
    return percentile(between, 0.5), percentile(between, 0.99)


@frozen
class Live:
    """Paced streams side by side: events that never came, came late, came."""

    streams: int
    lost: int
    late: int
    events: int
    broken: int  # streams that did not end well
    memory_bytes: int  # of all of the row's processes together, while all were live
    cpu_us: Mapping[str, float]

    @property
    def late_share(self) -> float:
        return self.late / self.events if self.events else 1.0

    @property
    def holds(self) -> bool:
        """Whether that many can be served: no event lost, and hardly one late."""
        return not (self.lost or self.broken) and self.late_share <= 0.01


async def live(row: Row, streams: int) -> Live:
    """So many streams at the upstream's pace, judged when all are over."""
    memory: list[int] = []
    pids = tuple(row.pids.values())
    before = processes.cpu_of(row.pids)
    answers = await load.live(
        row.port,
        row.stream,
        streams,
        spread_s=1.0,
        when_all_live=lambda: memory.append(processes.memory_of(pids)),
    )
    used = _used(row, before)
    came = [row.text_times(answer) for answer in answers]
    due = row.texts_due
    events = sum(map(len, came))
    broken = sum(1 for answer in answers if row.marks.stream_end not in answer.data[-2000:])
    return Live(
        streams,
        sum(max(0, due - len(times)) for times in came),
        sum(map(_late, came)),
        events,
        broken,
        memory[0] if memory else 0,
        {name: used_s / max(1, events) * 1e6 for name, used_s in used.items()},
    )


def _late(times: Sequence[float]) -> int:
    """How many came over LATE_S after they were due, by the stream's own most punctual event."""
    offsets = [at - number * TOKEN_S for number, at in enumerate(times)]
    return sum(1 for offset in offsets if offset - min(offsets) > LATE_S)


@frozen
class Leaving:
    """From a client's leaving to the upstream's knowing of it: of one client after another amid so
    many live streams, and of all that were left, at once, to the last. Seconds."""

    row: str
    streams: int
    waits_s: Sequence[float]
    all_s: Sequence[float]


def together(parts: Sequence[Leaving]) -> Leaving:
    """What was measured of one row amid as many streams, in one."""
    waits = [wait for part in parts for wait in part.waits_s]
    return evolve(parts[0], waits_s=waits, all_s=[wait for part in parts for wait in part.all_s])


async def leaving(row: Row, upstream_port: int, streams: int, times: int) -> Leaving:
    """Each time so many streams begin; a tenth of them leave one by one, then the rest together."""
    waits, together = [], []
    for _ in range(times):
        connections = await asyncio.gather(*(_begun(row) for _ in range(streams)))
        await _gone(upstream_port, 0)
        alone, rest = connections[: max(1, streams // 10)], connections[max(1, streams // 10) :]
        for connection in alone:
            waits.append(await _known_after(upstream_port, [connection]))
        if rest:
            together.append(await _known_after(upstream_port, rest))
    return Leaving(row.name, streams, waits, together)


async def _known_after(upstream_port: int, leavers: Sequence[Connection]) -> float:
    """From the leaving of these to the upstream's knowing of the last."""
    left_at = min([connection.leave() for connection in leavers])
    closed = await _gone(upstream_port, len(leavers))
    return max(closed) - left_at if len(closed) >= len(leavers) else _LEFT_S


async def _begun(row: Row) -> Connection:
    """A stream that is under way: its first text has come."""
    connection = await load.dial(row.port)
    over = connection.ask(row.stream)
    over.add_done_callback(lambda done: done.cancelled() or done.exception())
    until = time.monotonic() + load.LIMIT_S
    while connection.answer.first_with(row.marks.first) is None:
        if time.monotonic() > until or over.done():
            raise load.Cut(f"{row.name}: a stream does not begin")
        await asyncio.sleep(0.005)
    return connection


async def _gone(upstream_port: int, at_least: int) -> list[float]:
    """When the upstream saw that many leave, waiting for them; what there is of them after 5 s."""
    closed: list[float] = []
    until = time.monotonic() + _LEFT_S
    while True:
        seen = await control(upstream_port, "/bench/seen")
        new = seen["closed"]
        assert isinstance(new, list)
        closed += new
        if len(closed) >= at_least or time.monotonic() > until:
            return closed
        await asyncio.sleep(0.01)


async def control(upstream_port: int, target: str) -> dict[str, object]:
    """The upstream's answer to one of the benchmark's own requests."""
    answer = await load.answered(upstream_port, f"GET {target} HTTP/1.1\r\n\r\n".encode())
    told: dict[str, object] = json.loads(answer.data.partition(b"\r\n\r\n")[2])
    return told


async def settle() -> None:
    """Let everybody finish with what was cut off."""
    await asyncio.sleep(_SETTLE_S)


def _used(row: Row, before: Mapping[str, float]) -> dict[str, float]:
    return {name: used - before[name] for name, used in processes.cpu_of(row.pids).items()}
