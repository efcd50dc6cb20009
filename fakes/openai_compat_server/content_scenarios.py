"""The content catalogue as scenarios: `content-NAME` writes the persona's answer as NAME would.

Where the persona's text is no valid answer, an abstention or plain text, a valid one stands in, so
that a scenario always does what it is for.
"""

import json
from collections.abc import Callable
from typing import Final

from fakes.openai_compat_server.content import CONTENT, ContentOperator, ValidAnswer, stand_in
from fakes.openai_compat_server.scenario import Play, Scenario, both

PREFIX: Final = "content-"


def _applied(operator: ContentOperator) -> Callable[[Play, str], str]:
    def apply(play: Play, text: str) -> str:
        sources = max(1, play.sources)
        answer = _valid(text, sources) or stand_in(sources, play.draw)
        return operator.apply(answer, play.draw)

    return apply


def _valid(text: str, sources: int) -> ValidAnswer | None:
    """The persona's answer, if it is one that cites."""
    try:
        reply = json.loads(text)
        aliases = tuple(citation["chunk_id"] for citation in reply["citations"])
        return ValidAnswer(aliases, reply["answer"], sources)
    except (ValueError, TypeError, KeyError):
        return None


CONTENT_SCENARIOS: Final = tuple(
    Scenario(
        PREFIX + operator.name,
        operator.about,
        both(operator.ends),
        text=_applied(operator),
        pieces=operator.pieces,
    )
    for operator in CONTENT.values()
)
