"""The tables, as the newest migration leaves them; `migrations/versions` makes them.

They hold nothing that either database lacks: no JSON operators, no collation of one maker's. Text
is utf8mb4 in its binary collation, stated on every table, so that ids differ where their bytes do
and every script is kept, whatever a server's defaults are. Times are milliseconds since the epoch.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from contracts import limits

TURN_ID_CHARS: Final = 32
OWNER_CHARS: Final = 64
HASH_CHARS: Final = 64
WORD_CHARS: Final = 64  # a status, a reason code, a rating, a marker
metadata: Final = MetaData()

sessions: Final = Table(
    "sessions",
    metadata,
    Column("session_id", String(limits.SESSION_ID_CHARS), primary_key=True),
    Column("owner", String(OWNER_CHARS), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    Index("sessions_by_use", "used_ms"),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)

turns: Final = Table(
    "turns",
    metadata,
    Column("turn_id", String(TURN_ID_CHARS), primary_key=True),
    Column(
        "session_id",
        String(limits.SESSION_ID_CHARS),
        ForeignKey("sessions.session_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("owner", String(OWNER_CHARS), nullable=False),
    Column("request_id", String(limits.REQUEST_ID_CHARS), nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("question", Text, nullable=False),
    Column("prompt_version", String(WORD_CHARS), nullable=False),
    Column("status", String(WORD_CHARS), nullable=False),
    Column("reason_code", String(WORD_CHARS)),
    Column("answer", Text),
    Column("model", Text),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("timings_ms", Text, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    UniqueConstraint("owner", "request_id", name="turns_by_request"),
    Index("turns_by_session", "session_id", "asked_ms"),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)


def _of_turn() -> Column[str]:
    cascading = ForeignKey("turns.turn_id", ondelete="CASCADE")
    return Column("turn_id", String(TURN_ID_CHARS), cascading, primary_key=True)


sources: Final = Table(
    "sources",
    metadata,
    _of_turn(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("chunk_id", String(limits.CHUNK_ID_CHARS), nullable=False),
    Column("doc_id", String(limits.CHUNK_ID_CHARS), nullable=False),
    Column("title", String(limits.TITLE_CHARS)),
    Column("url", String(limits.URL_CHARS)),
    Column("snippet", String(limits.SNIPPET_CHARS), nullable=False),
    Column("score", Double, nullable=False),
    Column("content_hash", String(HASH_CHARS)),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)

citations: Final = Table(
    "citations",
    metadata,
    _of_turn(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("chunk_id", String(limits.CHUNK_ID_CHARS), nullable=False),
    Column("marker", String(WORD_CHARS), nullable=False),
    Column("title", String(limits.TITLE_CHARS)),
    Column("url", String(limits.URL_CHARS)),
    Column("content_hash", String(HASH_CHARS)),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)

feedback: Final = Table(
    "feedback",
    metadata,
    _of_turn(),
    Column("rating", String(WORD_CHARS), nullable=False),
    Column("comment", Text),
    Column("given_ms", BigInteger, nullable=False),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)
