"""One turn on its way, as the lines of a file: each a name, a blank and one JSON value.

    asked {…}            first
    sources {…}  citations {…}  delta {"delta": "…"} …
    ended {…}            how it ended; without it the program was killed meanwhile
    feedback {…}         may follow

Pure: makes lines, and reads what a file holds. A last line without its end was cut off and counts
as never written, the question too: there was no such turn. Any other that cannot be read is a
ContractViolation.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from attrs import define, field, frozen

from contracts.chat import Source, Sources
from contracts.codec import decode, encode
from contracts.events import CitationsProved, Delta
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation, Violation
from qs.store.port import Asked, Ended, Feedback, KeptTurn

CUT_BY_A_KILL: Final = ReasonCode.HOP_DISCONNECTED  # what the BFF has told the client


@frozen
class Shown:
    """The sources of a turn, and the SHA-256 of each one's passage where it is known."""

    sources: Sources
    content_hashes: tuple[str | None, ...]

    def problems(self) -> Iterator[Violation]:
        """They go together."""
        if len(self.sources) != len(self.content_hashes):
            yield Violation("$.content_hashes", "must be as many as the sources")


Line = Asked | Shown | CitationsProved | Delta | Ended | Feedback
_KINDS: Final[dict[bytes, type[Line]]] = {
    b"asked": Asked,
    b"sources": Shown,
    b"citations": CitationsProved,
    b"delta": Delta,
    b"ended": Ended,
    b"feedback": Feedback,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_FIRST: Final = b"asked "


def hash_of(content: str) -> str:
    """A passage's SHA-256, as it is kept."""
    return sha256(content.encode()).hexdigest()


def line_of(value: Line) -> bytes:
    """One line."""
    return _NAMES[type(value)] + b" " + encode(value) + b"\n"


@define
class _Read:
    """A file's lines, by what they say."""

    asked: Asked | None = None
    shown: Shown = field(factory=lambda: Shown((), ()))
    proved: CitationsProved | None = None
    text: list[str] = field(factory=list)
    ended: Ended | None = None
    feedback: Feedback | None = None

    def take(self, line: Line) -> None:
        match line:
            case Asked():
                self.asked = line
            case Shown():
                self.shown = line
            case CitationsProved():
                self.proved = line
            case Delta():
                self.text.append(line.delta)
            case Ended():
                self.ended = line
            case Feedback():
                self.feedback = line


def never_asked(data: bytes) -> bool:
    """Whether the file ends within its question, as when its program was killed just then."""
    return b"\n" not in data and data.startswith(_FIRST[: len(data)])


def asked_of(data: bytes) -> Asked:
    """The question that a file begins with. Raises ContractViolation."""
    first = _line(data.partition(b"\n")[0])
    if not isinstance(first, Asked):
        raise ContractViolation([Violation("$", "the file does not begin with a question")])
    return first


def turn_of(data: bytes, cut_ms: int) -> KeptTurn:
    """The turn of a file; one that never ended was cut off at `cut_ms`. Raises ContractViolation.

    Text is kept of an answer that ended well, and of no other.
    """
    read = _Read(asked_of(data))
    *whole, _ = data.split(b"\n")
    for raw in whole:
        read.take(_line(raw))
    assert read.asked is not None
    ended = read.ended or Ended("interrupted", CUT_BY_A_KILL, None, None, {}, cut_ms)
    ok = ended.status == "ok"
    return KeptTurn(
        asked=read.asked,
        ended=ended,
        answer="".join(read.text) if ok else None,
        sources=read.shown.sources,
        citations=read.proved.citations if ok and read.proved else (),
        content_hashes=_hashes(read.shown),
        feedback=read.feedback,
    )


def _hashes(shown: Shown) -> dict[str, str]:
    pairs = zip(shown.sources, shown.content_hashes, strict=True)
    return {source.chunk_id: known for source, known in pairs if known is not None}


def shown_of(sources: tuple[Source, ...], hashes: dict[str, str]) -> Shown:
    """The sources with what is known of their passages."""
    return Shown(sources, tuple(hashes.get(source.chunk_id) for source in sources))


def _line(raw: bytes) -> Line:
    name, _, value = raw.partition(b" ")
    kind = _KINDS.get(name)
    if kind is None:
        raise ContractViolation([Violation("$", f"no line of a turn: {name[:32]!r}")])
    return decode(value, kind)
