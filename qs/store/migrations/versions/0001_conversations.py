"""Sessions, turns, their sources and citations, and feedback.

MySQL cannot undo a step that was cut off, so every statement may find its work done.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision: Final = "0001"
down_revision: Final = None

_ID, _NAME, _HASH, _WORD = sa.String(128), sa.String(256), sa.String(64), sa.String(64)
_TITLE, _URL = sa.String(1_000), sa.String(2_048)


def upgrade() -> None:
    """Make the tables."""
    _make(
        "sessions",
        sa.Column("session_id", _ID, primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("used_ms", sa.BigInteger, nullable=False),
    )
    _index("sessions_by_use", "sessions", "used_ms")
    _make(
        "turns",
        sa.Column("turn_id", sa.String(32), primary_key=True),
        sa.Column(
            "session_id",
            _ID,
            sa.ForeignKey("sessions.session_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("request_id", _ID, nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("asked_ms", sa.BigInteger, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("prompt_version", _WORD, nullable=False),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("reason_code", _WORD),
        sa.Column("answer", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("timings_ms", sa.Text, nullable=False),
        sa.Column("ended_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("owner", "request_id", name="turns_by_request"),
    )
    _index("turns_by_session", "turns", "session_id", "asked_ms")
    _make(
        "sources",
        _turn_id(),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("chunk_id", _NAME, nullable=False),
        sa.Column("doc_id", _NAME, nullable=False),
        sa.Column("title", _TITLE),
        sa.Column("url", _URL),
        sa.Column("snippet", sa.String(400), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("content_hash", _HASH),
    )
    _make(
        "citations",
        _turn_id(),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("chunk_id", _NAME, nullable=False),
        sa.Column("marker", _WORD, nullable=False),
        sa.Column("title", _TITLE),
        sa.Column("url", _URL),
        sa.Column("content_hash", _HASH),
    )
    _make(
        "feedback",
        _turn_id(),
        sa.Column("rating", _WORD, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("given_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop them, with all that is kept in them."""
    for name in ("feedback", "citations", "sources", "turns", "sessions"):
        op.drop_table(name, if_exists=True)


def _turn_id() -> "sa.Column[str]":
    cascading = sa.ForeignKey("turns.turn_id", ondelete="CASCADE")
    return sa.Column("turn_id", sa.String(32), cascading, primary_key=True)


def _make(name: str, *parts: SchemaItem) -> None:
    op.create_table(
        name,
        *parts,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _index(name: str, table: str, *columns: str) -> None:
    # MySQL has no `CREATE INDEX IF NOT EXISTS`.
    there = sa.inspect(op.get_bind()).get_indexes(table)
    if name not in [index["name"] for index in there]:
        op.create_index(name, table, [*columns])
