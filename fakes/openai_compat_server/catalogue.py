"""Every scenario by its name, and how a request chooses one: `fake:NAME?parameter=value&…`.

Refuses what it does not know by naming what is near: a scenario of another name (UnknownScenario),
and parameters a scenario does not have or can not read (BadParameter).
"""

import difflib
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from fakes.openai_compat_server.content_scenarios import CONTENT_SCENARIOS
from fakes.openai_compat_server.faults_connection import CONNECTION
from fakes.openai_compat_server.faults_frames import FRAMES
from fakes.openai_compat_server.faults_http import HTTP
from fakes.openai_compat_server.faults_sse import SSE
from fakes.openai_compat_server.faults_time import TIME
from fakes.openai_compat_server.scenario import ORDINARY, Face, Scenario
from fakes.openai_compat_server.script import ORDINARY as ORDINARY_NAME

PREFIX: Final = "fake:"
_NAME_CHARS_MAX: Final = 80
FAMILIES: Final[Mapping[str, tuple[Scenario, ...]]] = {
    "connection": CONNECTION,
    "HTTP": HTTP,
    "events": SSE,
    "frames": FRAMES,
    "time": TIME,
    "content": CONTENT_SCENARIOS,
}
CATALOGUE: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario for family in FAMILIES.values() for scenario in family
}
assert len(CATALOGUE) == sum(map(len, FAMILIES.values())), "two scenarios of one name"
# What can be asked for: the ordinary answer has a name too, and is no row of what goes wrong.
KNOWN: Final[Mapping[str, Scenario]] = {ORDINARY_NAME: ORDINARY, **CATALOGUE}


class UnknownScenario(Exception):
    """No scenario has that name; the message lists those that come near."""


class BadParameter(Exception):
    """A parameter the scenario does not have, or a value it can not take."""


@frozen
class Chosen:
    """A scenario, and a value for each of its parameters."""

    scenario: Scenario
    values: Mapping[str, float]


def choose(model: str, usual: str = "") -> Chosen:
    """The scenario that a request for `model` plays; `usual` is played where it names none.

    Raises UnknownScenario and BadParameter, the latter also for what only a listener performs.
    """
    if not model.startswith(PREFIX):
        return parse(usual) if usual else Chosen(ORDINARY, {})
    chosen = parse(model.removeprefix(PREFIX))
    if chosen.scenario.face is Face.LISTENER:
        name = chosen.scenario.name
        raise BadParameter(f"No response can perform '{name}': start with --scenario {name}.")
    return chosen


def parse(text: str) -> Chosen:
    """`NAME?parameter=value&…` as a scenario and its values."""
    name, mark, query = text.partition("?")
    scenario = KNOWN.get(name)
    if scenario is None:
        raise UnknownScenario(_unknown(name))
    values = {key: kind.parse(kind.default) for key, kind in scenario.parameters.items()}
    given: dict[str, float] = {}
    for term in query.split("&") if mark else ():
        key, value = _read(name, scenario, term)
        if key in given:
            raise BadParameter(f"'{key}' is given twice.")
        given[key] = value
    return Chosen(scenario, {**values, **given})


def _read(name: str, scenario: Scenario, term: str) -> tuple[str, float]:
    key, _, value = term.partition("=")
    if key not in scenario.parameters:
        known = ", ".join(scenario.parameters) or "none"
        asked = f"'{key[:_NAME_CHARS_MAX]}'"
        raise BadParameter(f"'{name}' has no parameter {asked}; it has: {known}.")
    try:
        return key, scenario.parameters[key].parse(value)
    except ValueError as fault:
        raise BadParameter(f"'{key}' of '{name}': {fault}.") from None


def near_names(name: str) -> str:
    """A sentence with the names that come near, or hold it as a part."""
    shown = name[:_NAME_CHARS_MAX]
    near = difflib.get_close_matches(shown, KNOWN, 5, 0.5)
    near += [known for known in KNOWN if shown and shown in known and known not in near][:5]
    return f"Near names: {', '.join(near)}." if near else "No name is near."


def _unknown(name: str) -> str:
    shown, lists = name[:_NAME_CHARS_MAX], "`scenarios` on the command line lists all"
    return f"No scenario is called '{shown}'. {near_names(name)} {lists}."
