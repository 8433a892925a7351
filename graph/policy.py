"""Decisions: thresholds read from artifacts/policy.toml (a user's own in SWITCHYARD_HOME wins), applied to scores."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InputError
from core.faults import faults
from core.types import OUT_OF_SCOPE

MEND = "Mend it; without a policy.toml of your own the shipped one applies."


class Policy(BaseModel):
    """Thresholds on calibrated probabilities, and on the score of the safety rules; all in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    target: str = ""
    data: str = ""
    guarantee: str = ""
    confidence: str = ""
    """What the guarantee was measured with; see `graph.promise`."""
    out_of_scope_at: float = Field(ge=0, le=1, description="decline when P(out of scope) is at least this")
    look_below: float = Field(0.0, ge=0, le=1, description="before declining, look into the documents when P(out of scope) is below this")
    found_at: float = Field(1.0, ge=0, le=1, description="keep a question that a sentence found there answers with this probability")
    clarify_below: float = Field(0.0, ge=0, le=1, description="ask back where words name nothing and no expert's probability is this high")
    both_at: float = Field(ge=0, le=1, description="ask a second expert too when its probability is at least this")
    accept_at: float = Field(ge=0, le=1, description="accept a draft at once")
    retry_at: float = Field(ge=0, le=1, description="below this the same model first reads more passages")
    answer_at: float = Field(ge=0, le=1, description="the last rung: below this the answer is 'I do not know'")
    stream_at: float = Field(ge=0, le=1, description="confidence before the answer above which a draft is streamed as final")
    superior_at: float = Field(1.0, ge=0, le=1, description="ask the superior model at once from this probability on; 1: never")
    safety_at: float = Field(ge=0, le=1, description="a safety rule applies from this score on; at 0.5 as much speaks for it as against it")

    def choose(self, scores: Mapping[str, float]) -> list[str]:
        """The experts to ask, best first; none when the question is out of scope."""
        if scores.get(OUT_OF_SCOPE, 0.0) >= self.out_of_scope_at:
            return []
        ranked = sorted((name for name in scores if name != OUT_OF_SCOPE), key=lambda name: -scores[name])
        return [name for n, name in enumerate(ranked[:2]) if n == 0 or scores[name] >= self.both_at]

    @property
    def route_thresholds(self) -> dict[str, float]:
        """Those that decide the route."""
        return {name: getattr(self, name) for name in ("out_of_scope_at", "look_below", "found_at", "both_at")}


def load_policy(home: Path, artifacts: Path) -> Policy:
    """The user's policy, else the shipped one. Raises InputError naming what is wrong."""
    path = next((p for p in (home / "policy.toml", artifacts / "policy.toml") if p.exists()), None)
    if path is None:
        raise InputError(f"Expected a policy in {artifacts / 'policy.toml'}; found none. Restore it from the repository.")
    try:
        return Policy(**tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise InputError(f"{path}: {faults(error)}. {MEND}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected readable TOML: {error}. {MEND}") from None
