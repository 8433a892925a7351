import pytest

from core.errors import DocumentError, InputError
from experts import create
from experts.create import create_expert
from experts.discovery import load_expert


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "a.txt").write_text("A bowline holds a loop.")
    return folder


def test_what_is_given_stands_in_the_card(tmp_path, docs):
    made = create_expert(tmp_path / "experts", "sailing", docs, title='Sails "n" \\ knots', description="Line one\nline two \x7f")
    assert (made.card.title, made.card.description) == ('Sails "n" \\ knots', "Line one\nline two \x7f")
    assert made == load_expert(tmp_path / "experts" / "sailing")
    assert (made.questions(), made.utterances()) == ([], [])
    assert made.prompt.startswith('You are the Sails "n" \\ knots expert')


def test_the_name_gives_the_title(tmp_path, docs):
    made = create_expert(tmp_path / "experts", "small-boats", docs)
    assert (made.card.title, made.card.description) == ("Small boats", "Questions about small boats.")


def test_one_file_is_enough(tmp_path, docs):
    made = create_expert(tmp_path / "experts", "sailing", docs / "a.txt")
    assert [p.name for p in made.corpus.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({}, InputError, "found none of them"),
        ({"photo.heic": b"x"}, InputError, "found none of them"),
        ({"a.txt": b"  \n"}, InputError, "all of them are empty"),
        ({"a.txt": b"\xff\xfe"}, DocumentError, "expected UTF-8 text"),
        ({"a.txt": b"x", "a.md": b"y"}, DocumentError, "are called 'a'"),
    ],
)
def test_documents_that_cannot_be_used_leave_nothing_behind(tmp_path, content, error, message):
    docs = tmp_path / "papers"
    docs.mkdir()
    for name, data in content.items():
        (docs / name).write_bytes(data)
    with pytest.raises(error, match=message):
        create_expert(tmp_path / "experts", "sailing", docs)
    assert list((tmp_path / "experts").iterdir()) == []


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_name_that_is_taken_names_the_ways_on(tmp_path, docs, monkeypatch, meanwhile):
    taken = tmp_path / "experts" / "sailing"

    def take(_=None):
        taken.mkdir(parents=True)
        (taken / "expert.toml").write_text("theirs")

    if meanwhile:
        monkeypatch.setattr(create, "load_expert", take)
    else:
        take()
    with pytest.raises(InputError) as caught:
        create_expert(tmp_path / "experts", "sailing", docs)
    assert str(caught.value) == (
        f"{taken} exists already: choose another name, or remove the folder first; "
        "if it was stopped before its index was built, run: switchyard index sailing"
    )
    assert ([p.name for p in taken.parent.iterdir()], (taken / "expert.toml").read_text()) == (["sailing"], "theirs")


def test_all_broken_documents_are_named_where_they_are(tmp_path, docs):
    (docs / "bad.jsonl").write_text("{")
    (docs / "gone.md").symlink_to(docs / "nowhere.md")
    with pytest.raises(DocumentError, match=rf"^{docs}/bad\.jsonl, line 1: .* {docs}/gone\.md cannot be read: .*No such file"):
        create_expert(tmp_path / "experts", "sailing", docs)


def test_documents_and_questions_that_are_not_there(tmp_path, docs):
    with pytest.raises(InputError, match="there is no such file or folder"):
        create_expert(tmp_path / "experts", "sailing", tmp_path / "none")
    with pytest.raises(InputError, match="Expected a CSV file of questions"):
        create_expert(tmp_path / "experts", "sailing", docs, questions=tmp_path / "none.csv")
