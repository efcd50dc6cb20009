"""Settings: frozen, and parsed from a mapping, so that only `__main__` ever reads the environment.

A program's settings are an attrs class whose fields are made by `setting`. `load` reads them all
before it complains: an unusable value is one line that names the variable, the value and what is
wanted; a name in the program's own namespace that means nothing is a warning. Limits that must
nest are named in `NESTED`: two explicit values that contradict each other are refused, a default
shrinks to fit.
"""

import re
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar
from urllib.parse import unquote, urlsplit

import attrs
from attrs import frozen

from contracts import limits

V = TypeVar("V")
S = TypeVar("S", bound="HopSettings")
_KEY = "variable"
_SECRET_WORDS = ("HEADERS", "KEY", "KEYS", "PASSWORD", "SECRET", "TOKEN")
_VALUE_SHOWN_CHARS = 80
WORKERS_MAX = 64
# Who a url signs in as; greedy, since a password may hold anything.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SIGNED_IN = re.compile(r"//.*@")


class SettingsError(Exception):
    """The settings can not be used; `lines` says why, one line a fault."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))


@frozen
class Variable:
    """One environment variable: how it is read, and what the handbook says of it."""

    name: str
    default: object
    parse: Callable[[str], object]
    help: str

    def shown(self, value: object) -> str:
        """The value as a message may show it: a secret not at all."""
        if any(word in self.name.split("_") for word in _SECRET_WORDS):
            return "(secret)"
        if not isinstance(value, str):
            return repr(value)
        return repr(_SIGNED_IN.sub("//(secret)@", value)[:_VALUE_SHOWN_CHARS])


def setting(name: str, default: V, parse: Callable[[str], V], help: str) -> V:
    """A field read from the variable `name`. `help` is the handbook's line on it."""
    variable = Variable(name, default, parse, help)
    field: V = attrs.field(default=default, repr=variable.shown, metadata={_KEY: variable})
    return field


def text(value: str) -> str:
    """Any text, as it stands."""
    return value


def name(value: str) -> str:
    """Text that is not blank."""
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def boolean(value: str) -> bool:
    """`true` or `false`, and nothing else."""
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """A whole number in this range."""

    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > len(str(maximum)):
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        if not minimum <= int(value) <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum}")
        return int(value)

    return parse


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """A number in this range."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
        if not minimum <= parsed <= maximum:
            raise ValueError(f"must be from {minimum:g} to {maximum:g}")
        return parsed

    return parse


def url(value: str) -> str:
    """An http or https address, without a trailing slash."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an http or https address, like http://127.0.0.1:8000/v1")
    return value.rstrip("/")


