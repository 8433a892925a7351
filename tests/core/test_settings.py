"""Settings: environment over `.env` over switchyard.toml over the defaults; keys are never shown."""

import json
import os
from pathlib import Path

import pytest

from core.errors import InputError
from core.settings import PROVIDER_KEYS, ROOT, Settings, load_settings, settings

SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_the_defaults():
    found = load_settings({})
    assert found.home == Path(".switchyard")
    assert (found.experts_dir, found.indexes_dir, found.artifacts_dir) == (ROOT / "experts", ROOT / "indexes", ROOT / "artifacts")
    assert (found.encoder, found.inferior, found.superior, found.general) == ("auto", None, None, None)
    assert found.database == f"sqlite:///{Path.cwd() / '.switchyard' / 'switchyard.db'}"
    assert found.key("openai") is None


def test_precedence(home, tmp_path):
    (home / "switchyard.toml").write_text('inferior = "toml:a"\nsuperior = "toml:b"\ngeneral = "toml:c"\n')
    (tmp_path / ".env").write_text(f"SWITCHYARD_HOME={home}\nSWITCHYARD_SUPERIOR=dotenv:b\nSWITCHYARD_GENERAL=dotenv:c\n")
    found = load_settings({"SWITCHYARD_GENERAL": "env:c"}, tmp_path)
    assert (found.inferior, found.superior, found.general, found.encoder) == ("toml:a", "dotenv:b", "env:c", "auto")


def test_an_empty_variable_counts_as_unset(tmp_path):
    (tmp_path / ".env").write_text("SWITCHYARD_ENCODER=minilm-fp32\n")
    assert load_settings({"SWITCHYARD_ENCODER": ""}, tmp_path).encoder == "minilm-fp32"


def test_models_of_one_expert_come_from_the_toml(home):
    (home / "switchyard.toml").write_text('[expert.tea]\nsuperior = "openai:gpt-5"\n')
    found = load_settings({"SWITCHYARD_HOME": str(home)})
    assert found.expert["tea"].superior == "openai:gpt-5"
    assert found.expert["tea"].inferior is None


def test_base_urls_of_both_sources_are_joined(home):
    (home / "switchyard.toml").write_text('[base_urls]\nopenai = "http://a"\ndeepseek = "http://b"\n')
    found = load_settings({"SWITCHYARD_HOME": str(home), "DEEPSEEK_BASE_URL": "http://c"})
    assert found.base_urls == {"openai": "http://a", "deepseek": "http://c"}


def test_the_process_reads_its_settings_once(monkeypatch):
    first = settings()
    monkeypatch.setenv("SWITCHYARD_ENCODER", "minilm-fp32")
    assert settings() is first


def test_a_tilde_means_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sy").mkdir()
    (tmp_path / "sy" / "switchyard.toml").write_text('inferior = "local:reader"\n')
    found = load_settings({"SWITCHYARD_HOME": "~/sy", "SWITCHYARD_EXPERTS": "~/mine"})
    assert (found.home, found.experts_dir, found.inferior) == (tmp_path / "sy", tmp_path / "mine", "local:reader")


@pytest.mark.parametrize("provider", PROVIDER_KEYS)
def test_keys_are_never_shown(provider):
    found = load_settings({PROVIDER_KEYS[provider]: SECRET, "DATABASE_URL": f"postgresql://u:{SECRET}@h/x", "QDRANT_API_KEY": SECRET})
    key = found.key(provider)
    assert key is not None and key.get_secret_value() == SECRET
    shown = [repr(found), str(found), found.model_dump_json(), json.dumps(found.model_dump(), default=str), repr(found.keys), f"{key}"]
    assert not [text for text in shown if SECRET in text]
    assert found.database == f"postgresql://u:{SECRET}@h/x"


