"""The programs of the stack as data: what `make run` starts, in which order, with which settings.

Pure: takes the settings as mappings and returns a plan. The environment wins over `.env.local`; a
setting that is present but empty counts as absent where this page has a default for it. Programs
stand in start order, innermost first, so that each finds the one it calls already there; they are
stopped the other way round, so that each can still finish what it owes its caller.
"""

from collections.abc import Mapping, Sequence

from attrs import frozen

from scripts.ports import PORTS, starts_fake, starts_llamacpp

# Three programs drain one after the other within one budget of five seconds, so each gets less
# than the 3,000 ms it takes when it is stopped alone.
DRAIN_TIMEOUT_MS = 1_500

DRAIN_TIMEOUT_MS_MAX = 2_000

DEFAULT_HOST = "127.0.0.1"
FAKE_MODEL = "extractive"
# llama.cpp's server lives in an environment of its own (requirements/fidelity.txt).
LLAMACPP_PYTHON = ".venv-fidelity/bin/python"
LLAMACPP_PROGRAM = "scripts/llamacpp_server.py"


@frozen
class Program:
    """One process: `ready_url` answers 200 once it can be used.

    A program that does not log in JSON has no levels: its lines stay in its file.
    """

    name: str
    argv: tuple[str, ...]
    ready_url: str
    logs_json: bool = True


@frozen
class Plan:
    """What to start, in start order, and the whole environment each program gets."""

    programs: tuple[Program, ...]
    environment: Mapping[str, str]


def merge(local: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, str]:
    """`.env.local` under the environment; a bare name without `=` there says nothing."""
    return {name: value for name, value in local.items() if value is not None} | dict(environ)


def plan(settings: Mapping[str, str], python: str) -> Plan:
    """The programs these settings ask for, and their environment with every address filled in."""
    defaults = {variable: str(port) for variable, port, _ in PORTS}
    defaults |= {"LLM_PROVIDER": "openai_compat", "DRAIN_TIMEOUT_MS": str(DRAIN_TIMEOUT_MS)}
    chosen = _fill(settings, defaults)
    addresses = {"BFF_QS_URL": url(chosen, "QS"), "QS_LLM_URL": url(chosen, "LLMGW")}
    fake = starts_fake(dict(settings))
    if fake:
        addresses |= {"LLM_BASE_URL": url(chosen, "FAKE") + "/v1", "LLM_MODEL": FAKE_MODEL}
    # Without this the last words of a program that dies stay in its buffer.
    environment = _fill(chosen, addresses) | {"PYTHONUNBUFFERED": "1"}
    services = tuple(
        Program(name, (python, "-m", name), url(environment, name.upper()) + "/ready")
        for name in ("llmgw", "qs", "bff")
    )
    if fake:
        return Plan((_fake(environment, python), *services), environment)
    if starts_llamacpp(dict(settings)):
        return Plan((_llamacpp(environment), *services), environment)
    return Plan(services, environment)


def _llamacpp(environment: Mapping[str, str]) -> Program:
    host, port = environment.get("LLAMACPP_HOST") or DEFAULT_HOST, environment["LLAMACPP_PORT"]
    argv = (LLAMACPP_PYTHON, LLAMACPP_PROGRAM, "--host", host, "--port", port)
    return Program("llamacpp", argv, url(environment, "LLAMACPP") + "/health", logs_json=False)


def _fake(environment: Mapping[str, str], python: str) -> Program:
    argv = (python, "-m", "fakes.openai_compat_server", "serve")
    return Program("fake", argv, url(environment, "FAKE") + "/health", logs_json=False)


def drain_warnings(environment: Mapping[str, str]) -> list[str]:
    """Said where the programs may drain for longer than the whole stop gives them."""
    text = environment["DRAIN_TIMEOUT_MS"]
    if not (text.isascii() and text.isdigit() and int(text) > DRAIN_TIMEOUT_MS_MAX):
        return []
    return [
        f"DRAIN_TIMEOUT_MS is {text}, over {DRAIN_TIMEOUT_MS_MAX}: Ctrl-C may kill a program that "
        "still drains, and cut its calls, since everything stops within five seconds"
    ]


def url(settings: Mapping[str, str], prefix: str) -> str:
    """Where to call a program: one that listens everywhere is called on the loopback."""
    host = settings.get(f"{prefix}_HOST") or DEFAULT_HOST
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings[f'{prefix}_PORT']}"


def stop_by(count: int, budget_s: float, reserve_s: float) -> Sequence[float]:
    """Until when each of `count` programs may take, in seconds from the first signal.

    Each may use all that is left except what the ones after it need at least.
    """
    return tuple(budget_s - reserve_s * after for after in reversed(range(count)))


def _fill(settings: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    return {**settings, **{name: settings.get(name) or text for name, text in defaults.items()}}
