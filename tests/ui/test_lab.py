"""The route lab, driven without a browser."""

from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from core.settings import ROOT, Settings
from graph.services import Services
from tests.conftest import close

APP, LAB = ROOT / "ui" / "app.py", "lab/page.py"
QUESTION = "How long does green tea steep?"
Open = Callable[[Services], AppTest]


@pytest.fixture
def open_lab() -> Iterator[Open]:
    """The lab over these services, after its first run."""
    with pytest.MonkeyPatch.context() as patch:

        def make(services: Services) -> AppTest:
            patch.setattr("graph.services.services", lambda: services)
            return AppTest.from_file(APP, default_timeout=60).run().switch_page(LAB).run()

        yield make


def html(page: AppTest) -> str:
    return "\n".join(element.proto.body for element in page.get("html"))


def type_in(page: AppTest, prompt: str) -> AppTest:
    page.text_area[0].set_value(prompt)
    return page.button(key="lab-go").click().run()


def test_the_first_page_offers_prompts_and_shows_map_and_pairs(tiny: Services, open_lab: Open) -> None:
    page = open_lab(tiny)
    shown = html(page)
    assert not page.exception
    assert "Route lab" in shown
    assert [button.label.replace("\\", "") for button in page.button if str(button.key).startswith("suggest-lab")] == [
        "How long does a worker bee live? :small[:gray[Bees]]",
        "How long should green tea steep? :small[:gray[Tea]]",
        "what is the capital of Norway :small[:gray[Out of scope]]",
    ]
    assert "None: no two examples of different labels lie that close." in shown
    assert 'class="lab-decision"' not in shown
    assert "Your prompt" not in shown


def test_a_prompt_shows_each_router_and_what_would_be_done(tiny: Services, open_lab: Open) -> None:
    page = type_in(open_lab(tiny), QUESTION)
    shown = html(page)
    p = tiny.router().predict_proba([QUESTION])[0]
    assert "Goes to Tea" in shown
    assert "local:reader answers first." in shown
    assert (
        f'<div class="sy-name">Tea</div><div class="sy-track lab-track" aria-hidden="true"><span style="width:{100 * p[1]:.1f}%">' in shown
    )
    assert "<code>switchyard train router --kind xgboost</code>" in shown
    needed = tiny.difficulty.predict_proba([QUESTION])[0]  # type: ignore[union-attr]
    assert f"{100 * needed:.1f}%" in shown
    assert "<code>switchyard route --router llm &quot;PROMPT&quot;</code>" in shown
    assert '<span class="lab-text">How long does black tea steep?</span><span class="lab-label">Tea</span>' in shown
    assert "Your prompt" in shown


def test_where_no_router_can_be_opened_each_says_why(scripted: Callable[..., Services], open_lab: Open) -> None:
    shared = scripted({})
    (shared.settings.home / "routers" / "similarity").mkdir(parents=True)
    page = type_in(open_lab(shared), QUESTION)
    assert not page.exception
    assert "<code>switchyard train router --kind similarity</code>" in html(page)
    assert 'class="lab-decision"' not in html(page)


def test_a_suggestion_is_routed_by_a_click(tiny: Services, open_lab: Open) -> None:
    page = open_lab(tiny).button(key="suggest-lab-2").click().run()
    assert page.text_area[0].value == "what is the capital of Norway"
    assert "Declined" in html(page)
    assert "No model is asked" in html(page)


def test_a_prompt_is_shown_as_text_and_kept_while_the_chat_is_open(tiny: Services, open_lab: Open) -> None:
    with_tags = "<script>steep</script> green tea ![x](http://x/y.png)"
    page = type_in(open_lab(tiny), with_tags)
    assert "<script>steep" not in html(page)
    assert page.switch_page("chat/page.py").run().chat_input
    assert page.switch_page(LAB).run().text_area[0].value == with_tags


@pytest.mark.parametrize(("typed", "said"), [("x" * 9_000, "at most 8,000 characters; got 9,000"), ("?!", "got an empty one")])
def test_a_prompt_that_cannot_be_routed_says_why(typed: str, said: str, tiny: Services, open_lab: Open) -> None:
    page = type_in(open_lab(tiny), typed)
    assert said in html(page)
    assert not page.exception


def test_colliding_pairs_are_listed_above_the_slider(own_experts: Settings, open_lab: Open) -> None:
    with (own_experts.experts_dir / "tea" / "utterances.csv").open("a") as file:
        # The first stands in both files on purpose; the second is very near one of bees, the third one that is out of scope.
        file.write("how is honey made,train\n<b>what do drones do all day</b>,train\nhow do volcanoes erupt?,train\n")
    shared = Services(own_experts)
    page = open_lab(shared)
    shown = html(page)
    assert '<span class="lab-text">&lt;b&gt;what do drones do all day&lt;/b&gt;</span><span class="lab-label">Tea</span>' in shown
    assert '<span class="lab-text">how do volcanoes erupt</span><span class="lab-label">Out of scope</span>' in shown
    assert "2 pairs" in shown
    assert "how is honey made" not in shown
    page.slider[0].set_value(1.0).run()
    assert "lie that close" in html(page)
    close(shared)


def test_one_expert_without_a_bank_is_told_what_a_router_needs(own_experts: Settings, open_lab: Open) -> None:
    for name in ("bees/expert.toml", "out_of_scope.csv"):
        (own_experts.experts_dir / name).unlink()
    page = open_lab(Services(own_experts))
    assert "at least two labels" in html(page)
