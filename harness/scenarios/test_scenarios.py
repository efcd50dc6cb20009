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
ALWAYS = {"LLM_STREAM_ALWAYS": "true"}
OF_THE_MODEL = tuple(cause for cause in causes() if cause.kind in ("model", "attempts"))


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


@pytest.mark.parametrize("cause", OF_THE_MODEL, ids=str)
def test_plain_call_over_a_stream_ends_as_the_stream_would(cause: Cause, run_log: RunLog) -> None:
    plan = cause.plan(stream=False)
    evidence = run(evolve(plan, environ={**plan.environ, **ALWAYS}))
    run_log.add(evidence)
    assert judge(evidence) == [], f"replay: {evidence.plan.to_json()}"


def test_plain_call_is_made_again_though_its_stream_broke_in_the_middle() -> None:
    broken = Call(stream=False, model="close-mid-stream", model_times=1)
    evidence = run(Plan(calls=(broken,), environ=ALWAYS))
    assert judge(evidence) == []
    (seen,) = evidence.seen()
    assert seen.ends_in == "ok"
    assert len(evidence.model_calls(seen.topic)) == 2
