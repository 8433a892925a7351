"""A fine-tuned causal language model from a local Hugging Face folder: config.json, safetensors weights, tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field

from core.errors import RejectedRequestError

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}
_LOADING = Lock()


class FineTunedModel(BaseChatModel):
    """Greedy answers, token by token. The weights are read on the first call and shared by all instances of one folder.

    On a GPU it computes in bfloat16, else in float32. Each chunk carries its token's natural log-probability.
    Raises RejectedRequestError when the folder cannot be loaded or the prompt leaves no room for an answer.
    """

    folder: Path
    max_tokens: int = Field(512, gt=0, description="longest answer, in tokens")

    @property
    def _llm_type(self) -> str:
        return "fine-tuned"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        from tokenizers.decoders import DecodeStream  # 20 ms, and of no use to those who have no such model

        loaded = _load(self.folder)
        prompt = _prompt_ids(loaded.tokenizer, messages)
        room = min(self.max_tokens, loaded.window - len(prompt))
        if room <= 0:
            raise RejectedRequestError(
                f"local:{self.folder} reads at most {loaded.window} tokens and the prompt has {len(prompt)}. Ask a shorter question."
            )
        # Holds back the bytes of a character that is not complete yet.
        decoder = DecodeStream(skip_special_tokens=True)
        written, finish_reason = 0, "length"
        for token, logprob in _greedy(loaded.model, prompt, room):
            written += 1
            if token in loaded.ends:
                finish_reason = "stop"
                break
            text = decoder.step(loaded.tokenizer.backend_tokenizer, token) or ""
            chunk = _chunk(text, loaded.tokenizer.convert_ids_to_tokens(token), logprob)
            if run_manager:
                run_manager.on_llm_new_token(text, chunk=chunk)
            yield chunk
        usage = UsageMetadata(input_tokens=len(prompt), output_tokens=written, total_tokens=len(prompt) + written)
        yield ChatGenerationChunk(
            message=AIMessageChunk(content="", usage_metadata=usage), generation_info={"finish_reason": finish_reason}
        )


class _Loaded(NamedTuple):
    model: Any
    tokenizer: Any
    window: int
    ends: frozenset[int]


def _load(folder: Path) -> _Loaded:
    # lru_cache alone would let two first calls at once read the weights twice.
    with _LOADING:
        return _read(folder.resolve())


@lru_cache(maxsize=2)
def _read(folder: Path) -> _Loaded:
    # Seconds to import, and most users never need them.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    cuda = torch.cuda.is_available()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,  # the other format is a pickle
            dtype=torch.bfloat16 if cuda else torch.float32,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RejectedRequestError(
            f"local:{folder} cannot be loaded as a causal language model: {reason}. Train it again, or choose another model."
        ) from error
    model.eval()
    ends = model.generation_config.eos_token_id
    ids = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id}
    return _Loaded(model.to("cuda" if cuda else "cpu"), tokenizer, int(model.config.max_position_embeddings), frozenset(ids - {None}))


def _prompt_ids(tokenizer: Any, messages: Sequence[BaseMessage]) -> list[int]:
    turns = [{"role": _ROLES.get(m.type, "user"), "content": _spelt_out(tokenizer, m.text)} for m in messages]
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    else:
        text = "".join(f"{turn['role']}: {turn['content']}\n" for turn in turns) + "assistant: "
    # The template writes the special tokens itself.
    return [int(i) for i in tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"]]


def _spelt_out(tokenizer: Any, text: str) -> str:
    """Without special tokens, which only the template may write: a document could end its turn with them, and forge another."""
    special = "|".join(re.escape(token) for token in sorted(tokenizer.added_tokens_encoder, key=len, reverse=True))
    return re.sub(special, lambda token: f"{token[0][0]} {token[0][1:]}", text) if special else text


def _greedy(model: Any, prompt: Sequence[int], room: int) -> Iterator[tuple[int, float]]:
    import torch  # as in _read, which has imported it already

    tokens, cache = torch.tensor([list(prompt)], device=model.device), None
    for _ in range(room):
        # Opened for each step: a generator that yields inside would leave the mode switched on for its caller.
        with torch.inference_mode():
            out = model(input_ids=tokens, past_key_values=cache, use_cache=True)
            logprob, best = torch.log_softmax(out.logits[0, -1].float(), dim=-1).max(dim=-1)
            cache, tokens = out.past_key_values, best.view(1, 1)
        yield int(best), float(logprob)


def _chunk(text: str, token: str, logprob: float) -> ChatGenerationChunk:
    return ChatGenerationChunk(
        message=AIMessageChunk(content=text), generation_info={"logprobs": {"content": [{"token": token, "logprob": logprob}]}}
    )
