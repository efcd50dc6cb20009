"""What is out of the ordinary in a plan and no row of any catalogue: so that it can be counted.

Whether it is right is for the checkers to say; here it is only whether a world had it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from harness.plans import Call, Plan

_OF_CALLS: Final[Mapping[str, Callable[[Call], object]]] = {
    "leaving": lambda call: call.leaves_after_s is not None,
    "uncited": lambda call: not call.citations_required,
    "off-topic": lambda call: call.topic < 0,
    "failing-some-times": lambda call: call.model and call.model_times,
    "deadline": lambda call: call.deadline_ms is not None,
    "top-k": lambda call: call.top_k is not None,
    "history": lambda call: call.history,
    "continues": lambda call: call.continues is not None,
    "slow-reader": lambda call: call.reads_every_s,
}
_OF_PLANS: Final[Mapping[str, Callable[[Plan], object]]] = {
    "latency": lambda plan: plan.latency_ms,
    "hold": lambda plan: plan.holds,
    "later-connection": lambda plan: any(it.after for it in plan.hops),
    "no-streaming": lambda plan: "false" in plan.environ.values(),
    "preload": lambda plan: plan.environ.get("LLM_PRELOAD") == "true",
    "breaker": lambda plan: "LLM_BREAKER_FAILURES" in plan.environ,
    "one-slot": lambda plan: "LLM_MAX_CONCURRENCY" in plan.environ,
    "keys": lambda plan: "BFF_API_KEYS" in plan.environ,
    "rate": lambda plan: "BFF_RATE_PER_MINUTE" in plan.environ,
    "attempts": lambda plan: "LLM_MAX_ATTEMPTS" in plan.environ,
}
FEATURES: Final = (*_OF_CALLS, *_OF_PLANS)


def features(plan: Plan) -> Iterator[str]:
    """Those that this world has."""
    for name, of_call in _OF_CALLS.items():
        if any(of_call(call) for call in plan.calls):
            yield name
    for name, of_plan in _OF_PLANS.items():
        if of_plan(plan):
            yield name
