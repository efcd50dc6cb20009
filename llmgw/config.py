"""The gateway's settings: which model server, and how long anything may take."""

from typing import ClassVar

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
    proxy_url,
    setting,
    text,
    url,
)
from llmgw.attempts import MAX_ATTEMPTS, MAX_ATTEMPTS_MAX
from llmgw.breaker import FAILURES_TO_OPEN, FAILURES_TO_OPEN_MAX


@frozen
class GatewaySettings(HopSettings):
    """LLMGW's settings."""

    SERVICE: ClassVar[str] = "llmgw"
    ABOUT: ClassVar[str] = "The LLM gateway: one model call, every citation proved."
    NAMESPACES: ClassVar[tuple[str, ...]] = ("LLM_", "LLMGW_")
    NESTED: ClassVar[tuple[tuple[str, str], ...]] = (
        ("timeout_ms", "queue_timeout_ms"),
        ("timeout_ms", "connect_timeout_ms"),
        ("timeout_ms", "first_token_timeout_ms"),
        ("timeout_ms", "idle_timeout_ms"),
        ("prompt_tokens", "chunk_tokens"),
    )

    host: str = setting("LLMGW_HOST", "127.0.0.1", name, "the address to listen on")
    port: int = setting("LLMGW_PORT", 8010, port, "the port to listen on")
    api_keys: Keys = setting(
        "LLMGW_API_KEYS",
        Keys(),
        keys,
        "the keys of which a caller needs one, with commas between; empty: none is needed",
    )
    provider: str = setting(
        "LLM_PROVIDER",
        "openai_compat",
        one_of("toy", "openai_compat"),
        "toy answers without any model server; openai_compat speaks to LLM_BASE_URL",
    )
    base_url: str = setting(
        "LLM_BASE_URL", "http://127.0.0.1:8020/v1", url, "the OpenAI-compatible server, with /v1"
    )
    api_key: str = setting("LLM_API_KEY", "", key, "sent to the model server; may be empty")
    ca_file: str = setting(
        "LLM_CA_FILE",
        "",
        text,
        "a PEM file of the authorities to trust behind https; empty: the usual public ones",
    )
    proxy: str = setting(
        "LLM_PROXY", "", proxy_url, "the http or https proxy on the way to the model server"
    )
    model: str = setting(
        "LLM_MODEL", "llama3.1:8b-instruct", name, "the model, where a call names none"
    )
    max_tokens: int = setting(
        "LLM_MAX_TOKENS",
        limits.MAX_TOKENS_DEFAULT,
        integer(1, limits.MAX_TOKENS_MAX),
        "the longest reply, in tokens, where a call says nothing",
    )
    temperature: float = setting(
        "LLM_TEMPERATURE",
        limits.TEMPERATURE_DEFAULT,
        number(0, limits.TEMPERATURE_MAX),
        "the sampling temperature, where a call says nothing",
    )
    prompt_tokens: int = setting(
        "LLM_PROMPT_TOKENS",
        limits.PROMPT_TOKENS_DEFAULT,
        integer(limits.PROMPT_TOKENS_MIN, limits.PROMPT_TOKENS_MAX),
        "the longest prompt, in tokens as estimated; what does not fit is left out",
    )
    chunk_tokens: int = setting(
        "LLM_CHUNK_TOKENS",
        limits.CHUNK_TOKENS_DEFAULT,
        integer(limits.CHUNK_TOKENS_MIN, limits.PROMPT_TOKENS_MAX),
        "the longest passage in it, in tokens as estimated; a longer one is cut",
    )
    stream_enabled: bool = setting(
        "LLM_STREAM_ENABLED", True, boolean, "ask the model server for a stream"
    )
    stream_always: bool = setting(
        "LLM_STREAM_ALWAYS",
        False,
        boolean,
        "ask it for a stream for plain calls too: who leaves is felt at once, by llama.cpp as well",
    )
    schema_enabled: bool = setting(
        "LLM_SCHEMA_ENABLED",
        True,
        boolean,
        "send a JSON schema, where the server holds its model to it",
    )
    answer_chars: int = setting(
        "LLM_ANSWER_CHARS",
        limits.SCHEMA_ANSWER_CHARS_DEFAULT,
        integer(limits.SCHEMA_ANSWER_CHARS_MIN, limits.ANSWER_MAX_CHARS),
        "the longest answer that schema allows, in characters, where the server takes a maxLength",
    )
    timeout_ms: int = setting(
        "LLM_TIMEOUT_MS", limits.LLM_TIMEOUT_MS, milliseconds, "one generation, all of it"
    )
    load_timeout_ms: int = setting(
        "LLM_LOAD_TIMEOUT_MS",
        limits.LLM_LOAD_TIMEOUT_MS,
        milliseconds,
        "loading LLM_MODEL, at start or when the server says that it is loading",
    )
    preload: bool = setting(
        "LLM_PRELOAD",
        True,
        boolean,
        "at start, load LLM_MODEL and learn whether the server holds it to a JSON schema",
    )
    connect_timeout_ms: int = setting(
        "LLM_CONNECT_TIMEOUT_MS",
        limits.LLM_CONNECT_TIMEOUT_MS,
        milliseconds,
        "connecting to the model server",
    )
    first_token_timeout_ms: int = setting(
        "LLM_FIRST_TOKEN_TIMEOUT_MS",
        limits.LLM_FIRST_TOKEN_TIMEOUT_MS,
        milliseconds,
        "until the first content of a stream",
    )
    idle_timeout_ms: int = setting(
        "LLM_IDLE_TIMEOUT_MS",
        limits.LLM_IDLE_TIMEOUT_MS,
        milliseconds,
        "between two contents of a stream",
    )
    max_concurrency: int = setting(
        "LLM_MAX_CONCURRENCY",
        limits.LLM_CALLS_DEFAULT,
        integer(1, limits.LLM_CALLS_MAX),
        "how many calls ask the model server at once; what it can serve side by side",
    )
    max_queue: int = setting(
        "LLM_MAX_QUEUE",
        limits.LLM_QUEUE_DEFAULT,
        integer(0, limits.LLM_QUEUE_MAX),
        "how many more calls wait for a slot; who comes then is turned away",
    )
    queue_timeout_ms: int = setting(
        "LLM_QUEUE_TIMEOUT_MS",
        limits.LLM_QUEUE_TIMEOUT_MS,
        milliseconds,
        "waiting for a slot",
    )
    max_attempts: int = setting(
        "LLM_MAX_ATTEMPTS",
        MAX_ATTEMPTS,
        integer(1, MAX_ATTEMPTS_MAX),
        "how often one generation may ask the model server",
    )
    breaker_failures: int = setting(
        "LLM_BREAKER_FAILURES",
        FAILURES_TO_OPEN,
        integer(0, FAILURES_TO_OPEN_MAX),
        "failed generations in a row after which it is not asked for a while; 0: never",
    )
    breaker_cooldown_ms: int = setting(
        "LLM_BREAKER_COOLDOWN_MS",
        limits.LLM_BREAKER_COOLDOWN_MS,
        milliseconds,
        "how long it is not asked then",
    )
