"""An expert's index: built when it must be, refused when another encoder wrote it, and never half there."""

import os
import subprocess
import sys
import time

import pytest

from core.errors import DocumentError, IndexFault
from core.settings import ROOT
from experts.discovery import discover
from experts.indexes import build_index, index_state, open_index
from retrieval.index import Manifest, load
from retrieval.indexes import FolderIndexes

QUESTION = "How long does green tea steep?"
CHILD = """
import os, sys
from pathlib import Path
from experts.discovery import discover
from experts.indexes import build_index
from retrieval import index
from retrieval.indexes import FolderIndexes
from tests.conftest import WordEncoder

experts, folder, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
moves = 0
replace = Path.replace

def counted(self, target):
    global moves
    moves += 1
    if moves == last:
        os._exit(9)
    return replace(self, target)

Path.replace = counted
print("ready", flush=True)
sys.stdin.readline()
build_index(discover(experts)["tea"], WordEncoder(), FolderIndexes(folder))
print(moves, flush=True)
"""


class Other:
    """Another encoder with vectors of the same shape."""

    fingerprint = "other-64"

    def __init__(self, encoder):
        self.encode, self.dimensions = encoder.encode, encoder.dimensions


@pytest.fixture
def tea(own_experts):
    return discover(own_experts.experts_dir)["tea"]


@pytest.fixture
def folder(own_experts):
    return own_experts.indexes_dir


@pytest.fixture
def indexes(folder):
    return FolderIndexes(folder)


def top(index, encoder, question=QUESTION):
    return [(hit.passage.id, round(hit.score, 5)) for hit in index.search(question, encoder.encode([question])[0], 5)]


def child(own_experts, last=0, code=CHILD):
    """A process that builds the index of tea once it is sent a line, and dies at its move number `last`."""
    command = [sys.executable, "-c", code, str(own_experts.experts_dir), str(own_experts.indexes_dir), str(last)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, **pipes)


def test_a_missing_index_is_built_with_one_line(tea, indexes, encoder, capsys):
    assert index_state(tea, encoder, indexes) == "missing"
    index = open_index(tea, encoder, indexes)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "Building the index of tea (missing) ...\n")
    assert top(index, encoder)[0][0].startswith("brewing#")
    assert index.manifest.documents == 4
    assert index_state(tea, encoder, indexes, whole=True) == "ok"


def test_an_index_is_opened_without_a_word(tea, indexes, encoder, capsys):
    first = top(build_index(tea, encoder, indexes), encoder)
    assert top(open_index(tea, encoder, indexes), encoder) == first
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: (e.corpus / "plant.md").write_text("# The plant\nTea is a tree now."),
        lambda e: (e.corpus / "plant.md").unlink(),
        lambda e: (e.corpus / "extra.txt").write_text("More about tea."),
        lambda e: (e.corpus / "plant.md").rename(e.corpus / "shrub.md"),
        lambda e: (e.folder / "questions.csv").unlink(),
    ],
    ids=["edited", "removed", "added", "renamed", "questions"],
)
def test_a_stale_index_is_built_anew(tea, indexes, encoder, capsys, edit):
    build_index(tea, encoder, indexes)
    edit(tea)
    assert index_state(tea, encoder, indexes) == "stale"
    index = open_index(tea, encoder, indexes)
    assert capsys.readouterr().err == "Building the index of tea (stale) ...\n"
    assert {p.document for p in index.passages} == {p.stem for p in tea.corpus.iterdir()}
    assert index_state(tea, encoder, indexes) == "ok"


def test_what_is_not_in_the_index_does_not_make_it_stale(tea, folder, indexes, encoder):
    build_index(tea, encoder, indexes)
    (tea.folder / "prompt.md").write_text("Be brief.")
    (tea.corpus / "picture.png").write_bytes(b"x")
    os.utime(tea.corpus / "plant.md")
    assert index_state(tea, encoder, indexes) == "ok"


@pytest.mark.parametrize("content", ["", '{"format": 2, "enc'])
def test_a_half_written_manifest_is_a_corrupt_index(tea, folder, indexes, encoder, capsys, content):
    first = top(build_index(tea, encoder, indexes), encoder)
    (folder / "tea" / "manifest.json").write_text(content)
    assert top(open_index(tea, encoder, indexes), encoder) == first
    assert capsys.readouterr().err == "Building the index of tea (corrupt) ...\n"


@pytest.mark.parametrize("damage", [lambda b: b[:-8], lambda b: b[:60] + bytes([b[60] ^ 1]) + b[61:], lambda b: b""])
def test_a_damaged_index_is_built_anew(tea, folder, indexes, encoder, capsys, damage):
    first = top(build_index(tea, encoder, indexes), encoder)
    vectors = folder / "tea" / "vectors.faiss"
    vectors.write_bytes(damage(vectors.read_bytes()))
    assert index_state(tea, encoder, indexes, whole=True) == "corrupt"
    assert top(open_index(tea, encoder, indexes), encoder) == first
    assert capsys.readouterr().err == "Building the index of tea (corrupt) ...\n"


