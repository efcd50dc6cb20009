"""`python -m harness.retrieval_bench`: ingest rate, search times and memory, engine by engine.

The corpus is ingested twice, a tenth of it and all of it, each into an empty index by the command
that everybody uses; its greatest memory must be the same. Then questions are asked one after the
other. OpenSearch is measured on a node started here, where Java is there. Exit status 1: the
embedded engine is too slow, or its memory grows with the corpus. Slow is judged by the processor's
time, which is the same on a machine that has other things to do.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from harness.backends.opensearch_node import Missing, open_node
from harness.retrieval_bench.corpus import questions, write_corpus
from harness.tidy import ROOT
from hop.settings import load
from qs.config import QueryServiceSettings
from qs.retrieval.engines import open_retriever

FOLDER: Final = ROOT / "var/retrieval-bench"
QUESTIONS: Final = 300
WARMING: Final = 20
TOP_K: Final = 6
P95_MAX_MS: Final = 50.0
GROWTH_MAX: Final = 1.15  # of memory, for ten times the corpus
MB: Final = 1024 * 1024


@frozen
class Ingested:
    """One ingest: its time in seconds, and its greatest memory in bytes."""

    documents: int
    seconds: float
    memory: int

    def __str__(self) -> str:
        rate = self.documents / self.seconds
        return (
            f"{self.documents:,} in {self.seconds:.0f} s, {rate:,.0f}/s, {self.memory / MB:.0f} MB"
        )


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and judge."""
    options = _parser().parse_args(arguments)
    folders = [_corpus(documents) for documents in (options.chunks // 10, options.chunks)]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=FOLDER)))
        failed: list[str] = []
        if options.only != "opensearch":
            failed = _engine("sqlite", folders, {"QS_INDEX_PATH": str(scratch / "index.sqlite3")})
        if options.only != "sqlite":
            try:
                node = stack.enter_context(open_node(scratch / "node"))
            except Missing as missing:
                print(f"opensearch   not measured: {missing}")
            else:
                _engine("opensearch", folders, {"QS_OS_URL": node.url})
    return 1 if failed else 0


def _corpus(documents: int) -> tuple[Path, int]:
    folder = FOLDER / f"corpus-{documents}"
    folder.mkdir(parents=True, exist_ok=True)
    write_corpus(folder / "corpus.jsonl", documents)
    return folder, documents


def _engine(name: str, folders: Sequence[tuple[Path, int]], at: Mapping[str, str]) -> list[str]:
    """Measure one engine; what it fails in."""
    ingested = []
    for folder, documents in folders:
        environ = {**at, "QS_RETRIEVER": name, "QS_OS_ALIAS": f"bench-{documents}"}
        if path := at.get("QS_INDEX_PATH"):
            environ["QS_INDEX_PATH"] = f"{path}-{documents}"
        ingested.append(_ingest(folder, documents, environ))
        print(f"{name:<12} ingest   {ingested[-1]}", flush=True)
    elapsed, busy = trio.run(_search, environ)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{name:<12} search   {_told(elapsed)}; {memory / MB:.0f} MB")
    print(f"{name:<12} of which this process was busy {_told(busy)}", flush=True)
    growth = ingested[-1].memory / ingested[0].memory
    failed = []
    if _p95(busy) > P95_MAX_MS:
        failed.append(f"p95 is over {P95_MAX_MS:.0f} ms of a processor")
    if growth > GROWTH_MAX:
        failed.append(f"memory grows with the corpus: {growth:.2f} times")
    for one in failed:
        print(f"{name:<12} FAILED   {one}", file=sys.stderr)
    return failed


def _ingest(folder: Path, documents: int, environ: Mapping[str, str]) -> Ingested:
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", "qs.ingest", str(folder)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"the ingest ended with {process.returncode}"
    return Ingested(documents, time.monotonic() - began, usage.ru_maxrss * 1024)


def _p95(times_ms: Sequence[float]) -> float:
    return statistics.quantiles(times_ms, n=20)[-1]


def _told(times_ms: Sequence[float]) -> str:
    return f"p50 {statistics.median(times_ms):.1f} ms, p95 {_p95(times_ms):.1f} ms"


async def _search(environ: Mapping[str, str]) -> tuple[list[float], list[float]]:
    """How long each question took, and for how long of it this process had a processor; in
    milliseconds, after some questions that warm it up.
    """
    settings, _ = load(QueryServiceSettings, environ)
    elapsed: list[float] = []
    busy: list[float] = []
    async with open_retriever(settings) as retriever:
        for question in questions(WARMING + QUESTIONS):
            began, began_busy = time.perf_counter(), time.process_time()
            await retriever.search(question, TOP_K)
            busy.append((time.process_time() - began_busy) * 1000)
            elapsed.append((time.perf_counter() - began) * 1000)
    return elapsed[WARMING:], busy[WARMING:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.retrieval_bench", description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--only", choices=["sqlite", "opensearch"], help="one engine alone")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
