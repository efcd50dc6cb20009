"""Why a generation failed: the one exception the gateway raises for the mistakes of others."""

from contracts.reasons import ReasonCode


class GenerationFault(Exception):
    """A controlled end of a generation: `code` is shown, `detail` is for the log only.

    `detail` never holds text the model wrote, nor a key. `retry_after_ms` is what the model
    server asked for, where it did.
    """

    def __init__(self, code: ReasonCode, detail: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_ms = retry_after_ms
