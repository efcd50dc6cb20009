# ruff: noqa: E501 - a row of a table is one line
"""Whatever can make an answer end otherwise than well, each with the code it must end in.

    CLIENTS, SEARCHES      what clients get wrong, and what befalls a search: tables of rows
    causes()               these, the fake's scenarios, hop faults and drains, as one list; each
                           makes the plan of a world in which it alone happens

A new way to fail is a row here, or in the fake's catalogue or `harness.hop_faults`; nothing else
has to know of it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal

import trio
from attrs import define, evolve, field, frozen

from contracts.limits import CHAT_BODY_BYTES
from contracts.reasons import ReasonCode
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.scenario import Ends, Face, Scenario, both
from harness.attempts import ATTEMPTS
from harness.hop_faults import FAULTS
from harness.locks import CLIENT_KEY, KEYS, OTHER_CLIENT_KEY, QS_KEY, RATES, STRANGERS_KEY
from harness.memory_store import MemoryStore
from harness.plans import Call, Drain, HopFaultAt, Names, Plan
from harness.topics import BY_QUESTION
from qs.retrieval.port import Hit, IndexState, RetrievalFault
from qs.store.port import StoreFault, Transcript

Kind = Literal["model", "search", "store", "client", "rate", "hop", "drain", "attempts"]


@frozen
class Asking:
    """A client's request, as it will be sent: with a pause in the middle of its body, if any."""

    body: bytes
    method: str = "POST"
    path: str = "/chat"
    headers: Mapping[str, str] = field(factory=lambda: {"content-type": "application/json"})
    body_pause_s: float = 0.0

    def with_fields(self, **fields: object) -> "Asking":
        return evolve(self, body=json.dumps({**json.loads(self.body), **fields}).encode())

    def with_header(self, name: str, value: str) -> "Asking":
        return evolve(self, headers={**self.headers, name: value})

    def with_key(self, *keys: str) -> "Asking":
        """With these keys alone: the first as `x-api-key`, the second as a bearer's."""
        names = ("x-api-key", "authorization")
        kept = {name: value for name, value in self.headers.items() if name not in names}
        given = dict(zip(names, (*keys[:1], *(f"Bearer {key}" for key in keys[1:])), strict=False))
        return evolve(self, headers={**kept, **given})


@frozen
class Client:
    """One row: how a client asks, and how it behaves."""

    name: str
    about: str
    ends: Ends
    ask: Callable[[Asking], Asking] = lambda asking: asking
    leaves_after_s: float | None = None
    stops_reading: bool = False
    environ: Mapping[str, str] = field(factory=dict)  # of the world in which this is out of place


@frozen
class Search:
    """One row: what a search comes to."""

    name: str
    about: str
    ends: Ends
    find: Callable[[Sequence[Hit]], Sequence[Hit]] = lambda hits: hits
    delay_s: float = 0.0
    raises: Callable[[], Exception] | None = None


