"""What a reply says, out of text that comes in pieces: proved citations, then the answer's text.

`AnswerScanner` finds the one JSON object amid prose, a code fence or `<think>` blocks (CONTRACT §4)
and has `answer_object` read it; `PlainScanner` takes the text behind any thoughts that open it,
where no citations are required. However a text is cut, the same is found and the same fault is
raised, in its place among what is found: the iterator that `feed` returns must be exhausted. One
pass, and nothing is kept but what must be held.

Nothing is repaired. What only the end can show (no object, half of one, a part that never came)
is the business of `close`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from attrs import define, field

from contracts.reasons import ReasonCode
from llmgw.answer_object import AnswerEnd, AnswerHold, Found, ObjectReader
from llmgw.faults import GenerationFault
from llmgw.json_text import BLANKS, BlankRun
from llmgw.thinking import ThinkBlock

_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_NOTABLE: Final = re.compile("[{<]")
_OPENS_OBJECT: Final = '"}'


@define
class PlainScanner:
    """The answer where no citations are required: the text itself, within the same limits.

    `<think>` blocks that open it are dropped; behind other text `<think>` is text like any other.
    """

    _hold: AnswerHold = field(factory=lambda: AnswerHold(is_proved=True), init=False)
    _step: Callable[["PlainScanner", str, int, int], int] = field(init=False)
    _thought: ThinkBlock | None = field(default=None, init=False)  # the last one that opened

    def __attrs_post_init__(self) -> None:
        self._step = PlainScanner._text

    def feed(self, text: str) -> Iterator[Found]:
        """What the next piece of the reply holds. Raises GenerationFault in its place."""
        at, end = 0, _end_of_text(text)
        while at < end:
            at = self._step(self, text, at, end)
            yield from self._hold.release()
        _must_be_text(text, end)

    def close(self) -> Iterator[Found]:
        """The reply has ended."""
        if self._thought and not self._thought.is_open:
            self._hold.take(self._thought.tag_so_far)
            yield from self._hold.release()
        if self._hold.is_blank and self._thought:
            raise GenerationFault(ReasonCode.OUTPUT_ONLY_REASONING, "nothing but thoughts")
        if self._hold.is_blank:
            raise GenerationFault(ReasonCode.OUTPUT_EMPTY, "nothing but blanks")
        yield AnswerEnd()

    def _text(self, text: str, at: int, end: int) -> int:
        """Text, as far as it may be let out at once; while it is blank, up to a `<`."""
        stop = min(end, at + self._hold.step_chars)
        tag = text.find("<", at, stop) if self._hold.is_blank else -1
        if tag == at:
            self._thought, self._step = ThinkBlock(), PlainScanner._opening_tag
            return at + 1
        stop = tag if tag > at else stop
        self._hold.take(text[at:stop])
        return stop

    def _opening_tag(self, text: str, at: int, _end: int) -> int:
        assert self._thought is not None, "a `<` made it"
        if not self._thought.opens_with(text[at]):
            self._hold.take(self._thought.tag_so_far)
            self._thought, self._step = None, PlainScanner._text
            return at
        if self._thought.is_open:
            # The blanks in front of a thought go with it.
            self._hold, self._step = AnswerHold(is_proved=True), PlainScanner._think
        return at + 1

    def _think(self, text: str, at: int, end: int) -> int:
        assert self._thought is not None, "its opening tag was read"
        at = self._thought.skip(text, at, end)
        if self._thought.is_over:
            self._step = PlainScanner._text
        return at


@define
class AnswerScanner:
    """The answer where citations are required. Aliases are `c1`…`c<alias_count>`."""

    alias_count: int
    _object: ObjectReader | None = field(default=None, init=False)
    # What reads the next character; a plain function, so that nothing points back at itself.
    _step: Callable[["AnswerScanner", str, int, int], int] = field(init=False)
    _before: str = field(default="", init=False)  # the last character of prose that is no blank
    _thought: ThinkBlock = field(factory=ThinkBlock, init=False)
    _blanks: BlankRun = field(factory=BlankRun, init=False)

    def __attrs_post_init__(self) -> None:
        self._step = AnswerScanner._prose

    def feed(self, text: str) -> Iterator[Found]:
        """What the next piece of the reply holds. Raises GenerationFault in its place."""
        at, end = 0, _end_of_text(text)
        while at < end:
            at = self._step(self, text, at, end)
            if self._object is not None:
                yield from self._object.take_found()
        _must_be_text(text, end)

    def close(self) -> Iterator[Found]:
        """The reply has ended: whatever is missing, is missing for good."""
        if self._object is None:
            raise GenerationFault(ReasonCode.OUTPUT_NOT_JSON, "no object")
        self._object.must_be_complete()
        yield from ()

    # A step reads on from `at`, which is less than `end`, and says where the next one goes on.

    def _prose(self, text: str, at: int, end: int) -> int:
        notable = _NOTABLE.search(text, at, end)
        stop = notable.start() if notable else end
        if passed := text[at:stop].rstrip(BLANKS):
            self._before = passed[-1]
        if not notable:
            return end
        if notable[0] == "{":
            self._step = AnswerScanner._brace
        else:
            self._thought, self._step = ThinkBlock(), AnswerScanner._opening_tag
            self._before = "<"
        return stop + 1

    def _brace(self, text: str, at: int, end: int) -> int:
        """Behind a `{`: it opens the object if `"` or `}` is next. Blanks without end are refused.

        A model that only indents stops there as often as anywhere: nobody waits for its end.
        """
        at = self._blanks.skip(text, at, end)
        if at == end:
            return end
        if text[at] not in _OPENS_OBJECT:
            self._before, self._step = "{", AnswerScanner._prose
            return at
        if self._object is not None:
            raise GenerationFault(ReasonCode.OUTPUT_AMBIGUOUS, "a second object")
        if self._before == "[":
            raise GenerationFault(ReasonCode.OUTPUT_SCHEMA_MISMATCH, "an object in a list")
        self._object, self._step = ObjectReader(self.alias_count), AnswerScanner._inside
        return at

    def _inside(self, text: str, at: int, end: int) -> int:
        assert self._object is not None, "a brace opened it"
        at = self._object.step(text, at, end)
        if self._object.is_over:
            self._before, self._step = "}", AnswerScanner._prose
        return at

    def _opening_tag(self, text: str, at: int, _end: int) -> int:
        if not self._thought.opens_with(text[at]):
            self._step = AnswerScanner._prose
            return at
        if self._thought.is_open:
            self._step = AnswerScanner._think
        return at + 1

    def _think(self, text: str, at: int, end: int) -> int:
        at = self._thought.skip(text, at, end)
        if self._thought.is_over:
            self._step = AnswerScanner._prose
        return at


def _end_of_text(text: str) -> int:
    """Where the piece stops being text that can be encoded: usually at its end."""
    found = _NOT_TEXT.search(text)
    return found.start() if found else len(text)


def _must_be_text(text: str, end: int) -> None:
    if end < len(text):
        raise GenerationFault(ReasonCode.OUTPUT_INVALID_UNICODE, "a raw NUL or lone surrogate")
