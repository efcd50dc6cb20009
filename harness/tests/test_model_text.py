"""Goal: what a model server wrote is read out of its bytes, whatever is wrong with them.

Method: the fake's own responses, in every dialect and every scenario in which text is legal, held
against what its persona was asked to say; cut at random; and strings with every kind of escape.
"""

import json
import re
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.scenario import Face
from fakes.openai_compat_server.tests.fake_client import chat, framed, posted
from harness.model_text import Written, answers_in, quotes, shown_of, written
from harness.wire_log import Piece

TEXT: Final = 'Say "ä" & <b>二</b>\u2028\n😀'
LEGAL: Final = tuple(
    row.name
    for row in CATALOGUE.values()
    if row.face is Face.ANSWER and "ok" in (row.ends.streaming, row.ends.plain)
)
# Whose text is another than the persona's, and drawn anew for each request.
OTHER_TEXT: Final = tuple(
    name for name in LEGAL if name.startswith("content-") or name in ("line-separator",)
)
AS_USUAL: Final = tuple(name for name in LEGAL if name not in (*OTHER_TEXT, "utf8-split"))
CONTENT: Final = re.compile(rb'"content":\s*("(?:[^"\\]|\\.)*")')
MODES = pytest.mark.parametrize("stream", [True, False], ids=["streaming", "plain"])


def sent(body: dict[str, object], persona: str, dialect: str) -> list[Piece]:
    """A response, as its steps come."""
    plan = plan_response(Behaviour(persona=persona, dialect=DIALECTS[dialect]), posted(body))
    at, pieces = 0.0, []
    for step in plan.steps:
        at += step.delay_s
        pieces += [Piece(at, step.data)] if step.data else []
    return pieces


def ends_well(scenario: str, stream: bool) -> bool:
    return not scenario or CATALOGUE[scenario].ends.of(stream) == "ok"


@MODES
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("scenario", ["", *AS_USUAL])
def test_text_is_what_the_persona_said(scenario: str, dialect: str, stream: bool) -> None:
    body = chat(TEXT, model=f"fake:{scenario}" if scenario else "m", stream=stream)
    found = written(sent(body, "echo", dialect))
    if ends_well(scenario, stream):
        assert found == Written(found.pieces, ("stop",))
        assert found.text == TEXT


@MODES
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("scenario", OTHER_TEXT)
def test_text_is_all_content_that_stands_in_the_bytes(
    scenario: str, dialect: str, stream: bool
) -> None:
    asked = framed("How do I wind the lamp?", "To wind the lamp, turn the key.", "Keys are cold.")
    pieces = sent(chat(asked, model=f"fake:{scenario}", stream=stream), "extractive", dialect)
    contents = CONTENT.findall(b"".join(piece.data for piece in pieces))
    found = written(pieces)
    assert found.text == "".join(json.loads(content) for content in contents)
    assert found.text
    assert stream or len(found.pieces) == 1


@MODES
@pytest.mark.parametrize("dialect", DIALECTS)
def test_characters_cut_in_two_are_whole_again(dialect: str, stream: bool) -> None:
    """The scenario adds some of many bytes, and cuts within each."""
    found = written(sent(chat(TEXT, model="fake:utf8-split", stream=stream), "echo", dialect))
    assert "\ufffd" not in found.text
    assert set(TEXT) < set(found.text)


@given(
    st.data(),
    st.sampled_from(("", "multi-line-data", "crlf-lines", "cr-lines", "bom", "byte-writes")),
    st.sampled_from(tuple(DIALECTS)),
)
def test_how_the_bytes_came_does_not_matter(
    data: st.DataObject, scenario: str, dialect: str
) -> None:
    body = chat(TEXT, model=f"fake:{scenario}" if scenario else "m", stream=True)
    bytes_sent = b"".join(piece.data for piece in sent(body, "echo", dialect))
    cuts = data.draw(st.sets(st.integers(1, len(bytes_sent) - 1), max_size=20))
    edges = [0, *sorted(cuts), len(bytes_sent)]
    pieces = [Piece(float(at), bytes_sent[a:b]) for at, (a, b) in enumerate(pairwise(edges))]
    found = written(pieces)
    assert (found.text, found.finish_reasons) == (TEXT, ("stop",))
    assert [at for at, _ in found.pieces] == sorted(at for at, _ in found.pieces)


