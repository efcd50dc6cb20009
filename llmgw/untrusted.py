"""Somebody's text, made fit to stand in a prompt: it reads the same and can pose as nothing.

A passage, a question and an earlier answer are material, and may try to be more: a line of our
frame, a citation's marker, a chat template's token. Each is rewritten with look-alikes. Characters
that nobody sees are dropped, for they hide text from people that models read. Linear work on any
input, and doing it twice changes nothing.
"""

import re
from typing import Final

# Bidirectional controls, zero-width characters, soft hyphens, tags, variation selectors of the
# supplement, the controls of shorthand and of music, and controls but tab and line feed.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Joiners and variation selectors are letters' business in many scripts, one of each at a place. A
# run of them spells out hidden bits, and ASCII has no use for any.
_MODIFIERS: Final = re.compile("[\u200c\u200d\ufe00-\ufe0f]+")
_JOINERS: Final = "\u200c\u200d"
_LINE_END: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")

# Most texts hold none of these, and are then looked through once: the controls that ASCII has but
# tab and line feed, and the signs that whatever poses as something of ours begins with.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_NOTABLE: Final = re.compile("[<\\[［【]")
# Either of the two, in ASCII.
_UNUSUAL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f<\\[]")

_FRAME: Final = re.compile(r"<<<+")
_MARKER: Final = re.compile(
    r"[\[［【]([ \t\n]*c[ \t]*\d+(?:[ \t\n]*[,;，、\-–][ \t\n]*c[ \t]*\d+)*[ \t\n]*)[\]］】]",
    re.IGNORECASE,
)
_TEMPLATE_TAG: Final = re.compile(
    r"<(\|[^|<>\n]{1,64}\||｜[^｜<>\n]{1,64}｜|/?(?:s|bos|eos|unk|pad|mask|think|tool_call|"
    r"tool_response|start_of_turn|end_of_turn|start_of_image|end_of_image|sop|eop|unused\d{1,4}))>",
    re.IGNORECASE,
)
_TEMPLATE_BRACKET: Final = re.compile(
    r"\[(/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|"
    r"PREFIX|SUFFIX|MIDDLE|IMG|THINK|gMASK|sMASK))\]",
    re.IGNORECASE,
)
_TEMPLATE_SYS: Final = re.compile(r"<<(/?SYS)>>", re.IGNORECASE)


def neutralised(text: str) -> str:
    """Somebody's text, such that nothing in it can pose as our frame, markers or the template."""
    if text.isascii() and not _UNUSUAL.search(text):
        return text
    text = readable(text)
    if not _NOTABLE.search(text):
        return text
    return _MARKER.sub(r"(\1)", _FRAME.sub(_guillemets, text))


def readable(text: str) -> str:
    """A text without unseen characters and template tokens; line ends are LF."""
    if not text.isascii() or _CONTROL.search(text):
        text = _LINE_END.sub("\n", _UNSEEN.sub("", text))
        text = _MODIFIERS.sub(_modified, text)
    if not _NOTABLE.search(text):
        return text
    text = _TEMPLATE_SYS.sub(r"‹‹\1››", text)
    return _TEMPLATE_BRACKET.sub(r"(\1)", _TEMPLATE_TAG.sub(r"‹\1›", text))


def _modified(found: re.Match[str]) -> str:
    """Of a run of joiners and selectors: what the letters round it have a use for."""
    before = found.string[max(0, found.start() - 1) : found.start()]
    after = found.string[found.end() : found.end() + 1]
    if before.isascii():
        return ""
    run = found[0]
    selector = "" if run[0] in _JOINERS else run[0]
    joiner = next((sign for sign in run if sign in _JOINERS), "")
    return selector + ("" if after.isascii() else joiner)


def _guillemets(found: re.Match[str]) -> str:
    return "‹" * len(found[0])
