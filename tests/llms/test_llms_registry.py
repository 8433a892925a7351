"""Names, tiers, fallbacks, missing keys and prices."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr

import llms
from core.errors import InputError, MissingKeyError
from core.settings import ExpertModels, Settings
from core.types import Tier
from llms.prices import cost_usd, sees
from llms.registry import configured, default_tiers, fallbacks, load_model, parse, seeing, tiers

ROOT = Path(__file__).resolve().parents[2]
LOCAL = {Tier.INFERIOR: "local:reader", Tier.SUPERIOR: "local:deep-reader"}


def with_keys(*providers: str, **values) -> Settings:
    return Settings(keys={p: SecretStr("k") for p in providers}, **values)


def test_parse_keeps_further_colons():
    assert parse("openai:gpt-5") == ("openai", "gpt-5")
    assert parse("openai:llama3:8b") == ("openai", "llama3:8b")
    assert parse("local:/models/tiny") == ("local", "/models/tiny")


@pytest.mark.parametrize("spec", ["gpt-5", "", "openai:", "openai: ", "anthropic:x", ":x"])
def test_parse_names_the_providers(spec):
    with pytest.raises(InputError, match="provider:name, with one of the providers openai, deepseek, google_genai, local, fake"):
        parse(spec)


@pytest.mark.parametrize(
    ("keys", "inferior", "superior"),
    [
        ([], "local:reader", "local:deep-reader"),
        (["openai"], "openai:gpt-5-mini", "openai:gpt-5"),
        (["deepseek"], "deepseek:deepseek-chat", "deepseek:deepseek-reasoner"),
        (["google_genai"], "google_genai:gemini-2.5-flash", "google_genai:gemini-2.5-pro"),
        (["google_genai", "deepseek"], "deepseek:deepseek-chat", "deepseek:deepseek-reasoner"),
    ],
)
def test_the_default_tiers_follow_the_keys(keys, inferior, superior):
    assert default_tiers(with_keys(*keys)) == {Tier.INFERIOR: inferior, Tier.SUPERIOR: superior}


def test_settings_win_over_keys_and_overrides_over_settings():
    settings = with_keys("openai", superior="openai:gpt-4.1")
    assert default_tiers(settings) == {Tier.INFERIOR: "openai:gpt-5-mini", Tier.SUPERIOR: "openai:gpt-4.1"}
    user, expert = ExpertModels(inferior="local:reader"), ExpertModels(inferior="fake:no", superior="deepseek:deepseek-chat")
    assert tiers(settings, user, expert) == {Tier.INFERIOR: "local:reader", Tier.SUPERIOR: "deepseek:deepseek-chat"}
    assert tiers(settings, ExpertModels()) == default_tiers(settings)


def test_fallbacks_try_the_same_tier_first_and_end_with_the_reader():
    settings = with_keys("openai", "deepseek")
    assert fallbacks("openai:gpt-5", settings) == [
        "deepseek:deepseek-reasoner",
        "openai:gpt-5-mini",
        "deepseek:deepseek-chat",
        "local:reader",
    ]
    assert fallbacks("openai:gpt-5-mini", settings)[0] == "deepseek:deepseek-chat"


def test_fallbacks_leave_out_what_has_no_key_and_the_model_itself():
    assert fallbacks("openai:gpt-5", with_keys("openai", superior="deepseek:deepseek-chat")) == ["openai:gpt-5-mini", "local:reader"]
    assert fallbacks("local:reader", with_keys()) == ["local:deep-reader"]
    assert fallbacks("local:deep-reader", with_keys()) == ["local:reader"]
    assert fallbacks("openai:gpt-5-mini", with_keys("openai", expert={"car": ExpertModels(inferior="openai:gpt-4o")})) == [
        "openai:gpt-4o",
        "openai:gpt-5",
        "local:reader",
    ]


@pytest.mark.parametrize(
    ("spec", "variable"),
    [("openai:gpt-5", "OPENAI_API_KEY"), ("deepseek:deepseek-chat", "DEEPSEEK_API_KEY"), ("google_genai:gemini-2.5-pro", "GOOGLE_API_KEY")],
)
def test_a_missing_key_is_one_line(spec, variable):
    with pytest.raises(MissingKeyError) as caught:
        load_model(spec, with_keys(), None)
    assert str(caught.value) == f"{variable} is not set: put it into .env, or choose another, e.g. local:reader."


def test_only_openai_does_without_a_key_by_base_url():
    url = {"openai": "http://127.0.0.1:1/v1", "deepseek": "http://127.0.0.1:1/v1"}
    assert load_model("openai:llama", Settings(base_urls=url), None)._llm_type == "openai-chat"
    with pytest.raises(MissingKeyError, match="DEEPSEEK_API_KEY"):
        load_model("deepseek:deepseek-chat", Settings(base_urls=url), None)


def test_a_folder_that_is_no_model_says_what_was_expected(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"it has no \*\.safetensors, tokenizer\.json"):
        load_model(f"local:{tmp_path}", with_keys(), None)
    with pytest.raises(InputError, match=r"it has no config\.json"):
        load_model("local:nowhere", with_keys(), None)
    with pytest.raises(InputError, match="built by tests"):
        load_model("fake:x", with_keys(), None)


def test_configured_says_of_each_model_whether_it_works():
    found = dict(configured(with_keys("deepseek", superior="gpt-5", expert={"car": ExpertModels(superior="local:nowhere")})))
    usable = {spec for spec, reason in found.items() if reason is None}
    assert usable == {"deepseek:deepseek-chat", "deepseek:deepseek-reasoner", "local:reader", "local:deep-reader"}
    assert found["gpt-5"].startswith("Model 'gpt-5': expected provider:name")
    assert "it has no config.json" in found["local:nowhere"]
    for spec in ("openai:gpt-5", "openai:gpt-5-mini"):
        assert found[spec].startswith("OPENAI_API_KEY is not set")
    assert found["google_genai:gemini-2.5-flash"].startswith("GOOGLE_API_KEY is not set")


PRICES = {
    "openai:gpt-5": (1.25, 10), "openai:gpt-5-mini": (0.25, 2), "openai:gpt-5-nano": (0.05, 0.4), "openai:gpt-4.1": (2, 8),
    "openai:gpt-4.1-mini": (0.4, 1.6), "openai:gpt-4o": (2.5, 10), "openai:gpt-4o-mini": (0.15, 0.6),
    "deepseek:deepseek-chat": (0.28, 0.42), "deepseek:deepseek-reasoner": (0.28, 0.42), "google_genai:gemini-2.5-flash": (0.3, 2.5),
    "google_genai:gemini-2.5-pro": (1.25, 10),
    "google_genai:gemini-2.5-flash-lite": (0.1, 0.4), "local:reader": (0, 0), "local:/some/folder": (0, 0), "fake:x": (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("spec", PRICES)
def test_list_prices(spec, tmp_path):
    read, written = PRICES[spec]
    assert cost_usd(spec, 1_000_000, 0, tmp_path) == pytest.approx(read)
    assert cost_usd(spec, 0, 1_000_000, tmp_path) == pytest.approx(written)
    assert cost_usd(spec, 2_000, 500, tmp_path) == pytest.approx((2 * read + 0.5 * written) / 1000)


def test_the_list_is_dated_and_whole():
    listed = tomllib.loads(Path(llms.__file__).with_name("prices.toml").read_text())
    assert listed.pop("as_of") == "2025-10-01"
    assert set(listed) == {spec for spec in PRICES if not spec.startswith(("local:", "fake:"))}


def test_an_unknown_price_is_none_and_a_users_own_wins_entry_by_entry(tmp_path):
    assert cost_usd("openai:new", 1000, 1000, tmp_path) is None
    (tmp_path / "prices.toml").write_text(
        'as_of = "2026-01-01"\n["openai:new"]\ninput = 1\noutput = 3\n["openai:gpt-5"]\ninput = 2\noutput = 0\n'
    )
    assert cost_usd("openai:new", 1_000_000, 1_000_000, tmp_path) == pytest.approx(4)
    assert cost_usd("openai:gpt-5", 1_000_000, 1_000_000, tmp_path) == pytest.approx(2)
    assert cost_usd("openai:gpt-5-mini", 1_000_000, 0, tmp_path) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "text",
    [
        '["openai:x"]\n',
        '["openai:x"]\nvision = "yes"\n',
        "input = ",
        '["openai:x"]\ninput = 1\n',
        '["openai:x"]\ninput = -1\noutput = 1\n',
        "[x]\ninput = true\nout = 1\n",
    ],
)
def test_a_users_list_that_cannot_be_used_is_named(text, tmp_path):
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(InputError, match=r"prices\.toml"):
        cost_usd("openai:x", 1, 1, tmp_path)


SEE = {spec for spec in PRICES if spec.startswith(("openai:", "google_genai:"))}


@pytest.mark.parametrize("spec", [*PRICES, "openai:new"])
def test_which_models_see(spec, tmp_path):
    assert sees(spec, tmp_path) is (spec in SEE)


def test_a_user_says_which_models_see_with_a_price_or_without(tmp_path):
    entries = ['["openai:llava"]\nvision = true\n', '["openai:gpt-5"]\ninput = 3\noutput = 4\n', '["openai:gpt-4o"]\nvision = false\n']
    (tmp_path / "prices.toml").write_text("".join(entries) + '["local:reader"]\nvision = true\n')
    found = {spec: sees(spec, tmp_path) for spec in ("openai:llava", "openai:gpt-5", "openai:gpt-4o", "local:reader")}
    assert found == {"openai:llava": True, "openai:gpt-5": True, "openai:gpt-4o": False, "local:reader": False}
    assert cost_usd("openai:llava", 1, 1, tmp_path) is None
    assert cost_usd("openai:gpt-5", 1_000_000, 0, tmp_path) == pytest.approx(3)
    assert cost_usd("openai:gpt-4o", 1_000_000, 0, tmp_path) == pytest.approx(2.5)


def test_pictures_go_to_the_nearest_model_that_sees(tmp_path):
    def nearest(spec: str, *providers: str) -> str:
        return seeing(spec, with_keys(*providers, home=tmp_path))

    assert nearest("openai:gpt-5", "openai", "google_genai") == "openai:gpt-5"
    assert nearest("deepseek:deepseek-chat", "deepseek", "google_genai") == "google_genai:gemini-2.5-flash"
    assert nearest("deepseek:deepseek-reasoner", "deepseek", "google_genai") == "google_genai:gemini-2.5-pro"
    assert nearest("local:reader", "openai") == "openai:gpt-5-mini"
    assert nearest("deepseek:deepseek-chat", "deepseek") == "deepseek:deepseek-chat"


def test_importing_llms_loads_no_heavy_library():
    modules = sorted(f"llms.{p.stem}" for p in Path(llms.__file__).parent.glob("*.py") if p.stem != "__init__")
    heavy = {"torch", "transformers", "openai", "langchain_openai", "langchain_google_genai", "langchain_deepseek"}
    program = f"import sys, importlib\nfor m in {modules}: importlib.import_module(m)\nprint(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
