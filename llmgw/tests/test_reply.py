"""One reply, judged: which code speaks when several could, and what comes out before it."""

import json
from collections.abc import Callable

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from contracts import limits
from contracts.reasons import ReasonCode as R
from llmgw.faults import GenerationFault
from llmgw.providers.port import (
    Content,
    Finished,
    ModelEvent,
    ModelNamed,
    Reasoning,
    Refusal,
    ToolCall,
    UsageReport,
)
from llmgw.reply import CitedChunks, Reply, TextOut

STOP = Finished("stop")
URL = "https://example.org/faq"


def a_reply(
    *,
    citations_required: bool = True,
    prompt_chars: int = 1_600,
    answer_max_chars: int | None = None,
) -> Reply:
    return Reply(
        alias_count=3,
        citations_required=citations_required,
        allowed_urls=[URL],
        allowed_texts=["Read more at https://example.org/more today."],
        prompt_chars=prompt_chars,
        answer_max_chars=answer_max_chars,
    )


def cited(*aliases: str, answer: str) -> Content:
    citations = [{"chunk_id": alias} for alias in aliases]
    return Content(json.dumps({"citations": citations, "answer": answer}))


def answer_first(*aliases: str, answer: str) -> Content:
    citations = [{"chunk_id": alias} for alias in aliases]
    return Content(json.dumps({"answer": answer, "citations": citations}))


GOOD = cited("c2", "c1", answer="It is so. [c1]")
CUT = Content(GOOD.text[:-2])


@frozen
class Verdict:
    """What came of a reply: the code that ended it, or None; what was cited, and what was shown."""

    code: R | None
    aliases: tuple[str, ...]
    text: str


def judged(reply: Reply, events: list[ModelEvent]) -> Verdict:
    """Feed and close, holding the reply to the order of what may come out."""
    out: list[CitedChunks | TextOut] = []
    code = None
    try:
        for event in events:
            out.extend(reply.feed(event))
        out.extend(reply.close())
    except GenerationFault as fault:
        code = fault.code
    assert not any(isinstance(item, CitedChunks) for item in out[1:]), "citations are first"
    texts = [item.text for item in out if isinstance(item, TextOut)]
    assert all(texts), "no text is empty"
    first = out[0] if out else None
    return Verdict(code, first.aliases if isinstance(first, CitedChunks) else (), "".join(texts))


def in_characters(events: list[ModelEvent]) -> list[ModelEvent]:
    pieces: list[ModelEvent] = []
    for event in events:
        pieces.extend(map(Content, event.text) if isinstance(event, Content) else [event])
    return pieces


@pytest.mark.parametrize(
    "events",
    [
        [GOOD, STOP],
        [ModelNamed("m"), Reasoning(), GOOD, STOP, UsageReport(100, 9)],
        [GOOD, STOP, UsageReport(0, 0)],
        [UsageReport(1, 1), GOOD, STOP, UsageReport(100, 9)],
        [answer_first("c2", "c1", answer="It is so. [c1]"), STOP],
    ],
)
def test_answer_given_when_reply_is_whole(events: list[ModelEvent]) -> None:
    expected = Verdict(None, ("c2", "c1"), "It is so. [c1]")
    assert judged(a_reply(), events) == expected
    assert judged(a_reply(), in_characters(events)) == expected


