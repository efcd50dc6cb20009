"""Who is let in, before a body is read: by its page's origin, its key, and how often it calls.

In this order, since each is cheaper to judge than the next is to lose. Where keys are needed, calls
without one are counted by address, and an address that had too many of them is not listened to for
a while, whatever key it brings: else the limit would tell a guess that was right from one that was
not. What browsers ask beforehand, and may read of an answer, is told to the pages that are allowed.
"""

import math

from attrs import frozen
from quart import Response

from bff.admission import Admit, Buckets, Rate, Reject, address_group
from bff.config import BffSettings
from bff.origins import Asker, Origins
from contracts.reasons import ReasonCode
from hop.incoming import Call, Refusal, known_caller
from hop.keys import Keys
from hop.lifetime import HopApp, HopRequest, current_request

_POLICY = '"calls"'
_ASKS_BEFOREHAND = "access-control-request-method"
_PREFLIGHT_S = 600
_MAY_BE_SENT = (
    "authorization, content-type, traceparent, x-api-key, x-deadline-ms, x-request-id, x-trace-id"
)
_MAY_BE_READ = "ratelimit, ratelimit-policy, retry-after, x-request-id, x-trace-id"


@frozen
class Door:
    """The BFF's door. Without a rate nothing is counted."""

    keys: Keys
    origins: Origins
    listens_on: str
    calls: Buckets | None  # of each key, or of each address where no key is needed
    strangers: Buckets | None  # by address: calls without a key that is taken

    @classmethod
    def of(cls, settings: BffSettings) -> "Door":
        """The door that the settings describe."""

        def counted() -> Buckets | None:
            per_minute = settings.rate_per_minute
            return Buckets(Rate(per_minute, settings.rate_burst)) if per_minute else None

        keys, origins = settings.api_keys, settings.allowed_origins
        return cls(keys, origins, settings.host, counted(), counted())

    def admit(self, call: Call) -> None:
        """Let a call in, or raise its Refusal."""
        if self._asker(call.request) is Asker.FOREIGN:
            message = "pages of this origin may not ask here; BFF_ALLOWED_ORIGINS lists which may"
            raise Refusal(ReasonCode.INPUT_FORBIDDEN, message)
        address = _address(call.request)
        if self.keys:
            self._know(call, address)
        if self.calls is not None:
            _count(call, self.calls, call.caller or address)

    def _know(self, call: Call, address: str) -> None:
        """Learn whose key it is; a stranger's call is counted."""
        now = call.program.now()
        if self.strangers is not None and (wait_ms := self.strangers.wait_ms(address, now)):
            message = "too many calls without a key that is taken have come from this address"
            raise Refusal(ReasonCode.ADMISSION_RATE_LIMITED, message, retry_after_ms=wait_ms)
        try:
            known_caller(call, self.keys)
        except Refusal:
            if self.strangers is not None:
                self.strangers.decide(address, now)
            raise

    def tell_pages(self, app: HopApp) -> None:
        """Have every answer say which pages may read it, and what they may ask."""

        @app.after_request
        async def told(response: Response) -> Response:
            request = current_request()
            response.vary.add("origin")
            if self._asker(request) is Asker.ALLOWED:
                response.headers["access-control-allow-origin"] = request.headers["origin"]
                response.headers["access-control-expose-headers"] = _MAY_BE_READ
                if request.method == "OPTIONS" and _ASKS_BEFOREHAND in request.headers:
                    methods = response.headers.get("allow", "")
                    response.headers["access-control-allow-methods"] = methods
                    response.headers["access-control-allow-headers"] = _MAY_BE_SENT
                    response.headers["access-control-max-age"] = str(_PREFLIGHT_S)
            return response

    def _asker(self, request: HopRequest) -> Asker:
        headers = request.headers
        return self.origins.judge(
            headers.getlist("origin"), headers.get("host", ""), self.listens_on
        )


def _address(request: HopRequest) -> str:
    """Where the connection comes from. A proxy's clients all have the proxy's address."""
    client = request.scope.get("client")
    return address_group(client[0]) if client else ""


def _count(call: Call, calls: Buckets, caller: str) -> None:
    """Take one of the caller's calls, and tell it how many there are left."""
    decision, rate = calls.decide(caller, call.program.now()), calls.rate
    left = decision.left if isinstance(decision, Admit) else 0
    call.request.answer_headers |= {
        "ratelimit-policy": f"{_POLICY};q={rate.burst};w={math.ceil(rate.refill_s)}",
        "ratelimit": f"{_POLICY};r={left};t={math.ceil(decision.full_in_s)}",
    }
    if isinstance(decision, Reject):
        message = f"more than {rate.per_minute} calls a minute, or {rate.burst} at once"
        raise Refusal(
            ReasonCode.ADMISSION_RATE_LIMITED, message, retry_after_ms=decision.retry_after_ms
        )
