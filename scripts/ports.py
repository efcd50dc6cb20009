"""Which programs listen where, and which model server is one of them.

Pure, and within Python 3.6's syntax: preflight reads it under interpreters too old for the rest.
"""

# The variable of the port, its default, the variable of the host.
PORTS = (
    ("BFF_PORT", 8088, "BFF_HOST"),
    ("QS_PORT", 8001, "QS_HOST"),
    ("LLMGW_PORT", 8010, "LLMGW_HOST"),
    ("FAKE_PORT", 8020, "FAKE_HOST"),
    ("LLAMACPP_PORT", 8030, "LLAMACPP_HOST"),
)
LLAMACPP = "llamacpp"  # what LLM says for llama.cpp's own server, from the package index
LLM_WANTED = (
    "`llamacpp` for llama.cpp's own server with a small model, or the address of a model server "
    "that runs, such as http://127.0.0.1:11434/v1"
)


def starts_llamacpp(settings: "dict[str, str]") -> bool:
    """Whether `make run` starts llama.cpp's server."""
    return settings.get("LLM") == LLAMACPP


def starts_fake(settings: "dict[str, str]") -> bool:
    """Whether `make run` brings the fake: only where no model server was named."""
    provider = settings.get("LLM_PROVIDER") or "openai_compat"
    named = settings.get("LLM") or settings.get("LLM_BASE_URL")
    return provider == "openai_compat" and not named


def listening(settings: "dict[str, str]") -> "list[tuple[str, int, str]]":
    """The rows of `PORTS` whose programs are started."""
    absent = set() if starts_fake(settings) else {"FAKE_PORT"}
    if not starts_llamacpp(settings):
        absent.add("LLAMACPP_PORT")
    return [row for row in PORTS if row[0] not in absent]


def llm_problems(settings: "dict[str, str]") -> "list[str]":
    """LLM names neither a server that we bring nor the address of one."""
    llm = settings.get("LLM") or LLAMACPP
    scheme, found, rest = llm.partition("://")
    is_address = found and scheme.lower() in ("http", "https") and rest.strip("/")
    if llm == LLAMACPP or (is_address and llm.split() == [llm]):
        return []
    return [f"LLM is {llm!r}: it is {LLM_WANTED}"]