# Each row holds every fault that may stand behind its own in the order of CONTRACT §4.
CODES: list[tuple[R, list[ModelEvent]]] = [
    (R.OUTPUT_MALFORMED_JSON, [Content('{"answer": yes'), ToolCall(), Finished("length")]),
    (R.CITATIONS_INVALID, [cited("c4", answer="x"), Refusal(), Finished("length")]),
    (R.MODEL_ABSTAINED, [cited("c0", answer="No."), Finished("length")]),
    (R.CITATIONS_UNKNOWN_MARKER, [cited("c1", answer="It is. [c2]"), Finished("length")]),
    (R.CITATIONS_UNKNOWN_MARKER, [cited("c1", answer="[c9] ![x](y)"), Finished("length")]),
    (R.OUTPUT_BLOCKED_CONTENT, [cited("c1", answer="![x](y) [c9]"), Finished("length")]),
    (R.OUTPUT_BLOCKED_CONTENT, [cited("c1", answer="See https://evil.example"), CUT, STOP]),
    (R.OUTPUT_BLOCKED_CONTENT, [Content(GOOD.text.replace("[c1]", "<img> ") + "{}"), STOP]),
    (R.OUTPUT_INVALID_UNICODE, [CUT, Content("\ud83d"), Content("\ude00"), ToolCall()]),
    (R.OUTPUT_AMBIGUOUS, [GOOD, GOOD, Finished("length")]),
    (R.PROVIDER_INVALID_SHAPE, [CUT, STOP, Content("x")]),
    (R.PROVIDER_INVALID_SHAPE, [CUT, STOP, Finished("length")]),
    (R.OUTPUT_TRUNCATED, [GOOD, Finished("length")]),
    (R.OUTPUT_TRUNCATED, [CUT, ToolCall(), Refusal(), Finished("length"), UsageReport(1, 1)]),
    (R.OUTPUT_TRUNCATED, [Finished("length")]),
    (R.OUTPUT_CONTENT_FILTER, [Refusal(), Finished("content_filter")]),
    (R.OUTPUT_TOOL_CALL, [ToolCall(), Finished("tool_calls")]),
    (R.OUTPUT_TOOL_CALL, [GOOD, Refusal(), Finished("function_call")]),
    (R.PROVIDER_INVALID_SHAPE, [GOOD, ToolCall(), Finished("weary")]),
    (R.PROVIDER_NO_FINISH, []),
    (R.PROVIDER_NO_FINISH, [GOOD, UsageReport(1, 1)]),
    (R.PROVIDER_NO_FINISH, [CUT, Refusal()]),
    (R.OUTPUT_TOOL_CALL, [GOOD, Refusal(), ToolCall(), STOP, UsageReport(1, 1)]),
    (R.OUTPUT_REFUSAL, [Reasoning(), Refusal(), STOP]),
    (R.OUTPUT_REFUSAL, [CUT, Refusal(), STOP]),
    (R.OUTPUT_ONLY_REASONING, [Reasoning(), Content(" \n"), STOP, UsageReport(1, 1)]),
    (R.OUTPUT_EMPTY, [STOP, UsageReport(1, 1)]),
    (R.OUTPUT_EMPTY, [Content(" \n"), STOP]),
    (R.OUTPUT_NOT_JSON, [Reasoning(), Content("Yes."), STOP, UsageReport(1, 1)]),
    (R.OUTPUT_INCOMPLETE_JSON, [CUT, STOP, UsageReport(1, 1)]),
    (R.OUTPUT_ANSWER_MISSING, [Content('{"citations": [{"chunk_id": "c1"}]}'), STOP]),
    (R.CITATIONS_MISSING, [Content('{"answer": "It is so."}'), STOP, UsageReport(1, 1)]),
    (R.PROVIDER_PROMPT_TRUNCATED, [GOOD, STOP, UsageReport(99, 9)]),
    (R.PROVIDER_PROMPT_TRUNCATED, [UsageReport(1, 1), GOOD, STOP]),
]


@pytest.mark.parametrize(
    ("code", "events"),
    [
        pytest.param(code, events, id=f"{number}-{code}")
        for number, (code, events) in enumerate(CODES)
    ],
)
def test_first_cause_given_when_several_stand(code: R, events: list[ModelEvent]) -> None:
    assert judged(a_reply(), events).code is code
    assert judged(a_reply(), in_characters(events)).code is code


def test_fault_raised_at_once_when_bytes_show_it() -> None:
    reply = a_reply()
    reply.feed(Content('{"citations": [{"chunk_id": "c1"}], "answer": "As said in [c3'))
    with pytest.raises(GenerationFault, match=R.CITATIONS_UNKNOWN_MARKER):
        reply.feed(Content("]"))


def test_text_out_when_citations_are_proved() -> None:
    reply = a_reply()
    assert reply.feed(Content('{"citations": [{"chunk_id": "c1"}')) == []
    assert reply.feed(Content('], "answer": "')) == [CitedChunks(("c1",))]
    shown = reply.feed(Content("It is so, "))
    shown += reply.feed(Content("and so it is."))
    shown += reply.feed(Content('"}'))
    assert "".join(item.text for item in shown if isinstance(item, TextOut)) == (
        "It is so, and so it is."
    )
    assert reply.feed(STOP) == []
    assert reply.close() == []


def test_one_text_out_when_answer_comes_in_one_event() -> None:
    reply = a_reply()
    out = reply.feed(answer_first("c1", answer='Say "so"\n, [c1] and go.'))
    assert out == [CitedChunks(("c1",)), TextOut('Say "so"\n, [c1] and go.')]


@pytest.mark.parametrize("order", [cited, answer_first])
@pytest.mark.parametrize(
    ("most", "code"), [(None, None), (10, None), (11, R.OUTPUT_TOO_LONG), (12, None)]
)
def test_answer_taken_for_cut_when_it_is_as_long_as_the_schema_allows(
    most: int | None, code: R | None, order: Callable[..., Content]
) -> None:
    pieces = [Content(char) for char in order("c1", answer='It "is" so.').text]
    verdict = judged(a_reply(answer_max_chars=most), [*pieces, STOP])
    assert verdict.code is code
    assert code or verdict.text == 'It "is" so.'


def test_server_facts_kept_when_reply_fails() -> None:
    reply = a_reply()
    events: list[ModelEvent] = [ModelNamed("llama"), UsageReport(500, 7), CUT, STOP]
    assert judged(reply, events).code is R.OUTPUT_INCOMPLETE_JSON
    assert (reply.model, reply.usage) == ("llama", UsageReport(500, 7))
    assert (a_reply().model, a_reply().usage) == (None, None)


