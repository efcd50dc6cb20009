"""What is seen of an answer in a terminal: its text as it arrives, its citations by number.

Text of models and documents is shown as text: control characters, with which it could move the
cursor or rename the window, are replaced. Where the output is no terminal, nothing of an answer is
written before it is whole and proved, for nobody could withdraw it there.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

from attrs import define, field
from rich.console import Console
from rich.text import Text

from contracts.chat import Citation
from contracts.events import CitationsProved, Delta, Done, Failed, Meta, SourcesFound, StreamEvent

_MARKER: Final = re.compile(r"\[(c[1-9]\d{0,2})\]")
_UNFINISHED: Final = re.compile(r"\[(?:c(?:[1-9]\d{0,2})?)?$")
# C0 but for tab and line feed, DEL, C1; and what turns the direction of all that follows.
OBEYED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_WITHDRAWN: Final = "What stands above was withdrawn: it could not be completed and proved."


def shown(text: str) -> str:
    """The text without what a terminal would obey."""
    return OBEYED.sub("�", text)


@define
class Screen:
    """One answer in a terminal. `out` takes the answer, `notes` what is said about it."""

    out: Console
    notes: Console
    text: str = field(default="", init=False)
    session_id: str | None = field(default=None, init=False)
    request_id: str | None = field(default=None, init=False)
    sources: SourcesFound | None = field(default=None, init=False)
    done: Done | None = field(default=None, init=False)
    _citations: tuple[Citation, ...] = field(default=(), init=False)
    _held: str = field(default="", init=False)

    def show(self, event: StreamEvent) -> None:
        """Take one event, in the contract's order."""
        match event:
            case Meta():
                self.session_id, self.request_id = event.session_id, event.request_id
            case SourcesFound():
                self.sources = event
            case CitationsProved():
                self._citations = event.citations
            case Delta():
                self._write(event.delta)
            case Failed():
                self.fail(event.message, withdraw=event.discard)
            case Done():
                self._end(event)

    def fail(self, message: str, *, withdraw: bool) -> None:
        """Say why there is no answer; what was shown of one is withdrawn."""
        if withdraw:
            self.withdraw(_WITHDRAWN)
        self.notes.print(Text(shown(message), "yellow"), soft_wrap=True)
        if self.request_id is not None:
            self.notes.print(Text(f"request {self.request_id}", "dim"), soft_wrap=True)

    def withdraw(self, why: str) -> None:
        """What was shown is no answer."""
        if self.text and self.out.is_terminal:
            self.out.print()
            self.notes.print(Text(why, "bold red"), soft_wrap=True)
        self.text, self._held = "", ""

    def list_sources(self) -> None:
        """Everything that was searched out, best first."""
        for source in self.sources.sources if self.sources else ():
            where = f"  {shown(source.url)}" if source.url else ""
            title = Text(f"• {shown(source.title or source.chunk_id)}{where}", "bold")
            self.notes.print(title, soft_wrap=True)
            self.notes.print(Text(f"  {shown(source.snippet)}"), soft_wrap=True)

    def _write(self, delta: str) -> None:
        self.text += delta
        if not self.out.is_terminal:
            return
        whole = self._held + delta
        held = _UNFINISHED.search(whole)
        self._held = held.group() if held else ""
        self._print(whole[: held.start()] if held else whole)

    def _print(self, text: str) -> None:
        line = Text()
        for part, style in _styled(text, [one.marker for one in self._citations]):
            line.append(shown(part), style)
        self.out.print(line, end="", soft_wrap=True)

    def _end(self, done: Done) -> None:
        self.done = done
        if done.status != "ok":
            if done.retry_after_ms:
                after = f"Try again in {math.ceil(done.retry_after_ms / 1000)} s."
                self.notes.print(Text(after, "yellow"))
            return
        self._print(self._held if self.out.is_terminal else self.text)
        self.out.print()
        for number, citation in enumerate(self._citations, start=1):
            title = shown(citation.title or citation.chunk_id)
            where = f"  {shown(citation.url)}" if citation.url else ""
            self.out.print(Text(f"[{number}] {title}{where}", "cyan"), soft_wrap=True)


def _styled(text: str, markers: list[str]) -> Iterator[tuple[str, str]]:
    """Runs of text, each with its style; a marker of this answer becomes its number."""
    start = 0
    for found in _MARKER.finditer(text):
        if found[1] in markers:
            yield text[start : found.start()], ""
            yield f"[{markers.index(found[1]) + 1}]", "bold cyan"
            start = found.end()
    yield text[start:], ""
