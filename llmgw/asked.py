"""What one request asks of the model: ours mapped to theirs, in one place.

A value the request leaves out is the settings'. `schema_for` says whether a model is to be held to
a schema; the text it writes is proved either way. The bytes are the provider's business.
"""

from collections.abc import Callable, Mapping

from attrs import frozen

from contracts.generation import GenerateRequest
from llmgw import prompt
from llmgw.config import GatewaySettings
from llmgw.prompt import Prompt, PromptChunk
from llmgw.prompt_budget import Budget
from llmgw.providers.port import ModelCall, PromptMessage
from llmgw.reply import Reply

# From a model's name, the number of aliases and `max_tokens` to the schema of its reply; None to
# send none.
SchemaFor = Callable[[str, int, int], Mapping[str, object] | None]


@frozen
class Asked:
    """The call, the prompt in it, and the request both were made of."""

    request: GenerateRequest
    prompt: Prompt
    call: ModelCall

    def reply(self) -> Reply:
        """What the next reply to it is held to: a new one for each."""
        chunks = self.request.context.chunks
        return Reply(
            alias_count=self.prompt.alias_count,
            citations_required=self.request.citations_required,
            allowed_urls=[chunk.url for chunk in chunks if chunk.url],
            allowed_texts=[chunk.content for chunk in chunks],
            prompt_chars=sum(len(message.content) for message in self.call.messages),
            answer_max_chars=prompt.answer_max_chars(self.call.schema),
        )


def asked_by(
    request: GenerateRequest, settings: GatewaySettings, boundary: str, schema_for: SchemaFor
) -> Asked:
    """What this request asks. `boundary`: random hex, new for each request."""
    shown = prompt.build(
        [PromptMessage(message.role, message.content) for message in request.messages],
        [PromptChunk(chunk.title or "", chunk.content) for chunk in request.context.chunks],
        boundary=boundary,
        citations_required=request.citations_required,
        budget=Budget(settings.prompt_tokens, settings.chunk_tokens),
    )
    model = request.model or settings.model
    temperature = request.temperature
    max_tokens = request.max_tokens or settings.max_tokens
    cited = request.citations_required
    call = ModelCall(
        model=model,
        messages=shown.messages,
        max_tokens=max_tokens,
        temperature=settings.temperature if temperature is None else temperature,
        stream=settings.stream_enabled and (request.stream or settings.stream_always),
        schema=schema_for(model, shown.alias_count, max_tokens) if cited else None,
    )
    return Asked(request, shown, call)
