from __future__ import annotations

import json
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from core.errors import InputError
from training.building.instructions import read_instructions

ROWS = [
    {"prompt": "How long does green tea steep?", "reference": "two minutes", "id": "a"},
    {"prompt": " 12 + 3? ", "reference": 15, "id": "b"},
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def to(name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return to


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(source, limit=None, **mapping):
    return read_instructions(source, mapping, limit)


def fields(found):
    return [(one.id, one.prompt, one.references) for one in found.instructions]


WANTED = [("a", "How long does green tea steep?", ("two minutes",)), ("b", "12 + 3?", ("15",))]


def test_every_form_gives_the_same_rows(write, tmp_path):
    csv = 'id,prompt,reference\na,How long does green tea steep?,two minutes\nb,"12 + 3?",15\n'
    parquet.write_table(pa.table({name: [str(row[name]) for row in ROWS] for name in ROWS[0]}), tmp_path / "t.parquet")
    assert fields(read(write("t.jsonl", as_jsonl(ROWS)))) == WANTED
    assert fields(read(write("t.csv", "\ufeff" + csv))) == WANTED
    assert fields(read("t.parquet")) == WANTED


def test_names_of_fields(write):
    rows = [
        {"instruction": "Why?", "answers": ["because", "so"]},
        {"question": "How?", "answer": "thus"},
        {"ask": "Where?", "gold": "here"},
    ]
    name = write("t.jsonl", as_jsonl(rows))
    assert fields(read(name, prompt="ask", reference="gold")) == [
        ("1", "Why?", ("because", "so")),
        ("2", "How?", ("thus",)),
        ("3", "Where?", ("here",)),
    ]
    assert [one.kept for one in read(name, limit=1).instructions] == [{}]
    with pytest.raises(InputError, match=r"^t\.jsonl: no row has the field of --map reference=golf; the fields are: .+, ask, gold\.$"):
        read(name, reference="golf")
    with pytest.raises(InputError, match=r"^Expected --map OURS=THEIRS, ours one of prompt, .+; got refrence\.$"):
        read(name, refrence="gold")


def test_passages_are_texts_or_objects(write):
    rows = [
        {"prompt": "p", "passages": ["One.", {"id": "x", "title": "T", "text": "Two."}]},
        {"prompt": "p", "passages": json.dumps(["Three."])},
        {"prompt": "p", "passages": "Four."},
        {"prompt": "p", "passages": [{"title": "no text"}]},
    ]
    found = read(write("t.jsonl", as_jsonl(rows)))
    assert [[(h.passage.id, h.passage.title, h.passage.text) for h in one.passages] for one in found.instructions] == [
        [("1", "", "One."), ("x", "T", "Two.")],
        [("1", "", "Three.")],
        [("1", "", "Four.")],
    ]
    assert found.faults == ["t.jsonl, line 4: expected passages that are texts, or objects with a text"]


def test_a_chat_log_in_its_published_form(write, tmp_path):
    def row(n, conversation):
        return {"conversation_id": f"c{n}", "model": "m", "conversation": conversation, "turn": 1, "language": "English"}

    said = [{"role": "user", "content": "Plan a party."}, {"role": "assistant", "content": "So ..."}, {"role": "user", "content": "More."}]
    rows = [row(1, said), row(2, json.dumps(said)), row(3, []), row(4, "nonsense")]
    found = read(write("t.jsonl", as_jsonl(rows)))
    assert fields(found) == [("c1", "Plan a party.", ()), ("c2", "Plan a party.", ())]
    assert [one.kept for one in found.instructions] == [{"id": "c1", "language": "English"}, {"id": "c2", "language": "English"}]
    assert [fault.partition(":")[0] for fault in found.faults] == ["t.jsonl, line 3", "t.jsonl, line 4"]
    parquet.write_table(pa.Table.from_pylist([row(1, said)]), tmp_path / "t.parquet")
    assert fields(read("t.parquet")) == [("c1", "Plan a party.", ())]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{broken", "not JSON: Expecting property name enclosed in double quotes"),
        ('{"prompt": "\xff"}', "not JSON: not UTF-8"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('{"prompt": ' + "9" * 5_000 + "}", "not JSON: a number of too many digits"),
        ("[1]", "expected an object with a prompt"),
        ('{"text": "x"}', "expected a field prompt; the fields are: text. Rename one: --map prompt=THEIRS"),
        ('{"prompt": 3}', "expected text as the prompt"),
        ('{"prompt": " "}', "expected text as the prompt"),
        ('{"prompt": "x", "answer": "\\ud800"}', "expected text in UTF-8, without lone surrogates"),
        ('{"prompt": "\\ud800"}', "expected text in UTF-8, without lone surrogates"),
        ('{"prompt": "x", "reference": {"a": 1}}', "expected text, a number or a list of them as the reference"),
        ('{"prompt": "x", "passages": 3}', "expected a list as passages"),
        ('{"prompt": "x", "id": "1"}', "the id '1' stands on an earlier line too"),
    ],
)
def test_a_row_at_fault_is_named_and_stops_nothing(write, line, fault):
    content = b'{"prompt": "first", "id": "1"}\n\n' + line.encode("latin-1") + b'\n{"prompt": "last", "id": "2"}\n'
    found = read(write("t.jsonl", content))
    assert [one.prompt for one in found.instructions] == ["first", "last"]
    assert found.faults == [f"t.jsonl, line 3: {fault}"]


def test_rows_at_fault_of_a_table(write):
    found = read(write("t.csv", b'prompt,reference\n"two\nlines",a\nshort\nx,y,z\n\xff,b\nlast,\n'))
    assert fields(found) == [("2", "two\nlines", ("a",)), ("7", "last", ())]
    assert found.faults == [
        "t.csv, line 4: expected 2 cells as in the header",
        "t.csv, line 5: expected 2 cells as in the header",
        "t.csv, line 6: expected text in UTF-8, without lone surrogates",
    ]


@pytest.mark.parametrize(
    ("stray", "fault"),
    [
        ('"ok 1,y', "lines 3 to 502 read as one row, not CSV: unexpected end of data: mend its quotes"),
        ('ok 1,"y', "lines 3 to 502 read as one row, not CSV: unexpected end of data: mend its quotes"),
        ('"ok 1,y\n"two\nlines",z', "lines 3 to 4 read as one row, not CSV: ',' expected after '\"': mend its quotes"),
    ],
)
def test_a_quote_that_is_not_closed_costs_its_own_row_only(write, stray, fault):
    rest = "".join(f"ok {n},z\n" for n in range(499))
    found = read(write("t.csv", f"prompt,reference\nfirst,x\n{stray}\n{rest}"))
    assert found.faults == [f"t.csv, line 3: {fault}"]
    assert [one.prompt for one in found.instructions[-500:]] == [
        "first" if "\n" not in stray else "two\nlines",
        *(f"ok {n}" for n in range(499)),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", "", r"^t\.jsonl: expected rows with a prompt, and perhaps a reference and passages; got none that can be used\.$"),
        ("t.jsonl", "x", r"got none that can be used\. The first fault: t\.jsonl, line 1: not JSON"),
        ("t.parquet", "x", r"^t\.parquet: expected a Parquet file: "),
        ("t.txt", "x", r"^t\.txt: expected a file that ends in \.jsonl, \.csv, \.parquet\.$"),
        ("../none.csv", None, r"^\.\./none\.csv cannot be read: No such file or directory\."),
        ("nonsense", None, r"^Expected a file or a data set owner/name; there is no nonsense\.$"),
        ("owner/name", None, r"^owner/name: no such file, and a data set of the hub needs a library\. Run: pip install datasets$"),
    ],
)
def test_what_cannot_be_read_is_one_line(write, monkeypatch, name, content, message):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    if content is not None:
        write(name, content)
    with pytest.raises(InputError, match=message):
        read(name)


HUB = """
def load_dataset(name, *, split, streaming):
    assert streaming
    if name == "owner/away":
        raise ConnectionError("Couldn't reach the hub.\\nTry later.")
    return iter([{"prompt": f"{name} {split} {n}"} for n in range(3)])
"""


def test_a_data_set_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "datasets.py").write_text(HUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)  # so that what is there now, or its absence, comes back
    del sys.modules["datasets"]
    assert [one.prompt for one in read("owner/name", limit=2).instructions] == ["owner/name train 0", "owner/name train 1"]
    assert read("owner/name@test").instructions[2].prompt == "owner/name test 2"
    with pytest.raises(InputError, match=r"^owner/away cannot be read from the Hugging Face hub: Couldn't reach the hub\. Try later\. "):
        read("owner/away")


