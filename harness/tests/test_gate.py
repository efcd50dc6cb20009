"""Goal: the gate passes what was exercised, and nothing else; what is owed it names, until paid.

Method: run logs written by hand, one line for each thing there is, and with one line left out;
and the line of a real world.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from attrs import evolve

from contracts.order import State, Step
from contracts.reasons import Modes, ReasonCode
from harness.alone import CODE
from harness.causes import causes
from harness.coverage import TABLES, demanded, exercised, judge, main, owed, record
from harness.order_breaks import CASES, Case, frames, paths, prefix
from harness.run_log import RunLog
from harness.tests.doctoring import GOOD, PLAIN, WITHDRAWN, played, without

Line = Mapping[str, object]
MODES = {"plain": False, "streaming": True}
REFUSED = tuple(case for case in CASES if case.after is None)


def world(performed: str, mode: str, word: str) -> Line:
    return {"performed": [performed] if performed else [], "ends": [[mode, word]], "streams": []}


def refusal(case: Case, code: str = "") -> Line:
    """The line of a case whose client got this code; without one, the code that is due.

    After an `error` that is the error's own, whatever comes then.
    """
    code = code or (CODE if case.state is State.FAILED else "HOP_PROTOCOL_ERROR")
    sent = b"".join([*prefix(case), *frames([case.step], cited=case.cited)])
    done = json.dumps({"status": "fallback", "reason_code": code}).encode()
    return {
        "hop": case.hop,
        "table": case.table,
        "sent": base64.b64encode(sent).decode(),
        "received": base64.b64encode(b"event: done\ndata: " + done + b"\n\n").decode(),
    }


def everything() -> Iterator[tuple[str, Line]]:
    """Each item with a line that exercises it."""
    for code in ReasonCode:
        for mode, one in (("plain", Modes.PLAIN), ("streaming", Modes.STREAMING)):
            if code.modes in (one, Modes.BOTH):
                yield f"code {code} {mode}", world("", mode, code)
    for cause in causes():
        for mode, stream in MODES.items():
            if (cause.ends.streaming if stream else cause.ends.plain) is not None:
                yield f"cause {cause} {mode}", world(str(cause), mode, cause.ends.of(stream))
    for table, rows in TABLES.items():
        for state, steps in paths(rows).items():
            for step in rows[state]:
                told = [table, [one.value for one in (*steps, step)]]
                item = f"order {table} {state.name} {step.value}"
                yield item, {"performed": [], "ends": [], "streams": [told]}
    for case in REFUSED:
        item = f"refusal {case.hop} {case.table} {case.state.name} {case.step.value}"
        yield item, refusal(case)


EVERYTHING = dict(everything())


@cache
def shown_by(item: str) -> frozenset[str]:
    """All that this item's line exercises: a code too, where it is a cause's."""
    return frozenset(exercised([EVERYTHING[item]]))


def test_there_is_a_line_for_each_thing_that_is_demanded() -> None:
    items = list(demanded())
    assert len(items) == len(set(items))
    assert set(items) == set(EVERYTHING)


@pytest.mark.parametrize("kind", ["code", "cause", "order", "refusal"])
def test_line_exercises_its_item(kind: str) -> None:
    for item in EVERYTHING:
        if item.startswith(f"{kind} "):
            assert item in shown_by(item)


def test_gate_passes_when_all_was_exercised() -> None:
    verdict = judge(EVERYTHING.values(), {})
    assert verdict.passes
    assert (verdict.missed, verdict.paid) == ((), ())
    assert verdict.exercised == len(EVERYTHING)


@pytest.mark.parametrize(
    "item",
    [
        "code OUTPUT_REFUSAL plain",
        "cause model/finish-length streaming",
        "cause client/unknown-key plain",
        "cause hop/qs:refused streaming",
        "order uncited FAILED done fallback",
        "refusal bff cited OPENING delta",
    ],
)
def test_gate_names_what_was_missed(item: str) -> None:
    lines = [line for other, line in EVERYTHING.items() if item not in shown_by(other)]
    verdict = judge(lines, {})
    assert not verdict.passes
    assert item in verdict.missed
    assert judge(lines, dict.fromkeys(verdict.missed, "in time")).passes


def test_what_is_owed_and_was_exercised_is_paid() -> None:
    verdict = judge(EVERYTHING.values(), {"code OUTPUT_REFUSAL plain": "not yet"})
    assert not verdict.passes
    assert verdict.paid == ("code OUTPUT_REFUSAL plain",)


def test_nothing_is_exercised_by_no_line() -> None:
    verdict = judge([], {})
    assert set(verdict.missed) == set(EVERYTHING)
    assert verdict.exercised == 0


@pytest.mark.parametrize(
    "line",
    [
        world("model/finish-length", "streaming", "ok"),
        world("", "streaming", "OUTPUT_TRUNCATED"),
        world("model/finish-length", "plain", "OUTPUT_TRUNCATED"),
        world("model/finish-content-filter", "streaming", "OUTPUT_TRUNCATED"),
    ],
    ids=["another code", "not performed", "another mode", "another cause"],
)
def test_cause_counts_only_with_its_code_in_the_same_world_and_mode(line: Line) -> None:
    assert "cause model/finish-length streaming" not in set(exercised([line]))


@pytest.mark.parametrize("state", [State.OPENING, State.FAILED])
@pytest.mark.parametrize("code", ["HOP_DISCONNECTED", "HOP_TIMEOUT", "OUTPUT_EMPTY"])
def test_refusal_counts_only_with_its_code(code: str, state: State) -> None:
    case = next(case for case in REFUSED if case.state is state)
    item = f"refusal {case.hop} {case.table} {case.state.name} {case.step.value}"
    assert set(exercised([refusal(case)])) == {item}
    assert set(exercised([refusal(case, code)])) == set()


def test_refusal_after_the_end_needs_no_code() -> None:
    """Nobody reads on after `done`."""
    case = next(case for case in REFUSED if case.state is State.CLOSED)
    assert len(set(exercised([refusal(case, "OUTPUT_EMPTY")]))) == 1


def test_case_that_broke_nothing_is_no_refusal() -> None:
    case = next(case for case in CASES if case.after is not None)
    assert set(exercised([refusal(case)])) == set()


def test_client_that_was_told_nothing_shows_no_refusal() -> None:
    case = next(case for case in REFUSED if case.state is State.OPENING)
    cut = base64.b64encode(b"event: meta\ndata: {}\n\n").decode()
    assert set(exercised([{**refusal(case), "received": cut}])) == set()


def test_world_is_recorded_by_what_its_logs_show(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "runs.jsonl")
    log.add(played(WITHDRAWN))
    log.add(played(GOOD))
    withdrawn, good = map(json.loads, (tmp_path / "runs.jsonl").read_text().splitlines())
    assert withdrawn["performed"] == ["model/finish-length"]
    assert withdrawn["ends"] == [["streaming", "OUTPUT_TRUNCATED"]]
    assert withdrawn["streams"][0][0] == "cited"
    assert withdrawn["streams"][0][1][-2:] == ["error", Step.DONE_FALLBACK.value]
    assert good["performed"] == ["client/unknown-key", "search/weak"]
    assert ["plain", "INPUT_INVALID"] in good["ends"]
    assert "cause model/finish-length streaming" in set(exercised([withdrawn]))
    assert "order cited PROVED delta" in set(exercised([good]))
    assert "order uncited SEARCHED delta" in set(exercised([good]))


def test_what_the_journal_does_not_show_was_not_performed() -> None:
    """The plan's own word does not count: not for the model, the search or the client."""
    asked = played(WITHDRAWN)
    assert record(evolve(asked, model=()))["performed"] == []
    assert "search/weak" not in str(record(evolve(played(GOOD), searches=()))["performed"])
    mute = without(played(GOOD), "bff", PLAIN + 3, lambda _: True)
    assert "client/unknown-key" not in str(record(mute)["performed"])


