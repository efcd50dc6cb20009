"""Every cap and default limit of the contract, each named with its unit last (CONTRACT §3–§6).

Relations between them are asserted when the module is imported, so that no edit can break one
silently. Services may lower or raise the ones that are settings; the caps are the contract's.
"""

from typing import Final

# The client's request (CONTRACT §3).
CHAT_BODY_BYTES: Final = 64 * 1024
MESSAGE_CHARS: Final = 4_000
HISTORY_MESSAGES: Final = 12
TOP_K_MIN: Final = 1
TOP_K_MAX: Final = 20
TOP_K_DEFAULT: Final = 6
SESSION_ID_CHARS: Final = 128

# Sessions (CONTRACT §3). How much of one is shown at once, and told to the model.
SESSION_TURNS_MAX: Final = 50
HISTORY_TOKENS_DEFAULT: Final = 2_000
HISTORY_TOKENS_MAX: Final = 100_000
FEEDBACK_COMMENT_CHARS: Final = 1_000

# The gateway's request (CONTRACT §4).
GENERATE_BODY_BYTES: Final = 512 * 1024
CHUNKS: Final = 20
CHUNK_CHARS: Final = 32_000
MESSAGES: Final = 64
MODEL_NAME_CHARS: Final = 256
MAX_TOKENS_MAX: Final = 32_768
MAX_TOKENS_DEFAULT: Final = 512
PROMPT_TOKENS_MIN: Final = 1_000
PROMPT_TOKENS_MAX: Final = 2_000_000
PROMPT_TOKENS_DEFAULT: Final = 7_000
CHUNK_TOKENS_MIN: Final = 50
CHUNK_TOKENS_DEFAULT: Final = 2_000
# The longest answer a schema allows. Enough for any to end under `MAX_TOKENS_DEFAULT`, and under
# the 2,000 repetitions at which llama.cpp refuses a grammar.
SCHEMA_ANSWER_CHARS_MIN: Final = 50
SCHEMA_ANSWER_CHARS_DEFAULT: Final = 1_500
TEMPERATURE_MAX: Final = 2.0
TEMPERATURE_DEFAULT: Final = 0.2

# Ids and labels, wherever they stand.
REQUEST_ID_CHARS: Final = 128
CHUNK_ID_CHARS: Final = 256
TITLE_CHARS: Final = 1_000
URL_CHARS: Final = 2_048
SNIPPET_CHARS: Final = 400

# What a server may say of tokens and of waiting, before it is nonsense.
TOKENS_MAX: Final = 1_000_000_000
RETRY_AFTER_MAX_MS: Final = 3_600_000

# Answers and streams (CONTRACT §5).
ANSWER_MAX_CHARS: Final = 8_192
CITATIONS_MAX: Final = 6
HOLD_MAX_CHARS: Final = 4_096
GUARD_HOLD_CHARS: Final = 256
STRUCTURAL_BLANKS_MAX: Final = 64
EVENT_BYTES: Final = 1024 * 1024
RESPONSE_BODY_BYTES: Final = 2 * 1024 * 1024
HEARTBEAT_MS: Final = 10_000

# The last words of a turn that is cut off, on a busy disk; and how long a program that ends moves
# turns on from its spool, where the next one would find them.
SPOOL_END_MS: Final = 2_000
SPOOL_FLUSH_MS: Final = 400

# Strict decoding.
VIOLATIONS_LISTED: Final = 32
JSON_NUMBER_CHARS: Final = 64
JSON_DEPTH: Final = 32

# Calls at once at the model server, and calls that wait. A local server generates for a handful
# side by side; a queue of more than twice as many would only time out.
LLM_CALLS_DEFAULT: Final = 16
LLM_CALLS_MAX: Final = 10_000
LLM_QUEUE_DEFAULT: Final = 32
LLM_QUEUE_MAX: Final = 100_000

# Time (CONTRACT §6): defaults, in milliseconds.
BFF_CHAT_TIMEOUT_MS: Final = 20_000
QS_CHAT_TIMEOUT_MS: Final = 19_000
QS_RETRIEVAL_TIMEOUT_MS: Final = 1_500
QS_STORE_TIMEOUT_MS: Final = 2_000
LLM_TIMEOUT_MS: Final = 15_000
LLM_QUEUE_TIMEOUT_MS: Final = 2_000
LLM_CONNECT_TIMEOUT_MS: Final = 2_000
LLM_LOAD_TIMEOUT_MS: Final = 120_000
LLM_FIRST_TOKEN_TIMEOUT_MS: Final = 10_000
LLM_IDLE_TIMEOUT_MS: Final = 5_000
LLM_BREAKER_COOLDOWN_MS: Final = 10_000
HOP_CONNECT_TIMEOUT_MS: Final = 1_000
BODY_TIMEOUT_MS: Final = 5_000
CLIENT_STALL_TIMEOUT_MS: Final = 10_000
DEADLINE_HOP_MARGIN_MS: Final = 250
DRAIN_NOTICE_MS: Final = 500
DRAIN_TIMEOUT_MS: Final = 3_000
DRAIN_FLUSH_MS: Final = 1_000
CLEANUP_MS: Final = 250
GONE_MS: Final = 5_000
SPANS_FLUSH_MS: Final = 400
SPANS_FLUSH_LEAST_MS: Final = 50

# Spans that wait to be sent: the standard's own bound, and batches that are encoded in a moment.
SPANS_HELD_MAX: Final = 2_048
SPANS_BATCH_MAX: Final = 128

assert TOP_K_DEFAULT <= TOP_K_MAX <= CHUNKS, "whatever is retrieved must fit the gateway's request"
assert CITATIONS_MAX < CHUNKS
assert GUARD_HOLD_CHARS < HOLD_MAX_CHARS < ANSWER_MAX_CHARS
assert 4 * ANSWER_MAX_CHARS < EVENT_BYTES < RESPONSE_BODY_BYTES, "a whole answer fits one event"
assert PROMPT_TOKENS_DEFAULT + MAX_TOKENS_DEFAULT <= 8_192, "a window of 8,192 holds both"
assert HISTORY_TOKENS_DEFAULT + CHUNK_TOKENS_DEFAULT < PROMPT_TOKENS_DEFAULT
assert HISTORY_MESSAGES < MESSAGES, "the question stands beside its history"
assert SCHEMA_ANSWER_CHARS_MIN < SCHEMA_ANSWER_CHARS_DEFAULT < ANSWER_MAX_CHARS
assert CHUNK_TOKENS_MIN < CHUNK_TOKENS_DEFAULT < PROMPT_TOKENS_DEFAULT
assert CHAT_BODY_BYTES < GENERATE_BODY_BYTES
assert BFF_CHAT_TIMEOUT_MS > QS_CHAT_TIMEOUT_MS
assert QS_CHAT_TIMEOUT_MS > LLM_TIMEOUT_MS + QS_RETRIEVAL_TIMEOUT_MS + QS_STORE_TIMEOUT_MS
assert LLM_TIMEOUT_MS > LLM_QUEUE_TIMEOUT_MS
assert LLM_TIMEOUT_MS > LLM_FIRST_TOKEN_TIMEOUT_MS > LLM_IDLE_TIMEOUT_MS > LLM_CONNECT_TIMEOUT_MS
assert DRAIN_NOTICE_MS < DRAIN_TIMEOUT_MS
assert DRAIN_TIMEOUT_MS + DRAIN_FLUSH_MS + SPOOL_FLUSH_MS + SPANS_FLUSH_MS < GONE_MS, (
    "a drained program is gone in 5 s"
)
assert SPANS_BATCH_MAX < SPANS_HELD_MAX
