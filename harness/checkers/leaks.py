"""What stays: nothing is held at rest, the chain recovers, and no content stands in a log."""

import json
from collections.abc import Callable, Iterator
from typing import Final

from harness.evidence import Evidence
from harness.topics import EARLIER, OFF_TOPIC, TOPICS

CONTENT: Final = sorted(
    {word for it in TOPICS for word in (*it.words, it.question, *it.passages)}
    | {OFF_TOPIC, *EARLIER}
)


def nothing_is_left(evidence: Evidence) -> Iterator[str]:
    """At rest there is no task, request, stream or connection more than before the first call."""
    rest = evidence.at_rest
    if rest.tasks_more:
        yield f"tasks that were not there before: {', '.join(rest.tasks_more)}"
    for program, count in rest.busy.items():
        if count:
            yield f"{program} still holds {count} requests"
    for program, gauge in rest.open_upstreams.items():
        if gauge:
            yield f"{program} counts {gauge:g} upstream streams"
    if rest.connections:
        yield f"connections still served: {', '.join(rest.connections)}"
    if rest.pooled:
        yield f"{rest.pooled} connections of a client's pool are in use"


def chain_recovers(evidence: Evidence) -> Iterator[str]:
    """When the faults stop, the next question is answered."""
    if evidence.recovered not in (None, "ok"):
        yield f"the call after the faults ended in {evidence.recovered}"


def logs_carry_no_content(evidence: Evidence) -> Iterator[str]:
    """No word of a question, a passage or an answer is in any line."""
    for program, lines in evidence.logs.items():
        for line in lines:
            text = json.dumps(line, ensure_ascii=False).lower()
            for word in CONTENT:
                if word.lower() in text:
                    yield f"{program} logged {word!r} with {line['event']!r}"


def nobody_stumbled(evidence: Evidence) -> Iterator[str]:
    """No program met with an exception that it had not foreseen; only a planted one."""
    planted = {seen.request_id for seen in evidence.seen() if seen.call.search == "crashes"}
    for program, lines in evidence.logs.items():
        for line in lines:
            is_planted = program == "qs" and line.get("request_id") in planted
            if line["level"] in ("error", "critical") and not is_planted:
                yield f"{program}: {line['event']}: {str(line.get('exception', ''))[-300:]}"


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    nothing_is_left,
    chain_recovers,
    logs_carry_no_content,
    nobody_stumbled,
)
