"""Goal: JSON scripts mean what TOML ones do, and what is wrong with one is told with its place.

Method: texts in, scripts or faults out; every script there and back.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server import Ending, Rule, Script, Then, raw
from fakes.openai_compat_server.responses import check_playable
from fakes.openai_compat_server.script_fields import ScriptFault, fields_of
from fakes.openai_compat_server.script_json import parse_json_script

CUT = raw(b"HTTP/1.1 200 OK\r\n", 1, b"\xff", 2.5, ending=Ending.CLOSE)
RULE = Rule(
    ("status-429", CUT),
    *("m", ("x-a", "b"), 'say "hi"\n'),
    turn=2,
    chance=0.5,
    then=Then.LAST,
    path="/v1",
)
TEXTS = st.text(min_size=1)
PARTS = st.lists(st.binary(max_size=5) | st.integers(0, 900) | st.floats(0, 900), max_size=4)
RAWS = st.builds(lambda parts, ending: raw(*parts, ending=ending), PARTS, st.sampled_from(Ending))
RULES = st.builds(
    Rule,
    play=st.lists(TEXTS | RAWS, min_size=1, max_size=3).map(tuple),
    model=st.none() | TEXTS,
    header=st.none() | st.tuples(TEXTS, st.text()),
    text=st.none() | TEXTS,
    turn=st.none() | st.integers(1, 10**9),
    chance=st.floats(0, 1),
    path=st.none() | st.from_regex("/[a-z/]*", fullmatch=True),
    then=st.sampled_from(Then),
)


@given(st.builds(Script, st.lists(RULES, max_size=3).map(tuple), st.booleans()))
def test_a_script_comes_back_as_it_was(script: Script) -> None:
    for text in (json.dumps(fields_of(script)), json.dumps(fields_of(script), indent=1)):
        assert parse_json_script(text, "p", lambda _: None) == script


def test_all_fields_are_read() -> None:
    text = """{"strict": true, "rule": [{
        "play": ["status-429", {"send": ["HTTP/1.1 200 OK\\r\\n", 1, {"hex": "ff"}, 2.5],
                                "ending": "close"}],
        "model": "m", "header": {"name": "x-a", "value": "b"},
        "text": "say \\"hi\\"\\n", "turn": 2, "chance": 0.5, "then": "last", "path": "/v1"}]}"""
    assert parse_json_script(text, "p", check_playable) == Script((RULE,), strict=True)
    assert parse_json_script("{}", "p", check_playable) == Script()
    assert parse_json_script('{"rule": []}', "p", check_playable) == Script()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n"strict" true}', "p:2: Expecting ':' delimiter"),
        ("[]", "p: $: expected an object"),
        ('{"strict": 1}', "p: $.strict: expected true or false"),
        ('{"strict": null}', "p: $.strict: null is not a value here"),
        ('{"rules": []}', "p: $.rules: unknown key"),
        ('{"rule": {}}', "p: $.rule: expected an array of rules"),
        ('{"rule": [{"play": ["ok"]}, {}]}', "p: $.rule[1].play: expected an array"),
        ('{"rule": [{"play": ["ok", "nope"]}]}', "p: $.rule[0].play[1]: No scenario"),
        ('{"rule": [{"play": ["ok", null]}]}', "p: $.rule[0].play[1]: expected a scenario's name"),
        ('{"rule": [{"play": [{"ending": "close"}]}]}', "p: $.rule[0].play[0].send: expected an"),
        ('{"rule": [{"play": [{"send": ["", true]}]}]}', "p: $.rule[0].play[0].send[1]: expected"),
        (
            '{"rule": [{"play": [{"send": [{"hex": "f"}]}]}]}',
            "p: $.rule[0].play[0].send[0].hex: non-hexadecimal",
        ),
        ('{"rule": [{"text": "a", "x\\ny": 2}]}', "p: $.rule[0].x\ny: unknown key"),
        ('{"rule": [{"text": null}]}', "p: $.rule[0].text: null is not a value here"),
        ('{"rule": [{"path": "", "play": ["ok"]}]}', "p: $.rule[0].path: expected a string"),
        ('{"rule": [{"path": "x", "play": ["ok"]}]}', "p: $.rule[0].path: expected a path"),
        ('{"rule": [{"header": {"rule": [1]}, "play": ["ok"]}]}', "p: $.rule[0].header: expected"),
        ('{"rule": [{"play": ["ok"], "chance": 1e999}]}', "p: $.rule[0].chance: expected"),
        ('{"rule": [{"play": ["ok"], "chance": NaN}]}', "p: $.rule[0].chance: NaN is not a number"),
        ('{"strict": true, "strict": true}', "p: $.strict: given twice"),
        ('{"rule": [{"text": "a", "text": "b"}]}', "p: $.rule[0].text: given twice"),
        ('{"rule": [{"text": "\\ud800", "play": ["ok"]}]}', "p: $.rule[0].text: a lone surrogate"),
        ('{"\\ud800": 1}', "p: $: a lone surrogate is no text, nor a key"),
        ('{"a":' * 100_000, "p: $: "),
        ('{"strict": ' + "9" * 5_000 + "}", "p: $: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
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
