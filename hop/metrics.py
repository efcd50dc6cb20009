"""What a program counts, for Prometheus. Each program has a registry of its own (CONTRACT §8).

Every label's values come from a closed set (`LABELS`), never from a request or a server: whatever
they send, the number of series has a bound. Where OpenTelemetry's conventions on generative AI give
the boundaries for what is measured here, the buckets are those.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.reasons import ReasonCode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Status = Literal["ok", "fallback", "error", "gone", "refused"]
SpansOutcome = Literal["sent", "dropped"]
# The boundaries of gen_ai.client.operation.duration, gen_ai.server.time_to_first_token and
# gen_ai.server.time_per_output_token.
DURATION_S: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
FIRST_TOKEN_S: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
OUTPUT_TOKEN_S: Final = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
)  # fmt: skip
# A program's own work for one call: milliseconds, as long as all is well.
_OWN_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

SERVICES: Final = frozenset({"bff", "qs", "llmgw"})
_NO_CODE: Final = ""
LABELS: Final[Mapping[str, frozenset[str]]] = {
    "service": SERVICES,
    "status": frozenset(get_args(Status)),
    "reason_code": frozenset({_NO_CODE, *ReasonCode}),
    "kind": frozenset({"prompt", "completion"}),
    "outcome": frozenset(get_args(SpansOutcome)),
}
"""What a label of these metrics may hold. LLMGW's metrics of the model name their own labels."""


class Metrics:
    """One program's figures."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._requests = Counter(
            "bsl_requests",
            "Calls ended, by how they ended",
            ["service", "status", "reason_code"],
            registry=self.registry,
        )
        self._duration = self._histogram(
            "bsl_request_duration_seconds", "A call from its arrival to its end", DURATION_S
        )
        self._first_delta = self._histogram(
            "bsl_time_to_first_delta_seconds",
            "A streamed call from its arrival to its first text",
            FIRST_TOKEN_S,
        )
        self.delta_gap = self._histogram(
            "bsl_delta_gap_seconds", "Between two texts of a streamed call", OUTPUT_TOKEN_S
        )
        self._overhead = self._histogram(
            "bsl_overhead_seconds",
            "The program's own work for a call that was answered: all of its time but waiting",
            _OWN_S,
        )
        self.in_flight = self._gauge("bsl_in_flight_calls", "Calls being answered")
        self.upstream_streams = self._gauge(
            "bsl_open_upstream_streams", "Calls open to the next hop or the model server"
        )
        self._tokens = Counter(
            "bsl_tokens", "Tokens, as counted upstream", ["service", "kind"], registry=self.registry
        )
        self._spans = Counter(
            "bsl_spans",
            "Spans of traced calls, by what became of them",
            ["service", "outcome"],
            registry=self.registry,
        )

    def call_ended(
        self,
        status: Status,
        reason_code: ReasonCode | None,
        duration_s: float,
        ttft_s: float | None,
        own_s: float | None,
    ) -> None:
        """One call is over. Seconds; `ttft_s` is None where no text was streamed, `own_s` where
        nothing was answered."""
        self._requests.labels(self._service, status, reason_code or _NO_CODE).inc()
        self._duration.observe(duration_s)
        if ttft_s is not None:
            self._first_delta.observe(ttft_s)
        if own_s is not None:
            self._overhead.observe(own_s)

    def watch(self, name: str, about: str, read: Callable[[], float]) -> None:
        """A gauge of what is read whenever somebody looks."""
        self._gauge(name, about).set_function(read)

    def counter(self, name: str, about: str) -> Counter:
        """A count of one thing that only this program has."""
        return Counter(name, about, ["service"], registry=self.registry).labels(self._service)

    def tokens(self, prompt: int, completion: int) -> None:
        """What one attempt at a generation used."""
        self._tokens.labels(self._service, "prompt").inc(prompt)
        self._tokens.labels(self._service, "completion").inc(completion)

    def spans(self, outcome: SpansOutcome, count: int) -> None:
        """So many spans went to the collector, or nowhere."""
        self._spans.labels(self._service, outcome).inc(count)

    def exposition(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(name, about, ["service"], buckets=buckets, registry=self.registry)
        return made.labels(self._service)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, ["service"], registry=self.registry).labels(self._service)
