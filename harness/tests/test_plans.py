"""Goal: a plan is plain data: it survives as text, a seed draws it, and it only ever gets simpler.

Method: plans drawn from any seed, and plans that Hypothesis makes up field by field.
"""

import json
from collections.abc import Iterator

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from harness.causes import causes, names
from harness.plans import Call, Drain, Hold, HopFaultAt, Plan, from_json, smaller, unplayable
from harness.sim.drawn import draw
from harness.sim.features import FEATURES, features
from harness.topics import EARLIER, TOPICS

NAMES = names()
TIMES = st.floats(0, 60, allow_nan=False)
CALLS = st.builds(
    Call,
    topic=st.integers(-1, len(TOPICS) - 1),
    stream=st.booleans(),
    at_s=TIMES,
    model=st.sampled_from(("", *NAMES.models)),
    search=st.sampled_from(("", *NAMES.searches)),
    store=st.sampled_from(("", *NAMES.stores)),
    client=st.sampled_from(("", *NAMES.clients)),
    leaves_after_s=st.none() | TIMES,
    leaves_at_step=st.none() | st.integers(0, 500),
    citations_required=st.booleans(),
    deadline_ms=st.none() | st.integers(0, 60_000),
    top_k=st.none() | st.integers(1, 20),
    history=st.integers(0, len(EARLIER)),
    continues=st.none() | st.integers(0, 3),
    reads_every_s=TIMES,
)
HOPS = st.builds(
    HopFaultAt,
    st.sampled_from(("qs", "llmgw")),
    st.sampled_from(NAMES.hop_faults),
    st.integers(0, 3),
)
HOLDS = st.builds(Hold, st.sampled_from(("bff", "qs", "llmgw", "model")), TIMES, TIMES)
PLANS = st.builds(
    Plan,
    seed=st.integers(0, 2**40),
    calls=st.lists(CALLS, min_size=1, max_size=4).map(tuple),
    hops=st.lists(HOPS, max_size=2).map(tuple),
    drains=st.lists(st.builds(Drain, st.sampled_from(("bff", "qs")), TIMES), max_size=1).map(tuple),
    server=st.sampled_from(("", *NAMES.servers)),
    dialect=st.sampled_from(NAMES.dialects),
    pace=st.sampled_from(("ttft=80ms,itl=8ms", "ttft=1ms,itl=1ms")),
    environ=st.sampled_from(({}, {"LLM_STREAM_ENABLED": "false"})),
    latency_ms=st.integers(0, 100),
    holds=st.lists(HOLDS, max_size=1).map(tuple),
)


@given(PLANS)
def test_plan_survives_as_text(plan: Plan) -> None:
    text = plan.to_json()
    assert "\n" not in text
    assert from_json(text) == plan


def test_what_is_as_usual_is_left_out() -> None:
    assert Plan().to_json() == '{"calls":[{}]}'
    assert Plan(calls=(Call(topic=2, stream=False),), seed=7).to_json() == (
        '{"seed":7,"calls":[{"topic":2,"stream":false}]}'
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting"),
        ("[]", "a plan is an object"),
        ("7", "a plan is an object"),
        ('{"calls": [7]}', "$.calls[0]"),
        ('{"seeds": 1}', "extra fields found (seeds)"),
        ('{"calls": [{"colour": "red"}]}', "extra fields found (colour) @ $.calls[0]"),
        ('{"seed": "x"}', "invalid value for type, expected int @ $.seed"),
        ('{"hops": [{"host": "qs"}]}', "required field missing @ $.hops[0].fault"),
    ],
)
def test_text_that_is_no_plan_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refusal:
        from_json(text)
    assert problem in str(refusal.value)


@given(st.integers(0, 2**40))
def test_seed_draws_the_same_plan_always(seed: int) -> None:
    plan = draw(seed, NAMES)
    assert draw(seed, NAMES) == plan
    assert plan.seed == seed
    assert from_json(plan.to_json()) == plan
    assert list(unplayable(plan, NAMES)) == []


