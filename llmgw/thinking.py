"""A `<think>` block: what a model writes to itself, out of text that comes in pieces cut anywhere.

Nobody is shown it, and no object in it counts. The tags are read as they are written, in small
letters and without attributes; the first closing tag ends a block, for blocks do not nest.
"""

from typing import Final

from attrs import define, field

_OPENING: Final = "<think>"
_CLOSING: Final = "</think>"


@define
class ThinkBlock:
    """One block, if it is one, from behind its `<` on."""

    is_open: bool = field(default=False, init=False)  # its opening tag was read
    is_over: bool = field(default=False, init=False)  # so was its closing one
    _tag_chars: int = field(default=1, init=False)

    @property
    def tag_so_far(self) -> str:
        """What was read of the opening tag, `<` included: plain text, if nothing comes of it."""
        return _OPENING[: self._tag_chars]

    def opens_with(self, char: str) -> bool:
        """Whether the opening tag goes on with that character; else this is no block."""
        if char != _OPENING[self._tag_chars]:
            return False
        self._tag_chars += 1
        if self._tag_chars == len(_OPENING):
            self.is_open, self._tag_chars = True, 0
        return True

    def skip(self, text: str, at: int, end: int) -> int:
        """One step inside the block, for `at < end`; where the next one goes on."""
        if self._tag_chars == 0:
            at = text.find("<", at, end)
            if at < 0:
                return end
        elif text[at] != _CLOSING[self._tag_chars]:
            self._tag_chars = 0
            return at
        self._tag_chars += 1
        self.is_over = self._tag_chars == len(_CLOSING)
        return at + 1
