"""What a program counts, for Prometheus. Each program has a registry of its own (CONTRACT §8)."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """One program's figures. Label values come from closed sets only, never from a request."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._requests = Counter(
            "bsl_requests",
            "Calls ended, by how they ended",
            ["service", "status", "reason_code"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "bsl_request_duration_seconds",
            "A call from its arrival to its end",
            ["service"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first_delta = Histogram(
            "bsl_time_to_first_delta_seconds",
            "A streamed call from its arrival to its first text",
            ["service"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "bsl_in_flight_calls", "Calls being answered", ["service"], registry=self.registry
        ).labels(service)
        self.upstream_streams = Gauge(
            "bsl_open_upstream_streams",
            "Calls open to the next hop or the model server",
            ["service"],
            registry=self.registry,
        ).labels(service)
        self._tokens = Counter(
            "bsl_tokens", "Tokens, as counted upstream", ["service", "kind"], registry=self.registry
        )

    def call_ended(
        self, status: str, reason_code: str | None, duration_s: float, ttft_s: float | None
    ) -> None:
        """One call is over. Seconds; `ttft_s` is None where no text was streamed."""
        self._requests.labels(self._service, status, reason_code or "").inc()
        self._duration.labels(self._service).observe(duration_s)
        if ttft_s is not None:
            self._first_delta.labels(self._service).observe(ttft_s)

    def watch(self, name: str, about: str, read: Callable[[], float]) -> None:
        """A gauge of what is read whenever somebody looks."""
        gauge = Gauge(name, about, ["service"], registry=self.registry)
        gauge.labels(self._service).set_function(read)

    def counter(self, name: str, about: str) -> Counter:
        """A count of one thing that only this program has."""
        return Counter(name, about, ["service"], registry=self.registry).labels(self._service)

    def tokens(self, prompt: int, completion: int) -> None:
        """What one generation used."""
        self._tokens.labels(self._service, "prompt").inc(prompt)
        self._tokens.labels(self._service, "completion").inc(completion)

    def exposition(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self.registry)