def test_seeds_draw_all_that_there_is() -> None:
    """In the first three thousand worlds there is nothing that is never met."""
    plans = [draw(seed, NAMES) for seed in range(3000)]
    calls = [call for plan in plans for call in plan.calls]
    assert {call.model for call in calls} == {"", *NAMES.models}
    assert {call.search for call in calls} == {"", *NAMES.searches}
    assert {call.store for call in calls} == {"", *NAMES.stores}
    assert {call.client for call in calls} == {"", *NAMES.clients}
    assert {at.fault for plan in plans for at in plan.hops} == set(NAMES.hop_faults)
    assert {plan.server for plan in plans} == {"", *NAMES.servers}
    assert {plan.dialect for plan in plans} == set(NAMES.dialects)
    assert {drain.program for plan in plans for drain in plan.drains} == {"bff", "qs", "llmgw"}
    assert {call.topic for call in calls} == set(range(-1, len(TOPICS)))
    assert {name for plan in plans for name in features(plan)} == set(FEATURES)


def test_every_cause_makes_a_plan_that_can_be_played() -> None:
    for cause in causes():
        for stream in (True, False):
            plan = cause.plan(stream=stream)
            assert list(unplayable(plan, NAMES)) == []
            assert all(call.stream is stream for call in plan.calls)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan(calls=(Call(model="nope"),)), "nothing is called 'nope'"),
        (Plan(calls=(Call(search="nope"),)), "nothing is called 'nope'"),
        (Plan(calls=(Call(client="nope"),)), "nothing is called 'nope'"),
        (Plan(calls=(Call(store="nope"),)), "nothing is called 'nope'"),
        (Plan(calls=(Call(store="down", history=1),)), "a call has one past, or none"),
        (Plan(calls=(Call(), Call(1, continues=1))), "a call continues one that stands before it"),
        (Plan(calls=(Call(continues=0),)), "a call continues one that stands before it"),
        (Plan(calls=(Call(topic=6),)), "there is no topic 6"),
        (Plan(calls=(Call(), Call())), "each call has a topic of its own, and one is left over"),
        (
            Plan(calls=tuple(Call(topic) for topic in range(6))),
            "each call has a topic of its own, and one is left over",
        ),
        (Plan(hops=(HopFaultAt("bff", "refused"),)), "no fault is called bff:refused"),
        (Plan(hops=(HopFaultAt("qs", "nope"),)), "no fault is called qs:nope"),
        (Plan(drains=(Drain("fake", 1.0),)), "no program 'fake'"),
        (Plan(holds=(Hold("fake", 0.0, 1.0),)), "no host 'fake'"),
        (Plan(calls=(Call(history=7),)), "a history has no more than 6 messages"),
        (Plan(server="nope"), "no model server is 'nope' of 'openai'"),
        (Plan(dialect="nope"), "no model server is '' of 'nope'"),
    ],
)
def test_plan_that_makes_no_sense_is_told_why(plan: Plan, why: str) -> None:
    assert list(unplayable(plan, NAMES)) == [why]


def simplicity(plan: Plan) -> int:
    """How much in it is not as usual."""
    usual, call = asdict(Plan(), recurse=False), asdict(Call())
    parts = [
        name
        for name in ("server", "dialect", "pace", "environ", "latency_ms", "holds")
        if getattr(plan, name) != usual[name]
    ]
    own = [n for one in plan.calls for n, value in asdict(one).items() if value != call[n]]
    return len(plan.calls) + len(plan.hops) + len(plan.drains) + len(parts) + len(own)


def boldest(plan: Plan) -> Iterator[Plan]:
    """The way down, always by the first."""
    while (less := next(smaller(plan), None)) is not None:
        yield less
        plan = less


@given(PLANS)
def test_smaller_plans_are_simpler_each_of_them(plan: Plan) -> None:
    for less in smaller(plan):
        assert simplicity(less) < simplicity(plan), json.dumps(less.to_json())
        assert less.seed == plan.seed
        assert {call.topic for call in less.calls} <= {call.topic for call in plan.calls}


@given(PLANS)
def test_getting_smaller_ends_with_one_usual_call(plan: Plan) -> None:
    *_, least = [plan, *boldest(plan)]
    (call,) = least.calls
    assert least == Plan(seed=plan.seed, calls=(Call(topic=call.topic, stream=call.stream),))
