"""Who was let in: nobody without a key, nobody too often; and where keys are seen.

Judged from the wire and from what the programs found in their environment. A bucket is counted here
in tokens, call by call; the BFF keeps a time.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from attrs import define

from harness.checkers.answers import own_answers, told
from harness.evidence import Evidence
from harness.locks import OWNERS
from harness.plans import Plan
from harness.wire_log import MODEL, Exchange

_PATHS: Final = ("/chat", "/v1/chat")
_HEADERS: Final = ("x-api-key", "authorization")
_KEYS: Final = {"bff": "BFF_API_KEYS", "qs": "QS_API_KEYS", "llmgw": "LLMGW_API_KEYS"}
_SAME_MOMENT_S: Final = 0.001
_ROUNDED: Final = 1e-6


def keys_stay_on_their_hop(evidence: Evidence) -> Iterator[str]:
    """No key is anywhere but in the head of a request to its own hop, or where a client puts it."""
    shown = {key for exchange in evidence.by_host["bff"] for key in _presented(exchange)}
    for key, owner in sorted(_secrets(evidence, shown)):
        name = f"{owner}'s key"
        for program, lines in evidence.logs.items():
            if any(key in json.dumps(line, ensure_ascii=False) for line in lines):
                yield f"{name} stands in the log of {program}"
        for link in evidence.wire.links:
            for way in ("up", "down"):
                its_own = link.host == owner or (link.host == "bff" and key in shown)
                if not (its_own and way == "up") and key.encode() in _passed(
                    evidence, link.number, way
                ):
                    yield f"{name} was sent {'to' if way == 'up' else 'by'} {link.host}"
        for exchange in evidence.by_host.get(owner, ()):
            others = [v for k, v in exchange.headers.items() if k not in _HEADERS]
            if any(key in text for text in (exchange.target, *others)) or (
                key.encode() in exchange.body
            ):
                yield f"{told(exchange)}: a key where none belongs"
        if owner != MODEL and any(key.encode() in call.request for call in evidence.model):
            yield f"{name} was shown to the model server"


def _secrets(evidence: Evidence, shown: set[str]) -> set[tuple[str, str]]:
    """Each key, and the host it is for: those in the environment, and what clients presented."""
    found = {
        (key, owner)
        for name, owner in OWNERS.items()
        for key in evidence.environ.get(name, "").split(",")
        if key
    }
    listed = {key for key, _ in found}
    return found | {(key, "bff") for key in shown - listed if key}


def _passed(evidence: Evidence, link: int, way: str) -> bytes:
    return b"".join(
        record.data
        for record in evidence.wire.of(link)
        if (record.way, record.what) == (way, "sent")
    )


def _presented(exchange: Exchange) -> set[str]:
    bearer = exchange.headers.get("authorization", "")
    values = (exchange.headers.get("x-api-key"), bearer.removeprefix("Bearer ") or None)
    return {value for value in values if value is not None}


def _is_known(evidence: Evidence, exchange: Exchange) -> bool:
    listed = evidence.environ.get(_KEYS[exchange.host], "").split(",")
    presented = _presented(exchange)
    return listed == [""] or (len(presented) == 1 and presented <= set(listed))


def only_known_callers_are_served(evidence: Evidence) -> Iterator[str]:
    """Where keys are needed, 401 is for those without one, and for nobody else."""
    for exchange in own_answers(evidence):
        if exchange.method != "POST":
            continue
        known = _is_known(evidence, exchange)
        if exchange.status == 401 and known:
            yield f"{told(exchange)}: refused with a key that is taken"
        if exchange.status == 401 and exchange.answer_headers.get("www-authenticate") != "Bearer":
            yield f"{told(exchange)}: not told how to present a key"
        if exchange.status not in (401, 403, 429) and not known:
            yield f"{told(exchange)}: let in without a key that is taken"


@define
class _Bucket:
    """Tokens, as they come and go."""

    burst: int
    per_s: float
    tokens: float
    at: float

    def take(self, at: float, tokens: int) -> float:
        """What is left then, after these are taken."""
        self.tokens = min(self.burst, self.tokens + (at - self.at) * self.per_s) - tokens
        self.at = at
        return self.tokens


def rate_is_kept(evidence: Evidence) -> Iterator[str]:
    """No caller is let in more often than the rate says, or less; who is not is told when."""
    per_minute = int(evidence.environ.get("BFF_RATE_PER_MINUTE", "0"))
    for exchange in evidence.by_host["bff"]:
        after = exchange.answer_headers.get("retry-after", "")
        if exchange.status == 429 and not (after.isdigit() and int(after)):
            yield f"{told(exchange)}: not told when to come back"
    if not per_minute:
        return
    burst = int(evidence.environ.get("BFF_RATE_BURST", "10"))
    strangers = not all(_is_known(evidence, one) for one in evidence.by_host["bff"])
    for calls in _callers(evidence).values():
        sure = [one for one in calls if _is_let_in(one) and not _may_be_unheard(evidence.plan, one)]
        yield from _too_many(sure, _Bucket(burst, per_minute / 60, burst, 0.0))
        if not strangers:  # an address that had too many of them is let wait, whatever its keys
            yield from _in_vain(calls, _Bucket(burst, per_minute / 60, burst, 0.0))


def _callers(evidence: Evidence) -> Mapping[str, Sequence[Exchange]]:
    """The calls that are counted, by whose they are, in the order in which they came."""
    found: dict[str, list[Exchange]] = {}
    needed = bool(evidence.environ.get("BFF_API_KEYS"))
    for one in sorted(evidence.by_host["bff"], key=lambda exchange: exchange.asked_at):
        path = one.target.partition("?")[0]
        if one.method == "POST" and path in _PATHS and one.status not in (401, 403):
            found.setdefault(min(_presented(one), default="") if needed else "", []).append(one)
    return found


def _is_let_in(call: Exchange) -> bool:
    return call.status != 429


def _may_be_unheard(plan: Plan, call: Exchange) -> bool:
    """Whether its leaving was there in the moment in which it was."""
    if call.left_at is None:
        return False
    came, went = (plan.arrives(call.host, at) for at in (call.asked_at, call.left_at))
    return went - came < _SAME_MOMENT_S


def _too_many(let_in: Sequence[Exchange], bucket: _Bucket) -> Iterator[str]:
    for call in let_in:
        if bucket.take(call.asked_at, 1) < -_ROUNDED:
            yield f"{told(call)}: let in before its time"


def _in_vain(calls: Sequence[Exchange], bucket: _Bucket) -> Iterator[str]:
    # Of calls in the same moment, those that were let in were first.
    for call in sorted(calls, key=lambda one: (one.asked_at, not _is_let_in(one))):
        if bucket.take(call.asked_at, int(_is_let_in(call))) >= 1 and not _is_let_in(call):
            yield f"{told(call)}: limited, and it was its time"


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    keys_stay_on_their_hop,
    only_known_callers_are_served,
    rate_is_kept,
)
