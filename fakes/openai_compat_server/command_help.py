"""What `--help` says around the options; `%(prog)s` is how the program was called."""

from typing import Final

USAGE: Final = "%(prog)s [serve] [options]\n       %(prog)s scenarios [options] [WORD ...]"
DESCRIPTION: Final = """\
An OpenAI-compatible model server without a model, for testing clients offline:

  POST /v1/chat/completions   plain and streamed, with tools and JSON schemas
  POST /v1/completions        plain and streamed
  POST /v1/embeddings
  GET  /v1/models, /health

It fails in every way that `scenarios` lists. The same seed and request give the same bytes."""
EPILOG: Final = """\
`%(prog)s COMMAND --help` explains a command.

examples:
  %(prog)s serve --port 8020 --latency ttft=200ms,itl=20ms
  %(prog)s serve --scenario 'stall?after=20&for=30s'
  %(prog)s scenarios 429"""
SERVE_DESCRIPTION: Final = "Serves until Ctrl-C or SIGTERM, which cut live streams."
SERVE_EPILOG: Final = """\
personas:
  extractive  quotes the passages framed in the prompt, with citations, or says that they do
              not answer; says one fixed sentence to a prompt that frames none
  echo        repeats the last user message
  lorem       filler of a seeded length
scenarios:
  a request for model "fake:NAME" or "fake:NAME?parameter=value&..." plays one; those of TLS
  and a few others happen before any request is read, and only --scenario can play them
examples:
  %(prog)s --port 0 --persona echo --latency ttft=0ms,itl=0ms
  %(prog)s --script retry.toml --admin
  %(prog)s --tls --tls-ca ca.pem
environment:
  FAKE_HOST, FAKE_PORT, FAKE_SEED and FAKE_DIALECT stand in for options that are not given
exit status:
  0 when stopped, 1 when the address is in use or not allowed, 2 for invalid arguments"""
LIST_DESCRIPTION: Final = """\
Lists the scenarios: what each does, its parameters with their defaults, and the reason code in
which the gateway of this project ends such an answer."""
LIST_EPILOG: Final = """\
examples:
  %(prog)s 429
  %(prog)s retry-after --json"""
