"""The code that each call ends in: the one its causes demand, and the one the programs logged.

Where one thing went wrong, its row in the catalogue says the code. Where several did, it is one of
theirs: which came first is the clock's business.
"""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Final

from contracts.limits import DRAIN_NOTICE_MS, LLM_CALLS_DEFAULT
from contracts.reasons import ReasonCode
from fakes.openai_compat_server.catalogue import CATALOGUE
from harness.attempts import OPENS_AFTER, granted
from harness.causes import CLIENTS, SEARCHES, STORES
from harness.checkers.answers import own_answers, stopped_reading, told
from harness.checkers.clocks import LIMITS_S
from harness.evidence import CUT, LEFT, Evidence, Seen, last_word
from harness.hop_faults import FAULTS, Impostor
from harness.plans import Drain
from harness.wire_log import MODEL, Exchange

_GRANTED_S: Final = 0.1
_NOTICE_S: Final = DRAIN_NOTICE_MS / 1000
_DRAINS: Final = frozenset({"ADMISSION_SHUTTING_DOWN", "HOP_UNREACHABLE"})
_LATE_S: Final = 1.0  # as late as the network may be without anybody's clock running out for it
_LEFT: Final = frozenset({LEFT, "CLIENT_DISCONNECTED"})
_OF_A_MODEL: Final = ("PROVIDER_", "OUTPUT_", "CITATIONS_", "MODEL_ABSTAINED", "ok")
_LOGGED: Final[Mapping[str, frozenset[str]]] = {
    LEFT: frozenset({"CLIENT_DISCONNECTED"}),
    CUT: frozenset({"CLIENT_TOO_SLOW"}),
}


def ends_as_demanded(evidence: Evidence) -> Iterator[str]:
    """Each call ends in a code that something which befell it demands; else well."""
    for seen in evidence.seen():
        allowed = _allowed(evidence, seen)
        word = last_said(evidence, seen)
        if word not in allowed and not (
            _any_of_a_model(evidence, seen) and word.startswith(_OF_A_MODEL)
        ):
            yield f"{seen.request_id}: {word}, where {' or '.join(sorted(allowed))} is due"


def last_said(evidence: Evidence, seen: Seen) -> str:
    """What the client saw; where it did not wait for an end, what the BFF says of it."""
    word = seen.ends_in
    row = CLIENTS.get(seen.call.client)
    if word == LEFT or (word == CUT and row is not None and row.stops_reading):
        lines = evidence.said_in_log("bff", seen.request_id)
        return str(lines[0]["reason_code"] or lines[0]["status"]) if lines else word
    return word


def _allowed(evidence: Evidence, seen: Seen) -> frozenset[str]:
    """What its causes demand; where there is a rate, `access` judges who was limited."""
    rated = evidence.environ.get("BFF_RATE_PER_MINUTE", "0") != "0"
    return _demanded(evidence, seen) | ({"ADMISSION_RATE_LIMITED"} if rated else set())


