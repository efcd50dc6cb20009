"""Style as a test: the tree against the house's rules, and the rules against planted faults."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest

from harness.tidy import (
    FUNCTION_LINES_MAX,
    MODULE_LINES_MAX,
    MODULE_LINES_USUAL,
    RATCHET,
    ROOT,
    RULES,
    TREE,
    Source,
    any_stays_in_the_codec,
    code_lines,
    cores_are_pure,
    find_cores,
    functions_are_short,
    ignores_name_their_code,
    imports_point_one_way,
    modules_are_alive,
    modules_are_short,
    modules_say_what_they_are,
    names_say_what_a_module_holds,
    nothing_is_patched_skipped_or_slept,
    only_main_reads_the_environment,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_tree_is_tidy(rule: Callable[[Source], Iterator[str]]) -> None:
    offences = dict.fromkeys(offence for source in TREE.values() for offence in rule(source))
    assert not offences, "\n" + "\n".join(offences)


def test_ratchet_only_turns_one_way() -> None:
    """An exception that is no longer needed, or no longer exact, is taken back."""
    for path, allowed in RATCHET["module_lines"].items():
        source = Source(PurePosixPath(path), (ROOT / path).read_text("utf-8"))
        assert MODULE_LINES_USUAL < allowed <= MODULE_LINES_MAX, path
        assert code_lines(source) == allowed, f"{path}: write {code_lines(source)}"


def test_what_a_core_imports_is_held_to_be_one() -> None:
    sources = {
        "bff.config": Source(PurePosixPath("bff/config.py"), "from bff.words import word"),
        "bff.words": Source(PurePosixPath("bff/words.py"), "import bff.app"),
        "bff.app": Source(PurePosixPath("bff/app.py"), ""),
        "bff.page": Source(PurePosixPath("bff/page.py"), ""),
    }
    assert find_cores(sources) == {
        "bff.config": "listed",
        "bff.words": "bff.config imports it",
        "bff.app": "bff.words imports it",
    }


DOC = '"""What it is."""\n'
PLANTED: tuple[tuple[Callable[[Source], Iterator[str]], str, str, int], ...] = (
    (imports_point_one_way, "contracts/x.py", "import hop.serve", 1),
    (imports_point_one_way, "hop/x.py", "from qs import turn", 1),
    (imports_point_one_way, "bff/x.py", "import trio\nimport llmgw", 2),
    (imports_point_one_way, "fakes/x.py", "from hop.log import log", 1),
    (imports_point_one_way, "bff/tests/test_x.py", "from qs.app import app", 1),
    (cores_are_pure, "contracts/x.py", "import os.path", 1),
    (cores_are_pure, "llmgw/config.py", "from urllib.request import urlopen", 1),
    (cores_are_pure, "llmgw/guard.py", "from time import monotonic", 1),
    (cores_are_pure, "hop/settings.py", "x = open('y')", 1),
    (cores_are_pure, "bff/config.py", "from datetime import datetime\nx = datetime.now()", 2),
    (only_main_reads_the_environment, "qs/x.py", "import os\nx = os.environ['Y']", 2),
    (only_main_reads_the_environment, "qs/x.py", "from os import environ", 1),
    (names_say_what_a_module_holds, "hop/utils.py", "", 1),
    (names_say_what_a_module_holds, "hop/common/x.py", "", 1),
    (nothing_is_patched_skipped_or_slept, "qs/tests/test_x.py", "from unittest import mock", 1),
    (nothing_is_patched_skipped_or_slept, "qs/tests/test_x.py", "time.sleep(1)", 1),
    (nothing_is_patched_skipped_or_slept, "qs/tests/test_x.py", "monkeypatch.setattr(a, b)", 1),
    (nothing_is_patched_skipped_or_slept, "qs/tests/test_x.py", "@pytest.mark.skip\ndef f(): 1", 1),
    (ignores_name_their_code, "qs/x.py", "\nx = 1  # type: ignore", 2),
    (ignores_name_their_code, "qs/x.py", "x = 1  # noqa", 1),
    (ignores_name_their_code, "qs/x.py", "x = 1  # TODO: more", 1),
    (any_stays_in_the_codec, "qs/x.py", "from typing import Any", 1),
    (modules_say_what_they_are, "qs/x.py", "x = 1", 1),
    (modules_are_short, "qs/x.py", "x = 1\n" * (MODULE_LINES_USUAL + 1), 1),
    (functions_are_short, "qs/x.py", "\ndef f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX, 2),
    (modules_are_alive, "qs/nobody_imports_this.py", "x = 1", 1),
)


@pytest.mark.parametrize(("rule", "path", "text", "line"), PLANTED)
def test_rule_catches_what_it_is_for(
    rule: Callable[[Source], Iterator[str]], path: str, text: str, line: int
) -> None:
    offences = list(rule(Source(PurePosixPath(path), text)))
    assert offences
    assert offences[0].startswith(f"{path}:{line}: ")


CLEAN = (
    ("contracts/x.py", "from urllib.parse import urlsplit\nfrom contracts.chat import Citation"),
    ("llmgw/tests/test_x.py", "from fakes.openai_compat_server import persona"),
    ("qs/__main__.py", "import os\nx = os.environ"),
    ("qs/tests/test_x_sockets.py", "import time\ntime.sleep(0.1)"),
    ("qs/__main__.py", "x = y  # type: ignore[attr-defined] # noqa: E501 - said why"),
)


@pytest.mark.parametrize(("path", "text"), CLEAN)
def test_no_rule_minds_what_is_right(path: str, text: str) -> None:
    source = Source(PurePosixPath(path), DOC + text)
    assert [offence for rule in RULES for offence in rule(source) if "nobody" not in offence] == []