def proxy_url(value: str) -> str:
    """Empty, or an http or https proxy's address; it may hold a user and a password."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if value and (not usable or parts.path.strip("/") or parts.query or parts.fragment):
        raise ValueError("must be an http or https proxy's address, like http://127.0.0.1:3128")
    return value.rstrip("/")


def url_or_none(value: str) -> str:
    """The same, or empty."""
    return url(value) if value else ""


def header_list(value: str) -> str:
    """`name=value` pairs with commas between, values percent-encoded: as OpenTelemetry has them."""
    headers_in(value)
    return value


def headers_in(value: str) -> dict[str, str]:
    """The headers in such a list, by their names in small letters. Raises ValueError."""
    pairs = {}
    for item in filter(None, (item.strip() for item in value.split(","))):
        name, equals, encoded = item.partition("=")
        text = unquote(encoded.strip())
        if not equals or not _HEADER_NAME.fullmatch(name.strip()) or not text.isprintable():
            raise ValueError("must be name=value pairs with commas between them")
        pairs[name.strip().lower()] = text
    return pairs


def one_of(*options: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return value

    return parse


port = integer(0, 65_535)
milliseconds = integer(1, 3_600_000)


@frozen
class HopSettings:
    """What every program of the road has."""

    SERVICE: ClassVar[str] = ""
    # What the program is, in one sentence, for `--help`.
    ABOUT: ClassVar[str] = ""
    # The prefixes in which a variable this program does not know is a warning.
    NAMESPACES: ClassVar[tuple[str, ...]] = ()
    # Variables of a neighbour that share a prefix.
    FOREIGN: ClassVar[tuple[str, ...]] = ()
    # (outer, inner): fields of which the inner may not be longer than the outer.
    NESTED: ClassVar[tuple[tuple[str, str], ...]] = ()

    @property
    def host(self) -> str:
        """The address it listens on; each program names its own variable."""
        raise AttributeError("host")

    @property
    def port(self) -> int:
        """The port it listens on; each program names its own variable."""
        raise AttributeError("port")

    hop_connect_timeout_ms: int = setting(
        "HOP_CONNECT_TIMEOUT_MS",
        limits.HOP_CONNECT_TIMEOUT_MS,
        milliseconds,
        "connecting to the next hop",
    )
    body_timeout_ms: int = setting(
        "BODY_TIMEOUT_MS",
        limits.BODY_TIMEOUT_MS,
        milliseconds,
        "a request's body arriving",
    )
    client_stall_timeout_ms: int = setting(
        "CLIENT_STALL_TIMEOUT_MS",
        limits.CLIENT_STALL_TIMEOUT_MS,
        milliseconds,
        "one write to a client that does not read",
    )
    deadline_hop_margin_ms: int = setting(
        "DEADLINE_HOP_MARGIN_MS",
        limits.DEADLINE_HOP_MARGIN_MS,
        integer(0, 10_000),
        "how much sooner the next hop must answer",
    )
    drain_timeout_ms: int = setting(
        "DRAIN_TIMEOUT_MS",
        limits.DRAIN_TIMEOUT_MS,
        integer(limits.DRAIN_NOTICE_MS, 3_500),
        "how long running calls go on after SIGTERM",
    )
    workers: int = setting(
        "WORKERS",
        1,
        integer(1, WORKERS_MAX),
        "how many processes share the address; what is kept in memory is each one's own",
    )
    log_level: str = setting(
        "LOG_LEVEL",
        "info",
        one_of("debug", "info", "warning", "error"),
        "the least level that is logged",
    )
    log_content: bool = setting(
        "LOG_CONTENT",
        False,
        boolean,
        "log the text of questions and answers too",
    )
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        url_or_none,
        "the OpenTelemetry collector that gets spans, over HTTP; empty: there are none",
    )
    otlp_headers: str = setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        header_list,
        "sent to the collector with them, as name=value with commas between",
    )


def load(kind: type[S], environ: Mapping[str, str]) -> tuple[S, tuple[str, ...]]:
    """The settings in a mapping, and what was odd but usable. Raises SettingsError."""
    variables = variables_of(kind)
    values: dict[str, object] = {}
    faults: list[str] = []
    for field, variable in variables.items():
        raw = environ.get(variable.name)
        if raw is None:
            continue
        try:
            values[field] = variable.parse(raw)
        except ValueError as error:
            faults.append(f"{variable.name}={variable.shown(raw)}: {error}")
    make: Callable[..., S] = kind
    made = make(**values)
    faults += _contradictions(made, values, variables)
    if faults:
        raise SettingsError(faults)
    return _fitted(made, values), tuple(_unknown(kind, environ, variables))


def variables_of(kind: type[HopSettings]) -> dict[str, Variable]:
    """Each field's variable, by the field's name."""
    return {field.name: field.metadata[_KEY] for field in attrs.fields(kind)}


def _contradictions(
    made: HopSettings, explicit: Mapping[str, object], variables: Mapping[str, Variable]
) -> list[str]:
    return [
        f"{variables[inner].name}={getattr(made, inner)} is longer than "
        f"{variables[outer].name}={getattr(made, outer)}, which it must fit into"
        for outer, inner in made.NESTED
        if inner in explicit and outer in explicit
        if getattr(made, inner) > getattr(made, outer)
    ]


def _fitted(made: S, explicit: Mapping[str, object]) -> S:
    """Defaults give way: an inner one shrinks into its outer, an outer one never grows."""
    for outer, inner in made.NESTED:
        if inner not in explicit and getattr(made, inner) > getattr(made, outer):
            made = attrs.evolve(made, **{inner: getattr(made, outer)})
    return made


def _unknown(
    kind: type[HopSettings], environ: Mapping[str, str], variables: Mapping[str, Variable]
) -> list[str]:
    known = {variable.name for variable in variables.values()} | set(kind.FOREIGN)
    mine = (n for n in sorted(environ) if n.startswith(kind.NAMESPACES) and n not in known)
    return [f"{name} is set but means nothing here" for name in mine]
