"""The model that is tuned: loaded from a folder or the Hugging Face hub, or made small on the spot."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from core.errors import InputError, SwitchyardError
from training.expert.examples import Turn

TINY = "tiny"
PACKAGES = ("accelerate", "peft", "tensorboard", "trl")
_VOCABULARY, _WINDOW = 4096, 4096
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def check_packages() -> None:
    """Raises SwitchyardError where the extra `train` is not installed."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise SwitchyardError(
            f"Fine-tuning needs the packages of the extra `train`; not installed: {', '.join(missing)}. "
            "Run in Switchyard's folder: pip install -c constraints.txt -e '.[train]'"
        )


def quiet() -> None:
    """No bars and no chatter of the libraries beside our own; their deprecations are for one another."""
    import datasets
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(accelerate|peft|torch|transformers|trl)\b")
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def load_tokenizer(base: str) -> Any:
    """The tokenizer of a model's name or folder, with a chat template that takes a system message. Raises InputError."""
    from transformers import AutoTokenizer

    _check_folder(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=Path(base).is_dir(), trust_remote_code=False)
    except Exception as error:  # the hub's, the tokenizer's and the file system's own classes
        raise _no_model(base, error) from None
    if not tokenizer.chat_template:
        raise InputError(
            f"Expected a base model with a chat template; {base} has none. Name its instruction-tuned form (often ...-Instruct or ...-it), "
            "or put a chat_template.jinja into its folder."
        )
    sample = [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]
    try:
        tokenizer.apply_chat_template(sample, tokenize=False)
    except Exception as error:  # whatever the template's author raises
        raise InputError(
            f"Expected a chat template that takes a system, a user and an assistant message; that of {base} says: {_line(error)}. "
            "Choose another base model."
        ) from None
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def load_model(base: str, *, training: bool = False) -> Any:
    """The causal language model of a name or folder, on the CPU; no code that comes with it is run, no pickle is read.

    On a GPU that can it is in bfloat16, but for the full fine-tuning of all weights (`training`), where small updates would be rounded off.
    Raises InputError for what is no such model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    _check_folder(base)
    dtype = torch.float32 if training or not has_bf16() else torch.bfloat16
    try:
        return AutoModelForCausalLM.from_pretrained(
            base, local_files_only=Path(base).is_dir(), trust_remote_code=False, use_safetensors=True, dtype=dtype
        )
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise _no_model(base, error) from None


def outline(base: str) -> Any:
    """The same model without its weights: for its size and its window. Raises InputError."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    _check_folder(base)
    try:
        config = AutoConfig.from_pretrained(base, local_files_only=Path(base).is_dir(), trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # as above
        raise _no_model(base, error) from None


def has_bf16() -> bool:
    """Whether there is a GPU that computes in bfloat16."""
    import torch

    return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def count_tokens(tokenizer: Any, conversations: Iterable[Sequence[Turn]]) -> list[int]:
    """The length of each conversation, as the model is trained on it."""
    texts = [tokenizer.apply_chat_template(list(turns), tokenize=False) for turns in conversations]
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []


def make_tiny(folder: Path, texts: Iterable[str]) -> None:
    """Write a Qwen2 of about a million random parameters and a byte-level BPE tokenizer trained on `texts`.

    It shows that the path works from end to end on any machine; it knows no language, and no tuning makes an expert of it.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special, alphabet = ["<|im_start|>", "<|im_end|>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=special[1], pad_token=special[1], chat_template=_TEMPLATE)
    end = tokenizer.eos_token_id
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=_WINDOW, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check_folder(base: str) -> None:
    path = Path(base)
    if path.is_dir() and not (path / "config.json").is_file():
        raise InputError(f"Expected a model as Hugging Face's tools save it; the folder {base} has no config.json.")
    if not path.exists() and (path.is_absolute() or base.startswith((".", "~")) or base.count("/") > 1):
        raise InputError(f"Expected a base model: a folder, a name on the Hugging Face hub, or {TINY}; there is no folder {base}.")


def _no_model(base: str, error: Exception) -> InputError:
    return InputError(
        f"Expected a causal language model with safetensors weights; {base} cannot be loaded: {_line(error)}. "
        f"Check the name and the connection, or name a folder; to try the path on this machine: --base {TINY}"
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
