"""Goal: JSON scripts mean what TOML ones do, and what is wrong with one is told with its line.

Method: texts in, scripts or faults out; every script there and back.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server import Rule, Script, Then
from fakes.openai_compat_server.responses import check_playable
from fakes.openai_compat_server.script_file import ScriptFault
from fakes.openai_compat_server.script_json import parse_json_script, script_fields

RULE = Rule(
    ("status-429", "ok"), "m", ("x-a", "b"), 'say "hi"\n', turn=2, chance=0.5, then=Then.LAST
)
TEXTS = st.text(min_size=1)
RULES = st.builds(
    Rule,
    play=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    model=st.none() | TEXTS,
    header=st.none() | st.tuples(TEXTS, st.text()),
    text=st.none() | TEXTS,
    turn=st.none() | st.integers(1, 10**9),
    chance=st.floats(0, 1),
    then=st.sampled_from(Then),
)


@given(st.builds(Script, st.lists(RULES, max_size=3).map(tuple), st.booleans()))
def test_a_script_comes_back_as_it_was(script: Script) -> None:
    for text in (json.dumps(script_fields(script)), json.dumps(script_fields(script), indent=1)):
        assert parse_json_script(text, "p", lambda _: None) == script


def test_all_fields_are_read() -> None:
    text = """{"strict": true, "rule": [{
        "play": ["status-429", "ok"], "model": "m", "header": {"name": "x-a", "value": "b"},
        "text": "say \\"hi\\"\\n", "turn": 2, "chance": 0.5, "then": "last"}]}"""
    assert parse_json_script(text, "p", check_playable) == Script((RULE,), strict=True)
    assert parse_json_script("{}", "p", check_playable) == Script()
    assert parse_json_script('{"rule": []}', "p", check_playable) == Script()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n"strict" true}', "p:2: Expecting ':' delimiter"),
        ("[]", "p:1: expected an object"),
        ('{\n "strict": 1}', "p:2: strict: expected true or false"),
        ('{\n "strict": null}', "p:2: null is not a value here"),
        ('{\n\n "rules": []}', "p:3: rules: unknown key"),
        ('{"strict": true,\n"rule": {}}', "p:2: rule: expected [[rule]] tables"),
        ('{"rule":\n[{"play": ["ok"]},\n{}]}', "p:3: rule 2: play: expected an array"),
        ('{"rule": [{"play": ["ok"]},\n{"play":\n\n["nope"]}]}', "p:2: rule 2: play: No scenario"),
        ('{"rule": [\n{"text": "a",\n"x\\ny": 2}]}', "p:2: rule 1: x\ny: unknown key"),
        ('{"rule": [\n{"text": null}]}', "p:2: null is not a value here"),
        (
            '{"rule": [\n{"header": {"rule": [{"text": 1}]}, "play": ["ok"]}]}',
            "p:2: rule 1: header: expected",
        ),
        ('{"rule": [{"play": ["ok"],\n"chance": 1e999}]}', "p:2: rule 1: chance: expected"),
        ('{"rule": [{"play": ["ok"],\n"chance": NaN}]}', "p:1: NaN is not a number"),
        ('{"strict": true, "strict": true}', "p:1: 'strict' is given twice"),
        ('{"rule": [{"text": "\\ud800", "play": ["ok"]}]}', "p:1: 'utf-8' codec"),
        ('{"rule": [\n{"play": [null]}]}', "p:2: Invalid value"),
        ('{"a":' * 100_000, "p:1: "),
        ('{"strict": ' + "9" * 5_000 + "}", "p:1: "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ScriptFault) as fault:
        parse_json_script(text, "p", check_playable)
    assert str(fault.value).startswith(said)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda it: st.lists(it) | st.dictionaries(st.sampled_from(["rule", "play", "x", ""]), it),
        max_leaves=8,
    )
)
def test_no_json_is_worse_than_refused(value: object) -> None:
    try:
        parse_json_script(json.dumps(value, allow_nan=True), "p", check_playable)
    except ScriptFault as fault:
        assert str(fault).startswith("p:")
