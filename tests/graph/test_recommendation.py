import json

import numpy as np
import pytest
from pydantic import SecretStr

from core.errors import InputError, ModelUnavailableError
from core.types import Tier
from graph.recommendation import Estimate, choose, ladder, recommend
from graph.recommender import Measured, Recommender
from llms.fake import ScriptedModel
from tests.graph.conftest import BAD, GOOD, QUESTION

CHEAP, MIDDLE, STRONG = "openai:gpt-5-nano", "openai:gpt-5-mini", "openai:gpt-5"
NO_KEY = "deepseek:deepseek-chat"
FOUND = [Estimate("a", 0.5, 0.001, 10.0, 5), Estimate("b", 0.8, 0.004, None, 5), Estimate("c", 0.82, 0.1, None, 5)]


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ({"worth": 0.0}, "c"),
        ({"worth": 1.0}, "b"),
        ({"worth": 1000.0}, "a"),
        ({"worth": 0.0, "budget": 0.01}, "b"),
        ({"worth": 0.0, "budget": 0.001}, "a"),
        ({"worth": 0.0, "floor": 0.81}, "c"),
        ({"worth": 0.0, "floor": 0.3}, "a"),
    ],
)
def test_the_choice(arguments, model):
    assert choose(FOUND, **arguments)[0].model == model


def test_an_unknown_cost_is_above_every_budget_and_never_cheap():
    dark = Estimate("dark", 0.9, None, None, 5)
    assert choose([*FOUND, dark], 1000.0)[0].model == "dark"
    assert choose([*FOUND, dark], 0.0, 1e9)[0].model == "c"
    assert choose([*FOUND, dark], 0.0, None, 0.6)[0].model == "b"


def test_of_equals_the_cheaper_one():
    twins = [Estimate("dear", 0.8, 0.2, None, 1), Estimate("cheap", 0.8, 0.1, None, 1)]
    assert choose(twins, 0.0)[0].model == "cheap"
    assert choose(twins, 0.0, 1.0)[0].model == "cheap"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0.0001}, r"No model costs at most \$0.0001 for this prompt; the cheapest is a at about \$0.001. Raise --budget."),
        ({"floor": 0.99}, "No model reaches a quality of 0.99 for this prompt; c comes nearest with 0.82."),
        ({"floor": 0.5, "budget": 1.0}, "Expected a budget or a quality floor; got both. Leave one out."),
    ],
)
def test_what_no_model_keeps_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        choose(FOUND, 0.0, **arguments)


@pytest.fixture
def trained(scripted):
    """Three models of a provider with a key, and one without; tea suits the middle one, everything else the strong one."""

    def make(models=None, kind="neighbours", worth=0.0, **settings):
        services = scripted(models or {}, keys={"openai": SecretStr("k")}, inferior=CHEAP, model_retries=0, **settings)
        prompts = [f"How long does green tea steep in cup {n}?" if n % 2 else f"Prove theorem {n} about primes." for n in range(100)]
        scores = np.array([[0.1, 0.9, 0.8, 1.0] if n % 2 else [0.0, 0.1, 0.9, 1.0] for n in range(100)])
        costs = np.tile([0.0001, 0.001, 0.01, 0.0001], (100, 1))
        made = Recommender(kind, services.encoder, model=CHEAP, ask=services.ask)
        made.fit(Measured(prompts, [CHEAP, MIDDLE, STRONG, NO_KEY], scores, costs, np.full(costs.shape, np.nan)))
        made.worth = worth
        made.save(services.settings.home / "recommender")
        return services

    return make


def test_models_without_a_key_are_never_chosen(trained):
    found = recommend(trained(), QUESTION)
    assert found.model == MIDDLE
    assert [each.model for each in found.models] == [MIDDLE, STRONG, CHEAP]
    assert "DEEPSEEK_API_KEY is not set" in found.unusable[NO_KEY]
    assert {"local:reader", "local:deep-reader"} <= set(found.unmeasured)
    assert found.models[0].quality == pytest.approx(0.9, abs=0.01)
    assert found.models[0].cost_usd == pytest.approx(0.001, rel=0.01)
    assert found.models[0].latency_ms is None
    assert len(found.nearest) == 3
    assert found.nearest[0].prompt.startswith("How long does green tea steep")


def test_a_long_prompt_costs_what_reading_it_costs(trained):
    services, long = trained(), f"{QUESTION} {'Steeped tea. ' * 308}"
    short_costs, long_costs = ({each.model: each.cost_usd for each in recommend(services, asked).models} for asked in (QUESTION, long))
    more = (len(long) - len(QUESTION)) / 4e6  # 4 characters a token, and prices are for a million
    assert long_costs[CHEAP] == pytest.approx(short_costs[CHEAP] + 0.05 * more, rel=0.02)
    assert long_costs[STRONG] == pytest.approx(short_costs[STRONG] + 1.25 * more, rel=0.02)
    assert recommend(services, long, budget=short_costs[MIDDLE] + 0.0001).model == CHEAP
    assert min(each.cost_usd for each in recommend(services, "a").models) > 0


