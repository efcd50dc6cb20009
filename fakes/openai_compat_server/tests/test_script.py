"""Goal: each request gets the scenario its rule has next, and a file that is wrong says where.

Method: scripts and requests in, choices out; TOML in, scripts or faults out.
"""

import pytest

from fakes.openai_compat_server import Ending, HttpRequest, raw
from fakes.openai_compat_server.script import (
    Asked,
    Playable,
    Progress,
    Rule,
    Script,
    Then,
    asked_of,
    choose,
    decides,
    unplayed,
)
from fakes.openai_compat_server.script_fields import ScriptFault
from fakes.openai_compat_server.script_file import parse_script
from fakes.openai_compat_server.tests.fake_client import posted

HELLO = Asked("POST /x", "m", (("x-test", "a"),), "say hello", 1)


def played(
    script: Script, *requests: Asked, seed: int = 0
) -> tuple[list[Playable | None], Progress]:
    """What each request got, and how far the script is then."""
    names: list[Playable | None] = []
    progress = Progress()
    for asked in requests:
        name, progress = choose(script, asked, progress, seed)
        names.append(name)
    return names, progress


@pytest.mark.parametrize(
    ("then", "after"),
    [(Then.PASS, [None, None]), (Then.LAST, ["b", "b"]), (Then.REPEAT, ["a", "b"])],
)
def test_a_rule_plays_in_order_and_then_does_what_it_says(
    then: Then, after: list[str | None]
) -> None:
    script = Script((Rule(("a", "b"), then=then),))
    assert played(script, *[HELLO] * 4)[0] == ["a", "b", *after]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (Rule(("a",)), True),
        (Rule(("a",), model="m"), True),
        (Rule(("a",), model="other"), False),
        (Rule(("a",), header=("X-Test", "a")), True),
        (Rule(("a",), header=("x-test", "b")), False),
        (Rule(("a",), text="hello"), True),
        (Rule(("a",), text="Hello"), False),
        (Rule(("a",), turn=1), True),
        (Rule(("a",), turn=2), False),
        (Rule(("a",), model="m", text="bye"), False),
        (Rule(("a",), chance=0.0), False),
    ],
)
def test_a_rule_matches_when_all_it_gives_holds(rule: Rule, holds: bool) -> None:
    assert played(Script((rule,)), HELLO)[0] == ["a" if holds else None]


@pytest.mark.parametrize(
    ("path", "line", "holds"),
    [
        (None, "POST /x", True),
        (None, "GET /x", False),
        ("/x", "POST /x", True),
        ("/x", "GET /x?a=/y", True),
        ("/x", "DELETE /x", True),
        ("/x", "GET /x/y", False),
        ("/y", "POST /x", False),
    ],
)
def test_a_rule_with_a_path_is_for_all_that_is_asked_of_it(
    path: str | None, line: str, holds: bool
) -> None:
    script = Script((Rule(("a",), path=path),))
    assert played(script, Asked(line, "", (), "", 0))[0] == ["a" if holds else None]


def test_a_script_decides_posts_and_what_its_rules_name() -> None:
    script = Script((Rule(("a",)), Rule(("b",), path="/x")))
    lines = ("POST /y", "GET /x", "HEAD /x", "GET /y")
    found = [decides(script, Asked(line, "", (), "", 0)) for line in lines]
    assert found == [True, True, False, False]


def test_the_next_rule_decides_when_one_is_through() -> None:
    script = Script((Rule(("a",), model="m"), Rule(("b", "c"))))
    assert played(script, *[HELLO] * 4)[0] == ["a", "b", "c", None]


def test_chance_is_the_seeds() -> None:
    script = Script((Rule(("a",), chance=0.5, then=Then.LAST),))
    names, _ = played(script, *[HELLO] * 200)
    assert names == played(script, *[HELLO] * 200)[0]
    assert names != played(script, *[HELLO] * 200, seed=1)[0]
    assert 70 < names.count("a") < 130


def test_what_is_unplayed_and_what_matched_nothing_is_known() -> None:
    script = Script((Rule(("a", "b"), model="m"), Rule(("c",), model="n")), strict=True)
    _, progress = played(script, HELLO, Asked("GET /y", "", (), "", 0))
    assert unplayed(script, progress) == ("rule 1: b", "rule 2: c")
    assert progress.unmatched == ("GET /y",)


def test_given_bytes_are_played_and_told_like_a_scenario() -> None:
    cut = raw(b"HTTP/1.1 200 OK\r\n", ending=Ending.RESET)
    script = Script((Rule(("a", cut, cut)),))
    names, progress = played(script, HELLO, HELLO)
    assert names == ["a", cut]
    assert unplayed(script, progress) == ("rule 1: raw 200 (17 bytes, then reset)",)


