"""A session's turns as a conversation: what is told of them to the model, and what is shown."""

import pytest
from attrs import evolve

from contracts import limits
from contracts.chat import Source
from contracts.codec import encode
from contracts.reasons import ReasonCode
from hop.tracing import CallIds
from qs.conversation import history_of, instant, shown
from qs.store.port import Asked, Ended, KeptTurn, Session, Transcript

IDS = CallIds("r", "ab" * 16)


def kept(number: int, question: str = "Why?", answer: str | None = "So.") -> KeptTurn:
    asked = Asked("t", f"r-{number}", "ab" * 16, "s", "", True, question, 1_000 * number, "1")
    code = None if answer else ReasonCode.RAG_NO_CHUNKS
    ended = Ended("ok" if answer else "fallback", code, None, None, {}, 1_000 * number)
    return KeptTurn(asked, ended, answer)


def transcript(*turns: KeptTurn) -> Transcript:
    return Transcript(Session("s", "", 0, 0), tuple(reversed(turns)))


def test_history_holds_the_newest_turns_that_fit() -> None:
    turns = [kept(number, "q" * 30, f"answer {number:02}" + "a" * 21) for number in range(9)]
    of_a_turn = 2 * (8 + 10)
    for room, fit in (
        (0, 0),
        (of_a_turn - 1, 0),
        (of_a_turn, 1),
        (3 * of_a_turn + 9, 3),
        (9_999, 6),
    ):
        history = history_of(transcript(*turns), room)
        assert [said.role for said in history] == ["user", "assistant"] * fit
        numbers = [int(said.content[7:9]) for said in history[1::2]]
        assert numbers == list(range(9 - fit, 9))


def test_history_leaves_out_what_was_not_answered() -> None:
    history = history_of(transcript(kept(1, "a"), kept(2, "b", None), kept(3, "c")), 999)
    assert [said.content for said in history] == ["a", "So.", "c", "So."]


def test_a_turn_that_is_too_long_hides_those_before_it() -> None:
    history = history_of(transcript(kept(1), kept(2, "q" * 3_000), kept(3)), 500)
    assert [said.content for said in history] == ["Why?", "So."]


@pytest.mark.parametrize("many", [0, 1, 50, 51])
def test_the_newest_turns_are_shown_and_more_is_said(many: int) -> None:
    body = shown(transcript(*(kept(number) for number in range(many))), IDS)
    first = max(0, many - limits.SESSION_TURNS_MAX)
    assert [turn.request_id for turn in body.turns] == [f"r-{n}" for n in range(first, many)]
    assert body.more is (many > limits.SESSION_TURNS_MAX)


def test_what_one_answer_does_not_hold_is_left_out() -> None:
    wide = "\U0001f642"
    long = Source("c", "d", wide * 1_000, wide * 2_048, wide * 400, 1.0)
    turn = evolve(kept(1, wide * 4_000, wide * 8_192), sources=(long,) * 20)
    body = shown(transcript(*[turn] * 50), IDS)
    assert 0 < len(body.turns) < 50
    assert body.more
    assert len(encode(body)) <= limits.RESPONSE_BODY_BYTES < len(encode(body)) * 2


def test_a_fallback_is_shown_with_its_fixed_text() -> None:
    (turn,) = shown(transcript(kept(1, answer=None)), IDS).turns
    code = ReasonCode.RAG_NO_CHUNKS
    assert turn.answer
    assert (turn.answer.content, turn.reason_code) == (code.text, code)
    assert (turn.message_key, turn.next_action) == (code.message, code.next_action)


def test_times_are_utc_with_milliseconds() -> None:
    assert instant(0) == "1970-01-01T00:00:00.000Z"
    assert instant(1_769_860_800_007) == "2026-01-31T12:00:00.007Z"
