from __future__ import annotations

import json

import pytest

from core.errors import InputError
from training.prepare.tables import READERS, read_table

ROWS = [{"question": "Why is tea hot?", "answer": "It is brewed."}, {"question": "Où?", "answer": "Là, à côté."}]
CSV = 'question,answer\nWhy is tea hot?,It is brewed.\nOù?,"Là, à côté."\n'


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "utf-16"), ("cp1252", "sloppy-windows-1252"), ("latin-1", "sloppy-windows-1252")],
)
def test_text_in_any_common_encoding_reads_alike(tmp_path, encoding, said):
    (tmp_path / "q.csv").write_bytes(CSV.encode(encoding))
    table = read_table(tmp_path / "q.csv")
    assert (table.rows, table.encoding) == ([(2, ROWS[0]), (3, ROWS[1])], said)
    (tmp_path / "q.jsonl").write_bytes("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS).encode(encoding))
    table = read_table(tmp_path / "q.jsonl")
    assert (table.rows, table.encoding) == ([(1, ROWS[0]), (2, ROWS[1])], said)


def test_parquet_counts_rows(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "q.parquet")
    assert read_table(tmp_path / "q.parquet").rows == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize(("separator", "name"), [(",", "q.csv"), (";", "q.csv"), ("\t", "q.csv"), ("\t", "q.tsv")])
def test_the_separator_is_the_headings(tmp_path, separator, name):
    (tmp_path / name).write_text(f"question{separator}answer\nWhy?{separator}So.\n")
    assert read_table(tmp_path / name).rows == [(2, {"question": "Why?", "answer": "So."})]


def test_a_row_of_several_lines_is_named_by_its_first(tmp_path):
    (tmp_path / "q.csv").write_text('\nquestion,answer\nWhy?,"One,\n\ntwo."\nHow?,So.\n')
    assert [n for n, _ in read_table(tmp_path / "q.csv").rows] == [3, 6]


def test_lines_that_hold_no_row_are_named(tmp_path):
    (tmp_path / "q.csv").write_text("question,answer\nWhy?,Tea, and milk.\nHow?,So.\nWhat?\n")
    table = read_table(tmp_path / "q.csv")
    assert table.broken == [(2, "expected 2 cells, got 3: put a text with ',' into quotes")]
    assert table.rows == [(3, {"question": "How?", "answer": "So."}), (4, {"question": "What?"})]
    (tmp_path / "q.jsonl").write_text('{"question": \n[1]\n\n{"question": "How?"}\n')
    table = read_table(tmp_path / "q.jsonl")
    assert table.broken == [
        (1, "expected a JSON object: Expecting value: line 1 column 14 (char 13)"),
        (2, "expected a JSON object, got list"),
    ]
    assert table.rows == [(4, {"question": "How?"})]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("q.xlsx", b"PK", f"expected a file that ends in {', '.join(READERS)}."),
        ("none.csv", None, "it cannot be read: No such file or directory."),
        ("q.csv", b"", "expected at least one question with its answer; the file is empty."),
        ("q.csv", b"question,answer\n", "the file is empty."),
        ("q.csv", b"a\0b,c\0d\n", "it holds zero bytes, as a workbook does. Save it as CSV, in UTF-8."),
        ("q.csv", b"\xff\xfea\0b", "expected text in UTF-8"),
        ("q.csv", b'question,answer\nHow?,So.\nWhy?,"So.\nWhen?,Now.\n', "line 3: expected CSV: unexpected end of data."),
        ("q.csv", b"answer,,,answer\nSo.,,,No.\n", "line 1: expected each column once; 'answer' heads two. Rename one."),
        ("q.jsonl", b"not json\n", "line 1: expected a JSON object: Expecting value"),
        ("q.parquet", b"PAR1 and no more", "expected a Parquet file: "),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, line):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as info:
        read_table(tmp_path / name)
    assert line in str(info.value)
    assert str(tmp_path / name) in str(info.value)
    assert "\n" not in str(info.value)


def test_a_document_fits_into_a_cell(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text(f"question,answer\nWhy?,{'so ' * 100_000}\n")
    assert len(read_table(path).rows[0][1]["answer"]) == 300_000
