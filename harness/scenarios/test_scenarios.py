"""Goal: whatever befalls the chain, the client gets the code that the catalogue demands.

Method: every row of every catalogue through the four programs in memory, in both modes, with every
checker on. What is owed must fail as `harness/owed.toml` says; one that is paid fails the test.
"""

import pytest
from attrs import evolve

from harness.causes import Cause, causes
from harness.checkers import judge
from harness.coverage import owed
from harness.plans import Call, Plan
from harness.play import run
from harness.run_log import RunLog

MODES = {"streaming": True, "plain": False}
# The other table of events, each way through it: text, none, and text that is withdrawn.
UNCITED = (
    Plan(),
    Plan(calls=(Call(model="close-before-bytes"),)),
    Plan(calls=(Call(model="close-mid-stream"),)),
    Plan(calls=(Call(search="nothing"),)),
    # Thoughts that open the text are not the answer.
    Plan(calls=(Call(model="content-think-draft"),)),
    Plan(calls=(Call(model="content-think-twice"),)),
)
OWED = owed()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cause", tuple(causes()), ids=str)
def test_it_ends_as_the_catalogue_demands(cause: Cause, mode: str, run_log: RunLog) -> None:
    evidence = run(cause.plan(stream=MODES[mode]))
    run_log.add(evidence)
    violations = judge(evidence)
    if f"cause {cause} {mode}" in OWED:
        assert violations, "this is paid: take it out of harness/owed.toml"
        assert all(line.startswith("ends_as_demanded: ") for line in violations), violations
        return
    assert violations == [], f"replay: {evidence.plan.to_json()}"


@pytest.mark.parametrize("plan", UNCITED, ids=Plan.to_json)
def test_text_without_citations_keeps_the_same_laws(plan: Plan, run_log: RunLog) -> None:
    (call,) = plan.calls
    evidence = run(evolve(plan, calls=(evolve(call, citations_required=False),)))
    run_log.add(evidence)
    assert judge(evidence) == []
