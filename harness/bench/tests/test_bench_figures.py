"""Samples to figures, figures to tables: what is measured badly must not look good."""

import json

import pytest

from harness.bench import report
from harness.bench.course import WHOLE, Found
from harness.bench.figures import added, middle, percentile, ratio
from harness.bench.measures import Leaving, Live, together
from harness.bench.page import page, targets_table
from harness.bench.plot import svg
from harness.bench.rows import CHAIN, DIRECT, LITELLM, LLMGW, PASS_THROUGH, RELAYS
from harness.bench.targets import targets


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_percentile_is_the_least_sample_that_this_share_reaches(share: float, value: int) -> None:
    assert percentile(range(100, 0, -1), share) == value


def test_ratio_is_taken_within_each_round_when_rounds_differ() -> None:
    """A slow round slows both; the ratio of two medians would be 1.0."""
    rounds = {"a": [100.0, 10.0, 50.0], "b": [50.0, 5.0, 100.0]}
    found = ratio(rounds, "a", "b")
    assert found is not None
    assert (found.median, found.low, found.high) == (2.0, 0.5, 2.0)


def test_figures_are_none_when_a_row_was_not_measured() -> None:
    assert ratio({"a": [1.0]}, "a", "b") is None
    assert added({"a": [1.0]}, "a", "b") is None
    assert middle({}, "a") is None


def _live(streams: int, *, lost: int = 0, late: int = 0, memory: int = 0) -> Live:
    return Live(streams, lost, late, 200 * streams, 0, memory, {})


def _found() -> Found:
    found = Found(idle_bytes=200_000_000, after_bytes=210_000_000)
    for row, rate in {PASS_THROUGH: 1000.0, LLMGW: 900.0, CHAIN: 200.0, LITELLM: 100.0}.items():
        found.note("events/s", row, rate)
        found.note("first delta", row, 0.004)
    found.note("first delta", DIRECT, 0.001)
    found.live += [_live(100, memory=200_000_000 + 100 * 100 * 1024), _live(150, late=400)]
    found.leaving.append(Leaving(RELAYS, 200, [0.5], [0.5]))
    found.leaving.append(together([Leaving(CHAIN, 1, [0.002], []), Leaving(CHAIN, 1, [0.011], [])]))
    return found


def test_targets_are_judged_by_their_figures() -> None:
    reached = {target.what: target.reached for target in targets(_found())}
    assert reached[f"{LLMGW}, events/s: at least 0.8 × {PASS_THROUGH}"] is True
    assert reached[f"{CHAIN}, events/s: at least 3 × {LITELLM}"] is False
    assert reached[f"{LLMGW}, plain/s at 16: at least 4 × {LITELLM}"] is None
    assert reached["100 live streams: none lost, at most 1 % late"] is True
    assert reached["a client leaves amid 1: upstream closed within 10 ms, p99"] is False
    assert not any("leaves amid 200" in what for what in reached), "the relays are held to nothing"
    assert "**missed**" in targets_table(_found())


@pytest.mark.parametrize("live", [_live(100, lost=1), _live(100, late=201)])
def test_live_streams_do_not_hold_when_events_are_lost_or_late(live: Live) -> None:
    assert not live.holds
    assert _live(100, late=200).holds


def test_number_of_live_streams_that_breaks_is_told() -> None:
    assert report.breaks_at(_found()) == "100 hold, 150 do not"


def test_page_has_every_figure_when_rows_are_missing() -> None:
    facts = {"tokens": "200", "rate": "20", "gap": "20", "when": "today", "machine": "this one"}
    profile = json.dumps({"samples": 10, "own": {"send (socket)": 4}})
    words = "$tokens $rate $gap $when $machine $rounds $bottleneck $targets $plain $streams"
    words += " $breaks $live $leaving $cpu $profiles $recovery"
    text = page(words, _found(), WHOLE, {"bff": profile}, facts)
    assert "$" not in text
    assert "| `send (socket)` | 40.0% |" in text


def test_picture_names_every_row_it_has_a_figure_of() -> None:
    picture = svg(report.charts(_found()))
    assert all(row in picture for row in (PASS_THROUGH, LLMGW, CHAIN, LITELLM))
    assert "Portkey" not in picture
