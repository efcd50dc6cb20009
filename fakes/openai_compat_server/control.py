"""The journal and the scripts: what was asked and sent, when a client left, what is left to play.

Both are kept apart by session. A request names its session in a header and the server heeds it
only where its admin face is on; a session's name is a tag, and "" is the server's own.

Refuses to grow: the journal forgets its oldest entries, and an entry its last bytes, and both
count what they dropped.
"""

from collections import Counter, deque
from collections.abc import Callable

from attrs import define, field, frozen

from fakes.openai_compat_server import script as scripts
from fakes.openai_compat_server.catalogue import PREFIX
from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.script import Playable, Progress, Script

JOURNAL_ENTRIES_MAX = 1_000
JOURNAL_BYTES_MAX = 32 * 1024 * 1024
ENTRY_BYTES_MAX = 1024 * 1024
SESSIONS_MAX = 1_000
SESSION_CHARS_MAX = 100
_LINE_CHARS_MAX = 200
# What Python needs to keep a chunk besides its bytes: a million chunks of one byte are no megabyte.
_CHUNK_COST_BYTES = 200


@frozen
class Chunk:
    """What was sent in one piece, and when it had left."""

    at: float
    data: bytes


@frozen
class Asked:
    """A request as the journal wants it: its bytes, head and body, as far as they arrived."""

    line: str
    raw: bytes = b""
    session: str = ""
    interim: tuple[Chunk, ...] = ()  # what it was told before it was whole


@define
class Entry:
    """One request and its response. Times are seconds of the event loop's clock.

    `request` and `chunks` are the first of theirs; the counts of what was dropped are of the last.
    """

    request_line: str
    status: int
    steps_planned: int
    bytes_planned: int
    began_at: float
    scenario: str = ""  # what was played in the response; "" for nothing out of the ordinary
    number: int = 0  # counts from 1, over all sessions
    session: str = ""
    request: bytes = b""
    request_bytes_dropped: int = 0
    chunks: list[Chunk] = field(factory=list)
    chunks_dropped: int = 0
    steps_sent: int = 0
    bytes_sent: int = 0
    ended_at: float | None = None
    client_left_at: float | None = None
    kept_bytes: int = 0
    forgotten: bool = False


@define
class Journal:
    """The latest entries, oldest first; earlier ones go. `on_end` sees each one at its end.

    `entries` are those of all sessions; `dropped` counts the entries each session lost to a cap.
    """

    entries_max: int = JOURNAL_ENTRIES_MAX
    on_end: Callable[[Entry], None] | None = None
    bytes_max: int = JOURNAL_BYTES_MAX
    entry_bytes_max: int = ENTRY_BYTES_MAX
    entries: deque[Entry] = field(init=False, factory=deque)
    dropped: Counter[str] = field(init=False, factory=Counter)
    kept_bytes: int = field(init=False, default=0)
    _begun: int = field(init=False, default=0)

    def begin(self, asked: Asked, plan: Plan, now: float) -> Entry:
        self._begun += 1
        request = asked.raw[: self.entry_bytes_max]
        entry = Entry(
            request_line=asked.line[:_LINE_CHARS_MAX],
            status=plan.status,
            steps_planned=len(plan.steps),
            bytes_planned=plan.size_bytes,
            began_at=now,
            scenario=plan.scenario,
            number=self._begun,
            session=asked.session,
            request=request,
            request_bytes_dropped=len(asked.raw) - len(request),
        )
        self.entries.append(entry)
        self._charge(entry, len(request))
        for chunk in asked.interim:
            self.sent(entry, chunk.data, chunk.at)
        return entry

    def sent(self, entry: Entry, data: bytes, now: float) -> None:
        """Keep the chunk. From the first that does not fit on, chunks are only counted."""
        cost = len(data) + _CHUNK_COST_BYTES
        fits = entry.kept_bytes + cost <= self.entry_bytes_max
        if entry.forgotten or entry.chunks_dropped or not fits:
            entry.chunks_dropped += 1
            return
        entry.chunks.append(Chunk(now, data))
        self._charge(entry, cost)

    def end(self, entry: Entry, now: float) -> None:
        entry.ended_at = now
        if self.on_end is not None:
            self.on_end(entry)

    def of(self, session: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.session == session)

    def clear(self, session: str) -> None:
        """Forget the session's entries, also those that have not ended; its `dropped` too."""
        for entry in self.of(session):
            self._forget(entry)
        self.entries = deque(entry for entry in self.entries if not entry.forgotten)
        del self.dropped[session]

    def _charge(self, entry: Entry, cost: int) -> None:
        entry.kept_bytes += cost
        self.kept_bytes += cost
        while len(self.entries) > self.entries_max or self.kept_bytes > self.bytes_max:
            oldest = self.entries.popleft()
            self._forget(oldest)
            if oldest.session in self.dropped or len(self.dropped) < SESSIONS_MAX:
                self.dropped[oldest.session] += 1

    def _forget(self, entry: Entry) -> None:
        """Whoever performs it still writes to it: from now on, nothing that takes memory."""
        entry.forgotten = True
        self.kept_bytes -= entry.kept_bytes
        entry.kept_bytes = 0


@define
class Playing:
    """One server's or session's way through its script."""

    script: Script = field(factory=Script)
    progress: Progress = field(factory=Progress)

    @property
    def has_a_say(self) -> bool:
        return bool(self.script.rules) or self.script.strict

    def decides(self, asked: scripts.Asked) -> bool:
        """Whether the script says what this request gets: not where its model names a scenario."""
        return not asked.model.startswith(PREFIX) and scripts.decides(self.script, asked)

    def choice(self, asked: scripts.Asked, seed: int) -> tuple[Playable | None, Progress]:
        """What this request gets, None when no rule has anything for it; and the way on from there.

        Whoever plays it keeps that as `progress`: a request that the server refuses by itself uses
        up nothing.
        """
        return scripts.choose(self.script, asked, self.progress, seed)

    @property
    def unplayed(self) -> tuple[str, ...]:
        return scripts.unplayed(self.script, self.progress)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """The requests that a strict script had nothing for; any other script lets them pass."""
        return self.progress.unmatched if self.script.strict else ()


class TooManySessions(Exception):
    """So many have a script that no other can get one."""


@define
class Sessions:
    """Each session's way through its own script. Only the server's own session begins with one."""

    _first: Script
    _playing: dict[str, Playing] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._playing[""] = Playing(self._first)

    def playing(self, session: str) -> Playing:
        return self._playing.get(session) or Playing()

    def load(self, session: str, script: Script) -> None:
        """Play it from its first rule on; raises TooManySessions."""
        if session not in self._playing and len(self._playing) >= SESSIONS_MAX:
            raise TooManySessions
        self._playing[session] = Playing(script)

    def reset(self, session: str) -> None:
        """As at the start: the server's own script from its first rule on, no other's."""
        if session:
            self._playing.pop(session, None)
        else:
            self._playing[""] = Playing(self._first)
