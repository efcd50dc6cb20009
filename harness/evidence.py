"""All that is known of one world when it is over: what checkers judge, and the gate reads.

    Evidence               the plan, the wire log, the model's journal, the logs, what was left
    last_word(…)           the code an answer ends in, read as any client would: `ok`, or a reason
    trace_hash(evidence)   one number for everything that passed: the same for the same plan

Plain data, made by `harness.play`; nothing here knows how it came to be.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from attrs import field, frozen

from harness.causes import CLIENTS, environ_of
from harness.hop_faults import FAULTS, Broken
from harness.model_text import Written, written
from harness.plans import Call, Plan
from harness.telemetry import Told
from harness.topics import OFF_TOPIC, TOPICS, Topic
from harness.wire_log import MODEL, Exchange, LinkOpened, Piece, WireLog, exchanges

CUT: Final = "(cut)"
LEFT: Final = "(left)"
OPEN: Final = "(open)"
PROGRAMS: Final = ("bff", "qs", "llmgw")
_DATE: Final = re.compile(rb"date: [^\r]*")
LogLine = Mapping[str, object]


@frozen(slots=False)
class ModelCall:
    """One entry of the model server's journal: what it was asked, performed and sent."""

    scenario: str
    request: bytes
    sent: tuple[Piece, ...]
    began_at: float
    ended_at: float | None
    client_left_at: float | None
    whole: bool  # all that was planned was sent

    @cached_property
    def written(self) -> Written:
        """What it wrote, as far as it was sent."""
        return written(self.sent)


@frozen
class AtRest:
    """What was left when nothing was going on any more, and had not been for a while."""

    tasks_more: tuple[str, ...]  # by name: those that were not there before the first call
    busy: Mapping[str, int]  # by program: requests, slots and places in a queue still held
    open_upstreams: Mapping[str, float]  # by program: the gauge
    connections: tuple[str, ...]  # by host dialled: still served at the other end
    pooled: int  # connections that a client of ours still counts as in use


@frozen(slots=False)
class Evidence:
    """One world, over. `recovered` is the last word of a call made when all faults had stopped."""

    plan: Plan
    wire: WireLog
    model: tuple[ModelCall, ...]
    searches: tuple[tuple[str, str], ...]  # question, and what befell its search
    logs: Mapping[str, tuple[LogLine, ...]]
    at_rest: AtRest
    recovered: str | None
    calls_end_at: float = field(kw_only=True)
    stores: tuple[tuple[str, str], ...] = ()  # session, and what befell the store
    # Of each turn in the store: the call, its session, how it ended. None: nobody looked.
    kept: tuple[tuple[str, str, str], ...] | None = None
    told: Mapping[str, Told] = field(factory=dict, kw_only=True)  # by program; of processes none

    @cached_property
    def environ(self) -> Mapping[str, str]:
        return environ_of(self.plan)

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(self.wire)

    @cached_property
    def by_host(self) -> Mapping[str, tuple[Exchange, ...]]:
        found: dict[str, list[Exchange]] = {host: [] for host in PROGRAMS}
        for exchange in self.exchanges:
            found[exchange.host].append(exchange)
        return {host: tuple(these) for host, these in found.items()}

    def seen(self) -> tuple["Seen", ...]:
        """Each of the plan's calls with what its client saw; a call that never arrived has none."""
        asked = {exchange.request_id: exchange for exchange in self.by_host["bff"]}
        return tuple(
            Seen(number, call, asked.get(request_id(number)))
            for number, call in enumerate(self.plan.calls)
        )

    def hop_faults(self, number: int) -> Sequence[str]:
        """What befell the connections that this call's requests went over, or tried to."""
        mine = {e.link for e in self.exchanges if e.request_id == request_id(number)}
        used = {e.link for e in self.exchanges}
        return [
            link.fault
            for link in self.faults_performed
            if link.host != MODEL and (link.number in mine or link.number not in used)
        ]

    @cached_property
    def faults_performed(self) -> Sequence[LinkOpened]:
        """The connections that their fault did befall: one that breaks late may end before."""
        broken = {record.link for record in self.wire.records if record.what == "broken"}
        return [
            link
            for link in self.wire.links
            if link.fault and (link.number in broken or not _breaks(link.fault))
        ]

    @cached_property
    def secret_links(self) -> frozenset[int]:
        """Connections over which TLS was spoken: what it sends is never the same twice."""
        secured = self.plan.server.startswith("tls-")
        return frozenset(it.number for it in self.wire.links if secured and it.host == MODEL)

    def model_calls(self, topic: Topic | None) -> tuple[ModelCall, ...]:
        question = (topic.question if topic else OFF_TOPIC).encode()
        return tuple(call for call in self.model if question in _last_message(call.request))

    def said_in_log(self, program: str, request: str) -> Sequence[LogLine]:
        """The closing lines of a request in a program's log."""
        return [
            line
            for line in self.logs[program]
            if line["event"] == "call ended" and line["request_id"] == request
        ]


