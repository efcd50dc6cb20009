"""Violations of how often the model server is asked: too often, too late, too soon."""

from typing import Final

from attrs import evolve

from harness.evidence import Evidence, ModelCall
from harness.tests.doctoring import GOOD, PLAIN, STREAMED, played
from harness.tests.planted import planted
from harness.wire_log import Piece


def _asked_more(number: int, *later_s: float) -> Evidence:
    """The model was asked for this call again, each so many seconds after the first time."""
    good = played(GOOD)
    (first,) = good.model_calls(good.seen()[number].topic)
    return evolve(good, model=(*good.model, *(_moved(first, by_s) for by_s in later_s)))


def _moved(call: ModelCall, by_s: float) -> ModelCall:
    ended_at = None if call.ended_at is None else call.ended_at + by_s
    return evolve(call, began_at=call.began_at + by_s, ended_at=ended_at)


def _asked_at_once(more: int) -> Evidence:
    """So many more calls of the model beside its first one."""
    good = played(GOOD)
    first, *others = good.model
    return evolve(good, model=(first, *[first] * more, *others))


def _asked_too_soon() -> Evidence:
    """A second before the answer, the model had said that it wanted two."""
    good = played(GOOD)
    (call,) = good.model_calls(good.seen()[PLAIN].topic)
    at = call.began_at - 1
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"
    refused = evolve(call, began_at=at, ended_at=at, sent=(Piece(at, refusal),))
    return evolve(good, model=(refused, *good.model))


PLANTED: Final = (
    planted("model_is_asked_as_often_as_granted", "call-1: the model was asked 4 times",
            lambda: _asked_more(PLAIN, 1, 2, 3)),
    planted("what_was_shown_is_not_asked_anew",
            "call-0: the model was asked again after something was shown",
            lambda: _asked_more(STREAMED, 2)),
    planted("servers_wish_is_kept", "call-1: the model was asked again before its Retry-After",
            _asked_too_soon),
    planted("slots_are_kept", "the model had 17 calls at once",
            lambda: _asked_at_once(16)),
)  # fmt: skip