def _demanded(evidence: Evidence, seen: Seen) -> frozenset[str]:
    plan, call = evidence.plan, seen.call
    # In plain words, a model that finds no answer says so.
    abstains = seen.topic is None and call.citations_required
    usual = "MODEL_ABSTAINED" if abstains else "ok"
    client = CLIENTS.get(call.client)
    refusal = client.ends.of(call.stream) if client and not _reads_on(seen) else ""
    if call.client == "unknown-session" and call.history:
        refusal = "INPUT_INVALID"  # Who names a session sends no history: CONTRACT §3.
    if refusal and not (plan.drains or plan.hops or seen.call.leaves_after_s is not None):
        # Which session there is, only QS can tell; there may be no time to ask it.
        is_late = call.client == "unknown-session" and _is_short(evidence, seen)
        return frozenset({refusal} | ({"HOP_TIMEOUT"} if is_late else set()))
    found: set[str] = {refusal} if refusal else set()
    if client and _reads_on(seen):
        found |= {client.ends.of(call.stream)}
    if call.store:
        found |= {STORES[call.store].ends.of(call.stream)}
    if call.search:
        found |= {SEARCHES[call.search].ends.of(call.stream)}
    for scenario in filter(None, (call.model, plan.server)):
        passes = scenario == call.model and _passes(evidence, seen)
        found |= {usual} if passes else set()
        # An attempt that would pass the deadline is not begun: what ended the last one stands.
        found |= (
            set()
            if passes and not _is_short(evidence, seen)
            else _of_scenario(evidence, seen, scenario)
        )
    for fault in evidence.hop_faults(seen.number):
        modes = {call.stream, call.stream and "false" not in plan.environ.values()}
        found |= {FAULTS[fault].ends.of(mode) for mode in modes}
    found |= _of_the_clock(evidence, seen)
    if plan.drains:
        found |= _DRAINS
        # Who waits on a connection that fell silent sees the drain close it.
        found |= {"HOP_DISCONNECTED"} if evidence.hop_faults(seen.number) else set()
    if any(drain.program == "bff" for drain in plan.drains):
        found.add(LEFT)  # nobody listens any more
    for drain in plan.drains:
        if _came_after_its_notice(evidence, seen, drain):
            found.add(CUT if drain.program == "bff" else "HOP_DISCONNECTED")
    if seen.leaves:
        found |= _LEFT
    # A drain may come too late to matter, and so may what befalls a connection of another call.
    # And an answer may be there before its client leaves, or is stalled.
    alone = not plan.drains and (len(plan.calls) == 1 or not plan.hops) and not seen.leaves
    alone = alone and not (client and client.stops_reading)
    found |= _of_a_queue(evidence)
    if _may_be_open(evidence):
        found.add("PROVIDER_CIRCUIT_OPEN")
    alone = alone and not _is_short(evidence, seen)
    # An abstention is so short that its `error` may be out before a hop's connection breaks.
    alone = alone and not (abstains and evidence.hop_faults(seen.number))
    certain = found and alone and len(_causes(evidence, seen)) == 1
    return frozenset(found if certain else {*found, usual})


def _came_after_its_notice(evidence: Evidence, seen: Seen, drain: Drain) -> bool:
    """Whether it was still under way when what it was sent on was idle, and was closed."""
    closes = drain.at_s + _NOTICE_S
    return any(
        one.asked_at <= closes <= evidence.plan.arrives(drain.program, one.asked_at)
        for one in evidence.by_host[drain.program]
        if one.request_id == seen.request_id
    )


def _is_short(evidence: Evidence, seen: Seen) -> bool:
    """Whether this call's time may be out before it is answered as usual."""
    call, plan = seen.call, evidence.plan
    waits_s = LIMITS_S["bff"] if call.deadline_ms is None else call.deadline_ms / 1000
    return waits_s < LIMITS_S["bff"] or call.reads_every_s > 0 or plan.late_s > _LATE_S


def _of_the_clock(evidence: Evidence, seen: Seen) -> set[str]:
    """What it ends in when its time is out, or the network is late."""
    plan, found = evidence.plan, set[str]()
    loads = plan.environ.get("LLM_PRELOAD") == "true"
    if _is_short(evidence, seen):
        found |= {"HOP_TIMEOUT", "PROVIDER_TIMEOUT"}
    if not _streams_inside(evidence, seen) and _wrote_too_long(evidence, seen):
        found.add("PROVIDER_TIMEOUT")
    if loads and (plan.server or _is_short(evidence, seen)):
        found.add("PROVIDER_LOADING")
    if any(hold.host == MODEL for hold in plan.holds) and plan.late_s > _LATE_S:
        found |= {"PROVIDER_FIRST_TOKEN_TIMEOUT", "PROVIDER_IDLE_TIMEOUT"}
        found |= {"PROVIDER_CONNECT_TIMEOUT"} if plan.server else set()
    return found


