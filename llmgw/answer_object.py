"""The one object of a reply, read character by character against the law of `answer_law`.

Because the shape is fixed, a wrong value is refused before it can nest: nothing is kept but the
answer, while it must be held. No text comes out before the citations are
proved: every one an alias of this request, at least one, and not the alias that means "none".
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from attrs import define, field, frozen

from contracts import limits
from contracts.reasons import ReasonCode
from llmgw.answer_law import (
    GOES_ON,
    KEYS,
    LAW,
    STRINGS,
    WHOLE_AT_ONCE,
    WRONG_TYPE,
    Place,
    Words,
)
from llmgw.faults import GenerationFault
from llmgw.json_text import BlankRun, StringReader

ABSTAINED: Final = "c0"

_UNSEEN: Final = frozenset(("Cc", "Cf", "Zs", "Zl", "Zp"))


@frozen
class Proved:
    """Every citation names a chunk of this request: their aliases, each once, in order."""

    aliases: tuple[str, ...]


@frozen
class AnswerText:
    """Text of the answer; never empty, never before `Proved` where citations are required."""

    text: str


@frozen
class AnswerEnd:
    """The answer's text is whole."""


Found = Proved | AnswerText | AnswerEnd


def is_blank(text: str) -> bool:
    """Whether nobody would see the text: blanks, controls and formatting characters alone."""
    return all(unicodedata.category(char) in _UNSEEN for char in text)


@define(repr=False)
class AnswerHold:
    """The answer's text on its way out: measured, and held while it is unproved or blank."""

    is_proved: bool
    is_blank: bool = field(default=True, init=False)
    _length: int = field(default=0, init=False)
    _held: list[str] = field(factory=list, init=False)

    @property
    def step_chars(self) -> int:
        """How many characters to bring at once, so that a fault comes in its place."""
        return max(1, self._cap - self._length)

    @property
    def _cap(self) -> int:
        return limits.ANSWER_MAX_CHARS if self.is_proved else limits.HOLD_MAX_CHARS

    def take(self, piece: str) -> None:
        """More of the answer. Raises OUTPUT_TOO_LONG, or OUTPUT_HOLD_EXCEEDED while unproved."""
        self._length += len(piece)
        if self._length > self._cap:
            over = ReasonCode.OUTPUT_TOO_LONG
            code = over if self.is_proved else ReasonCode.OUTPUT_HOLD_EXCEEDED
            raise _fault(code, f"the answer is over {self._cap} characters")
        self._held.append(piece)
        self.is_blank = self.is_blank and is_blank(piece)

    def release(self) -> Iterator[AnswerText]:
        """Whatever may go out now."""
        if self.is_proved and not self.is_blank and self._held:
            text = "".join(self._held)
            self._held.clear()
            yield AnswerText(text)


