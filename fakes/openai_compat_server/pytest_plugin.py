"""The fixtures `openai_fake` and `openai_fake_stream`: a server of its own for each test.

`openai_fake` listens on a free port, from a thread with an event loop of its own, so a test may be
synchronous or belong to any event loop. `openai_fake_stream` serves streams in memory, in the
test's own loop and on its clock. Both refuse a script that names what can not be played, and fail
a test that passed although its script and its requests do not fit.

This is the plugin for a checkout that is not installed; where it is, pytest has it already, and
naming this one too does no harm.
"""

from importlib.util import find_spec

from fakes.openai_compat_server.openai_fake import OpenAIFake, Request
from fakes.openai_compat_server.served import serving

__all__ = ["OpenAIFake", "Request", "pytest_plugins", "serving"]

_INSTALLED = "openai_fake_plugin"
pytest_plugins = [_INSTALLED if find_spec(_INSTALLED) else "fakes.openai_fake_plugin"]
