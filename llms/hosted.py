"""Chat models of OpenAI (and servers that speak its protocol), DeepSeek and Google."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from core.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Given explicitly, since the libraries would otherwise look into environment variables of their own.
_BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "google_genai": "https://generativelanguage.googleapis.com",
}
_NO_KEY = SecretStr("no-key-needed")
_REASONING = ("gpt-5", "o1", "o3", "o4", "deepseek-reasoner")
"""Names that start like this refuse a temperature and log-probabilities."""


def build(provider: str, name: str, settings: Settings) -> BaseChatModel:
    """A client for `name`; nothing is sent. It does not retry: llms.call does, within one deadline.

    The read timeout is settings.model_deadline_s, so that a call which was given up does not hang on for longer.
    `provider` is openai, deepseek or google_genai, and its key or base URL is set: llms.registry has checked that.
    """
    options: dict[str, Any] = {
        "model": name,
        "api_key": settings.key(provider) or _NO_KEY,
        "base_url": settings.base_urls.get(provider, _BASE_URLS[provider]),
        "timeout": settings.model_deadline_s,
    }
    if provider == "google_genai":
        # Imported here: a second or more, and a key that most users do not have. Gemini gives no log-probabilities here.
        from langchain_google_genai import ChatGoogleGenerativeAI

        # Google counts attempts where the others count retries.
        return ChatGoogleGenerativeAI(**options, max_retries=1, temperature=0, vertexai=False)
    options |= {"max_retries": 0, "stream_usage": True}
    if not name.startswith(_REASONING):
        options |= {"temperature": 0, "logprobs": True}
    if provider == "deepseek":
        from langchain_deepseek import ChatDeepSeek  # imports openai, about a second

        return ChatDeepSeek(**options)
    from langchain_openai import ChatOpenAI  # imports openai, about a second

    # Chat completions, which every compatible server speaks; with None the library would guess from the name.
    return ChatOpenAI(**options, use_responses_api=False)


def limited(model: BaseChatModel, provider: str, max_tokens: int, idempotency_key: str) -> BaseChatModel:
    """`model` for one call: it writes at most `max_tokens`, and sends the key where the protocol has a place for one (not Google's)."""
    if provider == "google_genai":
        return model.model_copy(update={"max_output_tokens": max_tokens})
    headers = {"extra_headers": {"Idempotency-Key": idempotency_key}}
    return model.model_copy(update={"max_tokens": max_tokens, "model_kwargs": headers})
