"""What the reader learns from: the right passage, the answer's place, and wrong passages that are wrong."""

import errno
import json
import shutil

import pytest

from core.errors import InputError, SwitchyardError
from core.types import Passage
from evaluation.data import Query
from evaluation.results import silent
from retrieval.index import assemble
from retrieval.text import contains_key
from training.reader.data import Example, cloze, of_expert, of_files, read_files, without_leaks
from training.reader.run import Files, Recipe, gather, put_in_service

PASSAGES = [
    Passage("p1", "Steeping", "Green tea steeps for only two minutes. Black tea takes all of four minutes.", "", "p1"),
    Passage("p2", "Hills", "Tea grows on cool and misty hills. It likes two minutes of rain.", "", "p2"),
    Passage("p3", "Bees", "Bees dance to tell where food is found. The dance shows the direction to it.", "", "p3"),
]


def said(example, text=None):
    return [(text or example.right.text)[a:b] for a, b in example.spans]


def test_an_experts_questions(tiny):
    expert, index = tiny.expert("tea"), tiny.index("tea")
    found = {e.question: e for e in of_expert(expert, index, tiny.encoder, "train")}
    assert set(found) == {item.question for item in expert.questions("train")}
    steep = found["How long does black tea steep?"]
    assert steep.right.document == "brewing"
    assert said(steep) == ["four minutes"]
    assert steep.wrong
    for item in expert.questions("train"):
        assert not any(contains_key(p.text, item.key) for p in found[item.question].wrong)
        assert contains_key(found[item.question].right.text, item.key)


def test_questions_on_a_corpus(minilm):
    queries = [Query("1", "How long does green tea steep?", frozenset({"p1"}), ["two minutes"])]
    found = of_files(assemble(PASSAGES, minilm), minilm, queries)[0]
    assert found.right.id == "p1"
    assert said(found) == ["two minutes"]
    # p2 holds the answer's words: whether it answers is not known, so it is not called wrong.
    assert [p.id for p in found.wrong] == ["p3"]


def test_a_text_asks_for_its_own_sentences(minilm):
    found = cloze(assemble(PASSAGES, minilm), minilm, seed=0)
    assert [e.right.id for e in found] == ["p1", "p2", "p3"]
    for example, passage in zip(found, PASSAGES, strict=True):
        assert example.question in passage.text
        assert example.question not in example.right.text
        assert example.spans == ()
        assert passage.id not in {p.id for p in example.wrong}
    assert found == cloze(assemble(PASSAGES, minilm), minilm, seed=0)


def test_questions_that_a_held_out_one_repeats_are_left_out(minilm):
    def ask(question, spans=()):
        return Example(question, PASSAGES[0], spans, ())

    green, black = (26, 37), (62, 74)
    others = [ask("What does a bee dance say?"), ask("How long does black tea steep?")]
    train = [ask("How many minutes does green tea steep?", (green,)), *others]
    held_out = [ask("How many minutes should green tea steep?", (green,)), ask("For how long must oolong steep?", (black,))]
    assert without_leaks(train, held_out, minilm, silent) == others
    assert without_leaks(train, [], minilm, silent) == train


@pytest.fixture
def files(tmp_path):
    rows = [{"_id": p.id, "title": p.title, "text": p.text} for p in PASSAGES]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    question = {"qid": "1", "question": "How long does green tea steep?", "passage_id": "p1", "answers": ["two minutes"]}
    (tmp_path / "q.jsonl").write_text(json.dumps(question))
    held_out = {"qid": "2", "question": "What shows the direction to food?", "passage_id": "p3", "answers": ["The dance"]}
    (tmp_path / "dev.jsonl").write_text(json.dumps(held_out))
    return Files(tmp_path / "c.jsonl", tmp_path / "q.jsonl", tmp_path / "dev.jsonl", tmp_path / "c.jsonl")


def test_all_sources_together(tiny, files, tmp_path):
    shown = []

    def progress(what, total):
        shown.append(what)
        return lambda done: None

    own = sum(len(e.questions("train")) for e in tiny.experts.values())
    train, dev = gather(tiny, files, tmp_path / "work", Recipe().seed, progress)
    assert len(train) == 2 * own + 1 + 3
    assert [e.question for e in train].count("How long does green tea steep?") == 1
    assert dev[-1].question == "What shows the direction to food?"
    assert shown.count("Embedding passages") == 1, "the corpus and the text are one file, which is embedded once"
    again, _ = gather(tiny, files, tmp_path / "work", Recipe().seed, progress)
    assert again == train
    assert shown.count("Embedding passages") == 1


def test_a_question_on_a_passage_that_is_not_there(files):
    files.qrels.write_text(files.qrels.read_text().replace("p1", "p9"))
    with pytest.raises(InputError, match="no passage 'p9'"):
        read_files(files.corpus, files.qrels, "train")


def test_only_the_questions_of_the_split_are_read(files):
    question = json.loads(files.qrels.read_text())
    rows = [
        question,
        question | {"qid": "2", "split": "train"},
        question | {"qid": "3", "split": "dev"},
        question | {"qid": "4", "split": ""},
    ]
    files.qrels.write_text("\n".join(map(json.dumps, rows)))
    assert [q.id for q in read_files(files.corpus, files.qrels, "train")[1]] == ["1", "2", "4"]
    assert [q.id for q in read_files(files.corpus, files.qrels, "dev")[1]] == ["1", "3", "4"]
    files.qrels.write_text(json.dumps(rows[2]))
    with pytest.raises(InputError, match=r"of the split 'train', or without a split; all lines name another one\."):
        read_files(files.corpus, files.qrels, "train")


def test_a_full_disk_leaves_the_reader_that_was_there(tmp_path, monkeypatch):
    made, folder = tmp_path / "made", tmp_path / "reader"
    for where in (made, folder):
        where.mkdir()
        for name in ("model.onnx", "tokenizer.json", "training.json", "weights.json"):
            (where / name).write_text(f"{name} {where.name}")
    before = {path: path.read_text() for path in folder.iterdir()}
    real = shutil.copyfile

    def full(source, target):
        if source.name == "weights.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(SwitchyardError, match=r"Cannot write .*reader: No space left on device\. Mend that; the same command with"):
            put_in_service(made, folder)
    assert {path: path.read_text() for path in folder.iterdir()} == before
    put_in_service(made, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {path.name: f"{path.name} made" for path in before}
