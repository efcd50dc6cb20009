"""`make test-llm`: a real small model behind the whole chain, at least fifty questions, four ways.

Each question is asked plain and streaming, with the JSON schema sent and without it; then clients
leave in the middle of answers. The figures are printed at the end, and stand in
`var/llm/figures.md`; `--page FILE` writes them into a page of the handbook, below its mark.

Exit status: 0 when all is as it must be, 1 when something is not, said a line each, 2 when it could
not be tried, 130 after Ctrl-C.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import trio
from attrs import frozen
from dotenv import dotenv_values

from harness.faults.chain import ask, request_of
from harness.llm import debian_faq
from harness.llm.debian_faq import NoFaq
from harness.llm.figures import Half, Run, faults, page
from harness.llm.leaving import Leavings, NeverLeft, leavings
from harness.llm.model_server import ModelServer, NoServer, serving
from harness.llm.questions import seed_questions
from harness.llm.replies import Reply, reply_of
from harness.stack import Stack, open_stack
from harness.tidy import ROOT
from harness.wire_log import exchanges

PROFILE: Final = ROOT / "scripts/llamacpp.env"
FIGURES: Final = ROOT / "var/llm/figures.md"
MARK: Final = "<!-- make test-llm writes what follows -->\n"
INTERRUPTED: Final = 130
KNOWN_WITHIN_S: Final = 300.0
ENFORCED: Final = "enforced, maxLength is taken"
# It is the replies that are measured here, and not how long anybody would wait for them.
PATIENCE: Final = {
    "BFF_CHAT_TIMEOUT_MS": "605000",
    "QS_CHAT_TIMEOUT_MS": "603000",
    "QS_RETRIEVAL_TIMEOUT_MS": "30000",
    "LLM_TIMEOUT_MS": "600000",
    "LLM_FIRST_TOKEN_TIMEOUT_MS": "500000",
    "LLM_IDLE_TIMEOUT_MS": "60000",
}
# For leaving: an answer that is long enough to be left.
LONG: Final = {"LLM_ANSWER_CHARS": "1500", "LLM_MAX_TOKENS": "900"}


class NotTried(Exception):
    """The run could not be made; the message says why."""


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    # In a script's background shells turn SIGINT off; SIGTERM must not leave programs behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    options = _parser().parse_args(arguments)
    try:
        with _chain(options.python) as chain:
            run = _run(chain, seed_questions()[: options.questions])
    except (NoFaq, NoServer, NotTried, NeverLeft) as fault:
        print(f"test-llm: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("test-llm: interrupted", file=sys.stderr)
        return INTERRUPTED
    return _report(run, options.page)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make test-llm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    most = len(seed_questions())
    parser.add_argument("--questions", type=_count(most), default=most, help=f"1 to {most}")
    parser.add_argument("--page", type=Path, help="the page of the handbook to bring up to date")
    parser.add_argument("--python", required=True, help="the interpreter that has xllamacpp")
    return parser


def _count(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text:
            return most
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {most}")
        return int(text)

    return parse


@frozen
class Chain:
    """The model server and the three services before it; the gateway is not started yet."""

    server: ModelServer
    stack: Stack


@contextmanager
def _chain(python: str) -> Iterator[Chain]:
    handbook = {doc.name: doc.read_text("utf-8") for doc in sorted((ROOT / "docs").glob("*.md"))}
    documents = {**handbook, **debian_faq.documents()}
    settings = {name: text or "" for name, text in dotenv_values(PROFILE).items()}
    with tempfile.TemporaryDirectory(prefix="test-llm-") as name:
        folder = Path(name)
        _say("loading the model")
        with serving(python, folder / "llamacpp.log") as server:
            environ = {
                **settings,
                **PATIENCE,
                "LLM_BASE_URL": server.url,
                "LLM_MODEL": server.model,
            }
            _say(f"indexing {len(documents)} documents")
            with open_stack(folder, documents, **environ) as stack:
                stack.start("qs")
                stack.start("bff")
                yield Chain(server, stack)


def _run(chain: Chain, questions: Sequence[str]) -> Run:
    began = datetime.now(UTC)
    halves = [_half(chain, questions, schema=schema) for schema in (True, False)]
    _start_gateway(chain, schema=True, **LONG)
    left = [_leavings(chain, questions[0], stream=stream) for stream in (True, False)]
    return Run(_facts(began, len(questions)), halves, left)


def _leavings(chain: Chain, question: str, *, stream: bool) -> Leavings:
    _say(f"clients that leave, {'streaming' if stream else 'plain'}")
    return trio.run(partial(leavings, chain.server, chain.stack, question, stream=stream))


def _half(chain: Chain, questions: Sequence[str], *, schema: bool) -> Half:
    _start_gateway(chain, schema=schema)
    before = chain.server.counters()
    replies: list[Reply] = []
    for number, question in enumerate(questions, start=1):
        for stream in (False, True):
            reply = trio.run(partial(_asked, chain.stack["bff"].port, question, stream=stream))
            replies.append(reply)
            _tell(reply, number, len(questions), schema=schema)
    return Half(schema, replies, chain.server.counters().since(before))


async def _asked(port: int, question: str, *, stream: bool) -> Reply:
    request = request_of(question, stream=stream, request_id="test-llm", trace_id="ab" * 16)
    (exchange,) = exchanges(await ask(port, request))
    return reply_of(question, exchange)


def _start_gateway(chain: Chain, *, schema: bool, **environ: str) -> None:
    """And wait until it knows whether the server holds the model to the schema."""
    chain.stack.restart("llmgw", LLM_SCHEMA_ENABLED=str(schema).lower(), **environ)
    wanted = ENFORCED if schema else "turned off"
    until, told = time.monotonic() + KNOWN_WITHIN_S, ""
    while time.monotonic() < until:
        ready = httpx.get(f"http://127.0.0.1:{chain.stack['llmgw'].port}/ready", trust_env=False)
        told = ready.json()["checks"]["constrained_decoding"]["detail"]
        if wanted in told and "loading" not in told:
            return
        time.sleep(0.1)
    raise NotTried(f"the gateway's /ready never said {wanted!r}, but: {told}")


def _tell(reply: Reply, number: int, most: int, *, schema: bool) -> None:
    mode = "streaming" if reply.stream else "plain"
    sent = "schema" if schema else "no schema"
    what = f"{number:>3} of {most}, {sent}, {mode}"
    _say(f"{what:<36}{reply.total_s:6.1f} s  {reply.word:<24} {reply.question}")


def _report(run: Run, page_file: Path | None) -> int:
    text = page(run)
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(text, "utf-8")
    if page_file is not None:
        kept = page_file.read_text("utf-8").partition(MARK)[0]
        page_file.write_text(f"{kept}{MARK}\n{text}", "utf-8")
    print(f"\n{text}")
    found = list(faults(run))
    for line in found:
        print(f"test-llm: {line}", file=sys.stderr)
    return 1 if found else 0


def _facts(began: datetime, questions: int) -> dict[str, str]:
    work = f"{os.getloadavg()[1]:.1f} programs at work on average"
    return {
        "when": f"{began:%Y-%m-%d %H:%M} UTC, {questions} questions, each asked four times",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {work}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "model": "SmolLM2-135M-Instruct, Q4_1, on llama.cpp's own server (xllamacpp)",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "an unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
