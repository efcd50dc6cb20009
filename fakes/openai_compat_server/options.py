"""The command line, read from arguments and a mapping of the environment.

Two commands: `serve`, which is meant where none is named, and `scenarios`. What can not be
understood is refused in one line.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, NoReturn

from attrs import field, frozen

from fakes.openai_compat_server.admin_access import is_loopback
from fakes.openai_compat_server.catalogue import BadParameter, UnknownScenario, parse
from fakes.openai_compat_server.command_help import (
    DESCRIPTION,
    EPILOG,
    LIST_DESCRIPTION,
    LIST_EPILOG,
    SERVE_DESCRIPTION,
    SERVE_EPILOG,
    USAGE,
)
from fakes.openai_compat_server.dialects import DIALECTS, Dialect
from fakes.openai_compat_server.pacing import LATENCY_HELP, Latency, parse_latency
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.responses import check_playable
from fakes.openai_compat_server.scenario import Handshake
from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.script_file import parse_script
from fakes.openai_compat_server.tls import TlsUnavailable, check_tls, handshake_of

# As it is started from a checkout; an installation has a command of its own, `openai-fake`.
MODULE: Final = "python -m fakes.openai_compat_server"
_DISTRIBUTION: Final = "bsl"
_SERVE: Final = "serve"
_SHOW: Final = "(default: %(default)s)"


@frozen
class Options:
    """What was asked for, checked; of a listing, only how it is to be and what it is to have."""

    host: str = "127.0.0.1"
    port: int = 8020
    seed: int = 0
    persona: str = "extractive"
    latency: Latency = field(factory=Latency)
    quiet: bool = False
    dialect: Dialect = DIALECTS["openai"]
    script: Script | None = None
    scenario: str = ""
    window_tokens: int | None = None  # None: the dialect's own
    admin: bool = False  # only ever with a loopback host
    tls: bool = False  # only ever where certificates can be made
    tls_ca: Path | None = None
    tls_hosts: tuple[str, ...] = ()
    listing: str = ""  # how to list the scenarios instead of serving: text, json or markdown
    words: tuple[str, ...] = ()  # what a scenario must have in its name or meaning to be listed


_USUAL: Final = Options()


def program_name(started_as: str) -> str:
    """What to call the program in what it says, by the path it was started as."""
    path = Path(started_as)
    return MODULE if path.name == "__main__.py" else path.stem


def parse_options(
    arguments: Sequence[str], environment: Mapping[str, str], program: str = MODULE
) -> Options:
    """Exits with one clear line and status 2 for what can not be understood (0 for --help)."""
    parser = _described(_Parser(prog=program, usage=USAGE), DESCRIPTION, EPILOG)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(prog=program, title="commands")
    serve = commands.add_parser(_SERVE, usage="%(prog)s [options]",
        help="serve until stopped; the command when none is named")  # fmt: skip
    _described(serve, SERVE_DESCRIPTION, SERVE_EPILOG)
    _add_where(serve, environment)
    _add_what(serve, environment)
    _add_faults(serve)
    serve.set_defaults(read=lambda given: _served(serve, given))
    listing = commands.add_parser("scenarios", help="list what can go wrong, and how to ask for it")
    _described(listing, LIST_DESCRIPTION, LIST_EPILOG)
    _add_listings(listing)
    listing.set_defaults(read=_listed)
    given = parser.parse_args(_commanded(arguments))
    options: Options = given.read(given)
    return options


def _commanded(arguments: Sequence[str]) -> Sequence[str]:
    """With the command that is meant where none comes first."""
    first = arguments[0] if arguments else "-"
    of_no_command = ("-h", "--help", "--version")
    return (
        [_SERVE, *arguments] if first.startswith("-") and first not in of_no_command else arguments
    )


def _described(parser: "_Parser", description: str, epilog: str) -> "_Parser":
    parser.description, parser.epilog = description, epilog
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _version() -> str:
    try:
        return f"openai-fake of {_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}"
    except metadata.PackageNotFoundError:
        return f"openai-fake of a checkout of {_DISTRIBUTION} that is not installed"


def _served(parser: "_Parser", given: argparse.Namespace) -> Options:
    scenario = given.scenario or ""
    tls = given.tls or handshake_of(scenario) is not Handshake.RIGHT
    _check_together(parser, given, tls)
    return Options(
        host=given.host,
        port=given.port,
        seed=given.seed,
        persona=given.persona,
        latency=given.latency,
        quiet=given.quiet,
        dialect=given.dialect,
        script=given.script,
        scenario=scenario,
        window_tokens=given.window_tokens,
        admin=given.admin,
        tls=tls,
        tls_ca=given.tls_ca,
        tls_hosts=tuple(given.tls_host),
    )


def _listed(given: argparse.Namespace) -> Options:
    return Options(listing=given.listing, words=tuple(given.words))


def _add_where(parser: "_Parser", environment: Mapping[str, str]) -> None:
    add = parser.add_argument_group("where it serves").add_argument
    add("--host", default=parser.default(environment, "FAKE_HOST", str, _USUAL.host),
        help="address to listen on " + _SHOW)  # fmt: skip
    add("--port", type=_port, default=parser.default(environment, "FAKE_PORT", _port, _USUAL.port),
        metavar="PORT", help=f"port to listen on, 0 for a free one {_SHOW}")  # fmt: skip
    add("--quiet", action="store_true", help="no banner, and no line per request")
    add("--admin", action="store_true",
        help="answer /__admin/{journal,script,unplayed}, on loopback only")  # fmt: skip
    add("--tls", action="store_true",
        help="HTTPS, with a certificate by an authority made anew at each start"
        " (needs the extra `tls`)")  # fmt: skip
    add("--tls-ca", type=Path, metavar="FILE",
        help="where to write the authority's certificate, for clients to trust"
        " (default: a temporary file)")  # fmt: skip
    add("--tls-host", action="append", default=[], metavar="NAME",
        help="one more host the certificate is for, besides localhost and --host")  # fmt: skip


def _add_what(parser: "_Parser", environment: Mapping[str, str]) -> None:
    add = parser.add_argument_group("how it answers").add_argument
    add("--seed", type=_integer, default=parser.default(environment, "FAKE_SEED", _integer, 0),
        metavar="N", help=f"decides ids, times and pacing {_SHOW}")  # fmt: skip
    add("--persona", choices=sorted(PERSONAS), default=_USUAL.persona, help="who answers " + _SHOW)
    dialect = parser.default(environment, "FAKE_DIALECT", _dialect, _USUAL.dialect)
    add("--dialect", type=_dialect, default=dialect, metavar="|".join(DIALECTS),
        help="whose quirks to show (default: openai)")  # fmt: skip
    add("--latency", type=_latency, default=_USUAL.latency, metavar="NAME=VALUE,...",
        help=LATENCY_HELP)  # fmt: skip
    add("--window-tokens", type=_tokens, metavar="N",
        help="the longest prompt, at four characters to a token (default: the dialect's own, which"
        " only ollama has)")  # fmt: skip


def _add_faults(parser: "_Parser") -> None:
    add = parser.add_argument_group("what goes wrong").add_argument
    add("--scenario", type=_scenario, metavar="NAME[?parameter=value&...]",
        help="played for every request that names none itself")  # fmt: skip
    add("--script", type=_script, metavar="FILE",
        help="TOML file that says which request gets which scenario")  # fmt: skip


def _add_listings(parser: "_Parser") -> None:
    parser.add_argument("words", nargs="*", metavar="WORD",
        help="only scenarios with all of these in their name or meaning")  # fmt: skip
    group = parser.add_mutually_exclusive_group()
    for form in ("json", "markdown"):
        group.add_argument(f"--{form}", dest="listing", action="store_const", const=form,
            default="text", help=f"as {form}, and not as text")  # fmt: skip


def _check_together(parser: "_Parser", given: argparse.Namespace, tls: bool) -> None:
    if given.admin and not is_loopback(given.host):
        parser.error(f"--admin is for loopback only, and {given.host!r} is not (try 127.0.0.1)")
    for name in ("tls_ca", "tls_host"):
        if getattr(given, name) and not tls:
            parser.error(f"--{name.replace('_', '-')} goes with --tls")
    if tls:
        try:
            check_tls()
        except TlsUnavailable as fault:
            parser.error(str(fault))


class _Parser(argparse.ArgumentParser):
    def default(
        self,
        environment: Mapping[str, str],
        name: str,
        kind: Callable[[str], object],
        usual: object,
    ) -> object:
        """What the environment says, read as the option is, or the usual."""
        given = environment.get(name, "").strip()
        try:
            return kind(given) if given else usual
        except argparse.ArgumentTypeError as fault:
            self.error(f"{name}: {fault}")

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


def _tokens(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:10]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens, 1 or more")
    return int(text[:10])


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
