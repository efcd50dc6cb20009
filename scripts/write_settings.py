"""Writes the handbook's table of settings: `python -m scripts.write_settings`.

A row for each environment variable of each program: who reads it, its default, what it means. The
rows of the three services are their settings classes', `hop.settings.variables_of`; those of the
fake model server, which has no such class, are `.env.example`'s, which its own test holds to the
fake. With `--check` nothing is written, and it exits 1 where the page is stale.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bff.config import BffSettings
from hop.settings import HopSettings, Variable, variables_of
from llmgw.config import GatewaySettings
from qs.config import QueryServiceSettings

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs/settings.md"
EXAMPLE: Final = ROOT / ".env.example"
SERVICES: Final[dict[str, type[HopSettings]]] = {
    "BFF": BffSettings,
    "QS": QueryServiceSettings,
    "LLMGW": GatewaySettings,
}
_FAKE_LINE: Final = re.compile(r"^# (FAKE_[A-Z_]+)=(\S*) +# (.+)$", re.MULTILINE)
_OPENING: Final = """\
# Table of all settings

This page is one table of every environment variable of every program, written from the code by
`make settings-table`. [Configuring](configuring.md) explains each variable at length, and says
where values come from. Variables whose name ends in `_MS` are whole milliseconds.

| variable | read by | default | meaning |
|---|---|---|---|
"""


def expected() -> str:
    """The page as it has to be."""
    return _OPENING + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def main(arguments: Sequence[str], page: Path = PAGE) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.write_settings")
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    only_check = parser.parse_args(arguments).check
    if page.exists() and page.read_text("utf-8") == expected():
        return 0
    name = f"{page.parent.name}/{page.name}"
    if only_check:
        print(f"stale: {name} (`make settings-table` writes it)", file=sys.stderr)
        return 1
    page.write_text(expected(), "utf-8")
    print(f"wrote {name}")
    return 0


def _rows() -> Iterator[tuple[str, str, str, str]]:
    """First what one program reads, program by program, then what all do."""
    shared = [variable.name for variable in variables_of(HopSettings).values()]
    for program, kind in SERVICES.items():
        own = [v for v in variables_of(kind).values() if v.name not in shared]
        yield from (_row(variable, program) for variable in own)
    everybody = ", ".join(SERVICES)
    yield from (_row(variable, everybody) for variable in variables_of(HopSettings).values())
    for name, default, about in _FAKE_LINE.findall(EXAMPLE.read_text("utf-8")):
        yield f"`{name}`", "the fake", _code(default), about


def _row(variable: Variable, programs: str) -> tuple[str, str, str, str]:
    default = variable.default
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{variable.name}`", programs, _code(text), variable.help.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
