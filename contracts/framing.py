"""How retrieved passages and the question stand in a prompt.

LLMGW writes this frame; the fake's extractive persona reads it. Every block is opened and closed
by a line that carries the request's random boundary, so that text inside a passage can not pose
as the end of it. Refuses (ValueError) a boundary that occurs in what it frames: the caller draws
another one.

    <<<source c1 BOUNDARY>>>
    title: Installing packages
    (the passage)
    <<<end c1 BOUNDARY>>>

    <<<question BOUNDARY>>>
    (the question)
    <<<end question BOUNDARY>>>
"""

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

# Kept with every answer. It stands for this frame and for what `llmgw.prompt` writes round it: a
# test there holds both to it, so that neither changes under the same version.
PROMPT_VERSION: Final = "2"

_BOUNDARY = re.compile(r"[0-9a-f]{8,64}")
_OPEN_SOURCE = re.compile(r"<<<source (c[1-9][0-9]*) ([0-9a-f]{8,64})>>>")
_OPEN_QUESTION = re.compile(r"<<<question ([0-9a-f]{8,64})>>>")
_TITLE = "title: "


@frozen
class FramedChunk:
    """One passage as the model sees it: `alias` is `c1`…; `title` is one line, or empty."""

    alias: str
    title: str
    content: str


@frozen
class Framed:
    """What `parse` found in a prompt."""

    chunks: tuple[FramedChunk, ...]
    question: str | None


def encode(chunks: Sequence[FramedChunk], question: str, boundary: str) -> str:
    """The prompt text for these passages and this question. `boundary`: 8–64 lower-case hex."""
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("a boundary is 8 to 64 lower-case hex digits")
    blocks = [_source(chunk, boundary) for chunk in chunks]
    blocks.append(f"<<<question {boundary}>>>\n{question}\n<<<end question {boundary}>>>")
    if any(boundary in text for text in _framed_texts(chunks, question)):
        raise ValueError("the boundary occurs in the framed text")
    return "\n\n".join(blocks)


def parse(prompt: str) -> Framed:
    """The passages and the question of a prompt that `encode` wrote; empty where there are none.

    A block that is never closed is not one.
    """
    lines = prompt.split("\n")
    last = {line: index for index, line in enumerate(lines)}
    chunks: list[FramedChunk] = []
    question: str | None = None
    at = 0
    while at < len(lines):
        source, asked = _OPEN_SOURCE.fullmatch(lines[at]), _OPEN_QUESTION.fullmatch(lines[at])
        closing = (
            f"<<<end {source[1]} {source[2]}>>>"
            if source
            else f"<<<end question {asked[1]}>>>"
            if asked
            else None
        )
        # Asking where a line stands last keeps this linear, whatever is opened and never closed.
        if closing is None or last.get(closing, -1) <= at:
            at += 1
            continue
        end = lines.index(closing, at + 1)
        body = lines[at + 1 : end]
        if source:
            chunks.append(_chunk(source[1], body))
        else:
            question = "\n".join(body)
        at = end + 1
    return Framed(tuple(chunks), question)


def _source(chunk: FramedChunk, boundary: str) -> str:
    if "\n" in chunk.title:
        raise ValueError("a framed title is one line")
    return (
        f"<<<source {chunk.alias} {boundary}>>>\n{_TITLE}{chunk.title}\n"
        f"{chunk.content}\n<<<end {chunk.alias} {boundary}>>>"
    )


def _chunk(alias: str, body: list[str]) -> FramedChunk:
    title = body[0].removeprefix(_TITLE) if body else ""
    return FramedChunk(alias, title, "\n".join(body[1:]))


def _framed_texts(chunks: Sequence[FramedChunk], question: str) -> list[str]:
    return [question, *(text for c in chunks for text in (c.title, c.content))]