def test_an_error_does_not_show_the_keys_either():
    with pytest.raises(InputError) as caught:
        load_settings({"OPENAI_API_KEY": SECRET, "DATABASE_URL": SECRET, "SWITCHYARD_MODEL_RETRIES": "many"})
    assert str(caught.value).startswith("Setting model_retries ")
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("SWITCHYARD_MODEL_DEADLINE_S", "soon", "model_deadline_s"),
        ("SWITCHYARD_MODEL_DEADLINE_S", "0", "model_deadline_s"),
        ("SWITCHYARD_MODEL_RETRIES", "11", "model_retries"),
        ("SWITCHYARD_MAX_QUESTION_CHARS", "-1", "max_question_chars"),
        ("SWITCHYARD_QDRANT_URL", "qdrant:6333", "qdrant_url"),
        ("SWITCHYARD_QDRANT_URL", "http://", "qdrant_url"),
        ("SWITCHYARD_QDRANT_URL", "http://me:secret@qdrant:6333", "qdrant_url"),
    ],
)
def test_a_bad_value_is_named(variable, value, field):
    with pytest.raises(InputError, match=rf"^Setting {field}\b.*See .env.example") as caught:
        load_settings({variable: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("inferior = ", "is not valid TOML"),
        ('[keys]\nopenai = "sk-very-secret-0123456789"\n', "holds keys: put them into the environment or .env"),
        ('qdrant_api_key = "sk-very-secret-0123456789"\n', "holds keys: put them into the environment or .env"),
        ('inferiour = "local:reader"\n', "Setting inferiour is not known here"),
        ("[expert.tea]\nmodel = 3\n", "Setting expert.tea.model is not known here"),
        ('base_urls = "http://a"\n', "Setting base_urls "),
        ('home = "elsewhere"\n', "Setting home: .*SWITCHYARD_HOME"),
        ('OPENAI_API_KEY = "sk-very-secret-0123456789"\n', "Setting OPENAI_API_KEY is not known here"),
    ],
)
def test_a_bad_toml_is_one_line(home, toml, said):
    (home / "switchyard.toml").write_text(toml)
    with pytest.raises(InputError, match=said) as caught:
        load_settings({"SWITCHYARD_HOME": str(home), "OPENAI_BASE_URL": "http://b"})
    assert "\n" not in str(caught.value) and SECRET not in str(caught.value)


def test_files_that_cannot_be_read_are_one_line(home, tmp_path):
    (home / "switchyard.toml").mkdir()
    with pytest.raises(InputError, match=r"switchyard\.toml cannot be read: Is a directory"):
        load_settings({"SWITCHYARD_HOME": str(home)})
    (home / "switchyard.toml").rmdir()
    (home / "switchyard.toml").write_bytes(b"inferior = '\xff'")
    with pytest.raises(InputError, match=r"switchyard\.toml is not valid TOML"):
        load_settings({"SWITCHYARD_HOME": str(home)})
    (tmp_path / ".env").write_bytes(b"SWITCHYARD_ENCODER=\xff\n")
    with pytest.raises(InputError, match=r"\.env: expected UTF-8 text"):
        load_settings({}, tmp_path)


def test_what_a_dotenv_says_to_the_libraries_of_tracing_reaches_them(tmp_path, monkeypatch):
    for name in ("LANGSMITH_TRACING", "LANGSMITH_USE_DAEMON", "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.setenv(name, "kept for the end of the test")
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    (tmp_path / ".env").write_text("LANGSMITH_TRACING=true\nOTEL_SERVICE_NAME=theirs\nOTEL_EXPORTER_OTLP_HEADERS=a=b\nOTHER=1\n")
    assert settings().langsmith
    assert os.environ["LANGSMITH_TRACING"] == "true"
    assert os.environ["LANGSMITH_USE_DAEMON"] == "true"
    assert os.environ["OTEL_EXPORTER_OTLP_HEADERS"] == "a=b"
    assert os.environ["OTEL_SERVICE_NAME"] == "mine"
    assert "OTHER" not in os.environ


@pytest.mark.parametrize("form", ["text", "json", "off"])
def test_the_log_has_one_of_three_forms(form, tmp_path):
    assert load_settings({"SWITCHYARD_LOG": form}, tmp_path).log == form
    with pytest.raises(InputError, match=r"^Setting log should be 'text', 'json' or 'off'"):
        load_settings({"SWITCHYARD_LOG": "loud"}, tmp_path)


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().encoder = "other"  # type: ignore[misc]
