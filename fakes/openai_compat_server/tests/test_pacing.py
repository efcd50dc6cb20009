"""Goal: delays lie where their spread says, grow as they should, and depend on nothing hidden.

Method: many seeded draws of each spread against its mean and width; the rest is arithmetic, with
the spread `constant`.
"""

import re
import statistics
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server import Latency, parse_latency
from fakes.openai_compat_server.pacing import LATENCY_HELP, SPREADS, Moment, Pace
from fakes.openai_compat_server.seeded import draw_for

DRAW = draw_for(7, b"a request")
EXACT = Latency(ttft_s=0.2, itl_s=0.02, prefill_s=0.001, spread="constant")
DRAWS = 4_000


def gaps(spread: str, share: float, seed: int = 0) -> list[float]:
    latency = Latency(itl_s=1.0, spread=spread, share=share)
    pace = Pace(latency, draw_for(seed), 1)
    return [pace.between(at) for at in range(1, DRAWS + 1)]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("spread", ["even", "normal", "lognormal"])
@pytest.mark.parametrize("seed", [1, 2])
def test_many_draws_have_the_mean_and_the_width_asked_for(
    spread: str, share: float, seed: int
) -> None:
    drawn = gaps(spread, share, seed)
    deviation = share / 3**0.5 if spread == "even" else share
    # Five standard errors; a normal cut at 0 gains a little, at a share of a half.
    assert statistics.fmean(drawn) == pytest.approx(1, abs=5 * deviation / DRAWS**0.5 + 0.005)
    assert statistics.stdev(drawn) == pytest.approx(deviation, rel=0.15)
    assert min(drawn) >= 0


def test_each_spread_has_its_own_shape() -> None:
    assert set(gaps("constant", 0.5)) == {1.0}
    even = gaps("even", 0.5)
    assert min(even) >= 0.5
    assert max(even) <= 1.5
    normal = gaps("normal", 1.0)
    assert min(normal) == 0.0
    assert statistics.median(normal) == pytest.approx(1, abs=0.05)
    lognormal = gaps("lognormal", 1.0)
    assert statistics.median(lognormal) == pytest.approx(0.5**0.5, abs=0.05)
    assert max(lognormal) > 5


@pytest.mark.parametrize("spread", SPREADS)
def test_no_fraction_gives_a_delay_below_nothing_or_without_end(spread: str) -> None:
    for fraction in (0.0, 2.0**-60, 0.5, 1 - 2.0**-53, 1.0):
        for share in (0.0, 0.25, 1.0):
            assert 0 <= SPREADS[spread](share, fraction) < 10_000
    assert SPREADS[spread](0.0, 0.9) == 1.0


@given(
    st.builds(
        Latency,
        ttft_s=st.floats(0, 10),
        prefill_s=st.floats(0, 0.1),
        load=st.floats(0, 1),
        spread=st.sampled_from(list(SPREADS)),
        share=st.floats(0, 1),
    ),
    st.binary(max_size=8),
    st.builds(Moment, st.integers(1, 50), st.floats(0, 100)),
)
def test_a_delay_is_the_same_when_all_that_decides_it_is(
    latency: Latency, key: bytes, moment: Moment
) -> None:
    paces = [Pace(latency, draw_for(1, key), 10, moment) for _ in range(2)]
    assert paces[0].first() == paces[1].first() >= moment.cold_s - 1e-6
    assert paces[0].between(3) == paces[1].between(3) >= 0


def test_the_usual_delays_are_those_that_the_golden_values_have() -> None:
    pace = Pace(Latency(), DRAW, 1_000)
    assert (pace.first(), pace.between(1)) == (
        round(0.08 * (1 + 0.25 * (2 * DRAW.fraction("ttft") - 1)), 6),
        round(0.008 * (1 + 0.25 * (2 * DRAW.fraction("itl", 1) - 1)), 6),
    )


def test_a_longer_prompt_delays_the_first_token_alone() -> None:
    short, long = Pace(EXACT, DRAW, 1), Pace(EXACT, DRAW, 500)
    assert (short.first(), long.first()) == (0.201, 0.7)
    assert (short.between(1), long.between(1)) == (0.02, 0.02)