@define
class ObjectReader:
    """One object, from behind its opening brace to `is_over`."""

    alias_count: int
    _place: Place = field(default=Place.START, init=False)
    # What reads the next character; a plain function, so that nothing points back at itself.
    _step: Callable[["ObjectReader", str, int, int], int] = field(init=False)
    _blanks: BlankRun = field(factory=BlankRun, init=False)
    _string: StringReader = field(factory=StringReader, init=False)
    _words: Mapping[Place, Words] = field(init=False)
    _word: str = field(default="", init=False)
    _rest: tuple[str, ...] = field(default=(), init=False)  # of a value without quotes
    _is_null: bool = field(default=False, init=False)
    _keys: dict[Place, set[str]] = field(factory=lambda: {p: set() for p in KEYS}, init=False)
    _items: int = field(default=0, init=False)
    _aliases: dict[str, None] = field(factory=dict, init=False)
    _hold: AnswerHold = field(factory=lambda: AnswerHold(is_proved=False), init=False)
    _found: list[Found] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        aliases = {f"c{number}": Place.ITEM_MEMBER for number in range(self.alias_count + 1)}
        self._words = {**KEYS, Place.ID: Words(aliases, ReasonCode.CITATIONS_INVALID)}
        self._step = ObjectReader._between

    @property
    def is_over(self) -> bool:
        """Whether the closing brace was read."""
        return self._place is Place.OVER

    def step(self, text: str, at: int, end: int) -> int:
        """Read on from `at`, which is less than `end`; where the next step goes on."""
        return self._step(self, text, at, end)

    def take_found(self) -> list[Found]:
        """What the last step found, once."""
        found, self._found = self._found, []
        return found

    def must_be_complete(self) -> None:
        """The reply has ended: refuses half an object, and one without its two parts."""
        if not self.is_over:
            raise _fault(ReasonCode.OUTPUT_INCOMPLETE_JSON, "it ended inside the object")
        if "citations" not in self._keys[Place.KEY]:
            raise _fault(ReasonCode.CITATIONS_MISSING, "no `citations`")
        if "answer" not in self._keys[Place.KEY]:
            raise _fault(ReasonCode.OUTPUT_ANSWER_MISSING, "no `answer`")

    def _between(self, text: str, at: int, end: int) -> int:
        """Between strings: one character, behind any blanks."""
        at = self._blanks.skip(text, at, end)
        if at == end:
            return end
        char = text[at]
        if (after := LAW[self._place].get(char)) is not None:
            self._arrive(after)
        elif self._place in WRONG_TYPE and char in WHOLE_AT_ONCE:
            raise _wrong_type(self._place)
        elif self._place in WRONG_TYPE and char in GOES_ON:
            self._is_null, self._rest, self._step = char == "n", GOES_ON[char], ObjectReader._bare
        else:
            raise _malformed()
        return at + 1

    def _bare(self, text: str, at: int, _end: int) -> int:
        """Within a value that has no quotes: one character. Only a label may be null."""
        if text[at] not in self._rest[0]:
            raise _malformed()
        self._rest = self._rest[1:]
        if not self._rest:
            if self._place is not Place.LABEL_COLON or not self._is_null:
                raise _wrong_type(self._place)
            self._place, self._step = Place.ITEM_MEMBER, ObjectReader._between
        return at + 1

    def _within(self, text: str, at: int, end: int) -> int:
        """Within a string: one step of its reader. A citation's own labels are dropped."""
        if self._place is Place.ANSWER:
            end = min(end, at + self._hold.step_chars)
        piece, at, is_closed = self._string.read(text, at, end)
        if piece and self._place is Place.ANSWER:
            self._hold.take(piece)
            self._found.extend(self._hold.release())
        elif piece and self._place in self._words:
            self._spell(self._words[self._place], piece)
        if is_closed:
            self._step = ObjectReader._between
            self._place = self._leave(self._place)
        return at

    def _arrive(self, place: Place) -> None:
        """What a place asks for, beyond what may follow it."""
        self._place = place
        if place in STRINGS:
            self._word, self._step = "", ObjectReader._within
        elif place is Place.ITEM:
            self._items += 1
            self._keys[Place.ITEM_KEY].clear()
            if self._items > limits.CITATIONS_MAX:
                raise _fault(ReasonCode.CITATIONS_TOO_MANY, f"over {limits.CITATIONS_MAX}")
        elif place is Place.ITEM_OVER and "chunk_id" not in self._keys[Place.ITEM_KEY]:
            raise _fault(ReasonCode.CITATIONS_MALFORMED, "a citation without `chunk_id`")
        elif place is Place.LIST_OVER:
            self._prove()

    def _spell(self, words: Words, piece: str) -> None:
        """More of a word that must be one of a few: refused where it can no longer be one."""
        self._word += piece
        if not any(word.startswith(self._word) for word in words.leads):
            raise _fault(words.otherwise, "a word that may not stand there")

    def _leave(self, place: Place) -> Place:
        """Where the end of a string leads."""
        if place is Place.ANSWER:
            self._end_answer()
            return Place.MEMBER
        if place is Place.LABEL:
            return Place.ITEM_MEMBER
        words = self._words[place]
        if self._word not in words.leads:
            raise _fault(words.otherwise, "half a word")
        if place is Place.ID:
            self._cite(self._word)
        elif self._word in self._keys[place]:
            raise _fault(ReasonCode.OUTPUT_DUPLICATE_KEY, f"`{self._word}` stands twice")
        else:
            self._keys[place].add(self._word)
        return words.leads[self._word]

    def _end_answer(self) -> None:
        if self._hold.is_blank:
            raise _fault(ReasonCode.OUTPUT_ANSWER_MISSING, "a blank answer")
        if self._hold.is_proved:
            self._found.append(AnswerEnd())

    def _cite(self, alias: str) -> None:
        self._aliases[alias] = None
        if ABSTAINED in self._aliases and len(self._aliases) > 1:
            raise _fault(ReasonCode.CITATIONS_INVALID, f"{ABSTAINED} with others")

    def _prove(self) -> None:
        """The list is over, and whatever stands in it is an alias of this request."""
        if not self._aliases:
            raise _fault(ReasonCode.CITATIONS_MISSING, "an empty list")
        if ABSTAINED in self._aliases:
            raise _fault(ReasonCode.MODEL_ABSTAINED, f"{ABSTAINED} alone")
        self._found.append(Proved(tuple(self._aliases)))
        self._hold.is_proved = True
        if "answer" in self._keys[Place.KEY]:
            self._found.extend((*self._hold.release(), AnswerEnd()))


def _wrong_type(place: Place) -> GenerationFault:
    return _fault(WRONG_TYPE[place], "a value of the wrong type")


def _malformed() -> GenerationFault:
    return _fault(ReasonCode.OUTPUT_MALFORMED_JSON, "not the grammar of JSON")


def _fault(code: ReasonCode, detail: str) -> GenerationFault:
    return GenerationFault(code, detail)
