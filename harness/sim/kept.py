"""The worlds that once failed, out of kept.toml: played by `make test` for good.

A seed alone draws another world as soon as drawing changes, so what is kept is the least plan.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cattrs
from attrs import frozen

from harness.plans import Plan, from_json

KEPT_FILE: Final = Path(__file__).with_name("kept.toml")
_converter: Final = cattrs.Converter(forbid_extra_keys=True)
_converter.register_structure_hook(Plan, lambda text, _: from_json(text))


@frozen
class Kept:
    """One row. `checker` is the one that spoke, `was` one line of what was wrong, and where."""

    seed: int
    checker: str
    was: str
    plan: Plan


def kept(path: Path = KEPT_FILE) -> Sequence[Kept]:
    """Every row. Raises ValueError for one that is none."""
    rows = tomllib.loads(path.read_text("utf-8")).get("kept", [])
    try:
        return _converter.structure(rows, tuple[Kept, ...])
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error))) from None
