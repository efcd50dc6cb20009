"""A passage of Markdown or plain text as sentences a person can read.

Headings become the context of what follows them. Table rows and list items become sentences; a
line that ends in a colon takes what it announces with it: a list's first items, or one or two
lines of code as a code span, with the rest of the sentence after them. Other code is left out.
Images, links, urls in prose, known HTML tags and other furniture are dropped, and nothing that
looks like a citation marker survives: whoever quotes a sentence adds the only one.
"""

import html
import re
from collections import deque
from collections.abc import Iterator

from attrs import frozen

SENTENCE_CHARS_MAX = 500
_ANNOUNCED_CHARS_MAX = 240
_ANNOUNCED_TEXT_CHARS_MIN = 12  # a shorter paragraph is a label, not what was announced
_QUOTED_CODE_LINES_MAX = 2

_FENCE = re.compile(r"\s*(?:(?:[-*+•]|\d{1,3}[.)])\s+)?(```+|~~~+)[^`]*")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*?)[\s#]*")
_RULE = re.compile(r"\s*(?:=+|(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?(.*)")
_ROW = re.compile(r"\s*\|(.*)\|\s*")
_DELIMITER_ROW = re.compile(r"\s*\|[\s|:-]+\|\s*")
_REFERENCE = re.compile(r"\s{0,3}\[[^\]]{1,200}\]:\s*\S.*")

_ONLY_CODE = re.compile(r"`[^`]{1,300}`")
_GOES_ON = re.compile(r"[a-z),;]")

_CODE = re.compile(r"(`{1,3})([^`]{1,300})\1")
_KEPT = re.compile("\ue000(\\d+)\ue001")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e\ue000-\uf8ff\ufeff]")
_URL = re.compile(
    r"(?:\b(?:at|from|see|via|on|to|in|under|visit)\s+)?[<(]?"
    r"\b(?:https?://|ftp://|mailto:|www\.)[^\s<>()\]、。，]{0,2000}[^\s<>()\].,;:!?、。，]/?[>)]?",
    re.IGNORECASE,
)
_HTML = (
    "a abbr acronym address applet area article aside audio b base basefont bdi bdo big blink "
    "blockquote body br button canvas caption center cite code col colgroup data datalist dd del "
    "details dfn dialog dir div dl dt em embed fieldset figcaption figure font footer form frame "
    "frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend "
    "li link main map mark marquee menu meta meter nav nobr noembed noframes noscript object ol "
    "optgroup option output p param picture plaintext pre progress q rp rt ruby s samp script "
    "search section select slot small source span strike strong style sub summary sup svg table "
    "tbody td template textarea tfoot th thead time title tr track tt u ul var video wbr xmp math"
)
_TAG = re.compile(rf"</?({'|'.join(_HTML.split())})(?![\w-])[^<>]{{0,2000}}>", re.IGNORECASE)
_TAG_START = re.compile(
    rf"(?<!<)(?<!</)(?:</?)++(?=(?:{'|'.join(_HTML.split())})(?![\w-]))", re.IGNORECASE
)

# Applied to prose in this order; each pattern is linear in its input.
_FURNITURE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<!--.{0,2000}?-->", re.DOTALL), " "),
    (
        re.compile(r"!\[[^\[\]]{0,300}\]\([^()]{0,2000}\)|!\[[^\[\]]{0,300}\]\[[^\[\]]{0,300}\]"),
        " ",
    ),
    (re.compile(r"\[([^\[\]]{1,300})\]\([^()]{0,2000}\)"), r"\1"),
    (re.compile(r"\[([^\[\]]{1,300})\]\[[^\[\]]{0,300}\]"), r"\1"),
    (re.compile(r"\[\^[^\[\]]{1,100}\]|!\["), ""),
    (re.compile(r"(\*\*|__)(?=\S)([^*_]{1,500})(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)([*_])(?=\S)([^*_]{1,500})(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"</?(?:p|div|br|li|tr|td|h[1-6])\b[^<>]{0,500}>", re.IGNORECASE), " "),
    (_TAG, ""),
    (_TAG_START, ""),
    (_URL, ""),
    (re.compile(r"\(\s*\)|\[\s*\]"), ""),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\s+([.,;:!?])(?=\s|$)"), r"\1"),
)
# What must not come out, code or not, even where dropping furniture has put it together.
_FORBIDDEN: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"[\[［【](\s*c\s*\d+(?:\s*[,;，、]\s*c?\s*\d+)*\s*)[\]］】]", re.IGNORECASE),
        r"(\1)",
    ),
    (re.compile(r"[\[［【](?=\s*c\s*\d)", re.IGNORECASE), "("),
    (re.compile(r"!(?=\[)"), "! "),
    (re.compile(r"\](?=\()"), "] "),
    (_TAG_START, ""),
)

_END = re.compile(r"(?<=[.!?])[\"')\]”’]{0,2}\s+(?=[^a-z\s])|(?<=[。！？])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|Mr|Mrs|Dr|No|Fig)|\b[A-Z])\.$")


@frozen
class Sentence:
    """One quotable sentence, and the nearest heading above it (empty where there is none)."""

    text: str
    heading: str


@frozen
class _Block:
    kind: str  # "text", "item", "row" or "code"
    text: str
    heading: str


def sentences(passage: str) -> tuple[Sentence, ...]:
    """The readable sentences of a passage, in order."""
    blocks = _announced(list(_blocks(_UNPRINTABLE.sub("", passage.expandtabs(4)))))
    return tuple(
        Sentence(text, _plain(block.heading))
        for block in blocks
        if block.kind != "code"
        for text in _split(block.text)
    )


