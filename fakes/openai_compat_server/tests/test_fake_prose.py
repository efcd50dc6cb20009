"""Goal: what is quoted reads as prose and carries nothing that a guard would stop.

Method: passages in, sentences out.
"""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server.prose import SENTENCE_CHARS_MAX, sentences


def texts(passage: str) -> list[str]:
    return [sentence.text for sentence in sentences(passage)]


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        ("One thing. Another thing! A third?", ["One thing.", "Another thing!", "A third?"]),
        ("Use it, e.g. Today. Then stop.", ["Use it, e.g. Today.", "Then stop."]),
        ("版本是多少。再试一次！", ["版本是多少。", "再试一次！"]),
        ("설치합니다. 그런 다음 실행합니다.", ["설치합니다.", "그런 다음 실행합니다."]),
        ("two\nlines of one\n\nanother", ["two lines of one", "another"]),
        ("- first item\n- second item", ["first item", "second item"]),
        ("Run it:\n\n```sh\nmake run\n```\n", ["Run it: `make run`"]),
        ("Run these:\n\n```sh\na b\nc\n```\n", ["Run these: `a b`; `c`"]),
        ("Run these:\n\n```\na\nb\nc\n```\nThen stop.", ["Run these:", "Then stop."]),
        ("Do it by running\n\n```\na\nb\nc\n```\n", ["Do it by running:"]),
        (
            "Run\n```\nmake x\n```\nand\n```\nmake y\n```\nto end.",
            ["Run `make x` and `make y` to end."],
        ),
        ("- Run:\n  ```sh\n  make x\n  ```\n- Rest.", ["Run: `make x`", "Rest."]),
        ("- ```\n  make x\n  ```\n- Rest.", ["Rest."]),
        ("Do:\n- `dpkg -S foo`\n  This searches.", ["Do: `dpkg -S foo`", "This searches."]),
        ("- `dpkg -S foo`\n  It searches.\n- Rest.", ["`dpkg -S foo`: It searches.", "Rest."]),
        ("The files are:\n\npreinst\n\nIt runs.", ["The files are:", "preinst", "It runs."]),
        (f"Two:\n- one.\n- {'two ' * 60}", ["Two: one; …", "two " * 59 + "two"]),
        ("Run the command\n\n```\nmake run\n```\n", ["Run the command `make run`"]),
        ("There are two:\n- one.\n- two.", ["There are two: one; two"]),
        ("```\ncode that nothing announces\n```\nText.", ["Text."]),
        ("|code|what to do|\n|---|---|\n|`A_B`|Wait.|", ["`A_B`: Wait."]),
        ("> quoted words", ["quoted words"]),
        ("See [the page](https://x.org/a) first.", ["See the page first."]),
        ("![logo](x.png) Words stay.", ["Words stay."]),
        ("Read it (https://x.org/a?b=c), then go on.", ["Read it, then go on."]),
        ("Fetch it from https://x.org/a.", ["Fetch it."]),
        ("<p>A <b>bold</b> word.</p>", ["A bold word."]),
        ("Type <package> here &amp; there.", ["Type <package> here & there."]),
        ("A **strong** and *weak* snake_case_name.", ["A strong and weak snake_case_name."]),
        ("Run `dpkg -S <file> # *all*` now.", ["Run `dpkg -S <file> # *all*` now."]),
        ("Open `http://127.0.0.1:8088/` now.", ["Open `http://127.0.0.1:8088/` now."]),
        ("As said [c1] and [C2, c3] and 【c4】.", ["As said (c1) and (C2, c3) and (c4)."]),
        ("In code `[c1]` too.", ["In code `(c1)` too."]),
        ("Keep `<b>` and `![x](y)` harmless.", ["Keep `b` and `! [x] (y)` harmless."]),
        ("An unclosed <img src=x", ["An unclosed img src=x"]),
        ("odd &#xe000;99&#xe001; characters\x00 go", ["odd 99 characters go"]),
    ],
)
def test_a_passage_reads_as_prose_when_it_held_furniture(passage: str, expected: list[str]) -> None:
    assert texts(passage) == expected


def test_sentences_know_their_heading_when_headings_stand_between() -> None:
    found = sentences("Before.\n\n## Setting *up*\n\nDo this.\n### Going on\nDo that.")
    assert [(s.text, s.heading) for s in found] == [
        ("Before.", ""),
        ("Do this.", "Setting up"),
        ("Do that.", "Going on"),
    ]


def test_a_sentence_is_cut_at_a_word_when_it_never_ends() -> None:
    (text,) = texts("word " * 400)
    assert len(text) <= SENTENCE_CHARS_MAX + 2
    assert text.endswith("word …")


# Pieces that could combine into what must not come out.
_PIECES = st.sampled_from(
    (
        *("[", "]", "c1", "[c2]", "![", "](", ")", "<", ">", "<img ", "</b>", "`", "``", "```"),
        *("https://x.org", "word", ".", "|", "#", "-", ":", "&lt;", "b", "*", "_", "。", "\n", " "),
        *("ht", "tps://x.org", "img", "/", "www.x.org", "(y)", "!", "`<b>`", "`[x](y)`"),
    )
)


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_nothing_forbidden_survives_when_furniture_is_broken(passage: str) -> None:
    for text in texts(passage):
        assert not re.search(r"\[\s*c\d", text)
        assert not re.search(r"!\[|\]\(", text)
        assert not re.search(r"</?(img|b)(?![\w-])", text)


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "`",
        "<",
        "*",
        "![",
        "https://",
        "(",
        "_a",
        "|",
        "<b ",
        "a:\n- ",
        "</",
        "<<b",
        "[c1,",
        "!",
        "\n#",
        "* ",
    ],
)
def test_time_stays_linear_when_a_passage_is_hostile(piece: str) -> None:
    began = time.process_time()
    sentences(piece * (32_000 // len(piece)))
    assert time.process_time() - began < 6
