"""What is asked of mutmut, and what is made of its answer; mutmut itself is not run here."""

import tomllib

import pytest

from harness.sabotage.by_machine import (
    CORES,
    ROOT,
    main,
    results_of,
    score,
    settings_of,
    summary,
    unnoticed,
)

TOLD = """\
    contracts.order.xǁStreamOrderǁsee__mutmut_1: killed
    contracts.order.xǁStreamOrderǁsee__mutmut_2: survived
    llmgw.providers.openai_wire.x_encode_call__mutmut_1: timeout
    llmgw.providers.openai_wire.x__shape__mutmut_12: no tests
    llmgw.providers.openai_wire.x__shape__mutmut_13: killed
"""


def test_every_core_and_its_tests_are_there() -> None:
    for module, tests in CORES.items():
        assert all((ROOT / path).is_file() for path in (module, *tests)), module


def test_settings_are_a_part_of_pyproject_when_one_module_is_chosen() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8") + settings_of(["llmgw/guard.py"])
    made = tomllib.loads(project)["tool"]["mutmut"]
    assert made["only_mutate"] == ["llmgw/guard.py"]
    assert made["pytest_add_cli_args_test_selection"] == ["llmgw/tests/test_guard.py"]


def test_a_module_that_is_no_core_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["llmgw/app.py"])
    assert caught.value.code == 2
    assert "llmgw/guard.py" in capsys.readouterr().err


def test_what_nobody_noticed_is_told_apart_and_counted() -> None:
    results = results_of(TOLD)
    assert {module: len(found) for module, found in results.items()} == {
        "contracts.order": 2,
        "llmgw.providers.openai_wire": 3,
    }
    assert unnoticed(results) == [
        "contracts.order.xǁStreamOrderǁsee__mutmut_2",
        "llmgw.providers.openai_wire.x__shape__mutmut_12",
    ]
    assert score(results["contracts.order"]) == 0.5
    assert score(results["llmgw.providers.openai_wire"]) == pytest.approx(2 / 3)


def test_page_has_the_scores_and_each_change() -> None:
    page = summary(results_of(TOLD), {"contracts.order.xǁStreamOrderǁsee__mutmut_2": "-a\n+b\n"})
    assert "| contracts.order | 2 | 1 | 0 | 50.0% |" in page
    assert "| llmgw.providers.openai_wire | 3 | 2 | 1 | 66.7% |" in page
    assert "## contracts.order.xǁStreamOrderǁsee__mutmut_2\n\n```diff\n-a\n+b\n```\n" in page
