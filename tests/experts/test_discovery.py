"""Experts are found by looking, and what is wrong with one is said in one line."""

import pytest

from core.errors import DocumentError, InputError, UnknownNameError
from core.types import OUT_OF_SCOPE, Route
from experts.discovery import RESERVED, Item, check_name, discover, labelled_texts, load_expert, out_of_scope, pick, read_csv
from graph.app import build_graph
from graph.review import proposal
from graph.state import AUTO

CARD = 'name = "tea"\ntitle = "Tea"\ndescription = "All about tea."\n'


@pytest.fixture
def folder(tmp_path):
    """An expert called tea that is nothing but a card."""
    (tmp_path / "tea").mkdir()
    (tmp_path / "tea" / "expert.toml").write_text(CARD)
    return tmp_path / "tea"


def test_experts_are_found_in_alphabetical_order(tiny_experts):
    found = discover(tiny_experts)
    assert list(found) == ["bees", "tea"]
    assert [e.card.title for e in found.values()] == ["Bees", "Tea"]
    assert [rule.name for e in found.values() for rule in e.card.safety] == ["allergic-sting", "scald"]
    assert found["tea"].corpus == tiny_experts / "tea" / "corpus"
    assert found["tea"].prompt.startswith("You answer questions about tea")


def test_a_new_folder_is_a_new_expert_with_no_other_edit(own_experts):
    folder = own_experts.experts_dir
    (folder / "coffee").mkdir()
    (folder / "coffee" / "expert.toml").write_text(CARD.replace("tea", "coffee"))
    (folder / "no-expert").mkdir()
    (folder / "notes.txt").write_text("no expert either")
    assert list(discover(folder)) == ["bees", "coffee", "tea"]


def test_a_card_is_enough(folder):
    expert = load_expert(folder)
    assert expert.prompt == "You answer questions about: All about tea."
    assert (expert.questions(), expert.utterances(), expert.overrides) == ([], [], {})
    assert (expert.card.passages, expert.card.safety, expert.card.models.superior) == (5, (), None)
    assert expert.depends_on() == []


def test_files_that_begin_with_a_byte_order_mark(folder):
    (folder / "expert.toml").write_text("\ufeff" + CARD)
    (folder / "prompt.md").write_text("\ufeffBe brief.")
    expert = load_expert(folder)
    assert (expert.name, expert.prompt) == ("tea", "Be brief.")


def test_no_expert_at_all(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"^Expected at least one expert in .*; found none\. Make one: switchyard expert new NAME"):
            discover(place)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("name = ", "expected readable TOML: "),
        ("", "expert.toml: name is missing; title is missing; description is missing\\. docs"),
        (CARD + "flavour = 1\n", "flavour is not known here"),
        (CARD + "passages = 0\n", "passages should be greater than or equal to 1; got 0"),
        (CARD + '[[safety]]\nname = "x"\nnotice = "y"\nexamples = []\n', r"safety\.0\.examples: Tuple should have at least 1 item"),
        (CARD + '[[safety]]\nname = "x"\nexamples = ["z"]\n', r"safety\.0\.notice is missing"),
        (CARD + "[models]\nbest = 3\n", r"models\.best is not known here"),
        (CARD.replace('"tea"', '"coffee"'), r"expected name = 'tea' \(the folder's\); found 'coffee'"),
        (CARD.replace('"tea"', '"Tea"'), "An expert's name is lower-case letters.*got 'Tea'"),
        (CARD.replace('"tea"', "3"), "name should be a valid string; got 3"),
        (b"name = '\xff'", "expected readable TOML: "),
    ],
)
def test_a_wrong_card_is_one_line(folder, toml, said):
    (folder / "expert.toml").write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    with pytest.raises(InputError, match=said) as caught:
        discover(folder.parent)
    assert "\n" not in str(caught.value)


RULE = CARD + '[[safety]]\nname = "scald"\nnotice = "Cool it."\nexamples = ["hot tea on my arm"]\n'


def test_a_rule_has_further_examples_in_a_csv(folder):
    (folder / "expert.toml").write_text(RULE)
    (folder / "safety.csv").write_text('rule,urgent,text\nscald,yes,"my hand, scalded"\nscald,no,How hot is tea?\n')
    (rule,) = load_expert(folder).card.safety
    assert (rule.examples, rule.harmless) == (("hot tea on my arm", "my hand, scalded"), ("How hot is tea?",))


@pytest.mark.parametrize("row", ["burn,yes,my hand", "scald,maybe,my hand", "scald,yes,"])
def test_a_wrong_row_of_examples_is_one_line(folder, row):
    (folder / "expert.toml").write_text(RULE)
    (folder / "safety.csv").write_text(f"rule,urgent,text\nscald,no,How hot is tea?\n{row}\n")
    with pytest.raises(
        DocumentError, match=r"safety\.csv, row 2: expected a rule of expert\.toml \(scald\), yes or no, and a text; got \["
    ):
        load_expert(folder)


