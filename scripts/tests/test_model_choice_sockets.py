"""What LLM chooses, against a small real server that lists models, and against none."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.model_choice import LLAMACPP_MODEL, UnusableModel, chosen, profile
from scripts.stack import LLAMACPP_PYTHON
from scripts.tests.standins import free_ports


@contextmanager
def listing(body: bytes, status: int = 200, key: str = "") -> Iterator[str]:
    """The address of a server that answers `GET /v1/models` with this; 401 without its key."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = not key or self.headers["authorization"] == f"Bearer {key}"
            found = status if self.path == "/v1/models" else 404
            self.send_response(found if is_known else 401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            del arguments

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def models(*names: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()


def refused(choose: Callable[[], object]) -> str:
    """What a person is told."""
    with pytest.raises(UnusableModel) as told:
        choose()
    return str(told.value)


def test_nothing_changes_when_llm_says_nothing() -> None:
    settings = {"LLM": "", "LLM_BASE_URL": "http://far:1/v1"}
    assert chosen(settings).settings == settings


def test_the_only_model_is_taken_when_none_is_named() -> None:
    with listing(models("small")) as at:
        it = chosen({"LLM": f"{at}/", "LLM_BASE_URL": "http://old:1/v1", "LLM_PROVIDER": "toy"})
    assert it.said == [f"the model is small, the only one at {at}"]
    wanted = {"LLM_BASE_URL": at, "LLM_MODEL": "small", "LLM_PROVIDER": "openai_compat"}
    assert wanted.items() <= it.settings.items()


def test_the_models_are_listed_when_there_are_many_and_none_is_named() -> None:
    with listing(models("small", "large")) as at:
        said = refused(lambda: chosen({"LLM": at}))
    assert said.splitlines() == [
        f"{at} offers 2 models: choose one, as in `make run LLM={at} LLM_MODEL=small`",
        "  small",
        "  large",
    ]


def test_a_long_list_is_cut() -> None:
    with listing(models(*map(str, range(30)))) as at:
        said = refused(lambda: chosen({"LLM": at}))
    assert said.splitlines()[-2:] == ["  19", "  … and 10 more"]


def test_a_named_model_is_kept_and_told_of_when_it_is_not_listed() -> None:
    with listing(models("small", "large")) as at:
        listed = chosen({"LLM": at, "LLM_MODEL": "large"})
        other = chosen({"LLM": at, "LLM_MODEL": "huge"})
    assert (listed.settings["LLM_MODEL"], listed.said) == ("large", [])
    assert other.settings["LLM_MODEL"] == "huge"
    assert other.said[0].startswith(f"LLM_MODEL is huge, which {at} does not list. It lists:")


def test_the_key_goes_with_the_question_and_is_asked_for_where_it_is_needed() -> None:
    with listing(models("small"), key="k1") as at:
        assert chosen({"LLM": at, "LLM_API_KEY": "k1"}).settings["LLM_MODEL"] == "small"
        assert "answers 401: set LLM_API_KEY" in refused(lambda: chosen({"LLM": at}))


@pytest.mark.parametrize(
    ("body", "status", "advice"),
    [
        (b"", 404, "/models answers 404: is the path right? Most servers have their API under /v1"),
        (b"", 500, "/models answers 500: is it a model server?"),
        (b"<html>", 200, "lists no models as an OpenAI-compatible server does"),
        (b"[]", 200, "lists no models as an OpenAI-compatible server does"),
        (models(), 200, "offers no model: pull or load one there"),
    ],
)
def test_what_is_no_list_of_models_is_explained(body: bytes, status: int, advice: str) -> None:
    with listing(body, status) as at:
        assert advice in refused(lambda: chosen({"LLM": at}))


def test_a_server_that_is_down_is_named_unless_the_model_is_known() -> None:
    (port,) = free_ports(1)
    at = f"http://127.0.0.1:{port}/v1"
    assert refused(lambda: chosen({"LLM": at})).startswith(f"nothing answers at {at} (")
    assert chosen({"LLM": at, "LLM_MODEL": "small"}).settings["LLM_BASE_URL"] == at


def test_what_names_no_server_is_refused() -> None:
    assert refused(lambda: chosen({"LLM": "ollama"})).startswith("LLM is 'ollama': it is ")


def test_llamacpp_has_its_profile_under_what_was_given(tmp_path: Path) -> None:
    program = tmp_path / LLAMACPP_PYTHON
    program.parent.mkdir(parents=True)
    program.touch()
    given = {"LLM": "llamacpp", "LLM_MODEL": "old", "LLM_MAX_TOKENS": "64", "LLAMACPP_PORT": "9030"}
    settings = chosen(given, tmp_path).settings
    own = {"LLM_BASE_URL": "http://127.0.0.1:9030/v1", "LLM_MODEL": LLAMACPP_MODEL}
    assert {**profile(), **own, "LLM_MAX_TOKENS": "64"}.items() <= settings.items()


def test_llamacpp_that_is_not_installed_is_named(tmp_path: Path) -> None:
    said = refused(lambda: chosen({"LLM": "llamacpp"}, tmp_path))
    assert said == "llama.cpp's server is not installed: `make run LLM=llamacpp` does it"
