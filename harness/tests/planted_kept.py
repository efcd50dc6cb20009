"""What is kept, gone wrong in one place."""

from collections.abc import Callable
from typing import Final

from attrs import evolve

from harness.evidence import Evidence
from harness.plans import Call, Plan
from harness.tests.doctoring import played
from harness.tests.planted import planted

TALK: Final = Plan(calls=(Call(0), Call(1, stream=False, continues=0), Call(2))).to_json()
Kept = tuple[str, str, str]


def keeping(edit: Callable[[list[Kept]], list[Kept]]) -> Callable[[], Evidence]:
    """The world in which this was in the store; the first turn is one that no other follows."""

    def doctored() -> Evidence:
        evidence = played(TALK)
        assert evidence.kept is not None
        kept = sorted(evidence.kept, key=lambda turn: (turn[0] != "call-2", turn[0]))
        return evolve(evidence, kept=tuple(edit(kept)))

    return doctored


def ended(kept: list[Kept]) -> list[Kept]:
    """The first turn ended otherwise."""
    (request, session, _), *rest = kept
    return [(request, session, "gone"), *rest]


def moved(kept: list[Kept]) -> list[Kept]:
    """The last turn stands in the first one's session."""
    *rest, (request, _, status) = kept
    return [*rest, (request, rest[0][1], status)]


PLANTED: Final = (
    planted("every_answer_is_kept_once", "call-2: ok is kept as nothing", keeping(lambda k: k[1:])),
    planted("every_answer_is_kept_once", "call-2: ok is kept as gone", keeping(ended)),
    planted(
        "every_answer_is_kept_once",
        "call-2 is kept 2 times",
        keeping(lambda k: [*k, k[0]]),
        also="turns_are_kept_in_their_session",
    ),
    planted("turns_are_kept_in_their_session", "call-3 and call-2 both began", keeping(moved)),
)
