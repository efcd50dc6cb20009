"""Goal: a client may leave at any moment at all, and nothing of its call is left anywhere.

Method: one world for each step that any task of the chain takes while a call is under way; the
client leaves right before it. So it leaves between any two wake-ups, also of the same moment.
"""

from itertools import count

import pytest

from harness.checkers import judge
from harness.checkers.codes import last_said
from harness.plans import Call, Plan
from harness.play import run

# The model server fails at once, so the end of a call that fails is under way in few steps.
FAILING = "close-before-bytes"


@pytest.mark.parametrize("model", ["", FAILING], ids=["answered", "failing"])
@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])
def test_a_client_that_leaves_at_any_step_leaves_nothing(stream: bool, model: str) -> None:
    end = "ok" if not model else "PROVIDER_DISCONNECTED"
    for step in count(1):
        evidence = run(Plan(calls=(Call(stream=stream, model=model, leaves_at_step=step),)))
        assert judge(evidence) == [], f"replay: {evidence.plan.to_json()}"
        if last_said(evidence, evidence.seen()[0]) == end:
            break
    assert step > 50, "it was answered before it could be left"
