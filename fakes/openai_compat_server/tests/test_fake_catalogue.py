"""Goal: a scenario is chosen by its name and its parameters, and whatever else is refused by name.

Method: names in, choices or refusals out; the lists against the catalogue they are made from.
"""

import json
import re
from pathlib import Path

import pytest

from contracts.reasons import Modes, ReasonCode
from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.catalogue import (
    CATALOGUE,
    FAMILIES,
    BadParameter,
    UnknownScenario,
    choose,
    parse,
)
from fakes.openai_compat_server.listing import as_json, as_markdown, as_text
from fakes.openai_compat_server.scenario import OK, ORDINARY, Face, Parameter
from fakes.openai_compat_server.tests.fake_client import chat, posted
from fakes.openai_compat_server.tests.scenario_tables import DOCUMENTS, README

# The README's list of what is wanted most has a column before the name, so as not to be mistaken.
TABLE_ROW = re.compile(r"^\| `([a-z0-9-]+)", re.MULTILINE)
ASKED_FOR = re.compile(r"^\| [^`|]+ \| `([^`]+)`", re.MULTILINE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_row_ends_in_a_code_that_its_mode_can_have(name: str) -> None:
    ends = CATALOGUE[name].ends
    assert ends.plain is not None or ends.streaming is not None
    for end, impossible in ((ends.plain, Modes.STREAMING), (ends.streaming, Modes.PLAIN)):
        if end not in (None, OK):
            assert ReasonCode[str(end)].modes is not impossible
            assert ReasonCode[str(end)].fallback


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_row_is_found_by_its_name_and_its_defaults_are_its_own(name: str) -> None:
    row = CATALOGUE[name]
    defaults = {key: kind.parse(kind.default) for key, kind in row.parameters.items()}
    assert parse(name).values == defaults
    query = "&".join(f"{key}={kind.default}" for key, kind in row.parameters.items())
    assert parse(f"{name}?{query}" if query else name) == parse(name)
    if row.face is Face.ANSWER:
        assert choose(f"fake:{name}").scenario is row


def test_parameters_are_read_with_their_units() -> None:
    assert parse("stall?after=20&for=1.5m").values == {"after": 20, "for": 90}
    assert parse("stall?for=250ms").values == {"after": 5, "for": 0.25}
    assert parse("huge-event?size=20KB").values == {"after": 5, "size": 20_000}


def test_a_usual_scenario_is_played_when_the_request_names_none() -> None:
    assert choose("m") == choose("m", "") == choose("m", "")
    assert choose("m").scenario is ORDINARY
    assert choose("m", "stall").scenario.name == "stall"
    assert choose("fake:silence", "stall").scenario.name == "silence"


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("stall?afer=3", "it has: after, for"),
        ("stall?after", "''"),
        ("stall?after=3s", "count"),
        ("stall?after=1.5", "count"),
        ("stall?after=-1", "count"),
        ("stall?after=100001", "100000"),
        ("stall?for=3", "has no unit: ms, s, m or h"),
        ("stall?for=2h", "3600"),
        ("stall?for=³s", "time"),
        ("huge-event?size=65MB", "6.4e+07"),
        ("stall?for=1s&for=2s", "twice"),
        ("stall?", "no parameter ''"),
        ("silence?after=3", "it has: none"),
        ("ok?after=3", "'ok' has no parameter 'after'"),
        ("refused", "--scenario refused"),
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(asked: str, named: str) -> None:
    with pytest.raises(BadParameter, match=named.replace("+", r"\+")):
        choose(f"fake:{asked}")
    plan = plan_response(Behaviour(), posted({**chat(), "model": f"fake:{asked}"}))
    assert plan.status == 400
    assert b'"param":"model"' in plan.steps[0].data


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("stal", "stall"),
        ("status-43", "status-403"),
        ("429", "status-429"),
        ("okay", "ok"),
        ("x" * 5_000, ""),
    ],
)
def test_an_unknown_scenario_is_a_404_that_lists_what_is_near(asked: str, near: str) -> None:
    with pytest.raises(UnknownScenario):
        parse(asked)
    plan = plan_response(Behaviour(), posted({**chat(), "model": f"fake:{asked}"}))
    error = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])["error"]
    assert (plan.status, error["code"]) == (404, "model_not_found")
    assert near in error["message"].partition("Near names")[2]
    assert len(error["message"]) < 400


def test_the_ordinary_answer_has_a_name() -> None:
    assert choose("fake:ok") == choose("m") == choose("fake:ok", "stall") == parse("ok")
    answers = [
        plan_response(Behaviour(persona="lorem"), posted({**chat(), "model": "fake:ok"})),
        plan_response(
            Behaviour(persona="lorem", scenario="stall"), posted({**chat(), "model": "fake:ok"})
        ),
    ]
    assert answers[0] == answers[1]
    assert (answers[0].status, answers[0].scenario) == (200, "")


def test_an_empty_name_and_another_model_are_no_scenario() -> None:
    assert choose("fake").scenario is choose("gpt-4o").scenario is ORDINARY
    with pytest.raises(UnknownScenario):
        choose("fake:")


def test_a_parameter_refuses_what_it_can_not_read() -> None:
    for text in ("", "s", "1 s", "1e3s", "1sec", "1..5s", "9" * 10 + "s"):
        with pytest.raises(ValueError, match="time"):
            Parameter("time", "1s").parse(text)


def test_every_scenario_is_listed_in_every_form() -> None:
    rows = json.loads(as_json())
    assert [row["name"] for row in rows] == ["ok", *CATALOGUE]
    assert all(set(row["ends"]) == {"plain", "streaming"} for row in rows)
    text, tables = as_text(), as_markdown()
    for name in ("ok", *CATALOGUE):
        assert f"  {name}" in text
        assert f"| `{name}" in tables


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["429"], ["status-429", "status-429-retry-after"]),
        (["GZIP"], ["gzip-truncated"]),
        (["[DONE]", "twice"], ["done-twice"]),
        (["stall", "comments"], ["heartbeats-hide-stall"]),
        (["ok"], ["ok"]),
        (["nothing-of-this-name"], []),
    ],
)
def test_scenarios_are_listed_by_words_of_their_names_and_meanings(
    words: list[str], names: list[str]
) -> None:
    listed = as_json(words)
    assert [row["name"] for row in json.loads(listed or "[]")] == names
    assert bool(names) == bool(as_text(words)) == bool(as_markdown(words))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_lists_the_catalogue_as_it_is(path: Path) -> None:
    """`python -m fakes.openai_compat_server.tests.scenario_tables` writes what belongs there."""
    text = path.read_text("utf-8")
    assert DOCUMENTS[path](text) == text


def test_the_documents_list_every_scenario_once() -> None:
    rows = [row for path in DOCUMENTS for row in TABLE_ROW.findall(path.read_text("utf-8"))]
    generated = [row for row in rows if row in CATALOGUE]
    assert sorted(generated) == sorted(CATALOGUE)


def test_the_readme_counts_what_the_model_writes() -> None:
    assert f"{len(FAMILIES['content'])} scenarios named" in README.read_text("utf-8")


def test_what_is_wanted_most_can_be_asked_for() -> None:
    wanted = README.read_text("utf-8").partition("## The scenarios most asked for")[2]
    names = ASKED_FOR.findall(wanted.partition("\n## ")[0])
    assert len(names) >= 10
    for name in names:
        parse(name)