def test_a_data_set_as_the_library_itself_reads_it(tmp_path, monkeypatch):
    """A folder of files stands in for the hub: its splits, its types, what is missing, and a split that is not there."""
    pytest.importorskip("datasets", reason="needs the extra train: pip install 'switchyard[train]'")
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    columns = {"prompt": ["Why is tea bitter?", None, "How hot?"], "reference": [["tannins"], ["x"], ["80", "176"]], "id": [7, 8, 9]}
    parquet.write_table(pa.table(columns), folder / "train-00000.parquet")
    parquet.write_table(pa.table({"prompt": ["And white tea?"], "reference": [["75"]], "id": [10]}), folder / "test-00000.parquet")
    monkeypatch.chdir(tmp_path)
    found = read("owner/name@train")
    assert fields(found) == [("7", "Why is tea bitter?", ("tannins",)), ("9", "How hot?", ("80", "176"))]
    missing = "expected a field prompt; the fields are: prompt, reference, id. Rename one: --map prompt=THEIRS"
    assert found.faults == [f"owner/name@train, line 2: {missing}"]
    assert fields(read("owner/name@test")) == [("10", "And white tea?", ("75",))]
    with pytest.raises(InputError, match=r"^owner/name@dev cannot be read from the Hugging Face hub: .*dev"):
        read("owner/name@dev")


def test_an_id_that_is_made_is_none_that_is_stated(write):
    rows = [{"prompt": "a"}, {"prompt": "b", "id": "1"}, {"prompt": "c", "id": "line 1"}, {"prompt": "d"}, {"prompt": "e", "id": 1}]
    found = read(write("t.jsonl", as_jsonl(rows)))
    assert [(one.id, one.prompt) for one in found.instructions] == [("line line 1", "a"), ("1", "b"), ("line 1", "c"), ("4", "d")]
    assert found.faults == ["t.jsonl, line 5: the id '1' stands on an earlier line too"]


def test_headings_have_spaces_around_them_and_cells_hold_documents(write):
    found = read(write("t.csv", f"prompt , reference\nWhy?,{'so ' * 100_000}\n"))
    assert [(one.prompt, len(one.references[0])) for one in found.instructions] == [("Why?", 299_999)]


def test_what_is_not_a_number_is_no_reference(write, tmp_path):
    rows = [{"prompt": "a", "reference": float("nan"), "answer": "so"}, {"prompt": "b", "reference": [float("nan"), 2.0]}]
    assert fields(read(write("t.jsonl", as_jsonl([*rows, {"prompt": "c", "reference": float("nan")}])))) == [
        ("1", "a", ("so",)),
        ("2", "b", ("2.0",)),
        ("3", "c", ()),
    ]
