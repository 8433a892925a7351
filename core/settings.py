"""Settings: the only reader of the environment, of `.env` and of `switchyard.toml`.

Precedence: environment, then `.env` in the working folder, then `switchyard.toml` in SWITCHYARD_HOME, then the defaults.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from core.errors import InputError
from core.faults import faults

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, or the folder that Switchyard is installed in."""
PROVIDER_KEYS = {"openai": "OPENAI_API_KEY", "deepseek": "DEEPSEEK_API_KEY", "google_genai": "GOOGLE_API_KEY"}
BASE_URLS = {"openai": "OPENAI_BASE_URL", "deepseek": "DEEPSEEK_BASE_URL", "google_genai": "GOOGLE_BASE_URL"}
_TRACED = {
    "langsmith": ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"),
    "otlp": ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
}
"""Whether there is tracing. Its libraries read these, and more that begin like them, from the environment themselves."""


class ExpertModels(BaseModel):
    """Models of one expert, where they differ from the general ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    inferior: str | None = None
    superior: str | None = None


class Settings(BaseModel):
    """Everything that can be set. Model specs are written `provider:name`; times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Path(".switchyard")
    experts_dir: Path = ROOT / "experts"
    indexes_dir: Path = ROOT / "indexes"
    artifacts_dir: Path = ROOT / "artifacts"
    database_url: SecretStr | None = None
    qdrant_url: str | None = Field(None, description="keeps the indexes in Qdrant, for several machines")
    qdrant_api_key: SecretStr | None = None
    encoder: str = "auto"
    router: str = Field("auto", description="the kind of router that decides where no other is asked for; see .env.example")
    inferior: str | None = None
    superior: str | None = None
    general: str | None = Field(None, description="answers out-of-scope questions, marked as ungrounded")
    model_deadline_s: float = Field(60.0, gt=0)
    model_retries: int = Field(2, ge=0, le=10)
    max_question_chars: int = Field(8_000, gt=0)
    cors_origins: tuple[str, ...] = Field((), description="web pages that may call the server from a browser")
    log: Literal["text", "json", "off"] | None = Field(None, description="the form of the log; None: text on the server, off elsewhere")
    trace_content: bool = Field(False, description="whether traces hold the question's text")
    langsmith: bool = Field(False, description="whether LangSmith's own variables ask for its traces")
    otlp: bool = Field(False, description="whether OpenTelemetry's own variables name a collector of traces")
    expert: dict[str, ExpertModels] = {}
    keys: dict[str, SecretStr] = Field({}, repr=False)
    base_urls: dict[str, str] = {}

    @field_validator("home", "experts_dir", "indexes_dir", "artifacts_dir")
    @classmethod
    def _expand(cls, path: Path) -> Path:
        # A shell expands ~, a .env file does not.
        return path.expanduser()

    @field_validator("qdrant_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("expected an address such as http://qdrant:6333, the key apart in QDRANT_API_KEY")
        return url

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, origins: Any) -> Any:
        return [o.strip() for o in origins.split(",") if o.strip()] if isinstance(origins, str) else origins

    def key(self, provider: str) -> SecretStr | None:
        """The provider's key, or None."""
        return self.keys.get(provider)

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the store."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite:///{quote(str(self.home.resolve() / 'switchyard.db'))}"


_FROM_ENV = {
    "SWITCHYARD_HOME": "home",
    "SWITCHYARD_EXPERTS": "experts_dir",
    "SWITCHYARD_INDEXES": "indexes_dir",
    "SWITCHYARD_ARTIFACTS": "artifacts_dir",
    "SWITCHYARD_ENCODER": "encoder",
    "SWITCHYARD_ROUTER": "router",
    "SWITCHYARD_INFERIOR": "inferior",
    "SWITCHYARD_SUPERIOR": "superior",
    "SWITCHYARD_GENERAL": "general",
    "SWITCHYARD_MODEL_DEADLINE_S": "model_deadline_s",
    "SWITCHYARD_MODEL_RETRIES": "model_retries",
    "SWITCHYARD_MAX_QUESTION_CHARS": "max_question_chars",
    "SWITCHYARD_CORS_ORIGINS": "cors_origins",
    "SWITCHYARD_LOG": "log",
    "SWITCHYARD_TRACE_CONTENT": "trace_content",
    "DATABASE_URL": "database_url",
    "SWITCHYARD_QDRANT_URL": "qdrant_url",
    "QDRANT_API_KEY": "qdrant_api_key",
}


def load_settings(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the settings afresh.

    Raises InputError with the field's name when a value cannot be used.
    """
    env = _read_dotenv((folder or Path.cwd()) / ".env")
    env |= {k: v for k, v in (os.environ if environ is None else environ).items() if v}
    home = Path(env.get("SWITCHYARD_HOME", ".switchyard")).expanduser()
    values: dict[str, Any] = _read_toml(home / "switchyard.toml")
    if not (ROOT / "pyproject.toml").exists():
        values.setdefault("indexes_dir", home / "indexes")  # nothing is built among installed packages
    values |= {field: env[name] for name, field in _FROM_ENV.items() if name in env}
    values["keys"] = {p: env[name] for p, name in PROVIDER_KEYS.items() if name in env}
    values |= {field: any(env.get(name, "").lower() not in ("", "0", "false") for name in names) for field, names in _TRACED.items()}
    if urls := {p: env[n] for p, n in BASE_URLS.items() if n in env}:
        own = values.get("base_urls", {})
        values["base_urls"] = own | urls if isinstance(own, dict) else own
    try:
        return Settings(**values)
    except ValidationError as error:
        raise InputError(f"Setting {faults(error, values=False)}. See .env.example for what can be set.") from None


@cache
def settings() -> Settings:
    """The process's settings, read once, on first use. What `.env` says to the libraries of tracing is put into the environment."""
    for name, value in _read_dotenv(Path.cwd() / ".env").items():
        if name.startswith(("LANGSMITH_", "LANGCHAIN_", "OTEL_")):
            os.environ.setdefault(name, value)
    found = load_settings()
    if found.langsmith:
        os.environ.setdefault("LANGSMITH_USE_DAEMON", "true")  # else a process could not end while LangSmith does not answer
    return found


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return {k: v for k, v in dotenv_values(path).items() if v}
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected UTF-8 text. Convert it.") from None


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    if "keys" in values or "qdrant_api_key" in values:
        raise InputError(f"{path} holds keys: put them into the environment or .env instead.")
    if "home" in values:
        raise InputError(f"Setting home: {path} lies in that very folder. Set SWITCHYARD_HOME instead.")
    return values
