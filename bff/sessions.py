"""Sessions and feedback at the BFF: asked of QS on behalf of whoever asks, and relayed.

QS's answer is proved and its bytes passed on; its errors that concern the asker are told again, and
a QS that fails is an error with the code of how. There is no fallback here: nobody waits for text.
"""

from collections.abc import Mapping

import trio
from attrs import frozen
from quart import Response

from bff.config import BffSettings
from contracts.codec import decode, encode
from contracts.reasons import ReasonCode
from contracts.rules import SESSION_ID
from contracts.sessions import OWNER_HEADER, FeedbackRequest, SessionResponse
from hop.app import body_response, empty_response
from hop.call import HopFault, NextHop, Reply, mapped
from hop.incoming import Call, Outcome, Received, Refusal, shutting_down
from hop.tracing import CallIds

_STATUS_NO_CONTENT = 204


def owner_headers(call: Call) -> Mapping[str, str]:
    """Whose sessions these are, for QS: a name made of the client's key, which never travels."""
    return {OWNER_HEADER: call.caller} if call.caller else {}


@frozen
class Sessions:
    """What can be done with what QS keeps."""

    settings: BffSettings
    qs: NextHop

    async def read(self, call: Call, session_id: str) -> Response:
        """The session, as QS shows it."""
        raw = await self._asked(call, "GET", _path_of(session_id), session_id=session_id)
        return body_response(raw, call.ids)

    async def erase(self, call: Call, session_id: str) -> Response:
        """Nothing is kept of the session any more."""
        await self._asked(call, "DELETE", _path_of(session_id))
        return empty_response(call)

    async def rate(self, call: Call, received: Received[FeedbackRequest]) -> Response:
        """The feedback is kept."""
        await self._asked(call, "POST", "/feedback", encode(received.body))
        return empty_response(call)

    async def _asked(
        self, call: Call, method: str, path: str, body: bytes = b"", session_id: str | None = None
    ) -> bytes:
        """QS's answer: the session of this id, or nothing but that it is done. Raises Refusal."""
        call.due(self.settings.chat_timeout_ms)
        call.phase = "calling qs"
        try:
            headers = {**call.onward_headers(), **owner_headers(call)}
            with call.program.drain.work() as drain, trio.move_on_at(call.deadline.at):
                shown = "/" + path.split("/")[1]  # a session's id is not for spans
                async with self.qs.ask(path, headers, body, method=method, shown=shown) as reply:
                    call.phase = "relaying"
                    answer = await _answer(reply, call.ids, session_id)
                    call.outcome = Outcome("ok", None)
                    return answer
            if drain.cancelled_caught:
                raise shutting_down()
            raise HopFault(ReasonCode.HOP_TIMEOUT, "no answer from QS in time")
        except HopFault as fault:
            log = call.program.log
            log.warning("next hop failed", reason_code=fault.code, detail=fault.detail)
            message = "the query service could not be asked, or not understood"
            raise Refusal(fault.code, message, retry_after_ms=fault.retry_after_ms) from fault


async def _answer(reply: Reply, ids: CallIds, session_id: str | None) -> bytes:
    """The bytes to pass on. Raises HopFault, and Refusal where QS refuses what the client asks."""
    if reply.ok and session_id is not None:
        raw = await reply.body("application/json")
        with mapped():
            shown = decode(raw, SessionResponse)
        told = (shown.request_id, shown.trace_id, shown.session_id)
        if told != (ids.request_id, ids.trace_id, session_id):
            detail = "the answer is another call's, or another session"
            raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, detail)
        return raw
    if reply.response.status_code == _STATUS_NO_CONTENT and session_id is None:
        return b""
    error = await reply.error(elsewhere=True)
    if error.code is ReasonCode.INPUT_NOT_FOUND or error.code.fallback:
        raise Refusal(error.code, error.message, retry_after_ms=error.retry_after_ms)
    raise error.fault()


def _path_of(session_id: str) -> str:
    """Where QS has the session. Raises Refusal for what can be no session's id."""
    if SESSION_ID.problem(session_id) is not None:
        raise Refusal(ReasonCode.INPUT_NOT_FOUND, "no session has this id")
    return f"/sessions/{session_id}"
