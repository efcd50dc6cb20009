"""The toy provider: no server, the port's events, quotes from the frame or an honest no."""

import json

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from llmgw.prompt import PromptChunk, build, reply_schema
from llmgw.prompt_budget import Budget
from llmgw.providers.port import (
    Content,
    Finished,
    ModelCall,
    ModelEvent,
    ModelNamed,
    PromptMessage,
    Provider,
    UsageReport,
)
from llmgw.providers.toy import Toy, reply

CHUNKS = (
    PromptChunk("Kernel", "# Kernel\n\nThe kernel is Linux. It is updated often."),
    PromptChunk(
        "Packages",
        "Packages are archives.\n\nTo install a package, run apt. It asks you first. More.",
    ),
    PromptChunk("패키지", "패키지를 설치하려면 apt를 쓰세요. 다음 문장."),
)


def call_for(question: str, chunks: tuple[PromptChunk, ...] = CHUNKS) -> ModelCall:
    asked = build(
        [PromptMessage("user", question)],
        chunks,
        boundary="0" * 16,
        citations_required=True,
        budget=Budget(prompt_tokens=7_000, chunk_tokens=2_000),
    )
    return ModelCall(
        "toy-1", asked.messages, 512, 0.2, stream=True, schema=reply_schema(len(chunks))
    )


def text_of(call: ModelCall) -> str:
    return "".join(event.text for event in reply(call) if isinstance(event, Content))


def answered(question: str, chunks: tuple[PromptChunk, ...] = CHUNKS) -> tuple[str, str]:
    root = json.loads(text_of(call_for(question, chunks)))
    assert list(root) == ["citations", "answer"]
    [citation] = root["citations"]
    return citation["chunk_id"], root["answer"]


def test_best_sentence_is_quoted_when_a_chunk_fits() -> None:
    assert answered("How can I install packages?") == (
        "c2",
        "To install a package, run apt. It asks you first. [c2]",
    )
    assert answered("What about the kernel?")[0] == "c1"
    assert answered("패키지 설치")[0] == "c3"


@pytest.mark.parametrize("question", ["Who won the cup?", "What is it?", "?", "<<<"])
def test_it_abstains_when_no_content_word_occurs(question: str) -> None:
    assert answered(question)[0] == "c0"


def test_quote_holds_nothing_the_guard_would_stop() -> None:
    content = (
        "![logo](http://x/y.png) Install <b>dpkg</b> from [the site](https://e.org/a_(b)) "
        "or <https://e.org> now [c2]."
    )
    alias, said = answered("dpkg?", (PromptChunk("", content),))
    assert alias == "c1"
    assert said.startswith("Install ‹b›dpkg‹/b› from the site")
    body = said.removesuffix(" [c1]")
    assert not any(mark in body for mark in ("<", "[", "](", "://", "www."))


def test_next_chunk_is_quoted_when_the_best_has_only_pictures() -> None:
    chunks = (PromptChunk("dpkg dpkg-deb", "![dpkg](x.png)"), PromptChunk("", "Use dpkg."))
    assert answered("dpkg and dpkg-deb?", chunks) == ("c2", "Use dpkg. [c2]")


def test_quote_is_cut_when_a_sentence_is_long() -> None:
    _, said = answered("dpkg?", (PromptChunk("", "dpkg " * 1_000),))
    assert len(said) <= 400 + len(" [c1]")


def test_reply_is_text_when_no_schema_is_asked() -> None:
    call = evolve(call_for("How to install a package?"), schema=None)
    assert text_of(call) == "To install a package, run apt. It asks you first."


def test_reply_is_an_honest_no_when_the_prompt_has_no_frame() -> None:
    call = ModelCall("toy-1", (PromptMessage("user", "Hi"),), 512, 0.2, stream=True, schema=None)
    assert text_of(call) == "The sources do not answer this."


def test_events_stand_in_the_port_order_and_repeat_themselves() -> None:
    call = call_for("How to install a package?")
    events = list(reply(call))
    assert events == list(reply(call))
    assert events[0] == ModelNamed("toy-1")
    assert len(events) > 10
    assert all(isinstance(event, Content) for event in events[1:-2])
    assert events[-2] == Finished("stop")
    usage = events[-1]
    assert isinstance(usage, UsageReport)
    assert usage.completion_tokens == len(events) - 3
    assert usage.prompt_tokens * 16 > sum(len(m.content) for m in call.messages)


def test_reply_ends_by_length_when_max_tokens_is_small() -> None:
    events = list(reply(evolve(call_for("How to install a package?"), max_tokens=3)))
    assert [type(event) for event in events] == [ModelNamed, *[Content] * 3, Finished, UsageReport]
    assert events[-2] == Finished("length")


async def test_provider_pauses_between_pieces_when_opened(autojump_clock: MockClock) -> None:
    async def pause() -> None:
        await trio.sleep(0.5)

    toy: Provider = Toy(pause)
    call = call_for("How to install a package?")
    seen: list[ModelEvent] = []
    async with toy.open(call) as events:
        async for event in events:
            seen.append(event)
    assert seen == list(reply(call))
    assert trio.current_time() == pytest.approx(0.5 * (len(seen) + 1))
    assert await Toy(trio.lowlevel.checkpoint).check() == (True, "toy")
