"""One session out of what the store has of it and what is still in the spool. Pure."""

from collections.abc import Iterable

import attrs

from qs.store.port import Asked, KeptTurn, Session, Transcript, supersedes


def merged(
    stored: Transcript | None,
    here: Iterable[KeptTurn],
    opening: Asked | None,
    newest: int,
    *,
    complete: bool = True,
) -> Transcript | None:
    """The session with at most `newest` turns; None where there is none.

    `here` are the spool's turns. Where the store was asked and has no session, only a first turn in
    the spool makes one: others are of a session that was erased. `opening` is a first turn that has
    not ended.
    """
    spooled = list(here)
    asked = [turn.asked for turn in spooled] + ([opening] if opening else [])
    if stored is None and complete and not any(one.opens for one in asked):
        return None
    session = stored.session if stored else _session(asked)
    turns = _once([*(stored.turns if stored else ()), *spooled])
    used_ms = max([session.used_ms, *(one.asked_ms for one in asked)])
    return Transcript(attrs.evolve(session, used_ms=used_ms), turns[:newest], complete)


def _session(asked: list[Asked]) -> Session:
    first = min(asked, key=lambda one: (not one.opens, one.asked_ms))
    return Session(first.session_id, first.owner, first.asked_ms, first.asked_ms)


def _once(turns: list[KeptTurn]) -> tuple[KeptTurn, ...]:
    """Each request once, as the store would keep it; newest first."""
    kept: dict[str, KeptTurn] = {}
    for turn in sorted(turns, key=lambda one: one.asked.asked_ms):
        before = kept.get(turn.asked.request_id)
        if before is None or supersedes(turn.ended.status, before.ended.status):
            kept[turn.asked.request_id] = turn
        elif turn.feedback is not None:
            kept[turn.asked.request_id] = attrs.evolve(before, feedback=turn.feedback)
    newest_first = sorted(kept.values(), key=lambda one: one.asked.asked_ms, reverse=True)
    return tuple(newest_first)
