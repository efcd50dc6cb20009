"""One reply of the model, judged as it comes: model events → what may be shown, or one fault.

The whole of CONTRACT §4 on which code speaks, when several could, is the order of this file:
`feed` raises what the bytes show, in their order; `close` then asks how the choice ended, what
else the model did, what is missing, and what the server counted. Text comes out only after the
citations are proved and the guard has let it pass; whoever got text and then a fault withdraws it.

Refuses content after the end of the choice. Whoever holds a `Reply` feeds every event, then closes
it once; after a fault it is over.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from attrs import define, field, frozen

from contracts.reasons import ReasonCode
from llmgw.answer import AnswerScanner, PlainScanner
from llmgw.answer_object import AnswerText, Found, Proved, is_blank
from llmgw.faults import GenerationFault
from llmgw.guard import Guard
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

# No tokenizer makes a token of that many characters on average: the prompt was cut.
PROMPT_CHARS_PER_TOKEN: Final = 16

_STOP: Final = "stop"
_BAD_ENDS: Final = {
    "length": ReasonCode.OUTPUT_TRUNCATED,
    "content_filter": ReasonCode.OUTPUT_CONTENT_FILTER,
    "tool_calls": ReasonCode.OUTPUT_TOOL_CALL,
    "function_call": ReasonCode.OUTPUT_TOOL_CALL,
}


@frozen
class CitedChunks:
    """What the answer cites: aliases of this request, each once. Once, before any text."""

    aliases: tuple[str, ...]


@frozen
class TextOut:
    """Text of the answer that may be shown; never empty."""

    text: str


@define(repr=False)
class Reply:
    """One reply. `allowed_urls` and `allowed_texts` are where its urls may come from.

    `prompt_chars` is how many characters were sent; `answer_max_chars` the `maxLength` that was, at
    which a server ends an answer wherever it stands. `usage` and `model` are what the server said
    so far, for whoever reports an answer or a failure.
    """

    alias_count: int
    citations_required: bool
    allowed_urls: Collection[str]
    allowed_texts: Sequence[str]
    prompt_chars: int
    answer_max_chars: int | None = None
    usage: UsageReport | None = field(default=None, init=False)
    model: str | None = field(default=None, init=False)
    _scanner: AnswerScanner | PlainScanner = field(init=False)
    _guard: Guard | None = field(default=None, init=False)
    _finish: str | None = field(default=None, init=False)
    _is_blank: bool = field(default=True, init=False)
    _answer_chars: int = field(default=0, init=False)
    _did: set[type[ModelEvent]] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        if self.citations_required:
            self._scanner = AnswerScanner(self.alias_count)
        else:
            self._scanner = PlainScanner()
            self._guard = self._guard_for(())

    def feed(self, event: ModelEvent) -> list[CitedChunks | TextOut]:
        """What may be shown now. Raises GenerationFault for what the event shows."""
        match event:
            case Content(text):
                self._must_be_open()
                self._is_blank = self._is_blank and is_blank(text)
                return self._judged(self._scanner.feed(text))
            case Finished(reason):
                self._must_be_open()
                self._finish = reason
            case UsageReport():
                self.usage = event
            case ModelNamed(model):
                self.model = model
            case Reasoning() | Refusal() | ToolCall():
                self._did.add(type(event))
        return []

    def close(self) -> list[CitedChunks | TextOut]:
        """The last that may be shown, all else being proved. Raises GenerationFault."""
        self._must_have_stopped()
        self._must_have_spoken()
        last = self._judged(self._scanner.close())
        self._must_have_read_the_prompt()
        return last

    def _judged(self, found: Iterable[Found]) -> list[CitedChunks | TextOut]:
        """What the guard lets through; its faults come in place among the scanner's."""
        cited: list[CitedChunks | TextOut] = []
        passed: list[str] = []
        for item in found:
            if isinstance(item, Proved):
                self._guard = self._guard_for(item.aliases)
                cited.append(CitedChunks(item.aliases))
                continue
            assert self._guard is not None, "no text before the citations are proved"
            if isinstance(item, AnswerText):
                self._answer_chars += len(item.text)
                passed.append(self._guard.feed(item.text))
            else:
                self._must_have_ended_by_itself()
                passed.append(self._guard.close())
        text = "".join(passed)
        return [*cited, TextOut(text)] if text else cited

    def _guard_for(self, aliases: Collection[str]) -> Guard:
        return Guard(aliases, self.allowed_urls, self.allowed_texts)

    def _must_have_ended_by_itself(self) -> None:
        """A whole answer of just that length looks the same as one that the schema cut."""
        if self._answer_chars == self.answer_max_chars:
            detail = f"as long as the schema allows: {self.answer_max_chars} characters"
            raise GenerationFault(ReasonCode.OUTPUT_TOO_LONG, detail)

    def _must_be_open(self) -> None:
        if self._finish is not None:
            detail = "it went on after its finish_reason"
            raise GenerationFault(ReasonCode.PROVIDER_INVALID_SHAPE, detail)

    def _must_have_stopped(self) -> None:
        if self._finish is None:
            raise GenerationFault(ReasonCode.PROVIDER_NO_FINISH, "no finish_reason")
        if self._finish != _STOP:
            code = _BAD_ENDS.get(self._finish, ReasonCode.PROVIDER_INVALID_SHAPE)
            raise GenerationFault(code, "a finish_reason that is not `stop`")

    def _must_have_spoken(self) -> None:
        if ToolCall in self._did:
            raise GenerationFault(ReasonCode.OUTPUT_TOOL_CALL, "a tool call")
        if Refusal in self._did:
            raise GenerationFault(ReasonCode.OUTPUT_REFUSAL, "a refusal")
        if self._is_blank and Reasoning in self._did:
            raise GenerationFault(ReasonCode.OUTPUT_ONLY_REASONING, "nothing but reasoning")
        if self._is_blank:
            raise GenerationFault(ReasonCode.OUTPUT_EMPTY, "no content")

    def _must_have_read_the_prompt(self) -> None:
        counted = self.usage.prompt_tokens if self.usage else 0
        if 0 < counted * PROMPT_CHARS_PER_TOKEN < self.prompt_chars:
            detail = f"{counted} tokens for {self.prompt_chars} characters"
            raise GenerationFault(ReasonCode.PROVIDER_PROMPT_TRUNCATED, detail)
