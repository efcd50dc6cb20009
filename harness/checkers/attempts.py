"""How often the model server is asked: no more than is granted, no sooner than it wished.

An attempt is what its journal has, but for what is asked again in the same moment: a kept
connection that had died, or a schema that was refused, is no attempt of its own (CONTRACT §7).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import Final

from contracts.limits import LLM_CALLS_DEFAULT
from harness.attempts import granted
from harness.checkers.answers import own_answers
from harness.evidence import Evidence, ModelCall, Seen
from harness.wire_log import Exchange

_SAME_MOMENT_S: Final = 0.05
_WISH: Final = re.compile(rb"\r\nretry-after: (\d+)\r\n", re.IGNORECASE)


def model_is_asked_as_often_as_granted(evidence: Evidence) -> Iterator[str]:
    """No more attempts than LLM_MAX_ATTEMPTS for each time the gateway was asked."""
    for seen, asked in _asked_once(evidence):
        attempts = len(_attempts(evidence, seen))
        if attempts > granted(evidence.plan):
            yield f"{asked.request_id}: the model was asked {attempts} times"


def what_was_shown_is_not_asked_anew(evidence: Evidence) -> Iterator[str]:
    """When citations or text are out, there is no other attempt."""
    for seen, asked in _asked_once(evidence):
        shown = [event.at for event in asked.events() if event.name in ("citations", "delta")]
        began = [call.began_at for call in evidence.model_calls(seen.topic)]
        if shown and any(at > shown[0] for at in began):
            yield f"{asked.request_id}: the model was asked again after something was shown"


def servers_wish_is_kept(evidence: Evidence) -> Iterator[str]:
    """After a `Retry-After`, this call does not come back before it."""
    for seen, asked in _asked_once(evidence):
        for first, second in pairwise(_attempts(evidence, seen)):
            wish = _WISH.search(b"".join(piece.data for piece in first.sent))
            if wish and second.began_at < (first.ended_at or first.began_at) + int(wish[1]):
                yield f"{asked.request_id}: the model was asked again before its Retry-After"


def slots_are_kept(evidence: Evidence) -> Iterator[str]:
    """Never more calls of the model at the same time than LLM_MAX_CONCURRENCY."""
    slots = int(evidence.plan.environ.get("LLM_MAX_CONCURRENCY", LLM_CALLS_DEFAULT))
    open_now: list[ModelCall] = []
    for call in sorted(evidence.model, key=lambda call: call.began_at):
        late_s = evidence.plan.late_s  # by which a server may learn that its client left
        open_now = [other for other in open_now if _over_at(other) - late_s > call.began_at]
        open_now.append(call)
        if len(open_now) > slots:
            yield f"the model had {len(open_now)} calls at once at {call.began_at:.3f}"


def _over_at(call: ModelCall) -> float:
    ends = [at for at in (call.ended_at, call.client_left_at) if at is not None]
    return min(ends, default=inf)


def _asked_once(evidence: Evidence) -> Iterator[tuple[Seen, Exchange]]:
    """Calls for which the gateway was asked, once: so all attempts are of this one request."""
    for seen in evidence.seen():
        mine = [it for it in evidence.by_host["llmgw"] if it.request_id == seen.request_id]
        answered = [it for it in own_answers(evidence) if it in mine]
        if len(mine) == len(answered) == 1:
            yield seen, mine[0]


def _attempts(evidence: Evidence, seen: Seen) -> Sequence[ModelCall]:
    """The model's calls for it, each with which an attempt began."""
    calls = evidence.model_calls(seen.topic)
    moment_s = _SAME_MOMENT_S + evidence.plan.late_s
    again = [
        second
        for first, second in pairwise(calls)
        if second.began_at > (first.ended_at or first.began_at) + moment_s
    ]
    return [*calls[:1], *again]


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    model_is_asked_as_often_as_granted,
    what_was_shown_is_not_asked_anew,
    servers_wish_is_kept,
    slots_are_kept,
)