def test_each_other_request_in_hand_makes_every_delay_longer() -> None:
    latency = evolve(EXACT, connect_s=0.1, load=0.5)
    alone, third = (Pace(latency, DRAW, 100, Moment(concurrent=n)) for n in (1, 3))
    assert (alone.first(), alone.between(1)) == (0.3, 0.02)
    assert (third.first(), third.between(1)) == (0.6, 0.04)
    assert [latency.connecting_s(0, 1, in_hand) for in_hand in (0, 2)] == [0.1, 0.2]


def test_what_is_left_of_a_cold_start_comes_before_the_first_token() -> None:
    latency = evolve(EXACT, load=1.0)
    cold = Pace(latency, DRAW, 100, Moment(concurrent=2, cold_s=8.0))
    assert (cold.first(), cold.between(1)) == (8.6, 0.04)


def test_connections_and_models_are_drawn_from_the_seed() -> None:
    latency = Latency(connect_s=1.0, cold_s=10.0)
    drawn = [latency.connecting_s(seed, number, 0) for seed in (1, 2) for number in (1, 2)]
    assert len(set(drawn)) == 4
    assert all(0.75 <= each <= 1.25 for each in drawn)
    assert latency.loading_s(1) == latency.loading_s(1) != latency.loading_s(2)
    assert 7.5 <= latency.loading_s(1) <= 12.5


def test_a_new_draw_never_shifts_the_ones_that_were_there() -> None:
    more = Latency(connect_s=1.0, cold_s=5.0, load=0.5)
    assert Pace(more, DRAW, 9).first() == Pace(Latency(), DRAW, 9).first()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ttft=80ms,itl=8ms", Latency(0.08, 0.008)),
        ("itl=1s", Latency(0.08, 1.0)),
        (" ttft=0ms , itl=0.5ms ", Latency(0.0, 0.0005)),
        ("spread=lognormal", Latency(spread="lognormal")),
        ("spread=normal:0.5", Latency(spread="normal", share=0.5)),
        ("spread=constant", Latency(spread="constant")),
        ("load=0", Latency()),
        (
            "spread=even:1,load=0.2,cold=8s,connect=5ms,prefill=0.5ms,itl=20ms,ttft=200ms",
            Latency(0.2, 0.02, 0.0005, 0.005, 8.0, 0.2, "even", 1.0),
        ),
    ],
)
def test_a_latency_is_read(text: str, expected: Latency) -> None:
    assert parse_latency(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not like ttft=80ms; what can be given is ttft, itl,"),
        ("80ms", "'80ms' is not like ttft=80ms"),
        ("tps=5ms", "'tps=5ms' is not like ttft=80ms"),
        ("ttft=1ms,", "'' is not like"),
        ("ttft=80", "ttft: '80' is no time like 80ms"),
        ("ttft=-1ms", "ttft: '-1ms' is no time"),
        ("cold=8m", "cold: '8m' is no time"),
        ("ttft=1ms,ttft=2ms", "ttft is given twice"),
        ("spread=even,spread=even", "spread is given twice"),
        ("ttft=3601s", "ttft is over an hour"),
        ("load=101", "load: '101' is no number from 0 to 100"),
        ("load=-1", "load: '-1' is no number"),
        ("load=20%", "load: '20%' is no number"),
        ("spread=gauss", "spread: 'gauss' is none of constant, even, normal, lognormal"),
        ("spread=", "spread: '' is none of"),
        ("spread=normal:2", "spread: '2' is no number from 0 to 1"),
        ("spread=normal:", "spread: '' is no number"),
        ("spread=constant:0.1", "spread: constant has no share"),
    ],
)
def test_a_latency_is_refused_when_it_says_something_else(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(why)):
        parse_latency(text)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Latency(ttft_s=-0.1),
        lambda: Latency(itl_s=float("nan")),
        lambda: Latency(cold_s=3600.1),
        lambda: Latency(load=101),
        lambda: Latency(share=1.1),
        lambda: Latency(spread="gauss"),
    ],
)
def test_a_latency_out_of_its_range_can_not_be_made(build: Callable[[], Latency]) -> None:
    with pytest.raises(ValueError, match=r"_s|load|share|spread"):
        build()


def test_the_help_names_every_term_and_can_be_formatted() -> None:
    for word in ("ttft", "itl", "prefill", "connect", "cold", "load", *SPREADS):
        assert word in LATENCY_HELP
    assert "%" not in LATENCY_HELP
