"""An index: built, saved and loaded whole, or not at all."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from filelock import FileLock, Timeout

from core.errors import DocumentError, IndexFault
from core.types import Passage
from retrieval import index as module
from retrieval.index import Manifest, assemble, broken_files, building, corpus_hash, embedded_text, load, save
from retrieval.text import sentences
from retrieval.vectors import FaissStore

PASSAGES = [
    Passage("brew#1", "Brewing", "Green tea steeps for two minutes. Black tea steeps for four minutes.", "a", "brew"),
    Passage("brew#2", "Brewing: Water", "Green tea wants water of 80 degrees. Boiling water makes it bitter.", "a", "brew"),
    Passage("plant#1", "The plant", "Tea comes from Camellia sinensis. It is an evergreen shrub.", "b", "plant"),
    Passage("honey#1", "", "Honey keeps for years. It is too dry for microbes.", "c", "honey"),
]
QUESTIONS = [("How long does green tea steep?", "brew"), ("Which plant gives tea?", "plant"), ("Does honey spoil?", "honey")]


@pytest.fixture
def built(encoder):
    return assemble(PASSAGES, encoder, corpus="abc", questions=QUESTIONS)


@pytest.fixture
def folder(built, tmp_path):
    save(built, tmp_path / "tea")
    return tmp_path / "tea"


def ask(index, encoder, k=10, **keywords):
    return [index.search(text, encoder.encode([text])[0], k, **keywords) for text, _ in QUESTIONS]


def test_a_saved_index_gives_the_same_hits(built, folder, encoder):
    loaded = load(folder)
    for one, other in zip(ask(built, encoder), ask(loaded, encoder), strict=True):
        assert [hit.passage for hit in one] == [hit.passage for hit in other]
        np.testing.assert_allclose([(h.score, h.cosine) for h in one], [(h.score, h.cosine) for h in other], atol=1e-6)
    assert list(loaded.passages) == PASSAGES
    assert Manifest.read(folder) == loaded.manifest


def test_the_right_passage_is_found(built, encoder):
    assert [hits[0].passage.document for hits in ask(built, encoder)] == ["brew", "plant", "honey"]
    assert [hit.passage.id for hit in ask(built, encoder, k=1)[0]] == ["brew#1"]


def test_hits_are_ordered_and_their_cosines_are_those_of_the_whole_text(built, encoder):
    vector = encoder.encode(["green tea"])[0]
    hits = built.search("green tea", vector, 10)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    for hit in hits:
        assert hit.cosine == pytest.approx(float(encoder.encode([embedded_text(hit.passage)])[0] @ vector), abs=1e-5)


def test_hits_carry_the_cosines_of_their_sentences(built, encoder):
    vector = encoder.encode(["an evergreen shrub"])[0]
    hits = built.search("an evergreen shrub", vector, 10)
    for hit in hits:
        assert hit.sentences == pytest.approx((encoder.encode(sentences(hit.passage.text)) @ vector).tolist(), abs=1e-6)
    assert max(len(hit.sentences) for hit in hits) > 1
    assert "cosines" not in hits[0].as_dict() and hits[0].to_read() == {**hits[0].as_dict(), "cosines": hits[0].sentences}


def test_the_dense_score_is_the_mean_of_the_whole_and_its_best_sentence(built, encoder):
    vector = encoder.encode(["an evergreen shrub"])[0]
    ids, cosines, dense, _, _ = built.candidates("an evergreen shrub", vector)
    for i, cosine, score in zip(ids, cosines, dense, strict=True):
        passage = PASSAGES[int(i)]
        best = max(float(encoder.encode([s])[0] @ vector) for s in sentences(passage.text))
        assert score == pytest.approx((cosine + best) / 2, abs=1e-5)


def test_large_corpora_keep_whole_texts_only(encoder, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SENTENCE_LIMIT", 3)
    index = assemble(PASSAGES, encoder)
    assert (len(index.vectors), index.rows.tolist()) == (4, [0, 1, 2, 3, 4])
    assert {hit.sentences for hit in ask(index, encoder)[0]} == {()}
    save(index, tmp_path / "x")
    assert [hits[0].passage.document for hits in ask(load(tmp_path / "x"), encoder)] == ["brew", "plant", "honey"]


def test_the_manifest_says_what_is_there(folder, encoder):
    manifest = Manifest.read(folder)
    assert (manifest.format, manifest.encoder, manifest.corpus, manifest.passages, manifest.documents) == (3, "words-64", "abc", 4, 3)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"manifest.json", ".lock"}
    assert set(manifest.checksums) == files
    assert {"passages.jsonl", "passages.npy", "vectors.faiss", "rows.npy"} < files
    assert not [p for p in files if p.endswith((".pkl", ".pickle"))]


def test_progress_counts_the_passages(encoder):
    counted = []
    assemble(PASSAGES, encoder, progress=counted.append)
    assert sum(counted) == len(PASSAGES)


def test_nothing_to_index(encoder):
    with pytest.raises(IndexFault, match=r"^Expected at least one document with text; found none"):
        assemble([], encoder)


def test_one_passage_without_words(encoder, tmp_path):
    save(assemble([Passage("x", "", "…", "s", "x")], encoder), tmp_path / "x")
    [hit] = load(tmp_path / "x").search("tea", encoder.encode(["tea"])[0], 5)
    assert (hit.passage.id, hit.score) == ("x", 0.0)


def test_a_missing_index(tmp_path):
    with pytest.raises(IndexFault, match=r"^.*/none holds no index\.$"):
        load(tmp_path / "none")


@pytest.mark.parametrize("content", ["", "{", '{"format": 2', "[]", "null", '{"format": 2}', "\x00", '{"format": 2, "surplus": 1}'])
def test_a_half_written_manifest_is_none(folder, content):
    (folder / "manifest.json").write_text(content)
    assert Manifest.read(folder) is None
    with pytest.raises(IndexFault, match=r"holds no index\.$"):
        load(folder)


def names(folder):
    return sorted(Manifest.read(folder).checksums)


def test_any_file_that_is_damaged_is_named(folder):
    for name in names(folder):
        good = (folder / name).read_bytes()
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        for bad in (bytes(flipped), good[:-1], b""):
            (folder / name).write_bytes(bad)
            with pytest.raises(IndexFault, match=r"is corrupt: " + name):
                load(folder)
        (folder / name).unlink()
        assert broken_files(folder, Manifest.read(folder)) == [name]
        (folder / name).write_bytes(good)
    assert load(folder).passages[0] == PASSAGES[0]


def test_large_files_are_read_only_on_demand_but_never_trusted(folder, monkeypatch):
    monkeypatch.setattr(module, "_CHECKED_WHOLE", 0)
    for name in names(folder):
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(good[: len(good) // 2])
        assert broken_files(folder, Manifest.read(folder)) == []
        assert broken_files(folder, Manifest.read(folder), whole=True) == [name]
        if name in ("vectors.faiss", "rows.npy", "passages.npy", "passages.jsonl"):
            with pytest.raises(IndexFault, match="is corrupt: "):
                load(folder)
        (folder / name).write_bytes(good)


@pytest.mark.parametrize("name", ["vectors.faiss", "rows.npy", "passages.npy", "passages.jsonl"])
def test_an_empty_large_file_is_refused(folder, monkeypatch, name):
    monkeypatch.setattr(module, "_CHECKED_WHOLE", -1)
    (folder / name).write_bytes(b"")
    with pytest.raises(IndexFault, match="is corrupt: "):
        load(folder)


def test_a_reader_of_the_old_index_goes_on_while_a_new_one_is_written(folder, encoder):
    old = load(folder)
    before = ask(old, encoder)
    new = [Passage(f"n#{n}", "New", f"Nothing but coffee number {n}.", "n", f"n{n}") for n in range(50)]
    save(assemble(new, encoder), folder)
    assert ask(old, encoder) == before
    assert list(old.passages) == PASSAGES
    assert {hit.passage.title for hits in ask(load(folder), encoder) for hit in hits} == {"New"}


def test_who_asks_for_the_manifest_waits_while_the_index_is_replaced(folder):
    manifest = Manifest.read(folder)
    with ThreadPoolExecutor() as pool:
        with FileLock(folder / ".lock"):
            (folder / "manifest.json").rename(folder / "moved.json")
            asked = pool.submit(Manifest.read, folder)
            with pytest.raises(TimeoutError):
                asked.result(0.2)
            (folder / "moved.json").rename(folder / "manifest.json")
        assert asked.result(10) == manifest


def test_one_builds_at_a_time(tmp_path):
    with building(tmp_path / "tea"), pytest.raises(Timeout), FileLock(tmp_path / "tea" / ".building", timeout=0):
        pass
    (tmp_path / "file").write_text("in the way")
    with building(tmp_path / "file" / "tea"):
        assert not (tmp_path / "tea" / "manifest.json").exists()


def test_a_failed_save_leaves_the_old_index(folder, encoder, monkeypatch):
    def full(self, path):
        path.write_bytes(b"half")
        raise RuntimeError("write error in vectors.faiss: No space left on device")

    before = ask(load(folder), encoder)
    monkeypatch.setattr(FaissStore, "save", full)
    with pytest.raises(IndexFault, match=r"^Cannot write the index to .*: write error .*No space left on device\. Free the folder"):
        save(assemble(PASSAGES[:2], encoder), folder)
    assert ask(load(folder), encoder) == before
    assert not list(folder.glob(".new-*"))


def test_what_a_killed_process_left_is_cleared_away(built, folder):
    (folder / ".new-abc").mkdir()
    (folder / ".new-abc" / "vectors.faiss").write_bytes(b"half")
    save(built, folder)
    assert not list(folder.glob(".new-*"))


def test_a_file_in_the_place_of_the_folder(built, tmp_path):
    (tmp_path / "indexes").write_text("in the way")
    with pytest.raises(IndexFault, match=r"^Cannot write the index to .*: (Not a directory|File exists)\. Free the folder"):
        save(built, tmp_path / "indexes" / "tea")
    with pytest.raises(IndexFault, match=r"^Cannot write the index to .*: File exists\."):
        save(built, tmp_path / "indexes")


def test_the_corpus_hash_sees_names_places_and_contents_but_not_where_the_corpus_lies(tmp_path):
    def hashed(root, **files):
        paths = [root / name.replace("__", "/") for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return corpus_hash(paths, "e")

    first = hashed(tmp_path / "1", a__x="one", b__y="two")
    assert hashed(tmp_path / "2", a__x="one", b__y="two") == first
    others = [
        hashed(tmp_path / "3", a__x="one", b__y="two!"),
        hashed(tmp_path / "4", a__z="one", b__y="two"),
        hashed(tmp_path / "5", c__x="one", b__y="two"),
        hashed(tmp_path / "6", a__x="one"),
        corpus_hash([], "e"),
        corpus_hash([tmp_path / "1" / "a" / "x", tmp_path / "1" / "b" / "y"], "another encoder"),
    ]
    assert len({first, *others}) == 7


def test_the_corpus_hash_does_not_depend_on_the_format_of_indexes():
    """Trained routers keep it: another one would make those that ship step back."""
    assert corpus_hash([], "e") == hashlib.sha256(b"2:e").hexdigest()[:16]


def test_a_document_that_vanished_is_named(tmp_path):
    with pytest.raises(DocumentError, match=r"gone\.md cannot be read: No such file or directory\."):
        corpus_hash([tmp_path / "gone.md"])


def test_an_index_may_be_moved(folder, tmp_path, encoder):
    before = ask(load(folder), encoder)
    shutil.move(folder, tmp_path / "elsewhere")
    assert ask(load(tmp_path / "elsewhere"), encoder) == before


def test_nothing_written_holds_the_place_it_was_written_at(folder, tmp_path):
    for path in folder.rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()
    assert json.loads((folder / "manifest.json").read_text())["format"] == 3
