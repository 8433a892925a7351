from __future__ import annotations

import pytest

from core.errors import InputError
from training.expert.recipe import Recipe, drawn


def test_a_search_begins_with_the_given_settings_and_is_the_same_each_time() -> None:
    recipe = Recipe("x", rate=1e-3, rank=8)
    found = drawn(recipe, 6)
    assert found[0] == recipe
    assert found == drawn(recipe, 6)
    assert len({(r.rate, r.rank) for r in found}) == 6
    assert all(2.5e-4 <= r.rate <= 4e-3 and r.rank in (4, 8, 16) for r in found)
    assert {r.rank for r in drawn(Recipe("x", full=True), 6)} == {16}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": 0}, "Expected --epochs of at least 1; got 0."),
        ({"rank": 0}, "Expected --rank of at least 1; got 0."),
        ({"batch": -1}, "Expected --batch of at least 1; got -1."),
        ({"rate": 3.0}, "Expected --rate between 0 and 1, for example 0.0002; got 3."),
        ({"without": 1.5}, "Expected --without between 0 and 1, for example 0.25; got 1.5."),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(InputError) as error:
        Recipe("x", **wrong)  # type: ignore[arg-type]
    assert str(error.value) == told
