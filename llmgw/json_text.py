"""JSON's blanks and strings, out of text that comes in pieces cut anywhere.

What stands between the strings is the reader's business. Refuses (GenerationFault) what JSON
refuses: raw control characters, unknown escapes; and what no text can hold: half of a surrogate
pair, NUL. A half is refused at the first character that shows it will stay alone.
"""

import re
from typing import Final

from attrs import define, field

from contracts import limits
from contracts.reasons import ReasonCode
from llmgw.faults import GenerationFault

BLANKS: Final = " \t\r\n"

_BLANK_RUN: Final = re.compile(rf"[{BLANKS}]*")
_PLAIN_RUN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_SHORT: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
# An escape is read as it grows: `\u`, then four digits. The first two show a surrogate.
_UNICODE_CHARS: Final = len("\\uXXXX")
_SURROGATE_CHARS: Final = len("\\uXX")
_LOW_DIGITS: Final = ("dD", "cdefCDEF")


@define
class BlankRun:
    """Skips the blanks between tokens; a run over the cap is a model that only indents."""

    _length: int = field(default=0, init=False)

    def skip(self, text: str, at: int, end: int) -> int:
        """Where the blanks that go on at `at` stop; `end` if they may go on still."""
        found = _BLANK_RUN.match(text, at, end)
        assert found, "the pattern matches the empty text"
        self._length += found.end() - at
        if self._length > limits.STRUCTURAL_BLANKS_MAX:
            raise GenerationFault(ReasonCode.OUTPUT_WHITESPACE_LOOP, "blanks without end")
        if found.end() < end:
            self._length = 0
        return found.end()


@define
class StringReader:
    """Decodes strings, one after another, each from behind its opening quote."""

    _escape: str = field(default="", init=False)
    _high: int = field(default=0, init=False)

    def read(self, text: str, at: int, end: int) -> tuple[str, int, bool]:
        """One step, for `at < end`: the text decoded, where to go on, whether the string is over.

        No step decodes more characters than it reads.
        """
        if self._escape:
            return self._unescaped(text[at]), at + 1, False
        found = _PLAIN_RUN.match(text, at, end)
        assert found, "the pattern matches the empty text"
        if found.end() > at:
            self._must_be_whole()
            return found[0], found.end(), False
        if text[at] == "\\":
            self._escape = "\\"
        elif text[at] == '"':
            self._must_be_whole()
        else:
            raise _malformed("a raw control character in a string")
        return "", at + 1, text[at] == '"'

    def _unescaped(self, char: str) -> str:
        """What the escape stands for, once `char` ends it; until then nothing."""
        self._escape += char
        if len(self._escape) > len("\\u"):
            return self._digit(char)
        if char == "u":
            return ""
        if char not in _SHORT:
            raise _malformed("an unknown escape")
        self._must_be_whole()
        self._escape = ""
        return _SHORT[char]

    def _digit(self, char: str) -> str:
        if char not in _HEX:
            raise _malformed("an escape without its four digits")
        self._must_pair(self._escape[len("\\u") : _SURROGATE_CHARS])
        if len(self._escape) < _UNICODE_CHARS:
            return ""
        code, self._escape = int(self._escape[len("\\u") :], 16), ""
        if code == 0:
            raise _invalid("NUL")
        if 0xD800 <= code <= 0xDBFF:
            self._high = code
            return ""
        if self._high:
            code = 0x10000 + ((self._high - 0xD800) << 10) + (code - 0xDC00)
            self._high = 0
        return chr(code)

    def _must_pair(self, digits: str) -> None:
        """A low half stands behind a high one, and nothing else does."""
        could_be_low = all(d in low for d, low in zip(digits, _LOW_DIGITS, strict=False))
        if self._high and not could_be_low:
            raise _invalid("a high surrogate without its low one")
        if not self._high and could_be_low and len(digits) == len(_LOW_DIGITS):
            raise _invalid("a low surrogate without its high one")

    def _must_be_whole(self) -> None:
        if self._high:
            raise _invalid("a high surrogate without its low one")


def _malformed(detail: str) -> GenerationFault:
    return GenerationFault(ReasonCode.OUTPUT_MALFORMED_JSON, detail)


def _invalid(detail: str) -> GenerationFault:
    return GenerationFault(ReasonCode.OUTPUT_INVALID_UNICODE, detail)
