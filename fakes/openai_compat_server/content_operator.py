"""What a content operator is, the valid answer it works on, and how such an answer is written down.

A model that cites writes one JSON object, `{"citations": [{"chunk_id": "c1"}], "answer": "…"}`. An
operator is one way of getting that wrong, or of writing it oddly and still right. Everything it
chooses is drawn, so that the same draw gives the same text; and its text can always be sent as
UTF-8: half a surrogate pair is only ever written as an escape.

Refuses (ValueError) an answer that is not valid to begin with, for then no operator could promise
how it ends.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from attrs import frozen

from contracts import limits
from fakes.openai_compat_server.seeded import Draw

T = TypeVar("T")

OK: Final = "ok"

# An operator may add a citation and a few words; neither may be what breaks the answer.
ALIASES_MAX: Final = limits.CITATIONS_MAX - 1
ANSWER_CHARS_MAX: Final = limits.HOLD_MAX_CHARS - 96

_UNBRACED: Final = str.maketrans("{}", "()")


@frozen
class ValidAnswer:
    """An answer nobody could object to.

    `aliases` are the sources it cites, each once; `answer` is its text, which cites no others;
    `alias_count` is how many sources the prompt had, `c1` to `c<alias_count>`.
    """

    aliases: tuple[str, ...]
    answer: str
    alias_count: int

    def __attrs_post_init__(self) -> None:
        known = {f"c{number}" for number in range(1, self.alias_count + 1)}
        if not 1 <= len(self.aliases) <= ALIASES_MAX or len(set(self.aliases)) < len(self.aliases):
            raise ValueError(f"a valid answer cites 1 to {ALIASES_MAX} sources, each once")
        if not known.issuperset(self.aliases):
            raise ValueError("a valid answer cites sources of its prompt only")
        if not self.answer.strip() or len(self.answer) > ANSWER_CHARS_MAX:
            raise ValueError(f"a valid answer has a text, of {ANSWER_CHARS_MAX} characters at most")


Apply = Callable[[ValidAnswer, Draw], str]


@frozen
class ContentOperator:
    """One way of writing a valid answer, under the name it is asked for by.

    `ends` is the reason code that the text must end in, or `ok`, whether it is streamed or not.
    `pieces` cuts the text where the way it is cut matters; joined, they are the text again.
    """

    name: str
    about: str
    ends: str
    apply: Apply
    pieces: Callable[[str], tuple[str, ...]] | None = None


def stand_in(alias_count: int, draw: Draw) -> ValidAnswer:
    """A valid answer for a prompt whose sources answer nothing: an operator needs one to work on.

    `alias_count` is 1 or more.
    """
    alias = f"c{1 + int(draw.fraction('cited') * alias_count)}"
    said = pick(
        draw, "said", ("It is as the source says.", "The source says so in its first line.")
    )
    return ValidAnswer((alias,), f"{said} [{alias}]", alias_count)


def valid_json(answer: ValidAnswer) -> str:
    """The object as it should be: citations first."""
    return written(listed(answer.aliases), quoted(answer.answer))


def written(citations: str, answer: str) -> str:
    """The object around two values that are JSON already, or are meant not to be."""
    return f'{{"citations": {citations}, "answer": {answer}}}'


def answering(answer: ValidAnswer, value: str) -> str:
    """The object with another value for its answer."""
    return written(listed(answer.aliases), value)


def citing(answer: ValidAnswer, value: str) -> str:
    """The object with another value for its citations."""
    return written(value, quoted(answer.answer))


def saying(answer: ValidAnswer, text: str) -> str:
    """The object with another text for its answer."""
    return answering(answer, quoted(text))


def listed(ids: Iterable[object]) -> str:
    """The citations of these ids, whatever they are."""
    return json.dumps([{"chunk_id": each} for each in ids], ensure_ascii=False)


def quoted(text: str) -> str:
    """The text as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


def cleft(text: str, draw: Draw) -> tuple[str, str]:
    """The text in two, at the end of a drawn word; the first part is never blank."""
    first = len(text) - len(text.lstrip())
    ends = [at for at in range(first, len(text)) if text[at] == " "]
    at = pick(draw, "place", [*ends, len(text)])
    return text[:at], text[at:]


def amid(text: str, addition: str, draw: Draw) -> str:
    """The text with an addition after a drawn word."""
    before, after = cleft(text, draw)
    return f"{before} {addition}{after}"


def between(answer: ValidAnswer, text: str) -> str:
    """Another text where the comma between the two members and the key behind it stand."""
    return f'{{"citations": {listed(answer.aliases)}{text}: {quoted(answer.answer)}}}'


def inside(answer: ValidAnswer, raw: str, draw: Draw) -> str:
    """Raw text within the answer's string, after a drawn word."""
    before, after = cleft(answer.answer, draw)
    return answering(answer, f"{quoted(before)[:-1]}{raw}{quoted(after)[1:]}")


def unbraced(text: str) -> str:
    """The text without braces, so that it cannot pose as an object where it stands in none."""
    return text.translate(_UNBRACED)


def pick(draw: Draw, name: str, options: Sequence[T]) -> T:
    """One of the options, none of which is likelier than another."""
    return options[int(draw.fraction(name) * len(options))]


def in_runs(chars: int) -> Callable[[str], tuple[str, ...]]:
    """Cuts a long text into few pieces, so that a paced stream of it does not last for minutes."""
    return lambda text: tuple(text[at : at + chars] for at in range(0, len(text), chars))
