"""Goal: a reader of a stream takes what the order allows and refuses everything else.

Method: every (state, event) pair of both tables that a next hop can bring about, in bytes, to the
BFF and to QS alone. A legal one passes; a refused one leaves what was legal before it, and the end
that is owed: HOP_PROTOCOL_ERROR, or the code of the `error` that came first.
"""

from collections.abc import Callable

import pytest
from trio.testing import MockClock

from contracts.order import State, Step
from contracts.reasons import ReasonCode
from harness.alone import CODE
from harness.order_breaks import CASES, Case, Played, play, prefix, stream
from harness.wire_schemas import Json, streamed

LEGAL = [case for case in CASES if case.after is not None]
REFUSED = [case for case in CASES if case.after is None]
Keep = Callable[[Played], None]


def named(case: Case) -> str:
    return case.name


def names_of(frames: list[bytes]) -> list[str]:
    return [data.split(b"\n")[0].removeprefix(b"event: ").decode() for data in frames]


def expected_names(case: Case) -> list[str]:
    """What the client sees: the reader's own, what was legal, and the end that is owed."""
    own = {"bff": ["meta"], "qs": ["meta", "sources"]}[case.hop]
    owed = {State.CLOSED: [], State.FAILED: ["done"]}.get(case.state, ["error", "done"])
    return [*own, *names_of(prefix(case))[1:], *owed]


def outcome(events: list[tuple[str, Json]]) -> object:
    name, data = events[-1]
    assert name == "done"
    return data["reason_code"]


def told(events: list[tuple[str, Json]]) -> list[tuple[str, object]]:
    """The events but for what each hop says for itself: `meta`, `sources` and the times."""
    own = ("meta", "sources")
    return [
        (name, data.get("delta", data.get("citations"))) for name, data in events if name not in own
    ]


@pytest.mark.parametrize("case", LEGAL, ids=named)
async def test_a_legal_event_passes(autojump_clock: MockClock, case: Case, keep: Keep) -> None:
    played = await play(case)
    keep(played)
    sent, got = streamed(played.sent, cited=case.cited), streamed(played.received, cited=case.cited)
    assert played.sent == b"".join(stream(case))
    assert told(got) == told(sent)
    assert outcome(got) == outcome(sent)
    if case.hop == "bff":
        assert played.received == played.sent


@pytest.mark.parametrize("case", REFUSED, ids=named)
async def test_a_refused_event_ends_the_stream(
    autojump_clock: MockClock, case: Case, keep: Keep
) -> None:
    played = await play(case)
    keep(played)
    before, got = prefix(case), streamed(played.received, cited=case.cited)
    # What was refused has really been sent, or the reader had closed the stream before it.
    broken = b"".join([*before, stream(case)[len(before)]])
    assert played.sent.startswith(broken) or case.state is State.CLOSED
    names = [name for name, _ in got]
    assert names == expected_names(case)
    if case.hop == "bff" and before:
        assert played.received.startswith(b"".join(before))
    if case.state is State.CLOSED:
        return
    first = CODE if case.state is State.FAILED else ReasonCode.HOP_PROTOCOL_ERROR
    assert outcome(got) == first
    failures = [data for name, data in got if name == "error"]
    assert [(data["code"], data["discard"]) for data in failures] == [(first, "delta" in names)]


def test_cases_are_every_cell_that_can_be_reached() -> None:
    reached = {(case.hop, case.table): set[State]() for case in CASES}
    for case in CASES:
        reached[case.hop, case.table].add(case.state)
    # Nothing is proved where nothing is cited, and no gateway says what was searched.
    assert {key: set(State) - states for key, states in reached.items()} == {
        ("bff", "cited"): set(),
        ("bff", "uncited"): {State.PROVED},
        ("qs", "cited"): {State.SEARCHED},
        ("qs", "uncited"): {State.SEARCHED, State.PROVED},
    }
    assert len(CASES) == len(Step) * sum(map(len, reached.values())) == len(set(CASES))
