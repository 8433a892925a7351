from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.settings import load_settings
from training.expert.adopt import adopt, lines


def test_the_expert_uses_the_model_from_then_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    adopt(home, "tea", "openai:ft:gpt-4o-mini:me::a1")
    settings = load_settings({"SWITCHYARD_HOME": str(home)}, tmp_path)
    assert settings.expert["tea"].inferior == "openai:ft:gpt-4o-mini:me::a1"
    assert (home / "switchyard.toml").read_text() == lines("tea", "openai:ft:gpt-4o-mini:me::a1")


def test_what_was_set_stays(tmp_path: Path) -> None:
    (tmp_path / "switchyard.toml").write_text('superior = "openai:gpt-5" # dear\n\n[expert.car]\ninferior = "local:reader"\n')
    adopt(tmp_path, "tea", 'local:/models/"odd" tea')
    settings = load_settings({"SWITCHYARD_HOME": str(tmp_path)}, tmp_path)
    assert settings.superior == "openai:gpt-5"
    assert {name: models.inferior for name, models in settings.expert.items()} == {"car": "local:reader", "tea": 'local:/models/"odd" tea'}
    assert "# dear" in (tmp_path / "switchyard.toml").read_text()


@pytest.mark.parametrize(
    "before", ['[expert.tea]\nsuperior = "openai:gpt-5"\n', 'expert = {car = {inferior = "local:reader"}}\n', "not toml"]
)
def test_what_cannot_be_added_to_is_left_alone(tmp_path: Path, before: str) -> None:
    path = tmp_path / "switchyard.toml"
    path.write_text(before)
    with pytest.raises(InputError, match=r'inferior = "local:x"$'):
        adopt(tmp_path, "tea", "local:x")
    assert path.read_text() == before