def test_a_request_is_told_by_its_body() -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": [{"type": "text", "text": "three"}, {"type": "image_url"}]},
    ]
    asked = asked_of(posted({"model": "m", "messages": messages}, **{"x-a": "b"}))
    assert (asked.model, asked.text, asked.turn) == ("m", "three", 2)
    assert ("x-a", "b") in asked.headers


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b"[" * 100_000, b'{"model": 5, "messages": [1, {"role": "user"}]}'],
)
def test_a_body_that_can_not_be_read_matches_no_model(body: bytes) -> None:
    assert asked_of(HttpRequest("POST", "/x", "1.1", (), body)).model == ""


def test_a_rule_without_anything_to_play_is_refused() -> None:
    with pytest.raises(ValueError, match="play"):
        Rule(())
    with pytest.raises(TypeError, match="play"):
        Rule((b"HTTP/1.1 200 OK\r\n\r\n",))  # type: ignore[arg-type]  # what it refuses
    with pytest.raises(ValueError, match="path"):
        Rule(("ok",), path="v1/models")


def known(name: str) -> None:
    if name not in ("ok", "429"):
        raise ValueError(f"no scenario {name}")


WHOLE = """\
strict = true

[[rule]]
path = "/v1/chat/completions"
model = "gpt-test"
header = { name = "x-test", value = "retry" }
text = "hello"
turn = 1
chance = 1
play = [
    "429",
    { ending = "reset", send = [
        "HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n", 0.5, { hex = "1f 8b" }
    ] },
    "ok",
]
then = "last"

[[rule]]
play = ["ok"]
"""


def test_a_file_is_the_same_script_as_the_data() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
    play = ("429", raw(head, 0.5, b"\x1f\x8b", ending=Ending.RESET), "ok")
    first = Rule(
        *(play, "gpt-test", ("x-test", "retry"), "hello", 1, 1.0, Then.LAST),
        path="/v1/chat/completions",
    )
    assert parse_script(WHOLE, "a.toml", known) == Script((first, Rule(("ok",))), strict=True)
    assert parse_script("rule = []", "a.toml", known) == Script()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a.toml: empty: a script has at least one [[rule]]"),
        ("# nothing yet\n", "a.toml: empty"),
        ("strict = maybe # !\n", "a.toml:1: not TOML: Invalid value: 'strict = maybe # !'"),
        ("strict = true\nrule = [\n", "a.toml:2: not TOML: Invalid value: 'rule = ['"),
        ("strict = true\n\n[[rule]", "a.toml:3: "),
        ("strict = 1", "a.toml:1: strict: expected true or false"),
        ("\nrules = []", "a.toml:2: rules: unknown key"),
        ("rule = 5", "a.toml:1: rule: expected an array of rules"),
        ("[[rule]]\n[[rule]]\nplay = []", "a.toml:1: rule 1: play: expected an array"),
        ('[[rule]]\nplay = ["ok"]\n\n[[rule]]\nplay = []', "a.toml:5: rule 2: play: expected an"),
        ('[[rule]]\nplay = ["nope"]', "a.toml:2: rule 1: play 1: no scenario nope"),
        ('[[rule]]\nplay = [\n  "ok", # ]\n  "nope",\n]', "a.toml:4: rule 1: play 2: no scenario"),
        ("[[rule]]\nplay = [5]", "a.toml:2: rule 1: play 1: expected a scenario's name, or {"),
        ("[[rule]]\nplay = [{}]", "a.toml:2: rule 1: play 1: send: expected an array"),
        (
            '[[rule]]\n[[rule.play]]\nsend = ["", -1]',
            "a.toml:3: rule 1: play 1: send 2: expected s",
        ),
        (
            '[[rule]]\n[[rule.play]]\nsend = []\n[[rule.play]]\nsend = []\nending = "x"',
            "a.toml:6: rule 1: play 2: ending: expected one of keep, close, reset, silence",
        ),
        ('[[rule]]\nplay = ["ok"]\nturn = true', "a.toml:3: rule 1: turn: expected a whole"),
        ('[[rule]]\nplay = ["ok"]\nchance = 2', "a.toml:3: rule 1: chance: expected a number"),
        ('[[rule]]\nplay = ["ok"]\nthen = "stop"', "a.toml:3: rule 1: then: expected one of pass"),
        ('[[rule]]\nplay = ["ok"]\nmodel = ""', "a.toml:3: rule 1: model: expected a string"),
        ('[[rule]]\nplay = ["ok"]\npath = "v1"', "a.toml:3: rule 1: path: expected a path that"),
        ('[[rule]]\nplay = ["ok"]\nheader = "x"', "a.toml:3: rule 1: header: expected {"),
        (
            '[[rule]]\nplay = ["ok"]\n[rule.header]\nname = 5\nvalue = "x"',
            "a.toml:3: rule 1: header: expected name",
        ),
    ],
)
def test_a_file_that_is_wrong_says_where_and_why(text: str, said: str) -> None:
    with pytest.raises(ScriptFault) as fault:
        parse_script(text, "a.toml", known)
    assert str(fault.value).startswith(said)
