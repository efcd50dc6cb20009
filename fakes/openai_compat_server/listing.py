"""The catalogue as a list: for a shell, as JSON, and as the tables of the documentation."""

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from attrs import evolve

from fakes.openai_compat_server.catalogue import FAMILIES
from fakes.openai_compat_server.scenario import ORDINARY, Face, Scenario
from fakes.openai_compat_server.script import ORDINARY as ORDINARY_NAME

_Families = Mapping[str, tuple[Scenario, ...]]
_TITLES: Final[Mapping[str, str]] = {
    "ordinary": "No fault",
    "connection": "The connection",
    "HTTP": "HTTP",
    "events": "Events of a stream, and writes",
    "frames": "The JSON of an answer",
    "time": "Time",
    "content": "What the model writes",
}
_CONTENT: Final = "content"  # the family with a page of its own
_ALL: Final[_Families] = {"ordinary": (evolve(ORDINARY, name=ORDINARY_NAME),), **FAMILIES}
_WIDTH: Final = 96
_TEXT_HEAD: Final = """\
Ask for the model "fake:NAME" and that request gets the scenario, or start with --scenario NAME.
The parameters are shown with their defaults; `after` counts the events of a stream, of which the
first says only who speaks. Behind each name stands the reason code in which the gateway of this
project ends such an answer, `ok` where it is legal; other clients need not mind it.
"""
_CONTENT_HEAD: Final = """\
# What the model writes: the scenarios `content-…`

Each of them takes the answer that the persona gives and writes it as a model is known to write it:
fenced, cut short, with a key renamed or a source invented. They are made for clients that ask for
JSON with citations, `{"citations": [{"chunk_id": "c1"}], "answer": "… [c1]"}`, as the gateway of
this project does; where the persona's answer is none such, one stands in for it. Those that spoil
the JSON itself serve any client that asks for JSON.

They are asked for as all scenarios are: the model `fake:content-fence`, `.play("content-fence")`.
[The README](README.md) explains that and lists the others. The last column is the reason code in
which this project's gateway ends such an answer, `ok` where it is legal.

"""


def as_text(words: Sequence[str] = ()) -> str:
    """A heading for each family, and for each scenario its name, ends, parameters and meaning.

    Only scenarios that have all the words in their name or meaning; empty where none has.
    """
    found = _found(words)
    lines = [line for family in found for line in ("", _TITLES[family], *_text(found[family]))]
    return "\n".join([_TEXT_HEAD.rstrip(), *lines]) if found else ""


def as_json(words: Sequence[str] = ()) -> str:
    """An array of objects, one for each scenario that `as_text` lists; empty where none is."""
    rows = [_row(family, scenario) for family, rest in _found(words).items() for scenario in rest]
    return json.dumps(rows, indent=1, ensure_ascii=False) if rows else ""


def as_markdown(words: Sequence[str] = ()) -> str:
    """A table for each family of the scenarios that `as_text` lists; empty where none is."""
    found = _found(words)
    return "\n\n".join(f"**{_TITLES[it]}**\n\n{_table(found[it])}" for it in found)


LISTINGS: Final[Mapping[str, Callable[[Sequence[str]], str]]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
}


def readme_table() -> str:
    """The README's: every fault of the wire, and no reason codes, which are this project's own."""
    lines = ["| scenario | what it does |", "|---|---|"]
    for family in FAMILIES:
        if family != _CONTENT:
            rows = _rows(FAMILIES[family], ends=False)
            lines += [f"| **{_TITLES[family]}** | |", *rows]
    return "\n".join(lines)


def content_page() -> str:
    """The page of the scenarios that change what the model writes."""
    return f"{_CONTENT_HEAD}{_table(FAMILIES[_CONTENT])}\n"


def _found(words: Sequence[str]) -> _Families:
    """The families with those of their scenarios that have all the words, or words so begun."""
    wanted = [re.compile(rf"(?<!\w){re.escape(word)}", re.IGNORECASE) for word in words]

    def fits(scenario: Scenario) -> bool:
        text = f"{scenario.name} {scenario.about}"
        return all(word.search(text) for word in wanted)

    found = {family: tuple(filter(fits, scenarios)) for family, scenarios in _ALL.items()}
    return {family: scenarios for family, scenarios in found.items() if scenarios}


def _text(scenarios: Sequence[Scenario]) -> Iterator[str]:
    for scenario in scenarios:
        yield f"  {_call(scenario)}  {_ends(scenario)}"
        about = scenario.about + _condition(scenario)
        yield textwrap.fill(about, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _table(scenarios: Sequence[Scenario]) -> str:
    head = ("| scenario | what it does | this project's gateway |", "|---|---|---|")
    return "\n".join([*head, *_rows(scenarios, ends=True)])


def _rows(scenarios: Sequence[Scenario], ends: bool) -> Iterator[str]:
    for scenario in scenarios:
        about = scenario.about + _condition(scenario, told_by_ends=ends)
        escaped = about.replace("|", "\\|")
        end = f" {_ends(scenario)} |" if ends else ""
        yield f"| `{_call(scenario)}` | {escaped} |{end}"


def _row(family: str, scenario: Scenario) -> Mapping[str, object]:
    return {
        "name": scenario.name,
        "family": family,
        "about": scenario.about,
        "face": scenario.face.value,
        "parameters": {key: kind.default for key, kind in scenario.parameters.items()},
        "ends": {"plain": scenario.ends.plain, "streaming": scenario.ends.streaming},
    }


def _call(scenario: Scenario) -> str:
    """The name as it is asked for, with the parameters' defaults."""
    terms = "&".join(f"{key}={kind.default}" for key, kind in scenario.parameters.items())
    return f"{scenario.name}?{terms}" if terms else scenario.name


def _condition(scenario: Scenario, told_by_ends: bool = True) -> str:
    """When it is played at all; who is told how it ends is told by that what only streams have."""
    if scenario.face is Face.LISTENER:
        return " (only with `--scenario`)"
    return " (streaming only)" if scenario.ends.plain is None and not told_by_ends else ""


def _ends(scenario: Scenario) -> str:
    plain, streaming = scenario.ends.plain, scenario.ends.streaming
    if plain == streaming:
        return str(plain)
    if plain is None:
        return f"{streaming} (streaming only)"
    return f"plain {plain}, streaming {streaming}"