@pytest.mark.parametrize(
    ("tokens", "chars", "code"),
    [
        (0, 100_000, None),
        (1, 16, None),
        (1, 17, R.PROVIDER_PROMPT_TRUNCATED),
        (100, 1_600, None),
        (100, 1_601, R.PROVIDER_PROMPT_TRUNCATED),
    ],
)
def test_prompt_taken_for_cut_when_usage_is_too_small(
    tokens: int, chars: int, code: R | None
) -> None:
    events: list[ModelEvent] = [GOOD, STOP, UsageReport(tokens, 1)]
    assert judged(a_reply(prompt_chars=chars), events).code is code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("It is so.", None),
        (' {"answer": "so"} ', None),
        (f"See {URL} or https://example.org/more", None),
        ("x" * limits.ANSWER_MAX_CHARS, None),
        ("x" * (limits.ANSWER_MAX_CHARS + 1), R.OUTPUT_TOO_LONG),
        ("It is so. [c1]", R.CITATIONS_UNKNOWN_MARKER),
        ("See https://evil.example", R.OUTPUT_BLOCKED_CONTENT),
        (" \n", R.OUTPUT_EMPTY),
        ("a\x00", R.OUTPUT_INVALID_UNICODE),
    ],
)
def test_plain_text_guarded_when_no_citations_are_required(text: str, code: R | None) -> None:
    whole: list[ModelEvent] = [Content(text), STOP]
    for events in (whole, in_characters(whole)):
        seen = judged(a_reply(citations_required=False), events)
        assert seen.code is code
        assert seen.aliases == ()
        assert text.startswith(seen.text)
        assert code or seen.text == text


@pytest.mark.parametrize(
    ("code", "events"),
    [
        (R.OUTPUT_TRUNCATED, [Content("See https://evil.example"), Finished("length")]),
        (R.OUTPUT_BLOCKED_CONTENT, [Content("https://evil.example"), STOP, UsageReport(1, 1)]),
        (R.OUTPUT_ONLY_REASONING, [Reasoning(), STOP]),
        (R.OUTPUT_ONLY_REASONING, [Content("<think>It is"), STOP, UsageReport(1, 1)]),
        (R.OUTPUT_TRUNCATED, [Content("<think>It is"), Finished("length")]),
        (R.OUTPUT_TOOL_CALL, [Content("<think>It is"), ToolCall(), STOP]),
        (R.OUTPUT_EMPTY, [STOP]),
        (R.PROVIDER_NO_FINISH, []),
        (R.PROVIDER_PROMPT_TRUNCATED, [Content("so"), STOP, UsageReport(1, 1)]),
    ],
)
def test_same_order_of_codes_when_no_citations_are_required(
    code: R, events: list[ModelEvent]
) -> None:
    assert judged(a_reply(citations_required=False), events).code is code


def test_nothing_shown_when_plain_text_is_blank_so_far() -> None:
    reply = a_reply(citations_required=False)
    assert reply.feed(Content("\n ")) == []
    out = reply.feed(Content("so it is")) + reply.feed(STOP) + reply.close()
    assert "".join(item.text for item in out if isinstance(item, TextOut)) == "\n so it is"


# Properties.

ANSWERS = st.lists(
    st.sampled_from(
        [
            *("It is so. ", "[c1]", "[c2]", "[c9]", "[", "]", "c1", "<", "<b>", "!", "(", ")"),
            *("https://", "example.org/faq", "evil.example", " ", "\n", '"', "\\", "{", "}", "é😀"),
        ]
    ),
    max_size=8,
).map("".join)
AN_END: st.SearchStrategy[ModelEvent] = st.sampled_from(
    [STOP, STOP, Finished("length"), Refusal(), ToolCall(), Reasoning(), UsageReport(1, 1)]
)


@st.composite
def whole_replies(draw: st.DrawFn) -> list[ModelEvent]:
    """Content in one piece, then whatever ends it."""
    make = draw(st.sampled_from([cited, answer_first]))
    aliases = draw(st.lists(st.sampled_from(["c1", "c2", "c3", "c1", "c4", "c0"]), max_size=3))
    text = make(*aliases, answer=draw(ANSWERS)).text
    text = draw(st.sampled_from(["", "So: "])) + text + draw(st.sampled_from(["", "", " {}", "\n"]))
    return [Content(text), *draw(st.lists(AN_END, max_size=3))]


@given(whole_replies(), st.data())
def test_verdict_same_when_content_is_cut_anywhere(
    events: list[ModelEvent], data: st.DataObject
) -> None:
    first = events[0]
    assert isinstance(first, Content)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(first.text) - 1), max_size=8)))
    pieces = [first.text[a:b] for a, b in zip([0, *cuts], [*cuts, len(first.text)], strict=True)]
    whole = judged(a_reply(), events)
    cut = judged(a_reply(), [*map(Content, pieces), *events[1:]])
    assert cut.code is whole.code
    assert cut.text.startswith(whole.text), "a finer cut shows no less"
    if whole.code is None:
        assert cut == whole


@given(whole_replies())
def test_only_proved_citations_come_out_when_anything_is_sent(events: list[ModelEvent]) -> None:
    seen = judged(a_reply(), in_characters(events))
    assert set(seen.aliases) <= {"c1", "c2", "c3"}
    assert seen.aliases or not seen.text
    if seen.code is None:
        assert STOP in events
        assert seen.text.strip()
        assert "[c9]" not in seen.text
