"""One call of the model as OpenTelemetry's conventions on generative AI have it: span and figures.

    with figures.asking(call, now) as asking:
        … asking.heard(event)           each event of the reply, as it comes

The metrics' names are the conventions' as Prometheus writes them, and so are their buckets. A model
is a label only where it is the settings' own: whatever else a client asks for is `_OTHER`, so that
the number of series has a bound. On the span stands what was asked for and what the server said.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from attrs import define, field
from prometheus_client import CollectorRegistry, Histogram

from contracts.reasons import ReasonCode
from hop.metrics import DURATION_S, FIRST_TOKEN_S, OUTPUT_TOKEN_S, Metrics
from hop.spans import ATTRIBUTE_CHARS, Nothing, Span, at, span
from llmgw.config import GatewaySettings
from llmgw.faults import GenerationFault
from llmgw.providers.port import (
    Content,
    Finished,
    ModelCall,
    ModelEvent,
    ModelNamed,
    UsageReport,
)

OTHER: Final = "_OTHER"
CANCELLED: Final = "cancelled"
_CHAT: Final = "chat"
_NO_FAULT: Final = ""
# Whose API is spoken; who stands behind it, nobody can know.
_PROVIDERS: Final[Mapping[str, str]] = {"openai_compat": "openai", "toy": "toy"}
_TOKENS: Final = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip
_COMMON: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_ERROR, _TOKEN_TYPE = "error_type", "gen_ai_token_type"
_INPUT, _OUTPUT = "input", "output"


def labels(settings: GatewaySettings) -> Mapping[str, frozenset[str]]:
    """What each label of these metrics may hold."""
    return {
        "gen_ai_operation_name": frozenset({_CHAT}),
        "gen_ai_provider_name": frozenset({_PROVIDERS[settings.provider]}),
        "gen_ai_request_model": frozenset({settings.model, OTHER}),
        _TOKEN_TYPE: frozenset({_INPUT, _OUTPUT}),
        _ERROR: frozenset({_NO_FAULT, CANCELLED, OTHER, *ReasonCode}),
    }


class ModelFigures:
    """The metrics of the calls of one model server, in a program's registry."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        registry = metrics.registry
        self._duration = _histogram(
            registry, "operation_duration_seconds", "A call of the model", DURATION_S, _ERROR
        )
        self._tokens = _histogram(
            registry, "token_usage", "Tokens of a call, as the server counts", _TOKENS, _TOKEN_TYPE
        )
        self._first_chunk = _histogram(
            registry,
            "operation_time_to_first_chunk_seconds",
            "From the request to the first text of a stream",
            FIRST_TOKEN_S,
        )
        self._per_chunk = _histogram(
            registry,
            "operation_time_per_output_chunk_seconds",
            "Between two texts of a stream",
            OUTPUT_TOKEN_S,
        )

    @contextmanager
    def asking(self, call: ModelCall, now: Callable[[], float]) -> Iterator["Asking"]:
        """A call of the model, from its request to its end."""
        provider = _PROVIDERS[self._settings.provider]
        common = _CHAT, provider, call.model if call.model == self._settings.model else OTHER
        with span(f"{_CHAT} {call.model[:ATTRIBUTE_CHARS]}", "client") as part:
            self._begin(part, call, provider)
            asking = Asking(now, part, self._per_chunk.labels(*common) if call.stream else None)
            fault = _NO_FAULT
            try:
                yield asking
            except BaseException as error:
                fault = _name_of(error)
                raise
            finally:
                asking.conclude()
                self._duration.labels(*common, fault).observe(now() - asking.began)
                if call.stream and asking.first_at is not None:
                    took = asking.first_at - asking.began
                    self._first_chunk.labels(*common).observe(took)
                if (usage := asking.usage) is not None:
                    self._tokens.labels(*common, _INPUT).observe(usage.prompt_tokens)
                    self._tokens.labels(*common, _OUTPUT).observe(usage.completion_tokens)
                    self._metrics.tokens(usage.prompt_tokens, usage.completion_tokens)

    def _begin(self, part: Span | Nothing, call: ModelCall, provider: str) -> None:
        part.set("gen_ai.operation.name", _CHAT)
        part.set("gen_ai.provider.name", provider)
        part.set("gen_ai.request.model", call.model)
        part.set("gen_ai.request.max_tokens", call.max_tokens)
        part.set("gen_ai.request.temperature", call.temperature)
        part.set("gen_ai.request.stream", call.stream)
        part.set("gen_ai.output.type", "json" if call.schema is not None else "text")
        if self._settings.provider != "toy":
            at(part, self._settings.base_url)


@define
class Asking:
    """What is heard of one call of the model."""

    now: Callable[[], float]
    part: Span | Nothing
    gaps: Histogram | None
    began: float = field(init=False)
    first_at: float | None = field(default=None, init=False)
    usage: UsageReport | None = field(default=None, init=False)
    _last_at: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.began = self.now()

    def heard(self, event: ModelEvent) -> None:
        """One event of the reply."""
        match event:
            case Content():
                self._text_came()
            case UsageReport():
                self.usage = event
            case ModelNamed(model):
                self.part.set("gen_ai.response.model", model)
            case Finished(reason):
                self.part.set("gen_ai.response.finish_reasons", (reason,))

    def _text_came(self) -> None:
        now = self.now()
        if self.first_at is None:
            self.first_at = now
        elif self.gaps is not None:
            self.gaps.observe(now - self._last_at)
        self._last_at = now

    def conclude(self) -> None:
        """It is over: what is only known then goes on the span."""
        if self.gaps is not None and self.first_at is not None:
            self.part.set("gen_ai.response.time_to_first_chunk", self.first_at - self.began)
        if self.usage is not None:
            self.part.set("gen_ai.usage.input_tokens", self.usage.prompt_tokens)
            self.part.set("gen_ai.usage.output_tokens", self.usage.completion_tokens)


def _histogram(
    registry: CollectorRegistry, name: str, about: str, buckets: tuple[float, ...], *more: str
) -> Histogram:
    return Histogram(
        f"gen_ai_client_{name}", about, [*_COMMON, *more], buckets=buckets, registry=registry
    )


def _name_of(error: BaseException) -> str:
    """What a fault is called in a label: its code, or one of two words."""
    if isinstance(error, GenerationFault):
        return error.code
    return OTHER if isinstance(error, Exception) else CANCELLED
