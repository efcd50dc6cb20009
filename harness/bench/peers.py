"""Other people's gateways, where `make bench-peers` installed them, and how they are started.

Both stand between an OpenAI client and an OpenAI-compatible server, as our pass-through row does,
with one worker and as little as they let be switched off. Neither may ask the network for anything.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from harness.bench.rows import LITELLM, PORTKEY
from harness.tidy import ROOT

_LITELLM: Final = ROOT / ".venv-peers/bin/litellm"
_PORTKEY: Final = ROOT / ".venv-peers/node_modules/@portkey-ai/gateway/build/start-server.js"
_CONFIG: Final = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: http://127.0.0.1:{port}/v1
      api_key: none
litellm_settings:
  telemetry: false
  set_verbose: false
general_settings:
  dangerously_permit_weak_or_unset_master_key: true
  disable_spend_logs: true
"""


class NotInstalled(Exception):
    """The peer is not here; the message says how to get it."""


Command = tuple[Sequence[str], Mapping[str, str]]


@frozen
class Peer:
    """One of them: `command(folder, port, upstream_port)` is its argv and its environment."""

    name: str
    command: Callable[[Path, int, int], Command]
    headers: Callable[[int], Mapping[str, str]]


def _litellm(folder: Path, port: int, upstream_port: int) -> Command:
    if not _LITELLM.exists():
        raise NotInstalled("not installed: make bench-peers")
    config = folder / "litellm.yaml"
    config.write_text(_CONFIG.format(port=upstream_port), "utf-8")
    argv = [str(_LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    offline = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
        "LITELLM_LOG": "ERROR",
        "PATH": f"{_LITELLM.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
    }
    return [*argv, "--num_workers", "1", "--telemetry", "False"], offline


def _portkey(folder: Path, port: int, _: int) -> Command:
    node = shutil.which("node")
    if not (_PORTKEY.exists() and node):
        raise NotInstalled("not installed: make bench-peers (it needs Node 18 or newer)")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NODE_ENV": "production"}
    return [node, str(_PORTKEY), f"--port={port}", "--headless"], environ


def _portkey_headers(upstream_port: int) -> Mapping[str, str]:
    return {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
        "authorization": "Bearer none",
    }


PEERS: Final = (
    Peer(LITELLM, _litellm, lambda _: {}),
    Peer(PORTKEY, _portkey, _portkey_headers),
)
