"""Which program listens where, and whether the fake is one of them.

Pure, and within Python 3.6's syntax: preflight reads it under interpreters too old for the rest.
"""

# The variable of the port, its default, the variable of the host.
PORTS = (
    ("BFF_PORT", 8088, "BFF_HOST"),
    ("QS_PORT", 8001, "QS_HOST"),
    ("LLMGW_PORT", 8010, "LLMGW_HOST"),
    ("FAKE_PORT", 8020, "FAKE_HOST"),
)


def starts_fake(settings: "dict[str, str]") -> bool:
    """Whether `make run` brings its own model server: only where none was named."""
    provider = settings.get("LLM_PROVIDER") or "openai_compat"
    return provider == "openai_compat" and not settings.get("LLM_BASE_URL")
