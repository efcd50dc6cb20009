"""Oracles: each looks at one world's evidence for one invariant, apart from the code it judges.

CHECKERS               by name: Evidence -> a line for each violation
judge(evidence)        all of them, as `name: line`

answers   every answer's form: events in order, one end, the contract's words and schemas
truth     what was said: the model's own text, its citations proved, `ok` only when it is
codes     the code each call ends in: the one its causes demand, and the one that is logged
clocks    when: deadlines, silence, a leaving client, text that flows
kept      every answered turn in the store, once, in its session
leaks     what stays: tasks, connections, and content in logs
access    who is let in, and where keys are seen
attempts  how often the model server is asked, and when
telemetry one tree of spans for a call, and figures that agree with the log
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from harness.checkers import (
    access,
    answers,
    attempts,
    clocks,
    codes,
    kept,
    leaks,
    telemetry,
    truth,
)
from harness.evidence import Evidence

Checker = Callable[[Evidence], Iterator[str]]

CHECKERS: Final[Mapping[str, Checker]] = {
    checker.__name__: checker
    for module in (answers, truth, codes, clocks, kept, leaks, attempts, access, telemetry)
    for checker in module.CHECKERS
}


def judge(evidence: Evidence) -> list[str]:
    """Every violation, as `checker: what is wrong`."""
    return [f"{name}: {line}" for name, checker in CHECKERS.items() for line in checker(evidence)]
