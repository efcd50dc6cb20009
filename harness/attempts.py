"""How often a model server is asked: attempts, the circuit breaker, slots; each with its code.

A row makes a world and says by what evidence it befell that world: how often the model server was
asked, out of its journal. `ATTEMPTS` is the catalogue; the scenarios it plays are the fake's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.scenario import OK, Ends, both
from harness.plans import Call, Plan

# As LLM_MAX_ATTEMPTS and the breaker's settings have it where nobody sets them.
GRANTED: Final = 3
OPENS_AFTER: Final = 5
_COOLDOWN_MS: Final = 10_000
# Worlds have few calls: where the circuit is to open in one, it does so sooner.
OPENS_SOON: Final[Mapping[str, str]] = {"LLM_BREAKER_FAILURES": "2"}


def granted(plan: Plan) -> int:
    """How often one generation may ask the model server in this world."""
    return int(plan.environ.get("LLM_MAX_ATTEMPTS", GRANTED))


def cooldown_s(plan: Plan) -> float:
    """How long the gateway leaves a server alone that kept failing in this world."""
    return int(plan.environ.get("LLM_BREAKER_COOLDOWN_MS", _COOLDOWN_MS)) / 1000


@frozen
class Attempts:
    """One row. `asked` is how often the server must have been asked for the last of its calls."""

    name: str
    about: str
    ends: Ends
    make: Callable[[Call], Plan]
    asked: int


def _failing(model: str, times: int) -> Callable[[Call], Plan]:
    """The server fails so many times, and then works."""
    return lambda call: Plan(calls=(evolve(call, model=model, model_times=times),))


def _after_others(calls: int, at_s: float) -> Callable[[Call], Plan]:
    """The same question from one more client, when the server has failed for so many."""

    def make(call: Call) -> Plan:
        failed = [evolve(call, topic=number, model="status-500") for number in range(calls)]
        last = evolve(call, topic=calls, at_s=at_s)
        return Plan(calls=(*failed, last), environ=OPENS_SOON)

    return make


def _behind_another(places: int, takes: str) -> Callable[[Call], Plan]:
    """One slot, and somebody has it for as long as the model takes; so many may wait."""

    def make(call: Call) -> Plan:
        last = evolve(call, topic=1, at_s=0.3)
        environ = {"LLM_MAX_CONCURRENCY": "1", "LLM_MAX_QUEUE": str(places)}
        return Plan(
            calls=(evolve(call, topic=0), last), pace=f"ttft={takes},itl=8ms", environ=environ
        )

    return make


_ROWS: Final[Sequence[Attempts]] = (
    Attempts("fails-once", "503, then an answer", both(OK), _failing("status-503-busy", 1), 2),
    Attempts(
        "fails-twice", "two lost connections, then an answer", both(OK),
        _failing("reset-before-bytes", 2), 3,
    ),
    Attempts(
        "fails-thrice", "an answer only at the fourth time", both(ReasonCode.PROVIDER_SERVER_ERROR),
        _failing("status-500", 3), 3,
    ),
    Attempts(
        "told-to-wait", "429 with a `Retry-After`, then an answer", both(OK),
        _failing("status-429-retry-after", 1), 2,
    ),
    Attempts(
        "circuit-open", "after two calls that failed in all their attempts",
        both(ReasonCode.PROVIDER_CIRCUIT_OPEN), _after_others(2, at_s=5.0), 0,
    ),
    Attempts(
        "circuit-probed", "the same, when the cooldown is over", both(OK),
        _after_others(2, at_s=15.0), 1,
    ),
    Attempts("queued", "a slot comes free in time", both(OK), _behind_another(1, "1s"), 1),
    Attempts(
        "queue-full", "every slot is taken, and nobody may wait",
        both(ReasonCode.ADMISSION_QUEUE_FULL), _behind_another(0, "1s"), 0,
    ),
    Attempts(
        "queue-timeout", "no slot comes free for two seconds",
        both(ReasonCode.ADMISSION_QUEUE_TIMEOUT), _behind_another(1, "5s"), 0,
    ),
)  # fmt: skip
ATTEMPTS: Final[Mapping[str, Attempts]] = {row.name: row for row in _ROWS}
