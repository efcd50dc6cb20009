"""What can go wrong with time: an answer that comes late, in drips, or not to its end.

All of them answer well in the end, for a client that waits that long.
"""

from attrs import evolve

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.faults_sse import with_delta
from fakes.openai_compat_server.plan import Plan, Step
from fakes.openai_compat_server.scenario import (
    Ends,
    Frame,
    Frames,
    Play,
    Scenario,
    Steps,
    after,
    both,
    every,
    lasting,
    only_streaming,
)

_CHATTER = "Well, let me see. "
COMMENT = b": still here\n\n"
_DRIPS = 16
_LATE = Ends(ReasonCode.PROVIDER_TIMEOUT, ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT)


def _first_late(play: Play, events: Steps) -> Steps:
    first, *rest = events
    return Step(play.seconds("for"), first.data), *rest


def _all_late(play: Play, plan: Plan) -> Plan:
    first, *rest = plan.steps
    return evolve(plan, steps=(Step(play.seconds("for"), first.data), *rest))


def _stalled(play: Play, events: Steps) -> Steps:
    pieces, at = _pieces(play, events, 2), play.at if play.stream else 1
    late = Step(play.seconds("for"), pieces[at].data)
    return (*pieces[:at], late, *pieces[at + 1 :])


def _dripping(play: Play, events: Steps) -> Steps:
    gap_s = play.seconds("every")
    return tuple(Step(gap_s, piece.data) for piece in _pieces(play, events, _DRIPS))


def _pieces(play: Play, body: Steps, count: int) -> Steps:
    """A stream's events as they are; a plain body in about `count` pieces."""
    if play.stream:
        return body
    (whole,) = body
    size = -(-len(whole.data) // count)
    starts = range(0, len(whole.data), size)
    cut = [whole.data[start : start + size] for start in starts]
    return Step(whole.delay_s, cut[0]), *(Step(0.0, piece) for piece in cut[1:])


def _commented(play: Play, events: Steps) -> Steps:
    """Comments in the place of events, for as long as that lasts."""
    if not play.stream:
        return events
    at = play.at if "after" in play.values else 0
    comments = [Step(_gap_s(play), COMMENT)] * _times(play)
    return *events[:at], *comments, *events[at:]


def _chattering(play: Play, frames: Frames) -> Frames:
    """The same words over and over before the answer itself."""
    if not play.stream:
        return frames
    first, *rest = frames
    words = Frame(_gap_s(play), with_delta(first.payload, {"content": _CHATTER}))
    return first, *[words] * _times(play), *rest


def _blanks_first(play: Play, body: Steps) -> Steps:
    """A plain body that begins with blanks, which JSON allows."""
    return body if play.stream else (*[Step(_gap_s(play), b" ")] * _times(play), *body)


def _gap_s(play: Play) -> float:
    return max(play.seconds("every"), 0.01)


def _times(play: Play) -> int:
    return int(play.seconds("for") / _gap_s(play))


TIME = (
    Scenario(
        "slow-first-token", "the first event, or the plain answer, comes `for` late", _LATE,
        lasting("30s"), events=_first_late,
    ),
    Scenario(
        "cold-load", "not a byte, not even the head, for as long as a model takes to load", _LATE,
        lasting("30s"), plan=_all_late,
    ),
    Scenario(
        "stall", "a pause of `for`, `after` events or in the middle of a plain body",
        Ends(ReasonCode.PROVIDER_TIMEOUT, ReasonCode.PROVIDER_IDLE_TIMEOUT),
        {**after(5), **lasting("30s")}, events=_stalled,
    ),
    Scenario(
        "slow-drip", f"each event, or each {_DRIPS}th of a plain body, `every` after the one"
        " before: under any limit on a single read",
        Ends(ReasonCode.PROVIDER_TIMEOUT, ReasonCode.PROVIDER_TIMEOUT), every("4s"),
        events=_dripping,
    ),
    Scenario(
        "endless", "the same words, or the same blank of a plain body, every `every` for `for`,"
        " and only then the answer", both(ReasonCode.PROVIDER_TIMEOUT),
        {**every("200ms"), **lasting("10m")}, frames=_chattering, events=_blanks_first,
    ),
    Scenario(
        "heartbeats-only", "comments, one each `every`, in the place of a first event",
        only_streaming(ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT),
        {**every("1s"), **lasting("10m")}, events=_commented,
    ),
    Scenario(
        "heartbeats-hide-stall", "a stall `after` events, hidden by comments, one each `every`",
        only_streaming(ReasonCode.PROVIDER_IDLE_TIMEOUT),
        {**after(5), **every("1s"), **lasting("10m")}, events=_commented,
    ),
)  # fmt: skip
