"""Goal: the figures say what was, and what must not be fails the run.

Method: runs made by hand, with one thing wrong at a time.
"""

import pytest
from attrs import evolve

from harness.llm.figures import Half, Run, faults, page
from harness.llm.leaving import Leavings
from harness.llm.model_server import Counters
from harness.llm.replies import Reply

SERVED = Counters(500.0, 5.0, 300.0, 10.0)
OK = Reply("Why?", False, "ok", 3.0, None, None, 40, ())
CUT = evolve(OK, word="OUTPUT_TRUNCATED")


def run(*, clean: int = 95, cut: int = 5, left_ms: float = 90.0, wrong: bool = False) -> Run:
    stream = evolve(OK, stream=True, citations_s=1.0, delta_s=1.5)
    if wrong:
        stream = evolve(stream, wrong=("x is cited",))
    with_schema = Half(True, [OK] * (clean - 1) + [CUT] * cut + [stream], SERVED)
    without = Half(False, [CUT] * 10, SERVED)
    left = [Leavings("streaming", [10.0, 20.0, 900.0]), Leavings("plain", [10.0, left_ms, 999.0])]
    return Run({"when": "today"}, [with_schema, without], left)


def test_a_run_as_it_must_be_has_no_faults() -> None:
    assert list(faults(run())) == []


def test_too_few_clean_replies_are_a_fault_where_the_schema_was_sent() -> None:
    assert list(faults(run(clean=94, cut=6))) == [
        "with the schema sent 94.0% parse cleanly, of 95% wanted"
    ]


def test_an_invalid_citation_is_a_fault_wherever_it_was() -> None:
    (line,) = faults(run(wrong=True))
    assert line == "an invalid citation reached the client: Why? x is cited"


@pytest.mark.parametrize(("left_ms", "found"), [(250.0, 0), (251.0, 1)])
def test_a_slot_that_stays_busy_is_a_fault_in_both_modes(left_ms: float, found: int) -> None:
    assert len(list(faults(run(left_ms=left_ms)))) == found


def test_a_model_that_was_never_asked_is_a_fault() -> None:
    it = run()
    unasked = Half(True, [evolve(OK, word="RAG_TIMEOUT")], SERVED)
    assert "the model was never asked" in list(faults(evolve(it, halves=[unasked])))


def test_the_page_has_every_figure() -> None:
    text = page(run())
    assert "| sent | plain | 99 of 99 | 94 (95%) | 94 | 0 |" in text
    assert "| sent | streaming | 1 of 1 | 1 (100%) | 1 | 0 |" in text
    assert "| OUTPUT_TRUNCATED | 5 | 0 | 10 | 0 |" in text
    assert "| sent | streaming | 1.00 s | 1.50 s | 3.00 s | 3.00 s |" in text
    assert "| not sent | 100.0 | 30.0 | 500 |" in text
    assert "| streaming | 3 | 20 ms | 900 ms |" in text
