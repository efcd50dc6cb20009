"""The journal: what was asked, what was sent of what was planned, and when a client went away.

And how far a script is: what it has played, and what it was never asked for.
"""

from collections import deque
from collections.abc import Callable

from attrs import define, field

from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.script import Progress, Script, asked_of, choose, unplayed

JOURNAL_ENTRIES_MAX = 1_000
_LINE_CHARS_MAX = 200


@define
class Entry:
    """One request and its response. Times are seconds of the event loop's clock."""

    request_line: str
    status: int
    steps_planned: int
    bytes_planned: int
    began_at: float
    steps_sent: int = 0
    bytes_sent: int = 0
    ended_at: float | None = None
    client_left_at: float | None = None


@define
class Journal:
    """The latest entries, oldest first; earlier ones go. `on_end` sees each one at its end."""

    entries_max: int = JOURNAL_ENTRIES_MAX
    on_end: Callable[[Entry], None] | None = None
    entries: deque[Entry] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.entries = deque(maxlen=self.entries_max)

    def begin(self, request_line: str, plan: Plan, now: float) -> Entry:
        entry = Entry(
            request_line=request_line[:_LINE_CHARS_MAX],
            status=plan.status,
            steps_planned=len(plan.steps),
            bytes_planned=plan.size_bytes,
            began_at=now,
        )
        self.entries.append(entry)
        return entry

    def end(self, entry: Entry, now: float) -> None:
        entry.ended_at = now
        if self.on_end is not None:
            self.on_end(entry)


@define
class Playing:
    """One server's way through its script."""

    script: Script = field(factory=Script)
    progress: Progress = field(factory=Progress)

    def next_for(self, request: HttpRequest, seed: int) -> str | None:
        """The scenario this request gets; None when no rule has one for it."""
        name, self.progress = choose(self.script, asked_of(request), self.progress, seed)
        return name

    @property
    def unplayed(self) -> tuple[str, ...]:
        return unplayed(self.script, self.progress)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """The requests that no rule had anything for."""
        return self.progress.unmatched