def test_no_run_log_writes_nothing() -> None:
    RunLog(None).add(played(WITHDRAWN))


def test_what_is_owed_today_is_among_what_there_is() -> None:
    assert set(owed()) <= set(EVERYTHING)
    assert all(owed().values())


def test_owed_entry_that_names_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "owed.toml"
    file.write_text('[owed]\n"code NO_SUCH_CODE plain" = "because"\n')
    with pytest.raises(ValueError, match=r"owed\.toml: no such item: code NO_SUCH_CODE plain"):
        owed(file)


def test_command_prints_what_is_owed_missed_and_paid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, more, file = tmp_path / "one.jsonl", tmp_path / "two.jsonl", tmp_path / "owed.toml"
    what = ("code INPUT_FORBIDDEN plain", "cause client/foreign-origin plain")
    owing = dict.fromkeys(what, "nobody looks")
    file.write_text("[owed]\n" + "".join(f'"{item}" = "{why}"\n' for item, why in owing.items()))
    owed_in = ["--owed", str(file)]
    due = [line for item, line in EVERYTHING.items() if not shown_by(item) & set(owing)]
    runs.write_text("".join(json.dumps(line) + "\n" for line in due[:9]))
    more.write_text("".join(json.dumps(line) + "\n" for line in due[9:]))
    assert main([str(runs), str(more), *owed_in]) == 0
    out = capsys.readouterr().out
    assert all(f"owed    {item}: {why}" in out for item, why in owing.items())
    assert f"{len(owing)} owed, 0 missed" in out
    assert main([str(runs), *owed_in]) == 1
    assert "MISSED  " in capsys.readouterr().out
    paid = next(iter(owing))
    more.write_text(more.read_text() + json.dumps(EVERYTHING[paid]) + "\n")
    assert main([str(runs), str(more), *owed_in]) == 1
    assert f"PAID    {paid} was exercised: take it out of owed.toml" in capsys.readouterr().out
