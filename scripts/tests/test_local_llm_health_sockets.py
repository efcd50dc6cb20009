"""Goal: `make local-llm-health` tells a model server that can be used from one that cannot.

Method: the script against the bundled fake as a process, and against nobody.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scripts.local_settings import ROOT
from scripts.tests.standins import free_ports


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The fake's `/v1`; it lists one model, named `fake`."""
    program = [sys.executable, "-m", "fakes.openai_compat_server", "serve", "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - our own program
        [*program, "--latency", "ttft=1ms,itl=0ms"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        banner = iter(process.stdout.readline, "")
        yield next(word for line in banner for word in line.split() if word.startswith("http://"))
        process.terminate()


def health(**environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", str(ROOT / "scripts/local_llm_health.sh")],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("which", ["ollama", "vllm", "address"])
def test_server_that_lists_the_model_and_writes_is_healthy(which: str, base: str) -> None:
    port = base.split(":")[2].split("/")[0]
    place = {
        "ollama": {"OLLAMA_PORT": port},
        "vllm": {"LLM": "vllm", "VLLM_PORT": port},
        "address": {"LLM": base},
    }[which]
    result = health(LLM_MODEL="fake", **place)
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first == f"ok    {base} lists fake"
    assert second.startswith("ok    fake wrote: ")
    assert len(second) > len("ok    fake wrote: ")


def test_model_that_is_not_listed_is_named_with_those_that_are(base: str) -> None:
    result = health(LLM=base)
    assert result.returncode == 1
    assert "does not list llama3.1:8b-instruct, but: fake" in result.stderr


def test_nobody_listening_is_said_so() -> None:
    (port,) = free_ports(1)
    result = health(OLLAMA_PORT=str(port))
    assert result.returncode == 1
    assert result.stderr.startswith(f"FAIL  nothing answers at http://127.0.0.1:{port}/v1 ")


def test_choice_that_is_none_is_refused() -> None:
    result = health(LLM="gpt")
    assert result.returncode == 2
    assert "LLM=gpt is neither ollama, vllm nor an address" in result.stderr
