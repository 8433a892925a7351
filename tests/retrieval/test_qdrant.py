"""Indexes in Qdrant, over the wire: whole or not at all, replaced under readers' feet, and its faults in one line."""

import re
import sys
import time
from contextlib import closing

import numpy as np
import pytest
from pydantic import SecretStr

from core.errors import IndexFault, StoreError
from core.settings import Settings
from core.types import Passage
from retrieval import qdrant_indexes as module
from retrieval.index import assemble
from retrieval.indexes import FolderIndexes, open_indexes
from retrieval.qdrant import connect
from retrieval.qdrant_indexes import QdrantIndexes
from tests.llms.wire import closed_port
from tests.retrieval.qdrant_server import serve

PASSAGES = [
    Passage("brew#1", "Brewing", "Green tea steeps for two minutes. Black tea steeps for four minutes.", "a", "brew"),
    Passage("plant#1", "The plant", "Tea comes from Camellia sinensis. It is an evergreen shrub.", "b", "plant"),
    Passage("honey#1", "", "Honey keeps for years. It is too dry for microbes.", "c", "honey"),
]
LATER = [Passage("rain#1", "Rain", "Rain falls on tea. It wets the honey.", "d", "rain")]
QUESTIONS = ["How long does green tea steep?", "Which plant gives tea?", "Does honey spoil?"]


@pytest.fixture
def server():
    with serve() as running:
        yield running


@pytest.fixture
def machine(server):
    """`machine()`: the indexes as another machine sees them, with a connection of its own."""
    clients = []

    def make(fingerprint="words-64"):
        clients.append(connect(server.url, None))
        return QdrantIndexes(clients[-1], fingerprint)

    yield make
    for client in clients:
        client.close()


def built(encoder, passages=PASSAGES):
    return assemble(passages, encoder, corpus=passages[0].id, hold=QdrantIndexes.hold)


def ask(index, encoder):
    return [[(hit.passage, hit.score, hit.cosine) for hit in index.search(q, encoder.encode([q])[0], 3)] for q in QUESTIONS]


def collections(server):
    return sorted(c.name for c in server.local.get_collections().collections)


def test_another_machine_finds_what_a_folder_would(machine, encoder, tmp_path):
    machine().save(built(encoder), "tea")
    folder = FolderIndexes(tmp_path)
    folder.save(built(encoder), "tea")
    there, here = machine().load("tea"), folder.load("tea")
    for one, other in zip(ask(there, encoder), ask(here, encoder), strict=True):
        assert [hit[0] for hit in one] == [hit[0] for hit in other]
        np.testing.assert_allclose([hit[1:] for hit in one], [hit[1:] for hit in other], atol=1e-5)
    assert list(there.passages) == PASSAGES
    assert there.rows.tolist() == here.rows.tolist() == [0, 3, 6, 9]
    assert (there.manifest.passages, there.manifest.corpus, there.manifest.dense_weight) == (3, "brew#1", here.manifest.dense_weight)
    assert machine().manifest("tea") == there.manifest
    assert machine().damage("tea") == []


def test_what_is_not_there_is_none(machine):
    indexes = machine()
    assert (indexes.manifest("tea"), indexes.version("tea"), indexes.fault("tea")) == (None, None, None)
    with pytest.raises(IndexFault, match=r"^Qdrant holds no index of tea\.$"):
        indexes.load("tea")


