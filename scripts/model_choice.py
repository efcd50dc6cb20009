"""What `make run LLM=…` means: the settings of the model server that was named.

`llamacpp` is llama.cpp's own server with a small model, started beside the rest; its settings are
in `llamacpp.env`. Anything else is the address of a server that runs, which is asked what models
it offers. LLM wins over LLM_BASE_URL, LLM_PROVIDER and, with `llamacpp`, LLM_MODEL.

Refuses (`UnusableModel`, its message for a person) what names no server, and a server whose model
is not known.
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from attrs import frozen
from dotenv import dotenv_values

from scripts.local_settings import ROOT
from scripts.ports import PORTS, llm_problems, starts_llamacpp
from scripts.stack import LLAMACPP_PYTHON, url

LLAMACPP_MODEL = "smollm2-135m-instruct"
LIMIT_S = 5.0
LISTED_MAX = 20


class UnusableModel(Exception):
    """There is no model to run with; the message says what to do."""


@frozen
class Chosen:
    """The settings with the choice in them, and what a person should know of it."""

    settings: Mapping[str, str]
    said: Sequence[str] = ()


def chosen(settings: Mapping[str, str], root: Path = ROOT) -> Chosen:
    """The settings as LLM has them; unchanged where it says nothing."""
    if not settings.get("LLM"):
        return Chosen(settings)
    for line in llm_problems(dict(settings)):
        raise UnusableModel(line)
    if starts_llamacpp(dict(settings)):
        return Chosen(_with_llamacpp(settings, root))
    return _with_running(settings, settings["LLM"].rstrip("/"))


def profile() -> dict[str, str]:
    """The settings that fit the small model."""
    read = dotenv_values(Path(__file__).with_name("llamacpp.env"), interpolate=False)
    return {name: value or "" for name, value in read.items()}


def _with_llamacpp(settings: Mapping[str, str], root: Path) -> Mapping[str, str]:
    if not (root / LLAMACPP_PYTHON).exists():
        raise UnusableModel("llama.cpp's server is not installed: `make run LLM=llamacpp` does it")
    given = {name: text for name, text in settings.items() if text}
    ports = {variable: str(port) for variable, port, _ in PORTS}
    at = url({**ports, **given}, "LLAMACPP")
    own = {"LLM_PROVIDER": "openai_compat", "LLM_BASE_URL": f"{at}/v1", "LLM_MODEL": LLAMACPP_MODEL}
    return {**profile(), **given, **own}


def _with_running(settings: Mapping[str, str], address: str) -> Chosen:
    told = {**settings, "LLM_PROVIDER": "openai_compat", "LLM_BASE_URL": address}
    model = settings.get("LLM_MODEL")
    try:
        offered = models_at(address, settings)
    except UnusableModel:
        if model:  # The stack can start, and says itself what it misses.
            return Chosen(told)
        raise
    if model:
        return Chosen(told, [] if model in offered else [_not_offered(model, address, offered)])
    if len(offered) == 1:
        said = f"the model is {offered[0]}, the only one at {address}"
        return Chosen({**told, "LLM_MODEL": offered[0]}, [said])
    if not offered:
        raise UnusableModel(f"{address} offers no model: pull or load one there")
    raise UnusableModel(
        f"{address} offers {len(offered)} models: choose one, "
        f"as in `make run LLM={address} LLM_MODEL={offered[0]}`" + _listed(offered)
    )


def _not_offered(model: str, address: str, offered: Sequence[str]) -> str:
    """A warning alone: a server may take names that it does not list."""
    return f"LLM_MODEL is {model}, which {address} does not list. It lists:" + _listed(offered)


def _listed(offered: Sequence[str]) -> str:
    more = len(offered) - LISTED_MAX
    lines = [*offered[:LISTED_MAX], *([f"… and {more} more"] if more > 0 else [])]
    return "".join(f"\n  {line}" for line in lines or ["nothing"])


def models_at(address: str, settings: Mapping[str, str]) -> list[str]:
    """The names that the server lists. Raises UnusableModel."""
    key = settings.get("LLM_API_KEY")
    try:
        reply = httpx.get(
            f"{address}/models",
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=LIMIT_S,
            trust_env=False,
            proxy=settings.get("LLM_PROXY") or None,
            verify=ssl.create_default_context(cafile=settings.get("LLM_CA_FILE") or None),
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise UnusableModel(
            f"nothing answers at {address} ({why}): start the model server, or correct LLM"
        ) from error
    if reply.status_code != httpx.codes.OK:
        raise UnusableModel(_refusal(address, reply.status_code))
    return _names_in(reply.content, address)


def _refusal(address: str, status: int) -> str:
    advice = {
        401: "set LLM_API_KEY to a key that it takes",
        403: "set LLM_API_KEY to a key that it takes",
        404: "is the path right? Most servers have their API under /v1",
        503: "it may still be loading; try again",
    }
    return f"{address}/models answers {status}: {advice.get(status, 'is it a model server?')}"


def _names_in(body: bytes, address: str) -> list[str]:
    try:
        data = json.loads(body)["data"]
        return [str(model["id"]) for model in data or ()]
    except (ValueError, RecursionError, TypeError, LookupError) as error:
        raise UnusableModel(
            f"{address}/models lists no models as an OpenAI-compatible server does: "
            "is the address right?"
        ) from error
