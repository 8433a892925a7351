import json
import socket

import pytest

from core.settings import settings
from store import keys
from store.engine import engine


def test_a_key_is_shown_once_and_alone(switchyard):
    made = switchyard("key", "create", "ann", "--per-minute", "60", "--budget", "2.5")
    secret = made.out.strip()
    assert (made.status, secret[:3], len(secret)) == (0, "sy-", 46)
    found = keys.find(engine(settings().database), secret)
    assert (found.owner, found.per_minute, found.budget_usd) == ("ann", 60, 2.5)
    assert found.key_id in made.err
    assert "not shown again" in made.err
    listed = switchyard("key", "list")
    assert secret not in listed.out + listed.err
    assert [line.split() for line in listed.out.splitlines()][1][:2] == [found.key_id, "ann"]
    (row,) = json.loads(switchyard("key", "list", "--json").out)
    assert (row["key_id"], row["spent_usd"], row["revoked_at"]) == (found.key_id, 0.0, None)
    assert secret not in str(row)


def test_a_revoked_key_is_listed_as_such(switchyard):
    switchyard("key", "create", "ann")
    (row,) = json.loads(switchyard("key", "list", "--json").out)
    assert switchyard("key", "revoke", row["key_id"]).out == f"Revoked {row['key_id']}.\n"
    assert "revoked 20" in switchyard("key", "list").out
    again = switchyard("key", "revoke", row["key_id"])
    assert (again.status, again.err) == (2, f"Error: No key in use is called '{row['key_id']}'. Known: none yet.\n")


def test_without_keys_the_list_says_what_that_means(switchyard):
    assert "the server listens on this machine only" in switchyard("key", "list").out


@pytest.mark.parametrize("owner", ["", "a b", "a:b", "../x", "-x", "x" * 41])
def test_an_owner_that_cannot_be(switchyard, owner):
    result = switchyard("key", "create", "--", owner)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("Error: Expected an owner of 1 to 40 letters")


def test_a_budget_is_a_number(switchyard):
    result = switchyard("key", "create", "ann", "--budget", "inf")
    assert (result.status, result.out) == (2, "")
    assert result.err == "Error: Expected a budget in dollars; got inf. Leave --budget out for no limit.\n"


def test_the_world_is_served_only_with_keys(switchyard):
    result = switchyard("serve", "--host", "0.0.0.0")
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "Error: Without keys the server listens on this machine only, not on 0.0.0.0. Make one: switchyard key create OWNER\n"
    )


def test_a_port_that_is_taken(switchyard):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = switchyard("serve", "--port", str(port))
    assert result.status == 2
    assert result.err == f"Error: 127.0.0.1, port {port}, cannot be used: Address already in use. Try: switchyard serve --port {port + 1}\n"


@pytest.mark.parametrize(("host", "waits"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_database_that_is_away_is_waited_for_on_this_machine(switchyard, monkeypatch, host, waits):
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann@127.0.0.1:9/none")
    with socket.socket() as taken:  # so that it does not go on to serve
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = switchyard("serve", "--host", host, "--port", str(taken.getsockname()[1]))
    *said, error = result.err.splitlines()
    assert [line.rpartition(". ")[2] for line in said] == ["The server waits for it."] * waits
    assert ("cannot be used: Address already in use" in error, "The database cannot be used" in error) == (waits, not waits)
