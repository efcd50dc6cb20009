"""Goal: what random worlds once found does not come back.

Method: every row of kept.toml is played and judged by every checker, with no random draw in it.
"""

from pathlib import Path

import pytest

from harness.causes import names
from harness.checkers import CHECKERS
from harness.plans import Plan, from_json, unplayable
from harness.sim.explained import row
from harness.sim.kept import Kept, kept
from harness.sim.worlds import Judged, judged

ROWS = kept()


@pytest.mark.parametrize("world", ROWS, ids=lambda world: f"seed-{world.seed}-{world.checker}")
def test_nobody_speaks_when_a_kept_world_is_played(world: Kept) -> None:
    assert judged(world.plan).violations == ()


def test_rows_name_what_there_is() -> None:
    assert {world.checker for world in ROWS} <= {*CHECKERS, "world"}
    assert [list(unplayable(world.plan, names())) for world in ROWS] == [[] for _ in ROWS]
    plans = [world.plan for world in ROWS]
    assert all(plan not in plans[:at] for at, plan in enumerate(plans))


def test_printed_row_is_read_back(tmp_path: Path) -> None:
    plan = from_json('{"seed":9,"calls":[{"stream":false}],"environ":{"LLM_PRELOAD":"true"}}')
    said = "exactly_one_done: call-0 at bff: \"a\" 'b' \\ ü"
    file = tmp_path / "kept.toml"
    file.write_text("\n".join(row(Judged(plan, (said,), "", ()))), "utf-8")
    assert kept(file) == (Kept(9, "exactly_one_done", said, plan),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[kept]]\nseed = 1", "plan"),
        ("[[kept]]\nseed=1\nchecker='c'\nwas='w'\nplan='{}'\nplans=1", "plans"),
        ("[[kept]]\nseed=1\nchecker='c'\nwas='w'\nplan='{\"x\":1}'", "x"),
    ],
)
def test_row_that_is_none_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=problem):
        kept(file)


def test_plan_of_a_row_may_be_as_usual() -> None:
    assert from_json("{}") == Plan()
