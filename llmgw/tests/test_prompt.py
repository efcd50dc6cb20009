"""The prompt: what the model is shown, and what can not be smuggled into it."""

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import framing, limits
from contracts.reasons import ReasonCode as R
from llmgw.faults import GenerationFault
from llmgw.prompt import Prompt, PromptChunk, aliases, answer_max_chars, build, reply_schema
from llmgw.prompt_budget import Budget
from llmgw.providers.port import PromptMessage
from llmgw.tests.hostile_text import HOSTILE
from llmgw.untrusted import neutralised, readable

BOUNDARY = "0123456789abcdef"
BUDGET = Budget(prompt_tokens=7_000, chunk_tokens=2_000)
QUESTION = PromptMessage("user", "How do I install a package?")
CHUNKS = (
    PromptChunk("Installing\npackages", "Use apt install."),
    PromptChunk("", "See dpkg -i."),
)


def prompt(
    *conversation: PromptMessage,
    chunks: tuple[PromptChunk, ...] = CHUNKS,
    citations_required: bool = True,
) -> tuple[PromptMessage, ...]:
    return budgeted(*conversation, chunks=chunks, citations_required=citations_required).messages


def budgeted(
    *conversation: PromptMessage,
    chunks: tuple[PromptChunk, ...] = CHUNKS,
    citations_required: bool = True,
    budget: Budget = BUDGET,
) -> Prompt:
    return build(
        conversation,
        chunks,
        boundary=BOUNDARY,
        citations_required=citations_required,
        budget=budget,
    )


def test_last_message_is_framed_when_there_are_chunks() -> None:
    system, asked = prompt(QUESTION)
    assert system.role == "system"
    assert asked.role == "user"
    assert framing.parse(asked.content) == framing.Framed(
        (
            framing.FramedChunk("c1", "Installing packages", "Use apt install."),
            framing.FramedChunk("c2", "", "See dpkg -i."),
        ),
        "How do I install a package?",
    )


def test_roles_are_kept_when_there_is_a_conversation() -> None:
    built = prompt(
        PromptMessage("system", "You work for Debian."),
        PromptMessage("user", "Hello"),
        PromptMessage("assistant", "Hello. Packages are archives. [c3]"),
        PromptMessage("system", "Now be formal."),
        QUESTION,
    )
    assert [m.role for m in built] == ["system", "user", "assistant", "system", "user"]
    assert built[0].content.endswith("\n\nYou work for Debian.")
    assert built[1].content == "Hello"
    assert built[2].content == "Hello. Packages are archives. (c3)", "c3 was another request's"
    assert built[3].content == "Now be formal."


def test_instructions_fit_what_is_asked() -> None:
    cited = prompt(QUESTION)[0].content
    framed = prompt(QUESTION, citations_required=False)[0].content
    bare = prompt(QUESTION, chunks=(), citations_required=False)
    assert '"citations"' in cited
    assert '"chunk_id": "c0"' in cited
    assert "citations" not in framed
    assert "sources" in framed
    assert "sources" not in bare[0].content
    assert bare[1] == QUESTION


@pytest.mark.parametrize(
    "conversation",
    [(), (PromptMessage("system", "x"),), (QUESTION, PromptMessage("assistant", "x"))],
)
def test_build_refuses_when_no_question_ends_the_conversation(
    conversation: tuple[PromptMessage, ...],
) -> None:
    with pytest.raises(ValueError, match="question"):
        prompt(*conversation)


def test_build_refuses_when_the_boundary_occurs_in_a_chunk() -> None:
    with pytest.raises(ValueError, match="boundary"):
        prompt(QUESTION, chunks=(PromptChunk("", f"x{BOUNDARY}x"),))


@given(
    chunks=st.lists(st.builds(PromptChunk, HOSTILE, HOSTILE), min_size=1, max_size=4),
    question=HOSTILE,
)
def test_every_chunk_is_found_again_when_texts_are_hostile(
    chunks: list[PromptChunk], question: str
) -> None:
    built = prompt(PromptMessage("user", question), chunks=tuple(chunks))
    framed = framing.parse(built[-1].content)
    assert [c.alias for c in framed.chunks] == list(aliases(len(chunks)))
    assert [c.content for c in framed.chunks] == [neutralised(c.content) for c in chunks]
    assert framed.question == readable(question)


def citing(*aliases: str, most: int) -> object:
    item = {
        "type": "object",
        "properties": {"chunk_id": {"type": "string", "enum": [*aliases]}},
        "required": ["chunk_id"],
        "additionalProperties": False,
    }
    return {"type": "array", "items": item, "minItems": 1, "maxItems": most}


def test_schema_lists_the_aliases_or_none_and_puts_citations_first() -> None:
    schema = reply_schema(2)
    either = [citing("c1", "c2", most=limits.CITATIONS_MAX), citing("c0", most=1)]
    assert schema == {
        "type": "object",
        "properties": {"citations": {"anyOf": either}, "answer": {"type": "string"}},
        "required": ["citations", "answer"],
        "additionalProperties": False,
    }
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["citations", "answer"]


def test_longest_answer_is_read_back_from_the_schema() -> None:
    assert answer_max_chars(reply_schema(2, 300)) == 300
    assert answer_max_chars(reply_schema(2)) is None
    assert answer_max_chars(None) is None


def test_aliases_are_those_of_the_passages_shown_when_some_are_left_out() -> None:
    chunks = tuple(PromptChunk(f"T{n}", "word " * 300) for n in range(1, 9))
    made = budgeted(QUESTION, chunks=chunks, budget=Budget(2_500, 400))
    framed = framing.parse(made.messages[-1].content)
    assert 1 < made.alias_count < 8
    assert [c.title for c in framed.chunks] == [f"T{n}" for n in range(1, made.alias_count + 1)]
    assert [c.alias for c in framed.chunks] == list(aliases(made.alias_count))
    assert all(c.content.endswith(" …") for c in framed.chunks)
    assert made.left_out == f"8 passages shortened, {8 - made.alias_count} passages left out"
    made.must_fit()


def test_prompt_must_not_go_out_when_the_question_alone_is_too_long() -> None:
    made = budgeted(PromptMessage("user", "why " * 1_000), budget=Budget(1_000, 400))
    assert (made.alias_count, made.left_out) == (1, "1 passages left out")
    with pytest.raises(GenerationFault, match=R.PROVIDER_CONTEXT_OVERFLOW):
        made.must_fit()


def test_nothing_is_left_out_when_all_fits() -> None:
    made = budgeted(QUESTION)
    assert (made.alias_count, made.left_out) == (2, "")
    made.must_fit()


def test_prompt_is_of_the_version_that_is_kept_with_answers() -> None:
    """A prompt that is changed in any way is of another version: count it up, and write it here."""
    written = [
        message.content
        for cited, chunks in ((True, CHUNKS), (False, CHUNKS), (False, ()))
        for message in prompt(QUESTION, chunks=chunks, citations_required=cited)
    ]
    schema = json.dumps(reply_schema(2))
    digest = sha256("\0".join([*written, schema]).encode()).hexdigest()[:16]
    assert (framing.PROMPT_VERSION, digest) == ("2", "6ae4ebee8fcf71e7")