def _blocks(passage: str) -> Iterator[_Block]:
    heading, kind = "", "text"
    held: list[str] = []
    lines = iter(passage.splitlines())
    for line in lines:
        line = line.lstrip("> ") if line.lstrip().startswith(">") else line
        fence, title, item = _FENCE.fullmatch(line), _HEADING.fullmatch(line), _ITEM.fullmatch(line)
        row = _ROW.fullmatch(line)
        starts = bool(fence or title or item or row or _RULE.fullmatch(line) or not line.strip())
        if starts or _REFERENCE.fullmatch(line):
            if held and not (row and _DELIMITER_ROW.fullmatch(line)):
                yield _Block(kind, " ".join(held), heading)
            held, kind = [], "text"
        if fence:
            yield _Block("code", "\n".join(_until_fence(lines, fence[1])), heading)
        elif title:
            heading = title[1]
        elif row:
            kind, held = "row", [] if _DELIMITER_ROW.fullmatch(line) else [_row(row[1])]
        elif item:
            kind, held = "item", [item[1]]
        elif not starts and not _REFERENCE.fullmatch(line):
            if kind == "item" and _ONLY_CODE.fullmatch(held[0]):
                yield _Block(kind, held[0], heading)
                held, kind = [], "text"
            held.append(line.strip())
    if held:
        yield _Block(kind, " ".join(held), heading)


def _until_fence(lines: Iterator[str], fence: str) -> Iterator[str]:
    for line in lines:
        if line.strip().startswith(fence):
            return
        yield line.strip()


def _row(inner: str) -> str:
    """A table row as one sentence: its first cell names what the others say."""
    cells = [cell.strip() for cell in inner.split("|")]
    name, said = cells[0], "; ".join(cell for cell in cells[1:] if cell)
    return f"{name}: {said}" if name and said else name or said


def _announced(blocks: list[_Block]) -> list[_Block]:
    """Blocks that announce something, joined with it; what follows such code goes on with it."""
    joined: list[_Block] = []
    rest = deque(blocks)
    while rest:
        block = rest.popleft()
        while rest and _announces(block, rest[0]):
            kind = rest[0].kind
            text = _with_announced(block, rest)
            while kind == "code" and text != block.text and rest and _goes_on(rest[0]):
                text = f"{text} {rest.popleft().text}"
            if text == block.text:
                # Left open for good, and marked so that nobody quotes it.
                block = _Block(block.kind, f"{text.rstrip(':：')}:", block.heading)
                break
            block = _Block("text", text, block.heading)
        joined.append(block)
    return joined


def _announces(block: _Block, following: _Block) -> bool:
    """A colon announces anything, a command its explanation; code ends what is left open."""
    text = block.text.rstrip()
    if block.kind not in ("text", "item"):
        return False
    if following.kind == "code" and not _ONLY_CODE.fullmatch(text):
        return not text.endswith((".", "!", "?", "。", "！", "？"))
    if _ONLY_CODE.fullmatch(text):
        return block.kind == "item" and following.kind == "text"
    return text.endswith((":", "："))


def _with_announced(block: _Block, rest: deque[_Block]) -> str:
    """The block's text with as much as fits of what it announces, which is taken from `rest`."""
    if _ONLY_CODE.fullmatch(block.text.rstrip()):
        return f"{block.text}: {rest.popleft().text}"
    kind = rest[0].kind
    parts: list[str] = []
    while rest and rest[0].kind == kind and _fits(rest[0], parts):
        parts.append(_quoted(rest.popleft()))
        if kind in ("text", "code"):
            break
    if not parts:
        return block.text
    is_cut = kind == "item" and rest and rest[0].kind == kind
    return f"{block.text} {'; '.join(parts)}{'; …' if is_cut else ''}"


def _goes_on(block: _Block) -> bool:
    return block.kind == "text" and bool(_GOES_ON.match(block.text))


def _fits(block: _Block, parts: list[str]) -> bool:
    so_far = sum(map(len, parts)) + len(block.text)
    if block.kind == "code":
        lines = block.text.strip().count("\n") + 1
        short = lines <= _QUOTED_CODE_LINES_MAX and "`" not in block.text
    else:
        short = block.kind != "text" or len(block.text) >= _ANNOUNCED_TEXT_CHARS_MIN
    return short and bool(block.text.strip()) and so_far <= _ANNOUNCED_CHARS_MAX


def _quoted(block: _Block) -> str:
    if block.kind == "code":
        return "; ".join(f"`{line}`" for line in block.text.split("\n") if line)
    return block.text.rstrip().removesuffix(".")


def _split(text: str) -> Iterator[str]:
    kept: list[str] = []
    readable = _UNPRINTABLE.sub("", html.unescape(text))
    prose = _CODE.sub(lambda found: _keep(found[2], kept), readable)
    for pattern, replacement in _FURNITURE:
        prose = pattern.sub(replacement, prose)
    whole = ""
    for piece in _END.split(prose):
        whole = f"{whole} {piece.strip()}".strip()
        if whole and not _ABBREVIATION.search(whole):
            yield _finished(whole, kept)
            whole = ""
    if whole:
        yield _finished(whole, kept)


def _keep(code: str, kept: list[str]) -> str:
    """A code span put aside, so that no rule for prose touches the command in it."""
    kept.append(_TAG.sub(r"\1", code.strip()))
    return f"\ue000{len(kept) - 1}\ue001"


def _finished(text: str, kept: list[str]) -> str:
    text = _KEPT.sub(lambda found: f"`{kept[int(found[1])]}`", text)
    for pattern, replacement in _FORBIDDEN:
        text = pattern.sub(replacement, text)
    if len(text) > SENTENCE_CHARS_MAX:
        text = text[:SENTENCE_CHARS_MAX].rsplit(" ", 1)[0] + " …"
    return text


def _plain(heading: str) -> str:
    return " ".join(_split(heading))