def test_a_new_index_is_seen_by_all_and_a_search_in_flight_finishes_on_the_old_one(machine, encoder, server, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    one, other = machine(), machine()
    one.save(built(encoder), "tea")
    in_flight, version = other.load("tea"), other.version("tea")
    before = ask(in_flight, encoder)
    one.save(built(encoder, LATER), "tea")
    assert one.version("tea") == other.version("tea") != version
    assert ask(in_flight, encoder) == before
    assert {hit[0].id for hits in ask(other.load("tea"), encoder) for hit in hits} == {"rain#1"}
    assert len(collections(server)) == 2


def test_the_alias_is_looked_at_once_in_a_while_only(machine, encoder, server):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    server.asked.clear()
    assert len({indexes.version("tea") for _ in range(50)}) == 1
    assert server.asked == []


def test_replaced_collections_go_after_their_grace_and_not_before(machine, encoder, server, monkeypatch):
    indexes = machine()
    versions = []
    for passages in (PASSAGES, LATER, PASSAGES):
        indexes.save(built(encoder, passages), "tea")
        versions.append(indexes.version("tea"))
    indexes.save(built(encoder), "bees")
    assert collections(server) == sorted([*versions, indexes.version("bees")])
    monkeypatch.setattr(module, "GRACE_S", -1.0)
    indexes.save(built(encoder, LATER), "tea")
    assert collections(server) == sorted([indexes.version("tea"), indexes.version("bees")])


def test_a_build_that_breaks_off_changes_nothing_and_is_cleared_away(machine, encoder, server, monkeypatch):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    version = indexes.version("tea")
    upload = indexes._client.upsert

    def broken(*arguments, **keywords):
        upload(*arguments, **keywords)
        raise KeyboardInterrupt

    monkeypatch.setattr(indexes._client, "upsert", broken)
    with pytest.raises(KeyboardInterrupt):
        indexes.save(built(encoder, LATER), "tea")
    assert machine().version("tea") == version
    assert ask(machine().load("tea"), encoder) == ask(indexes.load("tea"), encoder)
    assert len(collections(server)) == 2
    monkeypatch.setattr(indexes._client, "upsert", upload)
    indexes.save(built(encoder, LATER), "tea")
    assert len(collections(server)) == 3  # it might still be written
    monkeypatch.setattr(module, "ABANDONED_S", -1.0)
    indexes.save(built(encoder), "tea")
    kept = collections(server)
    assert version in kept
    assert indexes.version("tea") in kept
    assert len(kept) == 3  # the one that serves, and the two that it and its predecessor replaced just now


def test_points_that_qdrant_did_not_keep_are_noticed_before_the_switch(machine, encoder, monkeypatch):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    version = indexes.version("tea")
    monkeypatch.setattr(indexes._client, "upsert", lambda *_, **__: None)
    with pytest.raises(StoreError, match=r"^Qdrant kept 0 of 3 points\. Its log says more\.$"):
        indexes.save(built(encoder, LATER), "tea")
    assert machine().version("tea") == version


def test_an_old_qdrant_is_refused(machine, encoder, server, monkeypatch):
    create = server.local.create_collection
    monkeypatch.setattr(server.local, "create_collection", lambda name, vectors, metadata: create(name, vectors))
    with pytest.raises(StoreError, match=r"^Qdrant does not keep a collection's metadata\. Expected Qdrant 1\.16 or newer\.$"):
        machine().save(built(encoder), "tea")
    assert machine().manifest("tea") is None


def test_lost_points_are_named(machine, encoder, server):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    server.local.delete(indexes.version("tea"), [4])  # a sentence
    index = indexes.load("tea")
    assert indexes.damage("tea") == ["8 of 9 points"]
    nine, vector = np.arange(9), encoder.encode(["tea"])[0]
    for call in (lambda: index.vectors.vectors(nine), lambda: index.vectors.cosines(nine, vector)):
        with pytest.raises(IndexFault, match=r"^Collection switchyard\.tea\.\S+ in Qdrant has lost points\. Run: switchyard index --force"):
            call()
    server.local.delete(indexes.version("tea"), [3])  # a passage
    with pytest.raises(IndexFault, match=r"^The index of tea in Qdrant is corrupt: 2 of 3 passages\.$"):
        indexes.load("tea")


def test_a_payload_that_is_no_passage_is_named(machine, encoder, server):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    server.local.set_payload(indexes.version("tea"), {"surplus": 1}, [0])
    with pytest.raises(IndexFault, match=r"^Qdrant holds something else than a passage: \['document', 'id', 'source', 'surplus', "):
        indexes.load("tea")


def test_two_encoders_share_a_qdrant_and_do_not_meet(machine, encoder):
    machine("words-64").save(built(encoder), "tea")
    assert machine("another").manifest("tea") is None
    machine("another").save(built(encoder, LATER), "tea")
    assert machine("words-64").manifest("tea").passages == 3


def test_an_index_that_is_removed_under_a_reader_is_one_line(machine, encoder, server):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    index = indexes.load("tea")
    server.local.delete_collection(indexes.version("tea"))
    with pytest.raises(IndexFault, match=r"^Qdrant no longer holds this index: another took its place meanwhile\. Try again\.$"):
        ask(index, encoder)


def test_a_key_is_sent_and_never_shown(encoder):
    with serve(key="sk-right") as server:
        with closing(connect(server.url, SecretStr("sk-right"))) as client:
            QdrantIndexes(client, "e").save(built(encoder), "tea")
        for key in (None, SecretStr("sk-wrong")):
            with closing(connect(server.url, key)) as client, pytest.raises(StoreError) as caught:
                QdrantIndexes(client, "e").manifest("tea")
            assert str(caught.value) == "Qdrant refused the key. Set QDRANT_API_KEY to one that may read and write."
    assert "sk-right" not in repr(Settings(qdrant_url=server.url, qdrant_api_key=SecretStr("sk-right")))


@pytest.mark.parametrize(("answers", "said"), [([500], "Qdrant answered 500 Internal Server Error"), ([0, 0], "Qdrant did not answer: ")])
def test_a_fault_of_the_server_is_one_line(machine, server, answers, said):
    server.answers = answers
    with pytest.raises(StoreError) as caught:
        machine().manifest("tea")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(machine, server, encoder):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    server.answers = [0]
    assert ask(indexes.load("tea"), encoder)[0][0][0].id == "brew#1"


def test_while_qdrant_is_away_the_index_that_was_last_seen_stays(machine, encoder, server, monkeypatch):
    indexes = machine()
    indexes.save(built(encoder), "tea")
    version = indexes.version("tea")
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    server.answers = [500, 500]
    assert indexes.version("tea") == version
    with pytest.raises(StoreError):
        indexes.version("bees")
    assert indexes.version("bees") is None


def test_nobody_at_the_address(encoder):
    url = f"http://127.0.0.1:{closed_port()}"
    started = time.monotonic()
    with closing(connect(url, None)) as client, pytest.raises(StoreError) as caught:
        QdrantIndexes(client, "e").manifest("tea")
    assert re.fullmatch(r"Qdrant did not answer: .+refused.*\. Check SWITCHYARD_QDRANT_URL, and that it runs there\.", str(caught.value))
    assert time.monotonic() - started < 30


def test_the_client_is_asked_for_where_it_is_missing(monkeypatch, encoder):
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    for name in ("retrieval.qdrant", "retrieval.qdrant_indexes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(IndexFault) as caught:
        open_indexes(Settings(qdrant_url="http://127.0.0.1:1"), encoder)
    assert str(caught.value) == (
        "SWITCHYARD_QDRANT_URL is set, but its client is missing (qdrant_client). Run: pip install -c constraints.txt qdrant-client"
    )


def test_the_settings_say_where_indexes_are_kept(server, encoder, tmp_path):
    assert isinstance(open_indexes(Settings(indexes_dir=tmp_path), encoder), FolderIndexes)
    found = open_indexes(Settings(qdrant_url=server.url), encoder)
    assert isinstance(found, QdrantIndexes)
    with closing(found._client):
        assert found.server() == "Qdrant 1.20.0"
