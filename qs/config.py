"""The query service's settings: what it searches, where the gateway is, its limits."""

import re
from typing import ClassVar, Final
from urllib.parse import urlsplit

from attrs import frozen

from contracts import limits
from hop.keys import Keys, key, keys
from hop.settings import (
    HopSettings,
    boolean,
    integer,
    milliseconds,
    name,
    number,
    one_of,
    port,
    setting,
    text,
    url,
)
from qs.retrieval.relevance import DEFAULT_MIN_SCORE

_ALIAS: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


def index_alias(value: str) -> str:
    """A name that OpenSearch takes for an alias, and for an index when a number is put to it."""
    if not _ALIAS.fullmatch(value):
        raise ValueError("must be small letters, digits, `-` and `_`, a letter or digit first")
    return value


_SQLITE = "sqlite:///"
_MYSQL = "mysql+pymysql"


def store_url(value: str) -> str:
    """A SQLite file, or a database on a MySQL or MariaDB server."""
    if value.startswith(_SQLITE) and value.strip() == value and len(value) > len(_SQLITE):
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme == _MYSQL and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not parts.path.strip("/"):
        raise ValueError(
            f"must be {_SQLITE}path/to/a/file or {_MYSQL}://user:password@host:3306/database"
        )
    return value


@frozen
class QueryServiceSettings(HopSettings):
    """QS's settings."""

    SERVICE: ClassVar[str] = "qs"
    ABOUT: ClassVar[str] = "The query service: finds the passages, then asks the gateway."
    NAMESPACES: ClassVar[tuple[str, ...]] = ("QS_",)
    NESTED: ClassVar[tuple[tuple[str, str], ...]] = (
        ("chat_timeout_ms", "retrieval_timeout_ms"),
        ("chat_timeout_ms", "store_timeout_ms"),
        ("chat_timeout_ms", "hop_connect_timeout_ms"),
    )

    host: str = setting("QS_HOST", "127.0.0.1", name, "the address to listen on")
    port: int = setting("QS_PORT", 8001, port, "the port to listen on")
    api_keys: Keys = setting(
        "QS_API_KEYS",
        Keys(),
        keys,
        "the keys of which a caller needs one, with commas between; empty: none is needed",
    )
    llm_url: str = setting("QS_LLM_URL", "http://127.0.0.1:8010", url, "the LLM gateway")
    llm_api_key: str = setting(
        "QS_LLM_API_KEY", "", key, "our key for the gateway: one of its LLMGW_API_KEYS"
    )
    llm_model: str = setting(
        "QS_LLM_MODEL", "", text, "the model to ask for; empty leaves it to the gateway"
    )
    chat_stream_enabled: bool = setting(
        "QS_CHAT_STREAM_ENABLED", True, boolean, "ask the gateway for a stream"
    )
    retriever: str = setting(
        "QS_RETRIEVER",
        "sqlite",
        one_of("sqlite", "opensearch"),
        "the search engine: sqlite, embedded, or opensearch, a server",
    )
    index_path: str = setting(
        "QS_INDEX_PATH", "var/index.sqlite3", name, "sqlite: the search index's file"
    )
    os_url: str = setting("QS_OS_URL", "http://127.0.0.1:9200", url, "opensearch: the server")
    os_alias: str = setting(
        "QS_OS_ALIAS", "bsl", index_alias, "opensearch: the alias of the search index"
    )
    os_user: str = setting("QS_OS_USER", "", text, "opensearch: who we sign in as; empty: nobody")
    os_password: str = setting("QS_OS_PASSWORD", "", text, "opensearch: the password")
    os_ca_file: str = setting(
        "QS_OS_CA_FILE",
        "",
        text,
        "opensearch: a PEM file of the authorities to trust behind https; empty: the usual ones",
    )
    min_score: float = setting(
        "QS_MIN_SCORE",
        DEFAULT_MIN_SCORE,
        number(0, 1),
        "without a passage of this score, RAG_LOW_SCORE",
    )
    store_url: str = setting(
        "QS_STORE_URL",
        "sqlite:///var/store.sqlite3",
        store_url,
        "where conversations are kept: a file of this machine, or a MySQL or MariaDB server",
    )
    store_timeout_ms: int = setting(
        "QS_STORE_TIMEOUT_MS", limits.QS_STORE_TIMEOUT_MS, milliseconds, "one question to the store"
    )
    history_tokens: int = setting(
        "QS_HISTORY_TOKENS",
        limits.HISTORY_TOKENS_DEFAULT,
        integer(0, limits.HISTORY_TOKENS_MAX),
        "how much of a session's history goes with a question, in tokens at three bytes each",
    )
    spool_dir: str = setting(
        "QS_SPOOL_DIR", "var/spool", name, "the folder of turns that are not in the store yet"
    )
    retention_days: int = setting(
        "QS_RETENTION_DAYS",
        0,
        integer(0, 36_500),
        "days after which a conversation that is not used is deleted; 0: never",
    )
    chat_timeout_ms: int = setting(
        "QS_CHAT_TIMEOUT_MS", limits.QS_CHAT_TIMEOUT_MS, milliseconds, "one question, all of it"
    )
    retrieval_timeout_ms: int = setting(
        "QS_RETRIEVAL_TIMEOUT_MS",
        limits.QS_RETRIEVAL_TIMEOUT_MS,
        milliseconds,
        "the search",
    )
