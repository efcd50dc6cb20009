"""A large corpus that is the same everywhere: words of a made-up language, as often as words are.

The n-th commonest word stands 1/n as often as the first, as in any language, so that a question's
common words are in a great many chunks and its rare ones in few. A document makes one chunk.
"""

import json
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final

WORDS: Final = 30_000
WORDS_IN_TEXT: Final = range(60, 140)
WORDS_IN_QUESTION: Final = range(3, 9)
_FIRST: Final = "b d f g k l m n p r s t v z br dr gr kl pl pr st tr".split()  # noqa: SIM905
_THEN: Final = "a e i o u ai ou".split()  # noqa: SIM905 - syllables read better as prose
_SHARES: Final = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))


def word(rank: int) -> str:
    """The word of this rank, 0 the commonest: the commoner the shorter."""
    said, left = "", rank
    while True:
        left, first = divmod(left, len(_FIRST))
        left, then = divmod(left, len(_THEN))
        said += _FIRST[first] + _THEN[then]
        if not left:
            return f"{said}x"
        left -= 1


def words(random: Random, count: int) -> list[str]:
    """So many words, each as often as it is."""
    return [word(bisect(_SHARES, random.random() * _SHARES[-1])) for _ in range(count)]


def write_corpus(file: Path, documents: int) -> None:
    """The corpus as JSON Lines; left alone where it is there already."""
    if file.exists():
        return
    unfinished = file.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8") as lines:
        for number in range(documents):
            random = Random(f"document {number}")
            title = " ".join(words(random, 4))
            text = " ".join(words(random, random.choice(WORDS_IN_TEXT)))
            lines.write(json.dumps({"id": number, "title": title, "text": text}) + "\n")
    unfinished.rename(file)


def questions(count: int) -> Iterator[str]:
    """Questions in the corpus's words."""
    for number in range(count):
        random = Random(f"question {number}")
        yield " ".join(words(random, random.choice(WORDS_IN_QUESTION))) + "?"