def _wrote_too_long(evidence: Evidence, seen: Seen) -> bool:
    """Whether the gateway left the model when its own limit had passed, and no sooner."""
    asked = [it.asked_at for it in evidence.by_host["llmgw"] if it.request_id == seen.request_id]
    left = [call.client_left_at for call in evidence.model_calls(seen.topic)]
    due = min(asked, default=inf) + LIMITS_S["llmgw"] - _GRANTED_S
    return any(at is not None and at >= due for at in left)


def _streams_inside(evidence: Evidence, seen: Seen) -> bool:
    """Whether the model is asked for a stream."""
    environ = evidence.plan.environ
    if environ.get("LLM_STREAM_ALWAYS") == "true":
        return True
    return seen.call.stream and "false" not in environ.values()


def _reads_on(seen: Seen) -> bool:
    """Whether the call is one that is served; the rest are refused as they come."""
    row = CLIENTS.get(seen.call.client)
    return row is None or row.leaves_after_s is not None or row.stops_reading


def _causes(evidence: Evidence, seen: Seen) -> list[str]:
    plan, call = evidence.plan, seen.call
    hops = list(evidence.hop_faults(seen.number))
    drains = [drain.program for drain in plan.drains]
    return [
        *filter(None, (call.client, call.store, call.search, call.model, plan.server)),
        *hops,
        *drains,
    ]


def _of_scenario(evidence: Evidence, seen: Seen, name: str) -> set[str]:
    """The codes of its row; an inner hop that does not stream has the plain mode's."""
    return {CATALOGUE[name].ends.of(_streams_inside(evidence, seen))}


def _passes(evidence: Evidence, seen: Seen) -> bool:
    """Whether the model's fault passes by itself, within the attempts that the gateway makes.

    None is made when something was shown: then the fault that ended it stands.
    """
    call = seen.call
    if call.model_times is None:
        return False
    # What is redone on a new connection, since a kept one was dead, is no attempt.
    asked = len(evidence.model_calls(seen.topic))
    if call.model_times >= max(granted(evidence.plan), asked):
        return False
    (code,) = _of_scenario(evidence, seen, call.model)
    events = seen.exchange.events() if seen.exchange and seen.exchange.streams else ()
    shown = any(event.name in ("citations", "delta") for event in events)
    return (
        code in ReasonCode.__members__
        and ReasonCode[code].retry
        and not (shown and seen.ends_in != "ok")
    )


def _may_be_open(evidence: Evidence) -> bool:
    """Whether so many calls may have failed in this world that the gateway has had enough."""
    plan = evidence.plan
    failed = sum(bool(call.model or plan.server) for call in plan.calls)
    return failed >= int(plan.environ.get("LLM_BREAKER_FAILURES", OPENS_AFTER))


def _of_a_queue(evidence: Evidence) -> set[str]:
    """The codes of a queue, where there are more calls than slots."""
    slots = int(evidence.plan.environ.get("LLM_MAX_CONCURRENCY", LLM_CALLS_DEFAULT))
    crowded = len(evidence.plan.calls) > slots
    return {"ADMISSION_QUEUE_FULL", "ADMISSION_QUEUE_TIMEOUT"} if crowded else set()


def _any_of_a_model(evidence: Evidence, seen: Seen) -> bool:
    """Whether the model's code can not be foretold: rows are of a cited answer by one dialect."""
    call = seen.call
    return bool(call.model) and (
        not call.citations_required
        or seen.topic is None
        or evidence.plan.dialect != "openai"
        or call.top_k is not None
    )


