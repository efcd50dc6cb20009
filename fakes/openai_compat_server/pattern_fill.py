"""A string that a simple regular expression matches.

Serves literals, escapes, classes, groups, alternatives, repeats and the two anchors. Refuses
(ValueError) all else: looking around, backreferences, word boundaries, flags.
"""

import string

from attrs import define

from fakes.openai_compat_server.seeded import Draw

# Where a repeat has no end, this many more than it asks for.
_REPEAT_SPREAD = 3
_REPEATS_MAX = 1_000
_PATTERN_CHARS_MAX = 200  # and with it, how deep groups can nest
_DRAWS_MAX = 20_000
_DIGITS, _WORDS, _SPACES = string.digits, string.ascii_letters + string.digits + "_", " "
_ANY = string.ascii_lowercase + string.digits
_PRINTED = string.printable[:95]
_CLASSES = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


def from_pattern(pattern: str, draw: Draw, name: str) -> str:
    """A match of the whole pattern; raises ValueError for what is not served."""
    if len(pattern) > _PATTERN_CHARS_MAX:
        raise ValueError(f"over {_PATTERN_CHARS_MAX} characters long")
    reader = _Reader(pattern, draw, name)
    text = reader.alternatives()
    if reader.at < len(pattern):
        raise ValueError(f"unexpected {pattern[reader.at]!r} at {reader.at}")
    return text


@define
class _Reader:
    """Reads the pattern once and writes as it goes; a repeat reads its piece again."""

    pattern: str
    draw: Draw
    name: str
    at: int = 0
    drawn: int = 0

    def alternatives(self) -> str:
        options = [self.sequence()]
        while self._take("|"):
            options.append(self.sequence())
        return options[self._below(len(options))]

    def sequence(self) -> str:
        written = ""
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            written += self._piece()
        return written

    def _piece(self) -> str:
        began = self.at
        text = self._atom()
        ended = self.at
        low, high = self._repeat()
        after, texts = self.at, [text]
        wanted = low + self._below(high - low + 1)
        for _ in range(wanted - 1):
            self.at = began
            texts.append(self._atom())
            assert self.at == ended, "the same piece, read again"
        self.at = after
        return "".join(texts[:wanted])

    def _atom(self) -> str:
        char = self.pattern[self.at]
        self.at += 1
        if char in "^$":
            return ""
        if char == "(":
            return self._group()
        if char == "[":
            return self._one_of(self._class())
        if char == ".":
            return self._one_of(_ANY)
        if char == "\\":
            return self._one_of(self._escape())
        if char in "*+?{":
            raise ValueError(f"nothing to repeat at {self.at - 1}")
        return char

    def _group(self) -> str:
        if self._take("?") and not self._take(":"):
            raise ValueError("only plain groups and (?:…) are served")
        text = self.alternatives()
        if not self._take(")"):
            raise ValueError("a group is not closed")
        return text

    def _escape(self) -> str:
        """What an escape may stand for."""
        char = self._next()
        if char.lower() in _CLASSES:
            chars = _CLASSES[char.lower()]
            return chars if char.islower() else "".join(c for c in _PRINTED if c not in chars)
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char.isalnum():
            raise ValueError(rf"the escape \{char} is not served")
        return char

    def _class(self) -> str:
        excludes = self._take("^")
        members = ""
        while not members or not self._take("]"):
            low = self._member()
            if (
                self.pattern[self.at : self.at + 1] == "-"
                and self.pattern[self.at + 1 :][:1] != "]"
            ):
                self.at += 1
                members += _range(low, self._member())
            else:
                members += low
        chosen = "".join(c for c in _ANY + _PRINTED if c not in members) if excludes else members
        if not chosen:
            raise ValueError("a class has no member")
        return chosen

    def _member(self) -> str:
        char = self._next()
        return self._escape() if char == "\\" else char

    def _repeat(self) -> tuple[int, int]:
        low, high = 1, 1
        if self._take("*"):
            low, high = 0, _REPEAT_SPREAD
        elif self._take("+"):
            low, high = 1, 1 + _REPEAT_SPREAD
        elif self._take("?"):
            low, high = 0, 1
        elif self._take("{"):
            low, high = self._counts()
        self._take("?")  # a lazy repeat takes the same strings
        return low, high

    def _counts(self) -> tuple[int, int]:
        body, closed, _ = self.pattern[self.at :].partition("}")
        least, comma, most = body.partition(",")
        if not closed or not least.isdecimal() or (most and not most.isdecimal()):
            raise ValueError(f"the repeat at {self.at} is not served")
        self.at += len(body) + 1
        low = int(least[:9])
        high = int(most[:9]) if most else low + (_REPEAT_SPREAD if comma else 0)
        if high < low or low > _REPEATS_MAX:
            raise ValueError(f"can not repeat from {low} to {high} times")
        return low, min(high, low + _REPEAT_SPREAD)

    def _next(self) -> str:
        if self.at >= len(self.pattern):
            raise ValueError("the pattern ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def _take(self, char: str) -> bool:
        taken = self.pattern.startswith(char, self.at)
        self.at += taken
        return taken

    def _one_of(self, chars: str) -> str:
        return chars[self._below(len(chars))]

    def _below(self, count: int) -> int:
        self.drawn += 1
        if self.drawn > _DRAWS_MAX:
            raise ValueError("it asks for too long a text")
        return int(self.draw.fraction(f"{self.name} pattern", self.drawn) * count)


def _range(low: str, high: str) -> str:
    if len(low) != 1 or len(high) != 1 or low > high or ord(high) - ord(low) > 0xFFFF:
        raise ValueError("a range in a class is not served")
    return "".join(map(chr, range(ord(low), ord(high) + 1)))