@frozen
class Seen:
    """One call, and its exchange with the BFF."""

    number: int
    call: Call
    exchange: Exchange | None

    @property
    def request_id(self) -> str:
        return request_id(self.number)

    @property
    def topic(self) -> Topic | None:
        """None: the question was about nothing that there is."""
        return None if self.call.topic < 0 else TOPICS[self.call.topic]

    @property
    def leaves(self) -> bool:
        row = CLIENTS.get(self.call.client)
        return (
            self.call.leaves_after_s is not None
            or self.call.leaves_at_step is not None
            or (row is not None and row.leaves_after_s is not None)
        )

    @property
    def ends_in(self) -> str:
        return last_word(self.exchange) if self.exchange else LEFT


def _last_message(request: bytes) -> bytes:
    """Without the history, where questions stand that were asked before."""
    return request.rpartition(b'"role"')[2]


def _breaks(fault: str) -> bool:
    return fault in FAULTS and isinstance(FAULTS[fault].what, Broken)


def request_id(number: int) -> str:
    """The id that a plan's call goes by, on every hop."""
    return f"call-{number}"


def last_word(exchange: Exchange) -> str:
    """The code an answer ends in; `ok`; or why there is none: `(cut)`, `(left)`, `(open)`."""
    if exchange.left_at is not None:
        return LEFT
    if exchange.ended != "whole":
        return CUT if exchange.ended == "cut" else OPEN
    return word_of(exchange.status or 0, exchange.answer_headers, exchange.answer)


def word_of(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """The same for a whole answer that was read in another way."""
    if headers.get("content-type", "").startswith("text/event-stream"):
        frame = body.rstrip().rpartition(b"\n\n")[2]
        data = frame.partition(b"data:")[2]
        body = data if frame.startswith(b"event: done") else b"{}"
    try:
        answer = json.loads(body)
    except ValueError:
        return CUT
    if not isinstance(answer, dict):
        return CUT
    error = answer.get("error")
    if status != 200:
        return str(error["code"]) if isinstance(error, dict) else f"(status {status})"
    return str(answer.get("reason_code") or answer.get("status") or CUT)


def trace_hash(evidence: Evidence) -> str:
    """Of every byte that passed and when, and of every line logged; wall-clock times left out."""
    digest = hashlib.sha256()
    secret = evidence.secret_links
    for link in evidence.wire.links:
        digest.update(repr((link.host, link.at, link.fault)).encode())
    for record in evidence.wire.records:
        if record.link not in secret:
            data = _DATE.sub(b"date: -", record.data)
            digest.update(repr((record.at, record.link, record.way, record.what, data)).encode())
    for program, lines in evidence.logs.items():
        for line in lines:
            kept = {key: value for key, value in line.items() if key != "ts"}
            digest.update(f"{program}{json.dumps(kept, sort_keys=True)}".encode())
    return digest.hexdigest()[:16]
