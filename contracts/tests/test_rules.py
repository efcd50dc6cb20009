"""Goal: each rule has exact ends, leaves other types alone, and says the same as its schema."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from contracts.rules import ALIAS, REQUEST_ID, TRACE_ID, Between, Chars, Items, NotNull, Rule
from contracts.tests.shapes import quick

ODD: list[object] = [None, True, 0, 5, 5.5, "", "abc", [], ["a"], {}, {"a": 1}]


@pytest.mark.parametrize(
    ("rule", "value", "problem"),
    [
        (Chars(1, 4), "", "must not be empty"),
        (Chars(0, 4), "", None),
        (Chars(1, 4), "abcd", None),
        (Chars(1, 4), "abcde", "5 characters; 1 to 4 are allowed"),
        (Chars(2, 4), "a", "1 characters; 2 to 4 are allowed"),
        (Chars(1, 2), "🙂🙂", None),
        (Items(1, 2), [], "0 items; 1 to 2 are allowed"),
        (Items(0, 2), [1, 2, 3], "3 items; 0 to 2 are allowed"),
        (Items(0, 2), [None, None], None),
        (Between(1, 20), 0, "must be at least 1"),
        (Between(1, 20), 1, None),
        (Between(1, 20), 20, None),
        (Between(1, 20), 20.5, "must be at most 20"),
        (Between(0), 10**60, None),
        (Between(0), -0.0, None),
        (Between(1), True, None),
        (Between(1), False, None),
        (REQUEST_ID, "aZ09._-", None),
        (REQUEST_ID, "a" * 128, None),
        (REQUEST_ID, "a" * 129, "must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        (REQUEST_ID, "a\n", "must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        (REQUEST_ID, "é", "must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        (TRACE_ID, "0" * 31 + "1", None),
        (TRACE_ID, "0" * 32, "must be 32 lower-case hex digits, not all zero"),
        (TRACE_ID, "A" * 32, "must be 32 lower-case hex digits, not all zero"),
        (TRACE_ID, "a" * 33, "must be 32 lower-case hex digits, not all zero"),
        (TRACE_ID, "٣" * 32, "must be 32 lower-case hex digits, not all zero"),
        (ALIAS, "c1", None),
        (ALIAS, "c999", None),
        (ALIAS, "c0", "must be c1, c2, …"),
        (ALIAS, "c01", "must be c1, c2, …"),
        (ALIAS, "C1", "must be c1, c2, …"),
        (NotNull(), None, "must not be null; leave the key out"),
        (NotNull(), "", None),
    ],
)
def test_rule_at_its_ends(rule: Rule, value: object, problem: str | None) -> None:
    assert rule.problem(value) == problem


@pytest.mark.parametrize("rule", [Chars(1, 2), Items(1, 2), Between(1, 2), REQUEST_ID])
def test_rule_says_nothing_about_another_type(rule: Rule) -> None:
    own = {Chars: str, Items: list, Between: (int, float), type(REQUEST_ID): str}[type(rule)]
    for value in ODD:
        if not isinstance(value, own) or isinstance(value, bool):  # type: ignore[arg-type] # classes
            assert rule.problem(value) is None


@pytest.mark.parametrize("rule", [Chars(1, 3), Items(1, 2), Between(0, 5), REQUEST_ID, TRACE_ID])
@quick(60)
@given(st.one_of(st.sampled_from(ODD), st.text(), st.from_regex(r"[a-f0-9]{32}$"), st.integers()))
def test_rule_agrees_with_its_schema(rule: Rule, value: object) -> None:
    assert (rule.problem(value) is None) is Draft202012Validator(rule.schema()).is_valid(value)


@pytest.mark.parametrize("rule", [REQUEST_ID, TRACE_ID, ALIAS])
def test_pattern_lets_no_line_end_through(rule: Rule) -> None:
    pattern = str(rule.schema()["pattern"])
    for good in ("a" * 32, "c1"):
        if rule.problem(good) is None:
            assert re.search(pattern, good)
            assert not re.search(pattern, good + "\n")
            assert not re.search(pattern, "\n" + good)
