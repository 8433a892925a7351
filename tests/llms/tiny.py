"""A real Hugging Face folder, made in a second: a small Qwen2 that has learnt one answer by heart."""

from pathlib import Path

ANSWER = "Sleep is good [1]."
QUESTION = "Why sleep?"
WINDOW = 128
TEMPLATE = "{% for m in messages %}<|start|>{{ m.role }}:{{ m.content }}<|end|>{% endfor %}<|start|>assistant:"


def make(folder: Path, prompts: list[list[dict[str, str]]]) -> None:
    """Write config.json, safetensors and a tokenizer; the model answers each of `prompts` with ANSWER."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        [ANSWER, QUESTION], trainers.BpeTrainer(vocab_size=280, special_tokens=["<|start|>", "<|end|>"], initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>", chat_template=TEMPLATE)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=WINDOW, eos_token_id=tokenizer.eos_token_id, bos_token_id=None, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(60):
        prompt = tokenizer.apply_chat_template(prompts[step % len(prompts)], add_generation_prompt=True, tokenize=False)
        ids = torch.tensor([tokenizer(prompt + ANSWER + "<|end|>", add_special_tokens=False)["input_ids"]])
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
