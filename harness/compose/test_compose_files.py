"""Goal: every way to start the containers is one that Compose accepts, and safe as it stands.

Method: the real Compose resolves the files under each profile and override; what it says is judged.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from bff.config import BffSettings
from harness.compose.dockerfile import Dockerfile, parse
from harness.compose.image import DOCKERFILE
from harness.compose.resolved import GPU, MODEL, PROFILES, WHOLE, Compose, Service, environment
from harness.tidy import ROOT
from hop.settings import HopSettings, load, variables_of
from llmgw.config import GatewaySettings
from qs.config import QueryServiceSettings

FOLDER: Final = ROOT / "compose"
WAYS: Final = [
    (file, profile, gpu)
    for file, profiles in PROFILES.items()
    for profile in profiles
    for gpu in (False, True)
]
SETTINGS: Final[dict[str, type[HopSettings]]] = {
    "bff": BffSettings,
    "qs": QueryServiceSettings,
    "ingest": QueryServiceSettings,
    "llm-gateway-service": GatewaySettings,
}
OURS: Final = (*SETTINGS, "fake")
ONCE: Final = ("ingest", "ollama-model")
# Each secret, and the services that may know it.
WHO_KNOWS: Final = {
    "QS_KEY": {"bff", "qs", "ingest"},
    "LLMGW_KEY": {"qs", "ingest", "llm-gateway-service"},
    "MYSQL_PASSWORD": {"qs", "ingest", "mysql"},
    "MYSQL_ROOT_PASSWORD": {"mysql"},
    "BFF_API_KEYS": {"bff"},
    "HF_TOKEN": {"vllm"},
    "QS_OS_PASSWORD": {"qs", "ingest"},
}
EXACT: Final = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9-]+)?")


def seen(compose: Compose) -> Iterator[tuple[str, Service]]:
    """Every service of every way to start them."""
    for file, profile, gpu in WAYS:
        yield from compose.services(file, profile, gpu=gpu).items()


@pytest.mark.parametrize(("file", "profile", "gpu"), WAYS)
def test_file_is_accepted_and_starts_what_its_profile_says(
    file: str, profile: str, gpu: bool, compose: Compose
) -> None:
    services = set(compose.services(file, profile, gpu=gpu))
    models = {"ollama": {"ollama", "ollama-model"}, "vllm": {"vllm"}, "fake": {"fake"}}[profile]
    # An override names both servers; the one of another profile stays out.
    others = {"bff", "qs", "ingest", "llm-gateway-service", "mysql", "opensearch"}
    assert services == models | (others if file == WHOLE else set())


@pytest.mark.parametrize(("file", "profile", "gpu"), WAYS)
def test_model_server_gets_the_gpus_only_when_they_are_asked_for(
    file: str, profile: str, gpu: bool, compose: Compose
) -> None:
    with_gpu = {
        name for name, service in compose.services(file, profile, gpu=gpu).items()
        if "devices" in str(service.get("deploy"))
    }  # fmt: skip
    assert with_gpu == ({profile} if gpu and profile != "fake" else set())


def test_gateway_asks_the_model_server_of_the_profile(compose: Compose) -> None:
    for profile in PROFILES[WHOLE]:
        services = compose.services(WHOLE, profile)
        gateway = environment(services["llm-gateway-service"])
        assert gateway["LLM_BASE_URL"] == f"http://{profile}:8000/v1"
        depends = services["llm-gateway-service"]["depends_on"]
        assert isinstance(depends, dict)
        waited_for = "ollama-model" if profile == "ollama" else profile
        assert waited_for in services
        assert {name for name, how in depends.items() if not how["required"]} >= {waited_for}
        assert environment(services["qs"])["QS_LLM_URL"] == "http://llm-gateway-service:8000"


def test_every_image_is_pinned_to_a_version(compose: Compose) -> None:
    images = {str(service["image"]) for _, service in seen(compose) if "build" not in service}
    images |= {
        stage.parent for stage in _dockerfile().stages.values()
        if stage.parent not in _dockerfile().stages
    }  # fmt: skip
    assert len(images) == 5
    assert [image for image in sorted(images) if not EXACT.fullmatch(image)] == []


def test_what_is_ours_can_do_as_little_as_possible(compose: Compose) -> None:
    ours = [(name, service) for name, service in seen(compose) if name in OURS]
    assert {name for name, _ in ours} == set(OURS)
    for name, service in ours:
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["tmpfs"] == ["/tmp"], name  # noqa: S108 - the container's own
        assert not {"user", "privileged", "cap_add", "devices", "network_mode"} & service.keys()


def test_nobody_gains_privileges_or_fills_the_disk_with_logs(compose: Compose) -> None:
    for name, service in seen(compose):
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "max-size" in str(service["logging"]), name


def test_image_runs_as_nobodys_root_and_holds_no_installer() -> None:
    dockerfile = _dockerfile()
    for target in ("bff", "qs", "llmgw", "fake"):
        user = dockerfile.last(target, "USER").text
        assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), target
        line = dockerfile.line_of(target)
        assert [stage.name for stage in line] == ["python", "program", target]
        installs = [each.text for stage in line for each in stage.all("RUN")]
        assert not re.search(r"\bapt|\bapk|pip install|gcc|curl", " ".join(installs))
        assert "uninstall" in installs[0]


def test_every_program_that_stays_is_asked_for_its_health_without_curl(compose: Compose) -> None:
    for name, service in seen(compose):
        if name in ONCE:
            continue
        if "build" in service:
            assert "healthcheck" not in service, f"{name}: the image's own holds"
            check = _dockerfile().last(_target(service), "HEALTHCHECK").argv
            assert check[:3] == ["python", "-m", "hop.probe"], name
        else:
            assert "test" in str(service["healthcheck"]), name
            assert ("curl" in str(service["healthcheck"])) is (name == "opensearch"), name


def test_health_is_asked_at_the_port_that_the_image_listens_on() -> None:
    dockerfile = _dockerfile()
    for target, prefix in (("bff", "BFF"), ("qs", "QS"), ("llmgw", "LLMGW"), ("fake", "FAKE")):
        port = dockerfile.environment(target)[f"{prefix}_PORT"]
        assert f":{port}/" in dockerfile.last(target, "HEALTHCHECK").argv[-1]
        assert dockerfile.last(target, "EXPOSE").text == port


def test_only_the_bff_and_the_model_can_be_reached_and_from_this_machine_alone(
    compose: Compose,
) -> None:
    published: set[tuple[object, ...]] = set()
    for name, service in seen(compose):
        for port in _ports(service):
            assert port["host_ip"] == "127.0.0.1", name
            published.add((name, port["published"], int(port["target"])))
    assert published == {
        ("bff", "8088", 8088),
        ("ollama", "11434", 8000),
        ("vllm", "8000", 8000),
    }


def test_stores_are_on_a_network_that_leads_nowhere(compose: Compose) -> None:
    config = compose.config(WHOLE, "fake")
    networks, services = config["networks"], config["services"]
    assert isinstance(networks, dict)
    assert isinstance(services, dict)
    assert networks["stores"]["internal"] is True
    on = {name for name, service in services.items() if "stores" in service["networks"]}
    assert on == {"mysql", "opensearch", "qs", "ingest"}
    assert list(services["mysql"]["networks"]) == ["stores"]
    assert list(services["opensearch"]["networks"]) == ["stores"]


@pytest.mark.parametrize("name", WHO_KNOWS)
def test_secret_reaches_those_who_need_it_and_nobody_else(name: str, compose: Compose) -> None:
    word = "sentinel-of-a-secret"
    knows = {
        service for profile in PROFILES[WHOLE]
        for service, what in compose.services(WHOLE, profile, {name: word}).items()
        if word in str(what)
    }  # fmt: skip
    assert knows == WHO_KNOWS[name]


@pytest.mark.parametrize("file", [WHOLE, MODEL, GPU])
def test_no_secret_and_no_port_of_the_host_stands_in_a_file(file: str, compose: Compose) -> None:
    for name, service in compose.as_written(file).items():
        for variable, value in environment(service).items():
            if re.search("KEY|PASSWORD|TOKEN|SECRET", variable):
                filled_in = r"\$\{[A-Z_]+(:\?[^}]*|-)\}"
                assert re.fullmatch(filled_in, value), f"{name}: {variable}"
            assert not re.search(r"://[^$@/]*:[^$@/]+@", value), f"{name}: {variable}"
        for port in _ports(service):
            assert re.search(r"\$\{[A-Z]+_PORT:\?", str(port)), f"{name}: {port}"


@pytest.mark.parametrize("profile", PROFILES[WHOLE])
def test_every_variable_is_one_its_service_knows_and_every_value_is_usable(
    profile: str, compose: Compose
) -> None:
    services = compose.services(WHOLE, profile, dict.fromkeys(WHO_KNOWS, "a-key"))
    everybody = {
        v.name for kind in {*SETTINGS.values()} for v in variables_of(kind).values()
    }  # fmt: skip
    for name, kind in SETTINGS.items():
        given = environment(services[name])
        assert given.keys() - everybody == set(), name
        dockerfile = _dockerfile().environment(_target(services[name]))
        settings, odd = load(kind, {**dockerfile, **given})
        assert odd == ()
        assert settings.host == "0.0.0.0"  # noqa: S104 - inside a container


def test_limits_nest_from_the_outside_in(compose: Compose) -> None:
    services = compose.services(WHOLE, "ollama")
    bff, qs, llmgw = (environment(services[name]) for name in ("bff", "qs", "llm-gateway-service"))
    limits = (bff["BFF_CHAT_TIMEOUT_MS"], qs["QS_CHAT_TIMEOUT_MS"], llmgw["LLM_TIMEOUT_MS"])
    assert int(limits[0]) > int(limits[1]) > int(limits[2]) >= 60_000


def test_everything_of_the_examples_is_used_and_explained() -> None:
    page = (ROOT / "docs/containers.md").read_text("utf-8")
    files = "".join(_text(FOLDER / name) for name in (WHOLE, MODEL, GPU))
    for name in ("stack", "secrets"):
        text = _text(FOLDER / f"env/{name}.env.example")
        for variable in re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE):
            assert f"${{{variable}" in files, f"{name}: {variable} is read by nothing"
            assert f"`{variable}`" in page, f"docs/containers.md says nothing of {variable}"


def test_model_of_ollama_gets_the_name_that_the_gateway_asks_for(compose: Compose) -> None:
    services = compose.services(
        WHOLE, "ollama", {"LLM_MODEL": "mine:1b", "OLLAMA_PULL": "theirs:1b-q4"}
    )
    once = environment(services["ollama-model"])
    assert (once["OLLAMA_PULL"], once["LLM_MODEL"]) == ("theirs:1b-q4", "mine:1b")
    assert environment(services["llm-gateway-service"])["LLM_MODEL"] == "mine:1b"
    vllm = compose.services(WHOLE, "vllm", {"LLM_MODEL": "mine:1b"})["vllm"]["command"]
    assert isinstance(vllm, list)
    assert vllm[:2] == ["meta-llama/Llama-3.1-8B-Instruct", "--served-model-name=mine:1b"]


def test_window_holds_the_longest_prompt_and_the_longest_reply(compose: Compose) -> None:
    gateway, _ = load(GatewaySettings, {})
    needed = gateway.prompt_tokens + gateway.max_tokens
    ollama = environment(compose.services(MODEL, "ollama")["ollama"])
    assert int(ollama["OLLAMA_CONTEXT_LENGTH"]) >= needed
    command = compose.services(MODEL, "vllm")["vllm"]["command"]
    (window,) = re.findall(r"--max-model-len=(\d+)", str(command))
    assert int(window) >= needed


def _dockerfile() -> Dockerfile:
    return parse(DOCKERFILE.read_text("utf-8"))


def _target(service: Service) -> str:
    build = service["build"]
    assert isinstance(build, dict)
    return str(build["target"])


def _text(path: Path) -> str:
    return path.read_text("utf-8")


def _ports(service: Service) -> Sequence[dict[str, str]]:
    ports = service.get("ports", [])
    assert isinstance(ports, list)
    return ports
