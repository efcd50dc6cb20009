"""Goal: what a test gives to `play` is the script it means, and else is told what it could mean.

Method: what is given in, scripts or faults out; files in a folder of the test's own.
"""

from pathlib import Path

import pytest

from fakes.openai_compat_server import Rule, Script, raw
from fakes.openai_compat_server.played import Given, script_of

CUT = raw(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "what", [("ok", CUT), (["ok", CUT],), (("ok", CUT),)], ids=["steps", "a list", "a tuple"]
)
def test_steps_are_one_rule(what: tuple[Given, ...]) -> None:
    assert script_of(what, strict=True) == Script((Rule(("ok", CUT)),), strict=True)


def test_a_script_and_a_file_say_themselves_whether_they_are_strict(tmp_path: Path) -> None:
    script = Script((Rule(("ok",)),))
    file = tmp_path / "a.toml"
    file.write_text('[[rule]]\nplay = ["ok"]')
    assert script_of((script,), strict=True) == script_of((file,), strict=True) == script


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ((), "play.. takes at least one step"),
        (([],), "play.. takes at least one step"),
        ((429,), "takes scenarios' names and raw.*, or one Script, or one Path, and not 429"),
        ((["ok"], "ok"), r"and not \['ok'\]"),
        ((Script(), "ok"), "and not Script"),
        (("retry.toml",), r"No scenario is called 'retry.toml'.* For a file: play\(Path"),
        (("status-429-retry-after?for=3",), "'3' has no unit: ms, s, m or h"),
        (
            ("refused",),
            r"serving\(Behaviour\(scenario='refused'\)\), or openai-fake serve --scenario",
        ),
        ((Script((Rule(("nope",)),)),), "No scenario is called 'nope'"),
    ],
)
def test_what_can_not_be_played_is_told(what: tuple[Given, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        script_of(what, strict=True)


def test_a_file_that_can_not_be_read_is_told_with_its_whole_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path}/none.toml: No such file or directory"):
        script_of((tmp_path / "none.toml",), strict=True)
    file = tmp_path / "latin.toml"
    file.write_bytes(b"# \xff")
    with pytest.raises(ValueError, match=r"latin.toml: .*utf-8"):
        script_of((file,), strict=True)