def log_and_answer_agree(evidence: Evidence) -> Iterator[str]:
    """Each program closes each call once in its log, with the code that it answered."""
    for exchange in own_answers(evidence):
        if exchange.method != "POST":
            continue
        lines = evidence.said_in_log(exchange.host, exchange.request_id)
        if len(lines) != _times_asked(evidence, exchange):
            yield f"{told(exchange)}: {len(lines)} closing lines in the log"
            continue
        word = last_word(exchange)
        logged = [str(line["reason_code"] or line["status"]) for line in lines]
        if word == LEFT and _goes_as_it_ends(exchange, evidence.plan.late_s):
            continue
        if word == LEFT and _goes_as_it_is_told(evidence, exchange, logged):
            continue
        if word == LEFT and _goes_as_the_model_ends(evidence, exchange, logged):
            continue
        if word == LEFT and exchange.host == "bff" and _is_read_slowly(evidence, exchange):
            continue  # What it left behind it may be the whole of its answer.
        if word in (LEFT, CUT) and stopped_reading(evidence, exchange):
            continue  # What is on its way to a client that does not read, nobody here can know.
        if not {word, *_LOGGED.get(word, ())}.intersection(logged):
            yield f"{told(exchange)}: answered {word}, logged {' and '.join(logged)}"


def _is_read_slowly(evidence: Evidence, exchange: Exchange) -> bool:
    """Whether its client takes its time between two reads."""
    return any(
        seen.call.reads_every_s and seen.request_id == exchange.request_id
        for seen in evidence.seen()
    )


def _goes_as_it_ends(exchange: Exchange, late_s: float) -> bool:
    """Whether the client left while the end of its answer was on its way, or its leaving was.

    The end is sent when the call is over, and logged: whichever came first, it is the same moment.
    """
    sent_at = exchange.pieces[-1].at if exchange.pieces else exchange.answered_at
    if sent_at is None or exchange.left_at is None:
        return False
    return abs(sent_at - exchange.left_at) <= late_s


def _goes_as_it_is_told(evidence: Evidence, exchange: Exchange, logged: list[str]) -> bool:
    """Whether the client left at the moment when the next hop told this end.

    What was told together leaves in one write, which such a client never gets.
    """
    return (
        bool(exchange.pieces)
        and exchange.left_at is not None
        and any(
            other.request_id == exchange.request_id
            and other.host != exchange.host
            and other.pieces
            and abs(other.pieces[-1].at - exchange.left_at) <= evidence.plan.late_s
            and last_word(other) in logged
            for other in own_answers(evidence)
        )
    )


def _goes_as_the_model_ends(evidence: Evidence, exchange: Exchange, logged: list[str]) -> bool:
    """Whether it is the gateway's, and its client left while the end of the model's answer was on
    its way: what the gateway made of that, it told to nobody."""
    left_at = exchange.left_at
    is_judged = exchange.host == "llmgw" and all(word.startswith(_OF_A_MODEL) for word in logged)
    return is_judged and any(
        abs(asked.sent[-1].at - left_at) <= evidence.plan.late_s
        for seen in evidence.seen()
        if seen.request_id == exchange.request_id and left_at is not None
        for asked in evidence.model_calls(seen.topic)
        if asked.whole and asked.sent
    )


def _times_asked(evidence: Evidence, exchange: Exchange) -> int:
    """How often this request reached this program: again, where a kept connection had broken."""
    links = evidence.wire.links
    return sum(
        one.request_id == exchange.request_id
        and _was_taken(evidence, one)
        and not isinstance(getattr(FAULTS.get(links[one.link].fault), "what", None), Impostor)
        for one in evidence.by_host[exchange.host]
    )


def _was_taken(evidence: Evidence, exchange: Exchange) -> bool:
    """Whether the other end read any of it: it may have closed while this was on its way.

    Of real sockets nobody notes what is read; there it counts as read.
    """
    taken = [record for record in evidence.wire.records if record.what == "taken"]
    return not taken or any(
        (record.link, record.way) == (exchange.link, "up") and record.at >= exchange.asked_at
        for record in taken
    )


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    ends_as_demanded,
    log_and_answer_agree,
)
