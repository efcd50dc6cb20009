"""Many replies as figures: tables for terminal and handbook, and what must not be in them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from attrs import frozen

from harness.llm.leaving import Leavings
from harness.llm.model_server import Counters
from harness.llm.replies import Reply

CLEAN_SHARE_MIN: Final = 0.95
LEFT_MS_MAX: Final = 250
_MODES: Final = ("plain", "streaming")


@frozen
class Half:
    """All replies with the schema sent, or without it, and what the server did for them."""

    schema: bool
    replies: Sequence[Reply]
    served: Counters

    def of(self, mode: str) -> Sequence[Reply]:
        return [reply for reply in self.replies if reply.stream == (mode == "streaming")]


@frozen
class Run:
    """One whole run. `facts`: what it was measured on, in words."""

    facts: Mapping[str, str]
    halves: Sequence[Half]
    leavings: Sequence[Leavings]


def faults(run: Run) -> Iterator[str]:
    """What must not be, a line each."""
    for half in run.halves:
        for reply in half.replies:
            for line in reply.wrong:
                yield f"an invalid citation reached the client: {reply.question} {line}"
        asked = [reply for reply in half.replies if reply.is_asked]
        if not asked:
            yield "the model was never asked"
        elif half.schema and (share := _share(asked)) < CLEAN_SHARE_MIN:
            yield f"with the schema sent {share:.1%} parse cleanly, of {CLEAN_SHARE_MIN:.0%} wanted"
    for leavings in run.leavings:
        if leavings.median_ms > LEFT_MS_MAX:
            yield (
                f"{leavings.mode}: the slot is idle {leavings.median_ms:.0f} ms after the client "
                f"left, where {LEFT_MS_MAX} are allowed"
            )


def _share(replies: Sequence[Reply]) -> float:
    return sum(reply.is_clean for reply in replies) / len(replies)


def page(run: Run) -> str:
    """The figures as Markdown."""
    blocks = [
        _table(["measured", ""], [[name, text] for name, text in run.facts.items()]),
        "### How many replies can be used\n\n" + _table(_HEAD, list(_rows(run))),
        "### What the replies ended in\n\n" + _codes(run),
        "### How long it took\n\n" + _table(_TIMES, list(_time_rows(run))),
        "### How fast the model server was\n\n" + _table(_SPEEDS, list(_speed_rows(run))),
        "### How soon a slot is idle after its client left\n\n" + _table(_LEFT, _left_rows(run)),
    ]
    return "\n\n".join(blocks) + "\n"


_HEAD: Final = [
    "schema", "mode", "model asked", "parsed cleanly", "ok",
    "invalid citations at the client",
]  # fmt: skip
_TIMES: Final = [
    "schema", "mode", "first proved citation, median", "first text, median", "whole answer, median",
    "whole answer, slowest",
]  # fmt: skip
_SPEEDS: Final = ["schema", "prompt tokens/s", "tokens/s written", "prompt tokens not cached"]
_LEFT: Final = ["mode", "times", "median", "longest"]


def _rows(run: Run) -> Iterator[list[str]]:
    for half, mode, replies in _parts(run):
        asked = [reply for reply in replies if reply.is_asked]
        clean = sum(reply.is_clean for reply in asked)
        share = f" ({clean / len(asked):.0%})" if asked else ""
        yield [
            _sent(half), mode, f"{len(asked)} of {len(replies)}", f"{clean}{share}",
            str(sum(reply.word == "ok" for reply in asked)),
            str(sum(len(reply.wrong) for reply in replies)),
        ]  # fmt: skip


def _codes(run: Run) -> str:
    parts = list(_parts(run))
    counts = [Counter(reply.word for reply in replies) for _, _, replies in parts]
    codes = sorted({code for count in counts for code in count}, key=lambda c: (c != "ok", c))
    head = ["code", *(f"{mode}, schema {_sent(half)}" for half, mode, _ in parts)]
    return _table(head, [[code, *(str(count[code]) for count in counts)] for code in codes])


def _time_rows(run: Run) -> Iterator[list[str]]:
    for half, mode, replies in _parts(run):
        asked = [reply for reply in replies if reply.is_asked]
        totals = [reply.total_s for reply in asked]
        yield [
            _sent(half), mode,
            _median([reply.citations_s for reply in asked]),
            _median([reply.delta_s for reply in asked]),
            _median(totals), f"{max(totals):.2f} s" if totals else "–",
        ]  # fmt: skip


def _speed_rows(run: Run) -> Iterator[list[str]]:
    for half in run.halves:
        it = half.served
        yield [
            _sent(half), _rate(it.prompt_tokens, it.prompt_s),
            _rate(it.written_tokens, it.written_s), f"{it.prompt_tokens:.0f}",
        ]  # fmt: skip


def _left_rows(run: Run) -> list[list[str]]:
    return [
        [it.mode, str(len(it.idle_ms)), f"{it.median_ms:.0f} ms", f"{max(it.idle_ms):.0f} ms"]
        for it in run.leavings
    ]


def _parts(run: Run) -> Iterator[tuple[Half, str, Sequence[Reply]]]:
    for half in run.halves:
        for mode in _MODES:
            yield half, mode, half.of(mode)


def _sent(half: Half) -> str:
    return "sent" if half.schema else "not sent"


def _median(seconds: Sequence[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    return f"{median(known):.2f} s" if known else "–"


def _rate(count: float, seconds: float) -> str:
    return f"{count / seconds:.1f}" if seconds else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
