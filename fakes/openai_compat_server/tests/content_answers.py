"""Valid answers of every kind that an operator may be given, and what was written of them."""

import json
import re
from typing import Final

from fakes.openai_compat_server.content import ValidAnswer, stand_in
from fakes.openai_compat_server.seeded import Draw, draw_for

SOURCE_URL: Final = "https://docs.example/faq.html"

# Short, long, with braces, brackets, quotes, tags, escapes and urls; and with sources left uncited.
ROOMY: Final = (
    ValidAnswer(("c2",), "Run `make run` to start the server. [c2]", 3),
    ValidAnswer(("c1", "c3"), "It says “so”, \"so\" and 'so'.\n\n* [c1]\n* [c3], [C1]\\", 6),
    ValidAnswer(("c12", "c1"), 'Write {"citations": [{"chunk_id": "c1"}]} or {}. [c12]', 20),
    ValidAnswer(("c1",), f"See {SOURCE_URL}, a <b and List<String>; ![ [", 2),
    ValidAnswer(("c1",), "<think>서버를 시작합니다. 😀 [c1]</think>", 2),
    ValidAnswer(("c1",), " x", 2),
    ValidAnswer(("c1",), "5", 2),
    ValidAnswer(("c5", "c4", "c3", "c2", "c1"), "true, null. " * 330, 20),
)
FULL: Final = (
    ValidAnswer(("c1",), "It is so.", 1),
    ValidAnswer(("c1", "c2", "c3", "c4", "c5"), "All of them. [c1, c2] [c3-c5]", 5),
)
ANSWERS: Final = (*ROOMY, *FULL, *(stand_in(count, draw_for(count)) for count in (1, 20)))


def some_draw(seed: int) -> Draw:
    return draw_for(seed, b"a request")


def found(text: str) -> tuple[tuple[str, ...], str]:
    """Aliases and answer of the object in a text that ends `ok`, read leniently.

    A draft in a think block cites `c99`, which no prompt here has.
    """
    for brace in re.finditer("{", text):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, brace.start())
        except ValueError:
            continue
        aliases = tuple(dict.fromkeys(item["chunk_id"] for item in value.get("citations", ())))
        if aliases not in ((), ("c99",)):
            return aliases, value["answer"]
    raise AssertionError("no object")


def is_kept(answer: ValidAnswer, aliases: tuple[str, ...], text: str) -> bool:
    """Whether all that was cited is cited still, and all that was said is said, in its order."""
    words = iter(text.split())
    return set(answer.aliases) <= set(aliases) and all(it in words for it in answer.answer.split())