_INVALID, _GONE = ReasonCode.INPUT_INVALID, ReasonCode.CLIENT_DISCONNECTED
_UNKNOWN: Final = ReasonCode.INPUT_UNAUTHORIZED
_BIG: Final = "x" * (CHAT_BODY_BYTES + 1)
_CLIENT_ROWS: Final = (
    Client("not-json", "a body that is no JSON", both(_INVALID), lambda a: evolve(a, body=b"{")),
    Client("not-utf8", "a body that is no UTF-8", both(_INVALID), lambda a: evolve(a, body=b"\xff{}")),
    Client("no-message", "a body without the one key it needs", both(_INVALID), lambda a: evolve(a, body=b"{}")),
    Client("unknown-key", "a key the contract does not know", both(_INVALID), lambda a: a.with_fields(colour="red")),
    Client("wrong-type", "a number where a text is due", both(_INVALID), lambda a: a.with_fields(message={"role": "user", "content": 7})),
    Client("blank-deadline", "a deadline that is no number", both(_INVALID), lambda a: a.with_header("x-deadline-ms", "soon")),
    Client("no-time-left", "a deadline of nothing", both(ReasonCode.ADMISSION_DEADLINE_EXPIRED), lambda a: a.with_header("x-deadline-ms", "0")),
    Client("too-large", "a body over its cap", both(ReasonCode.INPUT_TOO_LARGE), lambda a: a.with_fields(request_id=_BIG)),
    Client("slow-body", "a body that stops half-way", both(ReasonCode.INPUT_TIMEOUT), lambda a: evolve(a, body_pause_s=30.0)),
    Client("wrong-media-type", "text/plain", both(ReasonCode.INPUT_MEDIA_TYPE), lambda a: a.with_header("content-type", "text/plain")),
    Client("wrong-method", "PUT where POST is due", both(ReasonCode.INPUT_METHOD), lambda a: evolve(a, method="PUT")),
    Client("unknown-path", "a path that is not there", both(ReasonCode.INPUT_NOT_FOUND), lambda a: evolve(a, path="/chats")),
    Client("unknown-session", "a session that nobody has begun", both(ReasonCode.INPUT_NOT_FOUND), lambda a: a.with_fields(session_id="nobody")),
    Client("foreign-origin", "a page of another origin asks", both(ReasonCode.INPUT_FORBIDDEN), lambda a: a.with_header("origin", "https://evil.example")),
    Client("no-key", "no key where one is needed", both(_UNKNOWN), lambda a: a.with_key(), environ=KEYS),
    Client("wrong-key", "a key that nobody was given", both(_UNKNOWN), lambda a: a.with_key(STRANGERS_KEY), environ=KEYS),
    Client("another-hops-key", "a key that the next hop takes", both(_UNKNOWN), lambda a: a.with_key(QS_KEY), environ=KEYS),
    Client("two-keys", "two keys, both of which are taken", both(_UNKNOWN), lambda a: a.with_key(CLIENT_KEY, OTHER_CLIENT_KEY), environ=KEYS),
    Client("leaves-at-once", "gone before an answer can begin", both(_GONE), leaves_after_s=0.01),
    Client("leaves", "gone while the answer is being written", both(_GONE), leaves_after_s=0.12),
    Client("stops-reading", "connected, and not reading on", Ends(None, ReasonCode.CLIENT_TOO_SLOW), stops_reading=True),
)  # fmt: skip
CLIENTS: Final[Mapping[str, Client]] = {row.name: row for row in _CLIENT_ROWS}


def _fault(code: ReasonCode) -> Callable[[], Exception]:
    return lambda: RetrievalFault(code, "as the plan says")


_SEARCH_ROWS: Final = (
    Search("nothing", "nothing is found", both(ReasonCode.RAG_NO_CHUNKS), lambda _: ()),
    Search("weak", "nothing found is good enough", both(ReasonCode.RAG_LOW_SCORE),
           lambda hits: [evolve(hit, score=0.05) for hit in hits]),
    Search("slow", "the search takes a minute", both(ReasonCode.RAG_TIMEOUT), delay_s=60.0),
    Search("down", "the engine is down", both(ReasonCode.RAG_UNAVAILABLE),
           raises=_fault(ReasonCode.RAG_UNAVAILABLE)),
    Search("not-understood", "the engine's answer is not understood", both(ReasonCode.RAG_BAD_RESPONSE),
           raises=_fault(ReasonCode.RAG_BAD_RESPONSE)),
    Search("no-index", "the index is missing", both(ReasonCode.RAG_INDEX_NOT_READY),
           raises=_fault(ReasonCode.RAG_INDEX_NOT_READY)),
    Search("crashes", "the engine's own code fails in a way nobody foresaw", both(ReasonCode.INTERNAL_ERROR),
           raises=lambda: ZeroDivisionError("as the plan says")),
)  # fmt: skip
SEARCHES: Final[Mapping[str, Search]] = {row.name: row for row in _SEARCH_ROWS}


@frozen
class Stored:
    """One row: what befalls the store when it is asked for a session."""

    name: str
    about: str
    ends: Ends
    silent_s: float = 0.0


_STORE_ROWS: Final = (
    Stored("down", "the store cannot be asked", both(ReasonCode.STORE_UNAVAILABLE)),
    Stored(
        "silent", "the store says nothing for a minute", both(ReasonCode.STORE_UNAVAILABLE), 60.0
    ),
)
STORES: Final[Mapping[str, Stored]] = {row.name: row for row in _STORE_ROWS}


