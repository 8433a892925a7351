"""Base models: what is taken, and what is refused with the way on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import InputError, SwitchyardError
from tests.training.expert import small
from training.expert import base as models


def test_a_folder_is_opened(base: str) -> None:
    tokenizer = models.load_tokenizer(base)
    turns = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}]
    assert models.count_tokens(tokenizer, [turns]) == [len(tokenizer("<|start|>user:a b<|end|><|start|>assistant:c<|end|>")["input_ids"])]
    outline, model = models.outline(base), models.load_model(base)
    assert sum(p.numel() for p in outline.parameters()) == sum(p.numel() for p in model.parameters()) < 100_000
    assert {p.device.type for p in outline.parameters()} == {"meta"}


def test_a_base_without_chat_template_is_refused(tmp_path: Path) -> None:
    folder = small.make(tmp_path / "plain", template=None)
    with pytest.raises(
        InputError, match=r"^Expected a base model with a chat template; .*plain has none\. Name its instruction-tuned form"
    ):
        models.load_tokenizer(folder)


def test_a_template_that_takes_no_system_message_is_refused(tmp_path: Path) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + small.TEMPLATE
    folder = small.make(tmp_path / "strict", template=strict)
    with pytest.raises(InputError, match=r"that of .*strict says: System role not supported\. Choose another base model\.$"):
        models.load_tokenizer(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, base: str) -> None:
    (tmp_path / "empty").mkdir()
    for refused in (models.load_tokenizer, models.load_model, models.outline):
        with pytest.raises(InputError, match=r"the folder .*empty has no config\.json\.$"):
            refused(str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"there is no folder \./nowhere\.$"):
        models.load_tokenizer("./nowhere")
    weightless = tmp_path / "weightless"
    shutil.copytree(base, weightless, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(InputError, match=r"^Expected a causal language model with safetensors weights; .*weightless cannot be loaded: "):
        models.load_model(str(weightless))
    (weightless / "config.json").write_text('{"model_type": "cabbage"}')
    with pytest.raises(InputError, match="weightless cannot be loaded: "):
        models.outline(str(weightless))


def test_missing_packages_are_named_with_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    models.check_packages()
    monkeypatch.setattr(models, "PACKAGES", ("trl", "no_such_package"))
    with pytest.raises(
        SwitchyardError, match=r"not installed: no_such_package\. Run in .*: pip install -c constraints.txt -e '\.\[train\]'$"
    ):
        models.check_packages()


def test_the_tiny_model_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        models.make_tiny(tmp_path / name, ["Green tea steeps for two minutes.", "Bees dance."])
    files = [{p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())} for name in ("one", "two")]
    assert files[0] == files[1]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files[0])
    assert models.load_tokenizer(str(tmp_path / "one")).chat_template