@pytest.mark.parametrize("name", [*sorted(RESERVED), "", "Tea", "9lives", "a b", "-tea", "tea/../x", "té", "a" * 42, "tea\n"])
def test_names_that_cannot_be(name):
    with pytest.raises(InputError, match=r"^An expert's name is lower-case letters, digits, - and _, and none of accept, auto, "):
        check_name(name)


def test_what_the_graph_calls_something_else_is_reserved(tiny):
    nodes = {name for name in build_graph(tiny).get_graph().nodes if not name.startswith("__")}
    choices = set(proposal(tiny, "?", Route("tea", {"tea": 1.0}, 1.0, out_of_scope=False, router="none"), [])["choices"])
    assert (nodes | choices | {AUTO, OUT_OF_SCOPE}) - set(tiny.experts) == RESERVED


@pytest.mark.parametrize("name", ["tea", "tea-2", "green_tea", "a", "a" * 41, "messages"])
def test_names_that_can(name):
    check_name(name)


def test_one_by_name(tiny_experts):
    found = discover(tiny_experts)
    assert pick(found, "tea") is found["tea"]
    with pytest.raises(UnknownNameError, match=r"^No expert is called 'teas'\. Known: bees, tea\.$"):
        pick(found, "teas")


def test_rows_by_split(tiny_experts):
    tea = discover(tiny_experts)["tea"]
    assert [item.key for item in tea.questions("dev")] == ["Camellia sinensis", "no caffeine at all"]
    assert tea.questions("test")[0] == Item(
        "How long does green tea steep?", "Green tea steeps for two minutes.", "two minutes", "brewing", "test"
    )
    assert tea.utterances("dev", "test")[0] == "should the kettle be boiling for a cup of green"
    assert len(tea.utterances()) == len(tea.utterances("train")) + len(tea.utterances("dev", "test")) == 18
    assert out_of_scope(tiny_experts, "dev") == ["tell me a joke", "what time is it in Tokyo", "how do I knit a scarf"]


def test_an_index_depends_on_the_documents_and_the_questions(tiny_experts):
    names = [path.name for path in discover(tiny_experts)["tea"].depends_on()]
    assert names == ["brewing.md", "caffeine.txt", "oxidation.md", "plant.md", "questions.csv"]


def test_csv_files_as_people_write_them(tmp_path):
    path = tmp_path / "u.csv"
    path.write_bytes('\ufefftext,note,split\r\n" How, long? ",x,train\r\n\r\n"two\nlines",,dev\r\n'.encode())
    assert read_csv(path, ("text", "split")) == [{"text": "How, long?", "split": "train"}, {"text": "two\nlines", "split": "dev"}]
    assert labelled_texts(path, "dev") == ["two\nlines"]
    assert read_csv(tmp_path / "none.csv", ("text",)) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"expected the columns text, split; missing: text, split\."),
        ("text\nhello\n", r"expected the columns text, split; missing: split\."),
        ("text;split\nhello;train\n", r"missing: text, split\."),
        ("text,split\nfine,train\nhello,Train\n", r", row 2: expected the split train, dev or test; got 'Train'\."),
        ("text,split\nhello\n", r", row 1: expected the split train, dev or test; got ''\."),
        ("text,split\nfine,train\n  ,train\n", r", row 2: expected a text; it is empty\. Write one, or remove the row\.$"),
        ('text,split\n"open,train\n', "expected a CSV file in UTF-8: "),
        (b"text,split\ncaf\xe9,train\n", "expected a CSV file in UTF-8: "),
    ],
)
def test_a_wrong_csv_is_one_line(tmp_path, content, said):
    (tmp_path / "u.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DocumentError, match=said) as caught:
        labelled_texts(tmp_path / "u.csv")
    assert str(caught.value).startswith(str(tmp_path / "u.csv")) and "\n" not in str(caught.value)


def test_an_empty_question_is_one_line(folder):
    (folder / "questions.csv").write_text("question,answer,key,document,split\n,Two minutes.,two,brewing.md,train\n")
    with pytest.raises(DocumentError, match=r"questions\.csv, row 1: expected a question; it is empty\. Write one, or remove the row\.$"):
        load_expert(folder).questions()


def test_files_that_cannot_be_read(folder):
    (folder / "utterances.csv").mkdir()
    with pytest.raises(DocumentError, match=r"utterances\.csv: expected a CSV file in UTF-8: .*Is a directory"):
        load_expert(folder).utterances()
    (folder / "prompt.md").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"prompt\.md: expected UTF-8 text"):
        assert load_expert(folder).prompt


def test_an_override_is_found(folder):
    code = "LIMIT = 3\n\ndef retrieve(index, question, vector, k):\n    return k * LIMIT\n\ndef _own():\n    pass\n"
    (folder / "expert.py").write_text(code)
    overrides = load_expert(folder).overrides
    assert list(overrides) == ["retrieve"]
    assert overrides["retrieve"](None, "", None, 2) == 6
