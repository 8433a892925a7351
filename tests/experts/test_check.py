import pytest

from experts.check import DeadReference, Pair, check
from experts.discovery import discover, pick


@pytest.fixture
def tea(own_experts):
    return own_experts.experts_dir / "tea"


def checked(own_experts, encoder):
    experts = discover(own_experts.experts_dir)
    return check(pick(experts, "tea"), experts, encoder)


def append(path, text):
    path.write_text(path.read_text() + text)


def test_a_sound_expert_is_ok(own_experts, encoder):
    found = checked(own_experts, encoder)
    assert found.ok
    assert (found.documents, found.questions, found.utterances) == (4, 9, 18)
    assert (found.collisions, found.near_duplicates, found.dead_references, found.unreadable, found.without_source) == ([], [], [], [], [])


def test_examples_of_others_and_repeated_ones_are_found(own_experts, encoder, tea):
    append(tea / "utterances.csv", "how is honey made??,train\nwho painted the Mona Lisa,dev\nwhat are tannins??,train\n")
    found = checked(own_experts, encoder)
    assert sorted(found.collisions, key=lambda p: p.label) == [
        Pair("how is honey made??", "how is honey made", "bees", 1.0),
        Pair("who painted the Mona Lisa", "who painted the Mona Lisa", "out_of_scope", 1.0),
    ]
    assert found.near_duplicates == [Pair("what are tannins??", "what are tannins", "tea", 1.0)]
    assert found.near_duplicate_share == pytest.approx(1 / 21)
    assert found.as_dict()["near_duplicate_share"] == 0.0476
    assert not found.ok


def test_what_stands_in_two_files_spans_them_and_collides_with_nothing(own_experts, encoder, tea):
    append(tea / "utterances.csv", "how is honey made,train\n")
    found = checked(own_experts, encoder)
    assert (found.spanning, found.utterances, found.collisions) == (1, 19, [])
    assert found.as_dict()["spanning"] == 1


def test_dead_references_and_unreadable_files_are_found(own_experts, encoder, tea):
    append(tea / "questions.csv", "a,b,c,nowhere,train\nd,e,milk,plant,dev\n")
    (tea / "corpus" / "broken.txt").write_bytes(b"\xff\xfe\xff")
    (tea / "corpus" / "bare.md").write_text("Nobody says where this is from.\n")
    found = checked(own_experts, encoder)
    assert found.dead_references == [
        DeadReference("a", "nowhere", "no such document"),
        DeadReference("d", "plant", "the document does not hold the key 'milk'"),
    ]
    assert found.unreadable == [f"{tea / 'corpus' / 'broken.txt'}: expected UTF-8 text. Convert it, or move it out of the corpus."]
    assert found.without_source == ["bare"]
    assert not found.ok


def test_where_an_expert_has_no_utterances_those_of_others_are_not_encoded(own_experts, encoder, tea):
    class Counting:
        fingerprint, dimensions = encoder.fingerprint, encoder.dimensions
        asked = 0

        def encode(self, texts):
            self.asked += len(texts)
            return encoder.encode(texts)

    (tea / "utterances.csv").write_text("text,split\n")
    counting = Counting()
    found = checked(own_experts, counting)
    assert (found.utterances, found.collisions, found.near_duplicates, counting.asked) == (0, [], [], 0)


def test_missing_sources_and_collisions_alone_are_for_a_person_to_judge(own_experts, encoder, tea):
    append(tea / "utterances.csv", "how is honey made!,train\n")
    (tea / "corpus" / "bare.md").write_text("Nobody says where this is from.\n")
    found = checked(own_experts, encoder)
    assert (len(found.collisions), found.without_source, found.ok) == (1, ["bare"], True)
