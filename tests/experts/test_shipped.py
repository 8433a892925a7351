"""The shipped experts keep the contract of an expert: enough of everything, nothing twice, no dead reference."""

import re
from collections import Counter

import numpy as np
import pytest

from core.settings import ROOT
from core.types import OUT_OF_SCOPE
from experts.check import _nearest
from experts.discovery import RESERVED, SPLITS, discover, labelled_texts, out_of_scope
from experts.indexes import open_index
from retrieval.indexes import FolderIndexes
from retrieval.kept import KeptEncoder
from retrieval.loaders import load_folder
from retrieval.text import contains_key, normalise, words

FOLDER = ROOT / "experts"
EXPERTS = discover(FOLDER)


@pytest.fixture(scope="module", params=EXPERTS.values(), ids=list(EXPERTS))
def expert(request):
    return request.param


@pytest.fixture(scope="module")
def documents(expert):
    return {doc.id: doc for doc in load_folder(expert.corpus)}


def test_the_two_experts_are_there():
    assert {"sleep", "car"} <= set(EXPERTS)
    assert not RESERVED & set(EXPERTS)


def test_documents_are_of_a_handbooks_length(documents):
    assert len(documents) >= 80
    lengths = {name: len(doc.text.split()) for name, doc in documents.items()}
    assert {name: n for name, n in lengths.items() if not 300 <= n <= 600} == {}


def test_documents_name_title_sources_and_licence(expert, documents):
    front = {path.stem: path.read_text().split("---\n")[1] for path in expert.corpus.glob("*.md")}
    assert set(front) == set(documents)
    assert [
        n for n, text in front.items() if not {"title:", "sources:", "licence:"} <= {line.split(" ")[0] for line in text.splitlines()}
    ] == []
    assert [name for name, doc in documents.items() if len(doc.source) < 15] == []
    sources = {source for doc in documents.values() for source in doc.source.split("; ")}
    assert {source for source in sources if not re.search(r"\b(1[6-9]|20)\d\d\b", source)} == set()
    titles = Counter(doc.title for doc in documents.values())
    assert [title for title, n in titles.items() if n > 1] == []
    assert [name for name, doc in documents.items() if "http" in doc.source or "www." in doc.source] == []


def test_questions_are_answered_by_their_document(expert, documents):
    questions = expert.questions()
    assert len(questions) >= 400
    assert {q.document for q in questions} <= set(documents)
    assert [q.question for q in questions if not normalise(q.key)] == []
    assert [(q.question, q.key) for q in questions if not contains_key(documents[q.document].text, q.key)] == []
    assert [(q.question, q.key) for q in questions if not contains_key(q.answer, q.key)] == []


def test_a_question_does_not_give_its_key_away(expert):
    assert [(q.question, q.key) for q in expert.questions() if contains_key(q.question, q.key)] == []


def test_every_split_is_large_enough(expert):
    asked = Counter(q.split for q in expert.questions())
    said = {split: len(expert.utterances(split)) for split in SPLITS}
    assert min(asked[split] for split in SPLITS) >= 50
    assert min(said.values()) >= 50
    assert sum(said.values()) >= 600


def test_questions_spread_over_the_documents(expert, documents):
    assert len({q.document for q in expert.questions()}) >= 0.9 * len(documents)
    assert len({q.document for q in expert.questions("test")}) >= 0.5 * len(documents)


def test_the_bank_is_large_enough():
    assert len(out_of_scope(FOLDER)) >= 1_500
    assert min(len(out_of_scope(FOLDER, split)) for split in SPLITS) >= 100


def test_no_text_is_in_and_out_of_scope_in_two_splits_or_stands_twice():
    """An utterance may stand in the files of two experts: then it spans them."""
    places: dict[str, set[tuple[bool, str]]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for label, path in [(name, e.folder / "utterances.csv") for name, e in EXPERTS.items()] + [(OUT_OF_SCOPE, FOLDER / "out_of_scope.csv")]:
        for split in SPLITS:
            for text in labelled_texts(path, split):
                places.setdefault(normalise(text), set()).add((label == OUT_OF_SCOPE, split))
                seen[label, normalise(text)] += 1
    for e in EXPERTS.values():
        for q in e.questions():
            places.setdefault(normalise(q.question), set()).add((False, q.split))
    assert {text: found for text, found in places.items() if len(found) > 1} == {}
    assert [row for row, n in seen.items() if n > 1] == []


def test_no_question_is_asked_twice(expert):
    asked = Counter(normalise(q.question) for q in expert.questions())
    assert [text for text, n in asked.items() if n > 1] == []


@pytest.mark.parametrize("kind", [*EXPERTS, OUT_OF_SCOPE])
def test_near_duplicates_are_rare(kind, minilm):
    texts = out_of_scope(FOLDER) if kind == OUT_OF_SCOPE else EXPERTS[kind].utterances()
    vectors = KeptEncoder(minilm, ROOT / "indexes" / ".router").encode(texts)
    near = sum(cosine > 0.95 for _, cosine in _nearest(vectors))
    assert near / len(texts) <= 0.02


def test_a_third_of_the_utterances_does_without_the_obvious_words(expert):
    """Obvious: the words of the expert's own title and description, and those that its documents' titles repeat."""
    titles = Counter(w for doc in load_folder(expert.corpus) for w in set(words(doc.title)))
    obvious = {w for w, n in titles.items() if n >= 3 and len(w) > 3} | {expert.name, f"{expert.name}s"}
    texts = expert.utterances()
    assert np.mean([not obvious & set(words(text)) for text in texts]) >= 1 / 3


def test_safety_rules_have_examples_on_both_sides(expert):
    rules = expert.card.safety
    assert len(rules) >= 3
    assert len({rule.name for rule in rules}) == len(rules)
    assert [rule.name for rule in rules if len(rule.examples) < 8 or len(rule.harmless) < 8] == []
    assert not {text for rule in rules for text in rule.examples} & {text for rule in rules for text in rule.harmless}


def test_fused_is_never_a_point_below_the_better_part(expert, minilm):
    index = open_index(expert, minilm, FolderIndexes(ROOT / "indexes"))
    questions = expert.questions("train")
    vectors = minilm.encode([q.question for q in questions])

    def r5(weight: float | None) -> float:
        found = [index.search(q.question, v, 5, weight=weight) for q, v in zip(questions, vectors, strict=True)]
        return float(np.mean([q.document in {h.passage.document for h in hits} for q, hits in zip(questions, found, strict=True)]))

    fused = r5(None)
    assert fused >= max(r5(0.0), r5(1.0)) - 0.01
    assert fused >= 0.95
