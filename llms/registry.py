"""Which models there are: names, tiers, fallbacks, and how a name becomes a model. Nothing heavy is imported before load_model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError, MissingKeyError, SwitchyardError
from core.settings import PROVIDER_KEYS, ExpertModels, Settings
from core.types import Tier
from llms.prices import sees

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from retrieval.reader import Reader

PROVIDERS = ("openai", "deepseek", "google_genai", "local", "fake")
HOSTED = tuple(PROVIDER_KEYS)
READER = "local:reader"
_READERS = ("reader", "deep-reader")
_LOCAL = {Tier.INFERIOR: READER, Tier.SUPERIOR: "local:deep-reader"}
_DEFAULTS = {
    "openai": {Tier.INFERIOR: "openai:gpt-5-mini", Tier.SUPERIOR: "openai:gpt-5"},
    "deepseek": {Tier.INFERIOR: "deepseek:deepseek-chat", Tier.SUPERIOR: "deepseek:deepseek-reasoner"},
    "google_genai": {Tier.INFERIOR: "google_genai:gemini-2.5-flash", Tier.SUPERIOR: "google_genai:gemini-2.5-pro"},
}
"""In order of preference: the first provider with a key gives both tiers."""


def parse(spec: str) -> tuple[str, str]:
    """Provider and name of `provider:name`; the name may hold further colons.

    Raises InputError when the provider is unknown or the name is empty.
    """
    provider, _, name = spec.partition(":")
    if provider not in PROVIDERS or not name.strip():
        raise InputError(f"Model {spec!r}: expected provider:name, with one of the providers {', '.join(PROVIDERS)}.")
    return provider, name


def only_reads(spec: str) -> bool:
    """Whether it is a local reader, which has nothing to say without passages. Raises InputError for what is no spec."""
    provider, name = parse(spec)
    return provider == "local" and name in _READERS


def load_model(spec: str, settings: Settings, reader: Reader) -> BaseChatModel:
    """The model behind `spec`; the provider's library is imported here, weights are read on its first call.

    Raises InputError for a spec or a folder that is no model, MissingKeyError when the provider's key is not set.
    """
    provider, name = parse(spec)
    _check(provider, name, settings)
    if provider in HOSTED:
        from llms import hosted  # builds on the providers' libraries, seconds to import, and only one of them is needed

        return hosted.build(provider, name, settings)
    if name in _READERS:
        from llms.local_reader import LocalReader  # of no use to those who have hosted models only

        return LocalReader(name=name, reader=reader)
    from llms.finetuned import FineTunedModel  # only for those who have trained one

    return FineTunedModel(folder=Path(name).expanduser())


def default_tiers(settings: Settings) -> dict[Tier, str]:
    """The general spec of each tier: as set; else by the first provider with a key; else the local readers."""
    keyed = [_DEFAULTS[provider] for provider in HOSTED if settings.key(provider)]
    found = keyed[0] if keyed else _LOCAL
    return {Tier.INFERIOR: settings.inferior or found[Tier.INFERIOR], Tier.SUPERIOR: settings.superior or found[Tier.SUPERIOR]}


def tiers(settings: Settings, *overrides: ExpertModels) -> dict[Tier, str]:
    """The spec of each tier for one expert: the first override that names one wins over `default_tiers`."""
    chosen = default_tiers(settings)
    for override in reversed(overrides):
        chosen[Tier.INFERIOR] = override.inferior or chosen[Tier.INFERIOR]
        chosen[Tier.SUPERIOR] = override.superior or chosen[Tier.SUPERIOR]
    return chosen


def fallbacks(spec: str, settings: Settings) -> list[str]:
    """Usable models to try, in order, when `spec` fails before its first token; `local:reader` is last, `spec` never among them.

    A model's own tier comes before the other one.
    """
    candidates = [s for s in _known(settings, tier_of(spec, settings)) if s not in (spec, READER) and _problem(s, settings) is None]
    return candidates if spec == READER else [*candidates, READER]


def seeing(spec: str, settings: Settings) -> str:
    """The model for a question with pictures: `spec` where it sees them, else its first fallback that does; `spec` where none does."""
    return next((each for each in (spec, *fallbacks(spec, settings)) if sees(each, settings.home)), spec)


def configured(settings: Settings, *named: str) -> list[tuple[str, str | None]]:
    """Every set, default and `named` spec (of an expert's card, say), each with None when it is usable, else with the one-line reason.

    Keys are not tried: only whether they are set.
    """
    specs = _known(settings, Tier.INFERIOR) + [s for pair in (*_DEFAULTS.values(), _LOCAL) for s in pair.values()]
    return [(spec, _problem(spec, settings)) for spec in dict.fromkeys([*specs, *named])]


def _known(settings: Settings, first: Tier) -> list[str]:
    """Specs that are set or whose provider's key is present, those of the tier `first` before the others, each once."""
    keyed = [_DEFAULTS[provider] for provider in HOSTED if settings.key(provider)]
    experts = settings.expert.values()
    by_tier: dict[Tier, list[str | None]] = {
        Tier.INFERIOR: [settings.inferior, *(e.inferior for e in experts)],
        Tier.SUPERIOR: [settings.superior, *(e.superior for e in experts)],
    }
    for tier, specs in by_tier.items():
        specs += [default_tiers(settings)[tier], *(pair[tier] for pair in keyed)]
    other = Tier.SUPERIOR if first is Tier.INFERIOR else Tier.INFERIOR
    ordered = [*by_tier[first], *by_tier[other], settings.general]
    return [spec for spec in dict.fromkeys(ordered) if spec]


def tier_of(spec: str, settings: Settings) -> Tier:
    """Superior where `spec` is set or known as such for anyone, else inferior."""
    superior = {settings.superior, default_tiers(settings)[Tier.SUPERIOR], *(e.superior for e in settings.expert.values())}
    superior |= {pair[Tier.SUPERIOR] for pair in (*_DEFAULTS.values(), _LOCAL)}
    return Tier.SUPERIOR if spec in superior else Tier.INFERIOR


def _problem(spec: str, settings: Settings) -> str | None:
    try:
        _check(*parse(spec), settings)
    except SwitchyardError as error:
        return str(error)
    return None


def _check(provider: str, name: str, settings: Settings) -> None:
    if provider in HOSTED:
        # Servers that speak OpenAI's protocol (vLLM, Ollama, llama.cpp) usually want no key.
        if not settings.key(provider) and not (provider == "openai" and provider in settings.base_urls):
            raise MissingKeyError(f"{PROVIDER_KEYS[provider]} is not set: put it into .env, or choose another, e.g. {READER}.")
    elif provider == "fake":
        raise InputError(f"Model 'fake:{name}': fake models are built by tests, not by name. Choose another one, e.g. {READER}")
    elif name not in _READERS:
        _check_folder(Path(name).expanduser())


def _check_folder(folder: Path) -> None:
    parts = {
        "config.json": (folder / "config.json").is_file(),
        "*.safetensors": any(folder.glob("*.safetensors")),
        "tokenizer.json": (folder / "tokenizer.json").is_file(),
    }
    missing = [part for part, found in parts.items() if not found]
    if missing:
        raise InputError(
            f"Model 'local:{folder}': expected reader, deep-reader or a folder with {', '.join(parts)}; it has no {', '.join(missing)}."
        )
