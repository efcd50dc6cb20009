"""Which turns stand in the spool, and in which order they may go on to the store. Pure.

A session's first turn goes before the others of it, however they ended: the store takes a turn that
does not open its session only while that session is there. `opening` are first turns that have not
ended yet; what others of their sessions have ended meanwhile waits for them.
"""

from collections.abc import Iterable
from itertools import islice

from attrs import define, field, frozen

from qs.store.port import Asked


@frozen
class Ready:
    """A turn that has ended: the name of its file, and whose it is (`asked` without its text)."""

    name: str
    asked: Asked


@define
class Waiting:
    """All of them."""

    opening: dict[str, Asked] = field(factory=dict)  # by session
    _ready: dict[str, Ready] = field(factory=dict)  # by turn, in the order to go
    _held: dict[str, list[Ready]] = field(factory=dict)  # by session that is still opening
    _of_session: dict[str, dict[str, Ready]] = field(factory=dict)

    def __len__(self) -> int:
        return len(self._ready) + sum(map(len, self._held.values()))

    def begun(self, asked: Asked) -> None:
        """A turn was taken."""
        if asked.opens:
            self.opening[asked.session_id] = asked

    def ended(self, ready: Ready) -> None:
        """A turn stands in the spool whole."""
        asked = ready.asked
        self._of_session.setdefault(asked.session_id, {})[asked.turn_id] = ready
        if not asked.opens and asked.session_id in self.opening:
            self._held.setdefault(asked.session_id, []).append(ready)
            return
        self._ready[asked.turn_id] = ready
        if asked.opens:
            self.not_opening(asked)

    def not_opening(self, asked: Asked) -> None:
        """A first turn has ended, or is lost; those that waited for it may go."""
        opening = self.opening.get(asked.session_id)
        if opening is not None and opening.turn_id == asked.turn_id:
            del self.opening[asked.session_id]
        for ready in self._held.pop(asked.session_id, ()):
            self._ready[ready.asked.turn_id] = ready

    def adopted(self, found: Iterable[Ready]) -> None:
        """Turns of another life of this program, which go by the time they were asked."""
        for ready in sorted(found, key=lambda one: one.asked.asked_ms):
            self.ended(ready)

    def next(self, count: int) -> list[Ready]:
        """At most so many that may go on now."""
        return list(islice(self._ready.values(), count))

    def of_session(self, session_id: str, owner: str) -> list[Ready]:
        """The turns of a session that have ended, newest first."""
        here = self._of_session.get(session_id, {}).values()
        mine = [ready for ready in here if ready.asked.owner == owner]
        return sorted(mine, key=lambda ready: ready.asked.asked_ms, reverse=True)

    def of_request(self, request_id: str, owner: str) -> Ready | None:
        """The last turn of a request that has ended."""
        key = (request_id, owner)
        here = [ready for of in self._of_session.values() for ready in of.values()]
        mine = [one for one in here if (one.asked.request_id, one.asked.owner) == key]
        return max(mine, key=lambda ready: ready.asked.asked_ms, default=None)

    def gone(self, ready: Ready) -> None:
        """A turn is not in the spool any more."""
        asked = ready.asked
        self._ready.pop(asked.turn_id, None)
        if ready in self._held.get(asked.session_id, ()):
            self._held[asked.session_id].remove(ready)
        of_session = self._of_session.get(asked.session_id, {})
        of_session.pop(asked.turn_id, None)
        if not of_session:
            self._of_session.pop(asked.session_id, None)
