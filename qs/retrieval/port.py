"""What the query service asks of a search engine, and nothing about any one engine.

A retriever answers hits, best first, or raises a `RetrievalFault` that names its reason code. It
never answers "no hits" for "could not look": an empty answer means that the search was made and
found nothing.

`Hit.score` has one meaning for every engine, so that one threshold can gate them all: the share,
from 0 to 1, of the question that the chunk covers, each word weighed by how rare it is in the
corpus (`qs.retrieval.relevance.coverage`). The order of the hits is the engine's own; a hit further
down may cover more of the question, so a gate asks `best_score`, not the first hit.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from attrs import field, frozen

from contracts.reasons import ReasonCode

RETRIEVAL_CODES: Final = frozenset(
    {ReasonCode.RAG_UNAVAILABLE, ReasonCode.RAG_BAD_RESPONSE, ReasonCode.RAG_INDEX_NOT_READY}
)


@frozen
class Hit:
    """One chunk that was found; title and url are copied from the index, never composed."""

    chunk_id: str
    doc_id: str
    title: str | None
    url: str | None
    content: str
    score: float


@frozen
class IndexState:
    """What readiness shows: whether the index can be searched, and a line that says why."""

    ok: bool
    detail: str


@frozen
class RetrievalFault(Exception):
    """The search could not be made or not be understood; `detail` is for logs and readiness."""

    code: ReasonCode = field()
    detail: str

    @code.validator
    def _is_retrieval_code(self, _attribute: object, code: ReasonCode) -> None:
        assert code in RETRIEVAL_CODES, code

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Retriever(Protocol):
    """A search engine as the query service sees it."""

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:
        """At most `top_k` hits for a person's raw words, best first; raises `RetrievalFault`."""
        ...

    async def check(self) -> IndexState:
        """Whether a search could be made now; raises nothing."""
        ...

    async def aclose(self) -> None:
        """Give back every connection; searches still running are the caller's to cancel first."""
        ...


def best_score(hits: Sequence[Hit]) -> float:
    """The score that decides whether anything good enough was found; 0 when nothing was."""
    return max((hit.score for hit in hits), default=0.0)
