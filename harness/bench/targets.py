"""What the figures are to be, and whether they are. Pure."""

from collections.abc import Iterator

from harness.bench.course import LIVE_AIM, STREAMS, Found
from harness.bench.figures import added, percentile, ratio
from harness.bench.report import Target, breaks_at
from harness.bench.rows import CHAIN, DIRECT, LITELLM, LLMGW, PASS_THROUGH

_KIB = 1024
_RATIOS = (
    ("events/s", LLMGW, PASS_THROUGH, 0.8),
    ("events/s", LLMGW, LITELLM, 6.0),
    (f"plain/s at {STREAMS}", LLMGW, PASS_THROUGH, 0.7),
    (f"plain/s at {STREAMS}", LLMGW, LITELLM, 4.0),
    ("events/s", CHAIN, LITELLM, 3.0),
)
_FIRST_DELTA_MS = {LLMGW: 5.0, CHAIN: 15.0}
_LEAVING_MS = {1: 10.0, 200: 100.0}
_LATE_SHARE = 0.01
_STREAM_KIB = 150
_AFTER_SHARE = 0.10


def targets(found: Found) -> list[Target]:
    """Each of them with its figure."""
    return [*_ratios(found), *_first_deltas(found), *_lives(found), *_leavings(found)]


def _ratios(found: Found) -> Iterator[Target]:
    for figure, row, against, least in _RATIOS:
        got = ratio(found.rounds[figure], row, against)
        what = f"{row}, {figure}: at least {least:g} × {against}"
        shown = (
            "not measured" if got is None else f"{got.median:.2f} ({got.low:.2f}–{got.high:.2f})"
        )
        yield Target(what, shown, None if got is None else got.median >= least)


def _first_deltas(found: Found) -> Iterator[Target]:
    rounds = found.rounds["first delta"]
    for row, most in _FIRST_DELTA_MS.items():
        got = added(rounds, row, DIRECT)
        what = f"{row}, added time to the first delta: at most {most:g} ms"
        shown = "not measured" if got is None else f"{got * 1000:.1f} ms"
        yield Target(what, shown, None if got is None else got * 1000 <= most)
    ours, theirs = added(rounds, LLMGW, DIRECT), added(rounds, LITELLM, DIRECT)
    if ours is not None and theirs is not None:
        shown = f"{ours * 1000:.1f} against {theirs * 1000:.1f} ms"
        yield Target(f"{LLMGW}, the same: below {LITELLM}'s", shown, ours < theirs)


def _lives(found: Found) -> Iterator[Target]:
    aim = next((live for live in found.live if live.streams == LIVE_AIM), None)
    what = f"{LIVE_AIM} live streams: none lost, at most 1 % late"
    if aim is None:
        yield Target(what, "not measured", None)
        return
    shown = f"{aim.lost} lost, {aim.late_share:.2%} late; {breaks_at(found)}"
    yield Target(what, shown, not aim.lost and not aim.broken and aim.late_share <= _LATE_SHARE)
    kib = (aim.memory_bytes - found.idle_bytes) / aim.streams / _KIB
    what = f"memory of a live stream over three services: at most {_STREAM_KIB} KiB"
    yield Target(what, f"{kib:.0f} KiB", kib <= _STREAM_KIB)
    grown = found.after_bytes / found.idle_bytes - 1
    what = f"memory after the load: within {_AFTER_SHARE:.0%} of before"
    yield Target(what, f"{grown:+.1%}", abs(grown) <= _AFTER_SHARE)


def _leavings(found: Found) -> Iterator[Target]:
    for left in (left for left in found.leaving if left.row == CHAIN):
        most = _LEAVING_MS[left.streams]
        got = percentile(left.waits_s, 0.99) * 1000
        what = f"a client leaves amid {left.streams}: upstream closed within {most:g} ms, p99"
        yield Target(what, f"{got:.1f} ms", got <= most)
