"""`switchyard export`."""

import json

from graph.api import run as ask
from graph.state import Context
from store.runs import thread_runs


def test_the_last_conversation_is_written_as_markdown(switchyard, tiny):
    ask("How long does green tea steep?", Context(), "first", tiny)
    ask("Why do bees dance?", Context(), "second", tiny)
    result = switchyard("export")
    assert result.status == 0
    assert result.out.startswith("# Why do bees dance?\n")
    assert "\n**Sources**\n" in result.out
    assert switchyard("export", "first").out.startswith("# How long does green tea steep?\n")


def test_json_is_one_document_with_the_stored_answers(switchyard, tiny):
    ask("How long does green tea steep?", Context(), "first", tiny)
    [stored] = thread_runs(tiny.engine, "first")
    assert json.loads(switchyard("export", "first", "--json").out)["turns"][0]["switchyard"] == stored.answer


def test_nothing_to_export_is_said(switchyard):
    result = switchyard("export")
    assert (result.status, result.out) == (2, "")
    assert result.err == "Error: There is no conversation to export yet. Begin one with: switchyard chat\n"


def test_the_conversation_of_an_owner_is_not_found(switchyard, tiny):
    ask("How long does green tea steep?", Context(owner="ann"), "hers", tiny)
    ask("Why do bees dance?", Context(), "mine", tiny)
    result = switchyard("export", "hers")
    assert (result.status, result.out) == (2, "")
    assert result.err == "Error: No conversation is called 'hers'. Known: mine.\n"
