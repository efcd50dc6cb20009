"""`python -m harness.eval`: how well each engine finds, language by language.

The default engine is measured always, OpenSearch when its address is given. Exit status: 0 when the
default engine is above its marks, 1 when it is not, 2 when it cannot be measured.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from harness.eval.corpora import CORPORA, CannotFetch, fetched
from harness.eval.measured import Score, by_engine, clear, measure, plain_fts5, write
from harness.eval.pairs import Pairs, pairs_of
from hop.settings import load
from qs.config import QueryServiceSettings
from qs.ingest.engines import open_writer
from qs.ingest.port import IndexFault
from qs.retrieval.engines import open_retriever

EVAL_ALIAS = "bsl-eval"  # its own, which is emptied for each corpus

Measured = Mapping[str, Score]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and judge."""
    options = _parser().parse_args(arguments)
    try:
        root = fetched()
    except CannotFetch as error:
        print(f"eval: {error}", file=sys.stderr)
        return 2
    engines = ["sqlite", *(["opensearch"] if options.opensearch else [])]
    columns = ["plain FTS5", *engines]
    head = "".join(f"{name:>16}" for name in columns)
    print(f"{'recall@5 MRR@10':<18}{'questions':>10}{head}   sqlite must be above")
    failed = []
    for name, corpus in CORPORA.items():
        pairs = pairs_of(corpus.pages(root))
        try:
            found = trio.run(_measured, pairs, engines, options.opensearch)
        except IndexFault as error:
            print(f"eval: {error}", file=sys.stderr)
            return 2
        told = "".join(f"{found[column]!s:>16}" for column in columns)
        mark = f"   {corpus.above}" if corpus.above is not None else ""
        print(f"{name:<18}{len(pairs.questions):>10}{told}{mark}", flush=True)
        if corpus.above is not None and found["sqlite"].recall <= corpus.above:
            failed.append(name)
    if failed:
        print(f"eval: not above its mark: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


async def _measured(pairs: Pairs, engines: Sequence[str], url: str) -> Measured:
    found = {"plain FTS5": await plain_fts5(pairs)}
    for engine in engines:
        with tempfile.TemporaryDirectory() as folder:
            environ = {
                "QS_RETRIEVER": engine,
                "QS_INDEX_PATH": str(Path(folder) / "index.sqlite3"),
                "QS_OS_ALIAS": EVAL_ALIAS,
                **({"QS_OS_URL": url} if url else {}),
            }
            settings, _ = load(QueryServiceSettings, environ)
            with open_writer(settings) as opened:
                clear(opened.index, "eval")
                write(pairs, opened.index, "eval")
                async with open_retriever(settings) as retriever:
                    found[engine] = await measure(pairs, by_engine(pairs, retriever))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.eval", description=__doc__)
    parser.add_argument(
        "--opensearch", metavar="URL", default="", help="measure an OpenSearch server as well"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
