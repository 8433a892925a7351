from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.faults import faults


class Pot(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tea: str
    litres: float = Field(1.0, gt=0)

    @field_validator("tea")
    @classmethod
    def _known(cls, tea: str) -> str:
        if tea == "coffee":
            raise ValueError("coffee is no tea")
        return tea


@pytest.mark.parametrize(
    ("given", "said", "without"),
    [
        ({}, "tea is missing", "tea is missing"),
        ({"tea": "mint", "lid": 1}, "lid is not known here", "lid is not known here"),
        ({"tea": 3}, "tea should be a valid string; got 3", "tea should be a valid string"),
        ({"tea": "mint", "litres": 0}, "litres should be greater than 0; got 0", "litres should be greater than 0"),
        ({"tea": "coffee"}, "tea: coffee is no tea; got 'coffee'", "tea: coffee is no tea"),
        ({"tea": ["a long list"] * 9}, "tea should be a valid string", "tea should be a valid string"),
        (
            {"litres": -1, "lid": 1, "spout": 1},
            "lid is not known here; spout is not known here; tea is missing; 1 more",
            "lid is not known here; spout is not known here; tea is missing; 1 more",
        ),
        (
            "no pot",
            "an entry should be a valid dictionary or instance of Pot; got 'no pot'",
            "an entry should be a valid dictionary or instance of Pot",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(given, said, without):
    with pytest.raises(ValidationError) as caught:
        Pot.model_validate(given)
    assert faults(caught.value) == said
    assert faults(caught.value, values=False) == without
