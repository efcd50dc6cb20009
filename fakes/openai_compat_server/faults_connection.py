"""What can go wrong with the connection, before, in and instead of an answer.

Those that no response can perform have the listener's face: they befall whoever connects.
"""

from collections.abc import Callable, Mapping

from attrs import evolve

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.plan import Ending, Plan, Step
from fakes.openai_compat_server.scenario import (
    Ends,
    Handshake,
    Listening,
    Play,
    Scenario,
    after,
    both,
    lasting,
)
from fakes.openai_compat_server.wire import Response

_LOST = both(ReasonCode.PROVIDER_DISCONNECTED)
_TLS = both(ReasonCode.PROVIDER_TLS_ERROR)
_NO_WORD = Ends(ReasonCode.PROVIDER_TIMEOUT, ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT)


def _wordless(ending: Ending) -> Callable[[Play, Plan], Plan]:
    """Not a byte, and then this."""
    return lambda _play, _plan: Plan(0, (), ending)


def _half_status_line(_: Play, plan: Plan) -> Plan:
    return Plan(0, (Step(plan.steps[0].delay_s, b"HTTP/1.1 2"),), Ending.CLOSE)


def _half_headers(_: Play, plan: Plan) -> Plan:
    """The status line and half of what stands between it and the body."""
    first = plan.steps[0]
    head = first.data.partition(b"\r\n\r\n")[0]
    line, headers = head.split(b"\r\n", 1)
    cut = line + b"\r\n" + headers[: len(headers) // 2]
    return Plan(plan.status, (Step(first.delay_s, cut),), Ending.CLOSE)


def _lost_midway(ending: Ending) -> Callable[[Play, Response], Response]:
    def lose(play: Play, response: Response) -> Response:
        return evolve(response, body=begun(play, response.body), tail=b"", ending=ending)

    return lose


def begun(play: Play, body: tuple[Step, ...]) -> tuple[Step, ...]:
    """The events before the fault; of a plain answer, its first half."""
    if play.stream:
        return body[: play.at]
    (whole,) = body
    return (Step(whole.delay_s, whole.data[: len(whole.data) // 2]),)


def _at_once(ending: Ending) -> Callable[[Mapping[str, float]], Plan]:
    return lambda _: Plan(0, (), ending)


def _late(values: Mapping[str, float]) -> Plan:
    return Plan(0, (Step(values["for"], b""),), Ending.KEEP)


CONNECTION = (
    Scenario(
        "reset-before-bytes", "the connection is reset instead of an answer", _LOST,
        plan=_wordless(Ending.RESET),
    ),
    Scenario(
        "close-before-bytes", "the connection is closed instead of an answer", _LOST,
        plan=_wordless(Ending.CLOSE),
    ),
    Scenario(
        "silence", "the request is taken, and nothing is ever said", _NO_WORD,
        plan=_wordless(Ending.SILENCE),
    ),
    Scenario(
        "reset-mid-stream", "a reset `after` events; of a plain answer, after half of its body",
        _LOST, after(5), response=_lost_midway(Ending.RESET),
    ),
    Scenario(
        "close-mid-stream", "a close `after` events; of a plain answer, after half of its body",
        _LOST, after(5), response=_lost_midway(Ending.CLOSE),
    ),
    Scenario("half-status-line", "`HTTP/1.1 2`, then a close", _LOST, plan=_half_status_line),
    Scenario("half-headers", "the head is cut in its middle", _LOST, plan=_half_headers),
    Scenario(
        "refused", "the port is held, but nobody listens on it",
        both(ReasonCode.PROVIDER_UNREACHABLE), listening=Listening.REFUSE,
    ),
    Scenario(
        "slow-connect", "connecting takes `for` or longer: the queue of connections is full",
        both(ReasonCode.PROVIDER_CONNECT_TIMEOUT), lasting("30s"), listening=Listening.STALL,
    ),
    Scenario(
        "slow-accept", "a connection is looked at only when `for` has passed", _NO_WORD,
        lasting("30s"), on_accept=_late,
    ),
    Scenario(
        "accept-silence", "connections are taken, and nothing is ever said", _NO_WORD,
        on_accept=_at_once(Ending.SILENCE),
    ),
    Scenario(
        "accept-close", "connections are closed as they come", _LOST,
        on_accept=_at_once(Ending.CLOSE),
    ),
    Scenario(
        "accept-reset", "connections are reset as they come", _LOST,
        on_accept=_at_once(Ending.RESET),
    ),
    Scenario(
        "tls-wrong-host", "the certificate is another host's, by an authority that is trusted",
        _TLS, handshake=Handshake.WRONG_HOST,
    ),
    Scenario(
        "tls-unknown-authority", "the certificate is by an authority that nobody trusts",
        _TLS, handshake=Handshake.UNKNOWN_AUTHORITY,
    ),
    Scenario(
        "tls-expired", "the certificate has expired long ago", _TLS, handshake=Handshake.EXPIRED,
    ),
    Scenario(
        "tls-cut-handshake", "a close in the middle of the server's part of the TLS handshake",
        _TLS, handshake=Handshake.CUT,
    ),
    Scenario(
        "tls-silent-handshake", "the TLS handshake is never answered",
        both(ReasonCode.PROVIDER_CONNECT_TIMEOUT), handshake=Handshake.SILENT,
    ),
    Scenario(
        "tls-not-spoken", "plain HTTP is spoken where TLS is expected", _TLS,
        handshake=Handshake.NOT_SPOKEN,
    ),
)  # fmt: skip
