"""Whether a failed attempt is followed by another one, and after which pause. No clock, no dice.

An attempt is one call of the model server, with a reply of its own. Another one is made only for
the faults that the reason codes' table marks for it, only so often as the settings say, and only
where its pause ends before the answer is due: a pause that would not is never begun, and the fault
that was met stands (CONTRACT §6). Whether anything was shown already is the caller's to know: who
has shown something does not ask.

The pause doubles from attempt to attempt, and half of it is left to chance, so that callers who
failed together do not come back together. What the server asked for in `Retry-After` is waited
in full, before that.
"""

from typing import Final

from contracts.deadline import Deadline
from llmgw.faults import GenerationFault

# How often one generation asks at most, where nobody says otherwise, and whatever anybody says.
MAX_ATTEMPTS: Final = 3
MAX_ATTEMPTS_MAX: Final = 10
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0


def next_pause_s(
    fault: GenerationFault,
    *,
    made: int,
    max_attempts: int,
    now: float,
    due: Deadline,
    chance: float,
) -> float | None:
    """Seconds until the next attempt; None where `fault` stands.

    `made` counts the attempts so far, the failed one included; `chance` is from 0 to 1.
    """
    if not fault.code.retry or made >= max_attempts:
        return None
    pause_s = (fault.retry_after_ms or 0) / 1000 + backoff_s(made, chance)
    return pause_s if now + pause_s < due.at else None


def backoff_s(made: int, chance: float) -> float:
    """The pause after so many failed attempts: from one half of the whole, up to the whole."""
    whole = min(FIRST_PAUSE_S * 2.0 ** (made - 1), LONGEST_PAUSE_S)
    return whole * (1 + chance) / 2
