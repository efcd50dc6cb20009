"""The command line, read from arguments and a mapping of the environment."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from attrs import frozen

from fakes.openai_compat_server.pacing import Latency, parse_latency
from fakes.openai_compat_server.persona import PERSONAS

_USUAL = "(default: ttft=80ms,itl=8ms)"
PROGRAM = "python -m fakes.openai_compat_server"
_DESCRIPTION = """\
An OpenAI-compatible model server without a model: /v1/models and /v1/chat/completions, plain and
streamed, from one seed. The same seed and request give the same bytes, ids included."""
_EPILOG = """\
personas:
  extractive  answers from the passages framed in the prompt, with citations, or says that
              they do not answer; JSON where response_format asks for it
  echo        repeats the last user message
example:
  python -m fakes.openai_compat_server serve --port 8020 --latency ttft=200ms,itl=20ms
environment: FAKE_HOST, FAKE_PORT and FAKE_SEED stand in for options that are not given."""


@frozen
class Options:
    """What was asked for, checked."""

    host: str
    port: int
    seed: int
    persona: str
    latency: Latency
    quiet: bool


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Exits with one clear line and status 2 for what can not be understood (0 for --help)."""
    parser = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show = "(default: %(default)s)"

    def default(name: str, kind: Callable[[str], object], usual: object) -> object:
        given = environment.get(name, "").strip()
        try:
            return kind(given) if given else usual
        except argparse.ArgumentTypeError as fault:
            parser.error(f"{name}: {fault}")

    add = parser.add_argument
    add("command", nargs="?", choices=["serve"], default="serve", help="what to do " + show)
    add(
        "--host",
        default=default("FAKE_HOST", str, "127.0.0.1"),
        help="address to listen on " + show,
    )
    add("--port", type=_port, default=default("FAKE_PORT", _port, 8020), metavar="PORT",
        help=f"port to listen on, 0 for a free one {show}")  # fmt: skip
    add("--seed", type=_integer, default=default("FAKE_SEED", _integer, 0), metavar="N",
        help=f"decides ids, times and pacing {show}")  # fmt: skip
    add("--persona", choices=sorted(PERSONAS), default="extractive", help="who answers " + show)
    add("--latency", type=_latency, default=Latency(), metavar="ttft=80ms,itl=8ms",
        help=f"mean time to first token and between tokens {_USUAL}")  # fmt: skip
    add("--quiet", action="store_true", help="no banner, and no line per request")
    given = parser.parse_args(arguments)
    return Options(
        host=given.host,
        port=given.port,
        seed=given.seed,
        persona=given.persona,
        latency=given.latency,
        quiet=given.quiet,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _integer(text: str) -> int:
    try:
        return int(text[:40])
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _latency(text: str) -> Latency:
    try:
        return parse_latency(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