def test_for_pictures_only_models_that_see_are_chosen(trained):
    services = trained(superior=STRONG)
    (services.settings.home / "prices.toml").write_text(f'["{MIDDLE}"]\nvision = false\n')
    assert ladder(services, QUESTION) == {Tier.INFERIOR: MIDDLE, Tier.SUPERIOR: MIDDLE}
    assert ladder(services, QUESTION, pictures=True) == {Tier.INFERIOR: STRONG, Tier.SUPERIOR: STRONG}


def test_a_dollar_is_worth_what_training_found(trained):
    assert recommend(trained(worth=1e6), QUESTION).model == CHEAP


def test_without_a_recommender_the_command_is_named(tiny):
    with pytest.raises(InputError, match="Train one on measured answers: switchyard train recommender"):
        recommend(tiny, QUESTION)
    assert ladder(tiny, QUESTION) is None


def test_without_a_usable_model_the_two_tiers_stay(trained):
    services = trained()
    services.settings = services.settings.model_copy(update={"keys": {}, "inferior": None})
    assert ladder(services, QUESTION) is None
    with pytest.raises(InputError, match="none of them can be used"):
        recommend(services, QUESTION)


def test_the_ladder_begins_with_the_recommended_and_ends_with_the_best(trained):
    services = trained(worth=50.0)
    assert ladder(services, QUESTION) == {Tier.INFERIOR: MIDDLE, Tier.SUPERIOR: MIDDLE}
    assert ladder(services, "Prove theorem 7 about primes.") == {Tier.INFERIOR: STRONG, Tier.SUPERIOR: STRONG}
    assert ladder(trained(worth=1000.0), QUESTION) == {Tier.INFERIOR: CHEAP, Tier.SUPERIOR: MIDDLE}


def test_a_recommender_that_asks_in_vain_leaves_the_two_tiers(trained):
    assert ladder(trained({CHEAP: ScriptedModel(replies=[ModelUnavailableError("down")])}, kind="llm"), QUESTION) is None


@pytest.mark.parametrize("model", [None, "auto"])
def test_the_graph_asks_the_recommended_model(table, trained, model):
    middle, strong = ScriptedModel(replies=[GOOD] * 2), ScriptedModel(replies=[GOOD])
    services = trained({MIDDLE: middle, STRONG: strong}, artifacts_dir=table([GOOD]).services.settings.artifacts_dir)
    from graph.api import run
    from graph.state import Context

    answer = run(QUESTION, Context(model=model), given=services)
    assert [use.model for use in answer.models] == [MIDDLE]
    assert answer.cost_always_superior_usd == answer.cost_usd


def test_a_recommender_asked_again_after_a_review_is_in_the_cost_both_times(table, trained):
    judge = ScriptedModel(replies=[json.dumps({CHEAP: 0.1, MIDDLE: 0.9, STRONG: 0.8, NO_KEY: 0.2})] * 2)
    models = {CHEAP: judge, MIDDLE: ScriptedModel(replies=[GOOD])}
    services = trained(models, kind="llm", artifacts_dir=table([GOOD]).services.settings.artifacts_dir)
    from graph.api import run
    from graph.state import Context

    shown = []
    answer = run(QUESTION, Context(review=True), "t", services, choose=lambda offered: shown.append(offered) or "accept")
    assert [[use["model"] for use in offered["models"]] for offered in shown] == [[CHEAP]]
    assert [use.model for use in answer.models] == [CHEAP, MIDDLE]
    assert 0 < shown[0]["cost_usd"] == pytest.approx(answer.models[0].cost_usd)


def test_the_graph_goes_up_to_the_best_one(table, trained):
    models = {CHEAP: ScriptedModel(replies=[BAD] * 2), MIDDLE: ScriptedModel(replies=[GOOD])}
    services = trained(models, worth=1000.0, artifacts_dir=table([GOOD]).services.settings.artifacts_dir)
    from graph.api import run
    from graph.state import Context

    answer = run(QUESTION, Context(), given=services)
    assert answer.models[0].model == CHEAP
    assert (answer.models[-1].model, answer.models[-1].tier) == (MIDDLE, "superior")
    assert answer.escalation is not None
    assert (answer.escalation.from_, answer.escalation.to) == (CHEAP, MIDDLE)


def test_who_names_a_model_gets_it(table, trained):
    services = trained({STRONG: ScriptedModel(replies=[GOOD])}, artifacts_dir=table([GOOD]).services.settings.artifacts_dir)
    from graph.api import run
    from graph.state import Context

    assert [use.model for use in run(QUESTION, Context(model=STRONG), given=services).models] == [STRONG]


def test_an_expert_keeps_its_own_models(trained):
    services = trained()
    chosen = {Tier.INFERIOR: MIDDLE, Tier.SUPERIOR: STRONG}
    assert services.tiers("tea", chosen) == chosen
    own = type(services.settings).model_validate(services.settings.model_dump() | {"expert": {"tea": {"inferior": "local:reader"}}})
    services.settings = own
    assert services.tiers("tea", chosen)[Tier.INFERIOR] == "local:reader"
    assert services.tiers("bees", chosen) == chosen
