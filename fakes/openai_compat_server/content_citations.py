"""Operators on what the citations name: sources the prompt had, sources it had not, or none.

One id outside the prompt's aliases ends the answer, whatever stands beside it. `c0` says that no
source answers, and says so alone.
"""

from collections.abc import Callable
from typing import Final

from contracts.limits import CITATIONS_MAX
from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    ContentOperator,
    ValidAnswer,
    citing,
    listed,
    pick,
    valid_json,
)
from fakes.openai_compat_server.seeded import Draw

_FILE_NAMES: Final = ("faq.md", "docs/install.md", "README.md#usage", "handbook.pdf")
_CYRILLIC_ES: Final = "\u0441"
_FULL_WIDTH_C: Final = "\uff43"
_ZERO_WIDTH_SPACE: Final = "\u200b"


def _all(answer: ValidAnswer) -> tuple[str, ...]:
    """Every source of the prompt, the cited ones first."""
    everyone = (f"c{number}" for number in range(1, answer.alias_count + 1))
    return tuple(dict.fromkeys((*answer.aliases, *everyone)))


def _unknown(answer: ValidAnswer, draw: Draw) -> str:
    """An alias as the prompt has them, but not one of its own."""
    return f"c{answer.alias_count + 1 + int(draw.fraction('unknown') * 9)}"


def _foreign_chunk(draw: Draw) -> str:
    """A chunk id as an index makes them; the model was never shown one."""
    return f"{draw.hex('chunk', 16)}#{int(draw.fraction('part') * 40)}"


def _citing_ids(answer: ValidAnswer, *ids: str) -> str:
    return citing(answer, listed(ids))


def _instead(answer: ValidAnswer, draw: Draw, change: Callable[[str], str]) -> str:
    """The citations with a drawn one changed."""
    ids = list(answer.aliases)
    at = pick(draw, "changed", range(len(ids)))
    ids[at] = change(ids[at])
    return _citing_ids(answer, *ids)


def _changed(name: str, about: str, change: Callable[[str], str]) -> ContentOperator:
    """An operator that changes one citation's alias into something else."""
    return ContentOperator(
        name, about, R.CITATIONS_INVALID, lambda a, draw: _instead(a, draw, change)
    )


CITED: Final = (
    ContentOperator(
        "unknown-id",
        "an alias of no source of this prompt for one of the citations",
        R.CITATIONS_INVALID,
        lambda a, draw: _instead(a, draw, lambda _: _unknown(a, draw)),
    ),
    ContentOperator(
        "other-request-id",
        "a chunk id of another request for one of the citations",
        R.CITATIONS_INVALID,
        lambda a, draw: _instead(a, draw, lambda _: _foreign_chunk(draw)),
    ),
    ContentOperator(
        "file-name",
        "a file's name for one of the citations",
        R.CITATIONS_INVALID,
        lambda a, draw: _instead(a, draw, lambda _: pick(draw, "file", _FILE_NAMES)),
    ),
    ContentOperator(
        "mixed-valid-invalid",
        "the right citations and an alias of no source of this prompt",
        R.CITATIONS_INVALID,
        lambda a, draw: _citing_ids(a, *a.aliases, _unknown(a, draw)),
    ),
    ContentOperator(
        "mixed-invalid-valid",
        "an alias of no source of this prompt and then the right citations",
        R.CITATIONS_INVALID,
        lambda a, draw: _citing_ids(a, _unknown(a, draw), *a.aliases),
    ),
    ContentOperator(
        "invalid-with-title",
        "an unknown alias beside a title and a url that look right",
        R.CITATIONS_INVALID,
        lambda a, draw: citing(
            a,
            listed([_unknown(a, draw)]).replace(
                "{", '{"title": "The handbook", "url": "https://docs.example/", '
            ),
        ),
    ),
    _changed("ordinal-id", "a bare number as text for one of the citations", lambda it: it[1:]),
    _changed("bracket-id", "`[1]` for one of the citations", lambda it: f"[{it[1:]}]"),
    _changed("marker-id", "`[c1]` for one of the citations", lambda it: f"[{it}]"),
    _changed("source-1", "`Source 1` for one of the citations", lambda it: f"Source {it[1:]}"),
    _changed("cut-id", "an alias without its number", lambda it: it[:1]),
    _changed("empty-id", "an empty alias", lambda _: ""),
    _changed("space-before-id", "an alias with a space before it", lambda it: f" {it}"),
    _changed("space-behind-id", "an alias with a space behind it", lambda it: f"{it} "),
    _changed("recased-id", "an alias in upper case", str.upper),
    _changed("zero-padded-id", "`c01` for `c1`", lambda it: f"c0{it[1:]}"),
    _changed("negative-id", "`c-1` for `c1`", lambda it: f"c-{it[1:]}"),
    _changed(
        "ranged-id", "`c1-c2` for one of the citations", lambda it: f"{it}-c{int(it[1:]) + 1}"
    ),
    _changed("joined-ids", "two aliases in one", lambda it: f"{it}, {it}"),
    _changed(
        "homoglyph-id", "an alias with a Cyrillic letter", lambda it: f"{_CYRILLIC_ES}{it[1:]}"
    ),
    _changed(
        "full-width-id", "an alias with a full-width letter", lambda it: f"{_FULL_WIDTH_C}{it[1:]}"
    ),
    _changed(
        "invisible-in-id", "an alias with a zero-width space", lambda it: it + _ZERO_WIDTH_SPACE
    ),
    ContentOperator(
        "no-citations",
        "an empty list of citations",
        R.CITATIONS_MISSING,
        lambda a, _: citing(a, "[]"),
    ),
    ContentOperator(
        "duplicate-citation",
        "the same citation twice, which is one",
        OK,
        lambda a, _: _citing_ids(a, *a.aliases, a.aliases[0]),
    ),
    ContentOperator(
        "every-id",
        "every source of the prompt cited, as many as may be; no change where all of them are",
        OK,
        lambda a, _: _citing_ids(a, *_all(a)[:CITATIONS_MAX]),
    ),
    ContentOperator(
        "too-many-citations",
        "one citation more than there may be; repeated ones count",
        R.CITATIONS_TOO_MANY,
        lambda a, _: _citing_ids(a, *(_all(a) * (CITATIONS_MAX + 1))[: CITATIONS_MAX + 1]),
    ),
    ContentOperator(
        "c0-with-others",
        "the right citations and `c0`, which says that there are none",
        R.CITATIONS_INVALID,
        lambda a, _: _citing_ids(a, *a.aliases, "c0"),
    ),
    ContentOperator(
        "c0-before-others",
        "`c0`, which says that there are none, and then the right citations",
        R.CITATIONS_INVALID,
        lambda a, _: _citing_ids(a, "c0", *a.aliases),
    ),
    ContentOperator(
        "c0-alone", "`c0`: no source answers", R.MODEL_ABSTAINED, lambda a, _: _citing_ids(a, "c0")
    ),
    ContentOperator(
        "citations-reversed",
        "the citations in the opposite order, and one of them again",
        OK,
        lambda a, _: _citing_ids(a, *reversed(a.aliases), a.aliases[-1]),
    ),
    ContentOperator(
        "escaped-id",
        "an alias written with an escape, which is the same alias",
        OK,
        lambda a, _: valid_json(a).replace(': "c', ': "\\u0063', 1),
    ),
)