def test_the_index_of_another_encoder_is_refused_with_the_command(tea, folder, indexes, encoder):
    build_index(tea, Other(encoder), indexes)
    before = Manifest.read(folder / "tea")
    with pytest.raises(IndexFault) as caught:
        open_index(tea, encoder, indexes)
    assert str(caught.value) == ("The index of tea was written by another encoder (expected words-64). Run: switchyard index tea --force")
    assert Manifest.read(folder / "tea") == before


def test_a_place_that_cannot_be_written(tea, encoder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexFault, match=r"^Cannot write the index to .*/file/tea: Not a directory\. Free the folder"):
        open_index(tea, encoder, FolderIndexes(tmp_path / "file"))


def test_an_unreadable_document_is_named_and_the_old_index_stays(tea, folder, indexes, encoder, capsys):
    build_index(tea, encoder, indexes)
    before = Manifest.read(folder / "tea")
    (tea.corpus / "bad.md").write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentError, match=r"bad\.md: expected UTF-8 text"):
        open_index(tea, encoder, indexes)
    assert Manifest.read(folder / "tea") == before
    assert capsys.readouterr().err == ""  # it was not building


def test_a_document_edited_during_the_build_makes_the_index_stale(tea, indexes, encoder):
    def edit(_):
        (tea.corpus / "plant.md").write_text("# The plant\nTea is a tree now.")

    build_index(tea, encoder, indexes, progress=edit)
    assert index_state(tea, encoder, indexes) == "stale"


def test_killed_at_any_point_of_a_save_the_index_is_old_or_none(tea, folder, indexes, encoder, own_experts):
    """Old index there, document edited, new build killed at each of its moves: what remains loads whole, or is missing."""
    old = top(build_index(tea, encoder, indexes), encoder)
    whole = child(own_experts)
    moves = int(whole.communicate("\n")[0].split()[-1])
    assert moves == len(Manifest.read(folder / "tea").checksums) + 1
    (tea.corpus / "plant.md").write_text("# The plant\nTea is a tree now, and steeps green.")
    seen = set()
    for last in (1, 2, moves // 2, moves):
        killed = child(own_experts, last)
        killed.communicate("\n")
        assert killed.returncode == 9
        state = index_state(tea, encoder, indexes, whole=True)
        seen.add(state)
        if state == "missing":
            with pytest.raises(IndexFault):
                load(folder / "tea")
        else:
            assert top(load(folder / "tea"), encoder) == old
    assert seen == {"missing"}
    assert "Tea is a tree now, and steeps green." in {p.text for p in open_index(tea, encoder, indexes).passages}
    assert not list((folder / "tea").glob(".new-*"))


def test_killed_while_it_writes_beside_the_old_index_that_one_stays(tea, folder, indexes, encoder, own_experts):
    old = top(build_index(tea, encoder, indexes), encoder)
    killed = child(own_experts, code=CHILD.replace("Path.replace = counted", "index.Lexical.save = lambda *_: os._exit(9)"))
    killed.communicate("\n")
    assert killed.returncode == 9
    assert list((folder / "tea").glob(".new-*"))
    assert top(open_index(tea, encoder, indexes), encoder) == old
    build_index(tea, encoder, indexes)
    assert not list((folder / "tea").glob(".new-*"))


def test_processes_that_build_at_once_both_get_a_whole_index(tea, folder, indexes, encoder, own_experts):
    started = [child(own_experts) for _ in range(3)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate() for process in started]
    assert [(err, process.returncode) for (_, err), process in zip(ends, started, strict=True)] == [("", 0)] * 3
    assert index_state(tea, encoder, indexes, whole=True) == "ok"
    assert top(load(folder / "tea"), encoder)[0][0].startswith("brewing#")


def test_of_processes_that_miss_an_index_at_once_one_builds_it(tea, indexes, encoder, own_experts):
    code = CHILD.replace("import build_index", "import open_index").replace("build_index(", "open_index(")
    started = [child(own_experts, code=code) for _ in range(3)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[1] for process in started)
    assert said == ["", "", "Building the index of tea (missing) ...\n"]
    assert index_state(tea, encoder, indexes, whole=True) == "ok"


def test_a_reader_never_meets_a_half_written_index(tea, folder, indexes, encoder, own_experts):
    """While another process builds again and again, every load gives a whole index."""
    first = top(build_index(tea, encoder, indexes), encoder)
    builder = child(own_experts, code=CHILD.replace("build_index(discover", "while True: build_index(discover"))
    try:
        assert builder.stdout.readline() == "ready\n"  # its imports must not use up the time below
        builder.stdin.write("\n")
        builder.stdin.flush()
        written, until = set(), time.monotonic() + 60
        while len(written) < 20 and time.monotonic() < until:
            assert top(load(folder / "tea"), encoder) == first
            assert index_state(tea, encoder, indexes, whole=True) == "ok"
            written.add((folder / "tea" / "rows.npy").stat().st_mtime_ns)
    finally:
        builder.kill()
        builder.communicate()
    assert len(written) > 3
