"""What the programs told of themselves: their spans, and their figures when all was over.

Plain data for the checkers; `told_by` takes it out of a program. Times are the virtual clock's.
"""

from collections.abc import Mapping, Sequence

from attrs import frozen

from hop.metrics import Metrics
from hop.spans import Span

Labels = frozenset[tuple[str, str]]


@frozen
class SpanTold:
    """One span that ended."""

    program: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    attributes: Mapping[str, object]
    fault: str = ""


@frozen
class Told:
    """One program's spans and figures. `begun` are the ids of all spans that began."""

    begun: frozenset[str]
    spans: tuple[SpanTold, ...]
    figures: Mapping[tuple[str, Labels], float]

    def total(self, name: str) -> float:
        """A figure, whatever its labels."""
        return sum(value for (found, _), value in self.figures.items() if found == name)


def told_by(program: str, begun: Sequence[str], spans: Sequence[Span], metrics: Metrics) -> Told:
    """What a program has told until now."""
    return Told(frozenset(begun), tuple(_told(program, it) for it in spans), _figures(metrics))


def _told(program: str, span: Span) -> SpanTold:
    assert span.ended is not None, "only what has ended is kept"
    return SpanTold(
        program,
        span.name,
        span.kind,
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.began,
        span.ended,
        dict(span.attributes),
        span.fault,
    )


def _figures(metrics: Metrics) -> Mapping[tuple[str, Labels], float]:
    """Every sample but for the buckets of histograms."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if "le" not in sample.labels
    }
