"""The dialects of the OpenAI API: what each server really sends under the one name."""

from collections.abc import Mapping

from fakes.openai_compat_server.dialects.dialect import (
    Call,
    Completion,
    Dialect,
    Headers,
    JsonObject,
    KeepAlive,
    Mute,
    Refused,
    created_s,
)
from fakes.openai_compat_server.dialects.llamacpp import LLAMACPP
from fakes.openai_compat_server.dialects.ollama import OLLAMA
from fakes.openai_compat_server.dialects.openai import OPENAI
from fakes.openai_compat_server.dialects.vllm import VLLM, VLLM_0_10
from fakes.openai_compat_server.dialects.window import kept_messages

MODELS = ("fake",)
_ALL: tuple[Dialect, ...] = (OPENAI, VLLM, VLLM_0_10, LLAMACPP, OLLAMA)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in _ALL}

__all__ = [
    "DIALECTS",
    "LLAMACPP",
    "MODELS",
    "OLLAMA",
    "OPENAI",
    "VLLM",
    "VLLM_0_10",
    "Call",
    "Completion",
    "Dialect",
    "Headers",
    "JsonObject",
    "KeepAlive",
    "Mute",
    "Refused",
    "created_s",
    "kept_messages",
]
