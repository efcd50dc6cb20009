"""The catalogue as a list: for a shell, as JSON, and as the tables of the README."""

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from fakes.openai_compat_server.catalogue import FAMILIES
from fakes.openai_compat_server.scenario import Face, Scenario

_TITLES: Final[Mapping[str, str]] = {
    "connection": "The connection",
    "HTTP": "HTTP",
    "events": "Events of a stream, and writes",
    "frames": "The JSON of an answer",
    "time": "Time",
    "content": "What the model writes",
}
_LISTENER_ONLY: Final = "only with `--scenario`"
_WIDTH: Final = 96


def as_text() -> str:
    """A heading for each family, and for each scenario its name, ends, parameters and meaning."""
    return "\n".join(line for family in FAMILIES for line in ("", _TITLES[family], *_text(family)))


def as_json() -> str:
    rows = [_row(family, scenario) for family, all_ in FAMILIES.items() for scenario in all_]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def as_markdown() -> str:
    """A table for each family."""
    return "\n\n".join("\n".join(_table(family)) for family in FAMILIES)


LISTINGS: Final[Mapping[str, Callable[[], str]]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
}


def _text(family: str) -> Iterator[str]:
    for scenario in FAMILIES[family]:
        yield f"  {_call(scenario)}  {_ends(scenario)}"
        about = scenario.about + _condition(scenario)
        yield textwrap.fill(about, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _table(family: str) -> Iterator[str]:
    yield f"**{_TITLES[family]}**\n\n| scenario | what it does | must end in |\n|---|---|---|"
    for scenario in FAMILIES[family]:
        about = (scenario.about + _condition(scenario)).replace("|", "\\|")
        yield f"| `{_call(scenario)}` | {about} | {_ends(scenario)} |"


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


def _condition(scenario: Scenario) -> str:
    return f" ({_LISTENER_ONLY})" if scenario.face is Face.LISTENER else ""


def _ends(scenario: Scenario) -> str:
    plain, streaming = scenario.ends.plain, scenario.ends.streaming
    if plain == streaming:
        return str(plain)
    if plain is None:
        return f"{streaming} (streaming alone)"
    return f"plain {plain}, streaming {streaming}"
