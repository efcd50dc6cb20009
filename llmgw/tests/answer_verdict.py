"""What came of a reply to the answer scanner, and the replies that its tests begin with."""

import json
from collections.abc import Sequence

from attrs import frozen

from contracts.reasons import ReasonCode as R
from llmgw.answer import AnswerScanner, PlainScanner
from llmgw.answer_object import AnswerEnd, AnswerText, Found, Proved
from llmgw.faults import GenerationFault

ALIASES = 3
CITED = '"citations": [{"chunk_id": "c1"}]'
GOOD = f'{{{CITED}, "answer": "It is so. [c1]"}}'
SAID = "It is so. [c1]"
NUL = "\\" + "u0000"
HIGH, LOW = "\\" + "ud83d", "\\" + "ude00"


@frozen
class Verdict:
    """What came of one text: the code that ended it, or None for a whole answer."""

    code: R | None
    aliases: tuple[str, ...]
    answer: str


def verdict(scanner: AnswerScanner | PlainScanner, pieces: Sequence[str]) -> Verdict:
    """Feed the pieces and close, holding the scanner to the order of what may be found."""
    found: list[Found] = []
    code = None
    try:
        for piece in pieces:
            found.extend(scanner.feed(piece))
        found.extend(scanner.close())
    except GenerationFault as fault:
        code = fault.code
    kinds = [type(item) for item in found]
    texts = [item.text for item in found if isinstance(item, AnswerText)]
    proved = [item.aliases for item in found if isinstance(item, Proved)]
    if isinstance(scanner, AnswerScanner):
        assert kinds.count(Proved) == (kinds[:1] == [Proved]) == bool(kinds)
    assert kinds.count(AnswerEnd) == (kinds[-1:] == [AnswerEnd]), "nothing follows the end"
    assert code is not None or kinds[-1] is AnswerEnd
    assert all(texts), "no text is empty"
    return Verdict(code, proved[0] if proved else (), "".join(texts))


def scanned(text: str) -> Verdict:
    """The verdict on a text, which must be the same for the whole of it and for its characters."""
    whole = verdict(AnswerScanner(ALIASES), [text])
    assert verdict(AnswerScanner(ALIASES), list(text)) == whole
    return whole


def answering(text: str) -> str:
    return f'{{{CITED}, "answer": {text}}}'


def citing(text: str) -> str:
    return f'{{"citations": {text}, "answer": "It is so."}}'


def citing_ids(*ids: str) -> str:
    return citing(json.dumps([{"chunk_id": i} for i in ids]))
