"""Figures → tables of text, and what they were to be. Pure.

Where a row was not measured its place says so with a dash; nothing is made up for it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from harness.bench.course import CONCURRENCIES, STREAMS, Found
from harness.bench.figures import Ratio, added, middle, percentile, ratio
from harness.bench.plot import Bar, Chart
from harness.bench.rows import (
    CHAIN,
    DIRECT,
    FAKE,
    LITELLM,
    LLMGW,
    PASS_THROUGH,
    PORTKEY,
    RELAY,
)

SHOWN: Final = (RELAY, PASS_THROUGH, LLMGW, CHAIN, LITELLM, PORTKEY)
_OURS: Final = (LLMGW, CHAIN)
_NONE: Final = "–"
HOPS: Final = (f"{CHAIN}: bff", f"{CHAIN}: qs", f"{CHAIN}: llmgw", f"{LLMGW}: llmgw")


@frozen
class Target:
    """What a figure is to be. `reached` is None where it was not measured."""

    what: str
    figure: str
    reached: bool | None


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table as Markdown has it; figures to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))


def _ms(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds * 1000:.1f}"


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _times(found: Ratio | None) -> str:
    return _NONE if found is None else f"{found.median:.2f}"


def plain_table(found: Found) -> str:
    """Plain calls: rate, ratios, added latency."""
    rate = found.rounds[f"plain/s at {STREAMS}"]
    head = ["row", "requests/s", "× pass-through", "× LiteLLM"]
    head += [f"added p50, p99 at {n}" for n in CONCURRENCIES]
    head.append("p50, p99 at a fixed rate")
    lines = []
    for row in SHOWN:
        ratios = (_times(ratio(rate, row, against)) for against in (PASS_THROUGH, LITELLM))
        waits = [_pair(found, f"at {n}", row) for n in CONCURRENCIES]
        late = (_ms(middle(found.rounds[f"plain {p} at rate"], row)) for p in ("p50", "p99"))
        lines.append([row, _count(middle(rate, row)), *ratios, *waits, ", ".join(late)])
    return table(head, lines)


def _pair(found: Found, where: str, row: str) -> str:
    """Added p50 and p99."""
    figures = (found.rounds[f"plain {p} {where}"] for p in ("p50", "p99"))
    return ", ".join(_ms(added(rounds, row, DIRECT)) for rounds in figures)


def stream_table(found: Found) -> str:
    """Streams: rate, ratios, added time to the first delta, added gap."""
    rate = found.rounds["events/s"]
    head = ["row", "events/s", "× pass-through", "× LiteLLM"]
    head += ["added first delta", "added gap p50", "added gap p99"]
    lines = []
    for row in SHOWN:
        ratios = (_times(ratio(rate, row, against)) for against in (PASS_THROUGH, LITELLM))
        figures = (found.rounds[name] for name in ("first delta", "gap p50", "gap p99"))
        waits = (_ms(added(rounds, row, DIRECT)) for rounds in figures)
        lines.append([row, _count(middle(rate, row)), *ratios, *waits])
    return table(head, lines)


def live_table(found: Found) -> str:
    """Live streams through the whole chain."""
    head = ["live streams", "events", "lost", "late", "cut", "KiB a stream", "CPU µs an event"]
    lines = [
        [
            str(live.streams),
            _count(live.events),
            str(live.lost),
            f"{live.late_share:.2%}",
            str(live.broken),
            f"{(live.memory_bytes - found.idle_bytes) / live.streams / 1024:.0f}",
            f"{sum(live.cpu_us.values()):.0f}",
        ]
        for live in found.live
    ]
    return table(head, lines)


def leaving_table(found: Found) -> str:
    """From a client's leaving to the upstream's knowing."""
    head = ["through", "live streams", "leavers", "p50", "p99", "all the rest at once, to the last"]
    lines = [
        [
            left.row,
            str(left.streams),
            str(len(left.waits_s)),
            _ms(percentile(left.waits_s, 0.5)),
            _ms(percentile(left.waits_s, 0.99)),
            _ms(max(left.all_s)) if left.all_s else _NONE,
        ]
        for left in found.leaving
    ]
    return table(head, lines)


def cpu_table(found: Found) -> str:
    """Processor time of each process."""
    plain, event = found.rounds["cpu plain"], found.rounds["cpu event"]
    names = [
        f"{PASS_THROUGH}: pass-through",
        *HOPS,
        f"{LITELLM}: {LITELLM}",
        f"{PORTKEY}: {PORTKEY}",
    ]
    lines = [[name, _count(middle(plain, name)), _count(middle(event, name))] for name in names]
    return table(["process", "µs a plain call", "µs an event"], lines)


def recovery_table(found: Found) -> str:
    """What is left when the load is over."""
    mib = 1024 * 1024
    memory = f"{found.idle_bytes / mib:.1f}", f"{found.after_bytes / mib:.1f}"
    return table(
        ["of the three services", "before", "after"],
        [
            ["memory, MiB", *memory],
            ["open descriptors", str(found.idle_files), str(found.after_files)],
            ["streams open upstream", "0", str(found.left_open)],
        ],
    )


def profile_table(samples: Mapping[str, int], total: int, count: int = 10) -> str:
    """The places where most of the processor time goes."""
    top = sorted(samples.items(), key=lambda item: -item[1])[:count]
    lines = [[f"`{place}`", f"{number / max(1, total):.1%}"] for place, number in top]
    return table(["function itself", "of all samples"], lines)


def breaks_at(found: Found) -> str:
    """The number of live streams at which it no longer holds, in words."""
    held = max((live.streams for live in found.live if live.holds), default=0)
    broke = min((live.streams for live in found.live if not live.holds), default=0)
    return f"{held} hold, {broke} do not" if broke else f"{held} hold; more were not tried"


def bottleneck(found: Found) -> str:
    """Whether what measures is fast enough to measure with."""
    rate = found.rounds["events/s"]
    direct, fake = middle(rate, DIRECT), middle(rate, FAKE)
    through = middle(rate, PASS_THROUGH)
    return (
        f"Asked directly, the upstream and the driver make {_count(direct)} events/s; the fake"
        f" makes {_count(fake)} and the pass-through {_count(through)}."
    )


def charts(found: Found) -> list[Chart]:
    """What the picture shows."""
    pictured = {
        f"Streamed events a second, {STREAMS} at a time": "events/s",
        f"Plain requests a second, {STREAMS} at a time": f"plain/s at {STREAMS}",
    }
    made = []
    for title, figure in pictured.items():
        rounds = found.rounds[figure]
        values = [(row, middle(rounds, row)) for row in SHOWN if row != RELAY]
        bars = [Bar(row, value, row in _OURS) for row, value in values if value is not None]
        made.append(Chart(title, "/s", bars))
    rounds = found.rounds["first delta"]
    waits = [(row, added(rounds, row, DIRECT)) for row in SHOWN if row != RELAY]
    bars = [Bar(row, max(0.0, s * 1000), row in _OURS) for row, s in waits if s is not None]
    return [*made, Chart("Added time to the first delta, one at a time", "ms", bars)]