@define
class PlannedStore(MemoryStore):
    """A store in memory that fails where the plan says so, for sessions of these ids."""

    faults: Mapping[str, str] = field(factory=dict)  # a row's name, by session
    performed: list[tuple[str, str]] = field(factory=list)

    async def read(self, session_id: str, owner: str, newest: int) -> Transcript | None:
        row = STORES.get(self.faults.get(session_id, ""))
        if row is not None:
            self.performed.append((session_id, row.name))
            await trio.sleep(row.silent_s)
            raise StoreFault("as the plan says")
        return await MemoryStore.read(self, session_id, owner, newest)


def session_of_before(call: Call) -> str:
    """The id that a call names when the store is to fail for it."""
    return f"{call.topic + 1:032x}"


@define
class PlannedRetriever:
    """A search engine that finds each topic's passages, and fails where the plan says so.

    `performed` has each search that something befell: the question and the row's name.
    """

    searches: Mapping[str, str]  # by question
    performed: list[tuple[str, str]] = field(factory=list)

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:
        topic = BY_QUESTION.get(query)
        hits = topic.hits() if topic else next(iter(BY_QUESTION.values())).hits()
        row = SEARCHES.get(self.searches.get(query, ""))
        if row is None:
            await trio.lowlevel.checkpoint()
            return hits[:top_k]
        self.performed.append((query, row.name))
        await trio.sleep(row.delay_s)
        if row.raises is not None:
            raise row.raises()
        return row.find(hits)[:top_k]

    async def check(self) -> IndexState:
        return IndexState(True, f"{len(BY_QUESTION)} topics")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@frozen
class Cause:
    """One way for an answer to end otherwise. `plan` makes a world where it alone happens."""

    kind: Kind
    name: str
    ends: Ends
    make: Callable[[Call], Plan]

    def plan(self, *, stream: bool) -> Plan:
        return self.make(Call(stream=stream))

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def causes() -> Iterator[Cause]:
    """Everything that the catalogues hold, in their order."""
    for scenario in CATALOGUE.values():
        yield Cause("model", scenario.name, scenario.ends, _of_model(scenario))
    for row in ATTEMPTS.values():
        yield Cause("attempts", row.name, row.ends, row.make)
    for search in SEARCHES.values():
        yield Cause("search", search.name, search.ends, _of_call(Call(search=search.name)))
    for stored in STORES.values():
        yield Cause("store", stored.name, stored.ends, _of_call(Call(store=stored.name)))
    for client in CLIENTS.values():
        yield Cause("client", client.name, client.ends, _of_call(Call(client=client.name)))
    for rated in RATES.values():
        yield Cause("rate", rated.name, rated.ends, rated.make)
    for host in ("qs", "llmgw"):
        for fault in FAULTS.values():
            yield Cause("hop", f"{host}:{fault.name}", fault.ends, _of_hop(host, fault.name))
    for program in ("bff", "qs", "llmgw"):
        yield Cause("drain", program, both(ReasonCode.ADMISSION_SHUTTING_DOWN), _of_drain(program))


def environ_of(plan: Plan) -> Mapping[str, str]:
    """What the programs of a world find in their environment: the plan's, and its clients'."""
    rows = [CLIENTS[call.client].environ for call in plan.calls if call.client]
    return {name: value for found in (*rows, plan.environ) for name, value in found.items()}


def names() -> Names:
    """Everything a random world may draw from."""
    rows = CATALOGUE.values()
    return Names(
        models=tuple(row.name for row in rows if row.face is Face.ANSWER),
        servers=tuple(row.name for row in rows if row.face is Face.LISTENER),
        searches=tuple(SEARCHES),
        stores=tuple(STORES),
        clients=tuple(CLIENTS),
        hop_faults=tuple(FAULTS),
        dialects=tuple(DIALECTS),
    )


def _of_model(row: Scenario) -> Callable[[Call], Plan]:
    if row.face is Face.LISTENER:
        return lambda call: Plan(calls=(call,), server=row.name)
    return lambda call: Plan(calls=(evolve(call, model=row.name),))


def _of_call(changed: Call) -> Callable[[Call], Plan]:
    return lambda call: Plan(calls=(evolve(changed, stream=call.stream),))


def _of_hop(host: str, fault: str) -> Callable[[Call], Plan]:
    return lambda call: Plan(calls=(call,), hops=(HopFaultAt(host, fault),))


def _of_drain(program: str) -> Callable[[Call], Plan]:
    """The answer is still being written when the drain's time is over."""
    return lambda call: Plan(
        calls=(call,), drains=(Drain(program, at_s=0.3),), pace="ttft=80ms,itl=900ms"
    )
