"""The command line, read from arguments and a mapping of the environment."""

import argparse
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from attrs import frozen

from fakes.openai_compat_server.catalogue import BadParameter, UnknownScenario, parse
from fakes.openai_compat_server.dialects import DIALECTS, Dialect
from fakes.openai_compat_server.pacing import Latency, parse_latency
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.responses import check_playable
from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.script_file import parse_script

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
  lorem       filler of a seeded length
scenarios:
  a request for model "fake:NAME" or "fake:NAME?parameter=value&..." plays one; `scenarios`
  lists them all
examples:
  python -m fakes.openai_compat_server serve --port 8020 --latency ttft=200ms,itl=20ms
  python -m fakes.openai_compat_server serve --scenario 'stall?after=20&for=30s'
  python -m fakes.openai_compat_server scenarios --json
environment: FAKE_HOST, FAKE_PORT, FAKE_SEED and FAKE_DIALECT stand in for options that are
not given."""


@frozen
class Options:
    """What was asked for, checked."""

    host: str
    port: int
    seed: int
    persona: str
    latency: Latency
    quiet: bool
    dialect: Dialect
    script: Script | None = None
    scenario: str = ""
    listing: str = ""  # how to list the scenarios instead of serving: text, json or markdown
    admin: bool = False  # only ever with a loopback host


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
    add("command", nargs="?", choices=["serve", "scenarios"], default="serve",
        help="serve, or list the scenarios " + show)  # fmt: skip
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
    add("--dialect", type=_dialect, default=default("FAKE_DIALECT", _dialect, DIALECTS["openai"]),
        metavar="|".join(DIALECTS), help="whose quirks to show (default: openai)")  # fmt: skip
    add("--latency", type=_latency, default=Latency(), metavar="ttft=80ms,itl=8ms",
        help=f"mean time to first token and between tokens {_USUAL}")  # fmt: skip
    add("--script", type=_script, metavar="FILE",
        help="which scenarios which requests get, one after the other, as TOML")  # fmt: skip
    add("--scenario", type=_scenario, metavar="NAME[?parameter=value&...]",
        help="played for every request that names none itself")  # fmt: skip
    listings = parser.add_mutually_exclusive_group()
    for form in ("json", "markdown"):
        listings.add_argument(f"--{form}", dest="listing", action="store_const", const=form,
            default="text", help=f"list the scenarios as {form}")  # fmt: skip
    add("--quiet", action="store_true", help="no banner, and no line per request")
    add("--admin", action="store_true",
        help="answer /__admin/{journal,script,unplayed}, on loopback only")  # fmt: skip
    given = parser.parse_args(arguments)
    lists = given.command == "scenarios"
    if given.listing != "text" and not lists:
        parser.error(f"--{given.listing} is for listing the scenarios")
    if given.admin and not _is_loopback(given.host):
        parser.error(f"--admin is for loopback only, and {given.host!r} is not (try 127.0.0.1)")
    return Options(
        host=given.host,
        port=given.port,
        seed=given.seed,
        persona=given.persona,
        latency=given.latency,
        quiet=given.quiet,
        dialect=given.dialect,
        script=given.script,
        scenario=given.scenario or "",
        listing=given.listing if lists else "",
        admin=given.admin,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _is_loopback(host: str) -> bool:
    """A name is not looked up: what it stands for may change before the listener asks."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _integer(text: str) -> int:
    try:
        return int(text[:40])
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _scenario(text: str) -> str:
    try:
        parse(text)
    except (UnknownScenario, BadParameter) as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    return text


def _dialect(text: str) -> Dialect:
    if text not in DIALECTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(DIALECTS)}")
    return DIALECTS[text]


def _latency(text: str) -> Latency:
    try:
        return parse_latency(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def _script(text: str) -> Script:
    try:
        return parse_script(Path(text).read_text("utf-8"), text, check_playable)
    except UnicodeDecodeError as fault:
        raise argparse.ArgumentTypeError(f"{text}: {fault}") from None
    except OSError as fault:
        raise argparse.ArgumentTypeError(f"{text}: {fault.strerror}") from None
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