@given(st.integers(0, 4000), st.sampled_from(("", "reset-mid-stream", "long-content-length")))
def test_what_was_cut_off_says_the_beginning(size: int, scenario: str) -> None:
    body = chat(TEXT * 3, model=f"fake:{scenario}" if scenario else "m", stream=True)
    bytes_sent = b"".join(piece.data for piece in sent(body, "echo", "openai"))
    assert (TEXT * 3).startswith(written([Piece(0.0, bytes_sent[:size])] if size else []).text)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
def test_no_bytes_at_all_make_it_fail(pieces: list[bytes]) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    written([Piece(0.0, data) for data in pieces])
    written([Piece(0.0, data) for data in (head, *pieces)])


@pytest.mark.parametrize(
    "payload",
    ["7", "[]", "{}", '{"choices": 7}', '{"choices": [7]}', '{"choices": [{"delta": 7}]}',
     '{"choices": [{"delta": {"content": 7}}]}',
     '{"choices": [{"index": 1, "delta": {"content": "x"}}]}',
     '{"choices": [{"index": [], "message": []}]}', '{"choices": [{"finish_reason": 7}]}'],
)  # fmt: skip
def test_what_is_no_text_says_nothing(payload: str) -> None:
    data = f"data: {payload}\n\n".encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    assert written([Piece(0.0, head), Piece(0.0, data)]) == Written((), ())
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    assert written([Piece(0.0, plain % len(payload) + payload.encode())]) == Written((), ())


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "raw"])
@given(answer=st.text(max_size=12), size=st.integers(0, 12))
def test_any_beginning_of_an_answer_is_of_it(ascii_only: bool, answer: str, size: int) -> None:
    text = json.dumps({"citations": [], "answer": answer}, ensure_ascii=ascii_only)
    assert shown_of(text, answer[:size], whole=False)
    assert shown_of(text, answer, whole=True)
    assert not shown_of(text, answer + "x", whole=False)
    assert shown_of(text, answer[:size], whole=True) is (answer[:size] == answer)
    assert list(answers_in(text)) == [(answer, True)]


@given(answer=st.text(max_size=12), cut=st.integers(0, 80))
def test_partial_answer_says_what_there_is_of_it(answer: str, cut: int) -> None:
    text = json.dumps({"answer": answer})[:cut]
    for said, closed in answers_in(text):
        assert closed is (len(text) >= len(json.dumps({"answer": answer})) - 1)
        assert answer.startswith(said.rstrip("\ufffd"))  # half of a pair is no character yet


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"answer": "one"', "answer"),
        ('{"citations": [{"chunk_id": "c1"}], "answer": "one"}', "c1"),
        ('{"answer": "say \\"hello\\" twice"}', "hello"),
        ('{"answer": one}', "one"),
        ("one", "one"),
    ],
)
def test_what_is_no_answer_is_not_shown(text: str, shown: str) -> None:
    assert not shown_of(text, shown, whole=False)


def test_any_of_several_answers_counts() -> None:
    text = '<think>{"answer": "a draft"}</think>{"answer" : "the one"}'
    assert [said for said, _ in answers_in(text)] == ["a draft", "the one"]
    assert shown_of(text, "the one", whole=True)


@given(word=st.text(min_size=1, max_size=6), ascii_only=st.booleans())
def test_word_is_quoted_however_it_is_escaped(word: str, ascii_only: bool) -> None:
    text = json.dumps({"a": [word]}, ensure_ascii=ascii_only)
    assert quotes(text, word)
    assert not quotes(text, word + "x" * 9)


def test_escaped_letters_are_the_letters() -> None:
    assert quotes('{"chunk_id": "\\u0063\\u0031"}', "c1")
    assert not quotes('{"chunk_id": "c10"}', "c1")
    assert not quotes('{"answer": "of c1"}', "c1")
    assert not quotes('{"chunk_id": "c1', "c1")
