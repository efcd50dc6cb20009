"""Worlds with locked doors: keys on every hop, a rate at the BFF, and what comes of either.

KEYS, RATE             environments of such worlds
OWNERS                 each key's variable, and the host whose requests' heads may hold it
RATES                  what can come of a rate: a catalogue of rows, as the others are
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.scenario import OK, Ends, both
from harness.plans import Call, Plan

# All of one length, so that a test can put one in another's place.
CLIENT_KEY: Final = "sk-client-3a9f21c4"
OTHER_CLIENT_KEY: Final = "sk-client-71be5d08"
STRANGERS_KEY: Final = "sk-client-00000000"
QS_KEY: Final = "sk-for-qs-5d2240b7"
LLMGW_KEY: Final = "sk-llmgw--c81e77a2"
MODEL_KEY: Final = "sk-model--19f3b6e5"
KEYS: Final[Mapping[str, str]] = {
    "BFF_API_KEYS": f"{OTHER_CLIENT_KEY},{CLIENT_KEY}",
    "BFF_QS_API_KEY": QS_KEY,
    "QS_API_KEYS": QS_KEY,
    "QS_LLM_API_KEY": LLMGW_KEY,
    "LLMGW_API_KEYS": LLMGW_KEY,
    "LLM_API_KEY": MODEL_KEY,
}
OWNERS: Final[Mapping[str, str]] = {
    "BFF_API_KEYS": "bff",
    "BFF_QS_API_KEY": "qs",
    "QS_API_KEYS": "qs",
    "QS_LLM_API_KEY": "llmgw",
    "LLMGW_API_KEYS": "llmgw",
    "LLM_API_KEY": "model",
}
# A call every ten seconds: what is asked last, to see whether all is well again, waits as long.
RATE: Final[Mapping[str, str]] = {"BFF_RATE_PER_MINUTE": "6", "BFF_RATE_BURST": "1"}
_INTERVAL_S: Final = 10.0
LOCKED: Final[Mapping[str, str]] = {**KEYS, **RATE}


@frozen
class Rated:
    """One row: a world of more than one call, and what the last of them ends in."""

    name: str
    about: str
    ends: Ends
    make: Callable[[Call], Plan]


def _after_another(at_s: float, environ: Mapping[str, str]) -> Callable[[Call], Plan]:
    return lambda call: Plan(
        calls=(Call(topic=1, stream=call.stream), evolve(call, at_s=at_s)), environ=environ
    )


_LIMITED: Final = both(ReasonCode.ADMISSION_RATE_LIMITED)
_ROWS: Final[Sequence[Rated]] = (
    Rated("too-soon", "a call before its time, by a key", _LIMITED,
          _after_another(_INTERVAL_S / 2, LOCKED)),
    Rated("too-soon-without-keys", "the same where no key is needed", _LIMITED,
          _after_another(_INTERVAL_S / 2, RATE)),
    Rated("in-time", "a call as soon as it may come", both(OK),
          _after_another(_INTERVAL_S, LOCKED)),
)  # fmt: skip
RATES: Final[Mapping[str, Rated]] = {row.name: row for row in _ROWS}
