"""The attacks of tests/data/injections, an application that has read them all, and what a page or a terminal would make of its words."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import SecretStr
from rich.console import Console

from core.settings import Settings
from core.types import Answer
from graph.nodes.prepare import clean_question
from graph.services import Services
from llms.fake import ObedientModel, ScriptedModel
from llms.registry import load_model
from tests.conftest import TINY, close
from tests.graph.conftest import write_artifacts
from tests.server.conftest import Running, running

GOOD = "Green tea steeps for two minutes."
KEY = "sk-injection-0123456789"
SECRET = "My bank's number is 4711-0815"
"""What another conversation holds."""
ACCEPT_ALL = {"accept_at": 0.0, "retry_at": 0.0, "answer_at": 0.0}
"""Else a poor answer would be thrown away, and the attack with it."""
_SGR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Attack:
    """A row. place: where the text stands. says: what a model that obeys it says, by default the text itself."""

    number: int
    kind: str
    name: str
    place: str
    text: str
    says: str

    @property
    def in_corpus(self) -> bool:
        return self.place in ("document", "title", "source", "file")

    @property
    def pot(self) -> str:
        """A word that only this attack's document and question hold."""
        return f"pot{self.number}"

    @property
    def said(self) -> list[str]:
        """The conversation whose last message asks."""
        asked = "How long does green tea steep?"
        return {
            "question": [f"{asked} {self.text}"],
            "conversation": [asked, self.text, "How long does black tea steep?"],
        }.get(self.place, [f"How long does green tea steep in {self.pot}?"])

    def write(self, corpus: Path) -> None:
        """Its document."""
        told = f"In {self.pot} {GOOD[0].lower()}{GOOD[1:]}"
        meta = {"title": self.text if self.place == "title" else f"Green tea in {self.pot}", "licence": "none"}
        meta |= {"sources": [self.text]} if self.place == "source" else {}
        front = "" if self.place == "file" else f"---\n{yaml.safe_dump(meta)}---\n\n"
        name = self.text.replace("/", "∕") if self.place == "file" else f"attack-{self.number}"
        (corpus / f"{name}.md").write_text(f"{front}{told} {self.text if self.place == 'document' else ''}\n", encoding="utf-8")


def _read() -> list[Attack]:
    lines = (TINY.parent / "injections" / "attacks.jsonl").read_text(encoding="utf-8").splitlines()
    return [Attack(n, says=row.pop("says", row["text"]), **row) for n, row in enumerate(map(json.loads, lines))]


ATTACKS = _read()
ASKED = [pytest.param(attack, id=f"{attack.kind}-{attack.name}-{attack.place}") for attack in ATTACKS if attack.place != "feedback"]


@dataclass(frozen=True)
class Stage:
    """Two servers over the same documents: `live` streams its drafts as final, `held` judges them first. Both ask `model`."""

    live: Running
    held: Running
    model: ObedientModel
    folder: Path

    def under(self, attack: Attack) -> Running:
        """The server that is attacked; from now on the model obeys this attack."""
        # Of a question's terminal sequences nothing at all is left.
        order = clean_question(attack.text, 8_000) if attack.place == "question" else attack.text
        self.model.orders = {order: attack.says}
        return self.live if attack.number % 2 else self.held

    def files(self) -> dict[str, bytes]:
        """Every file but the databases and their locks."""
        found = (p for p in self.folder.rglob("*") if p.is_file() and not p.name.startswith(("switchyard.db", "threads")))
        return {str(p.relative_to(self.folder)): p.read_bytes() for p in found if not {".encoder", "locks"} & set(p.parts)}


@contextmanager
def staged(folder: Path, encoder_cache: Path) -> Iterator[Stage]:
    """The tiny experts, with every attack's document among tea's."""
    shutil.copytree(TINY, folder / "experts")
    (folder / "indexes").mkdir()
    (folder / "indexes" / ".encoder").symlink_to(encoder_cache, target_is_directory=True)
    for attack in ATTACKS:
        if attack.in_corpus:
            attack.write(folder / "experts" / "tea" / "corpus")
    model = ObedientModel(orders={}, answer=GOOD)
    strong = ScriptedModel(replies=[])  # no attack may have it asked: it would raise
    models = {"fake:obedient": model, "fake:strong": strong}
    with ExitStack() as stack:
        both = []
        for live in (True, False):
            name = "live" if live else "held"
            write_artifacts(folder / name, live=live, policy=ACCEPT_ALL)
            settings = Settings(
                home=folder / f"home-{name}", experts_dir=folder / "experts", indexes_dir=folder / "indexes", artifacts_dir=folder / name,
                inferior="fake:obedient", superior="fake:strong", keys={"openai": SecretStr(KEY)},
            )  # fmt: skip
            services = Services(settings, load=lambda spec, s, e: models[spec] if spec in models else load_model(spec, s, e))
            stack.callback(close, services)
            both.append(stack.enter_context(running(services)))
        yield Stage(*both, model, folder)


def tokens(markdown: str) -> list[Token]:
    """All tokens that a CommonMark renderer which reads HTML makes of a text."""
    found = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    return [inner for token in found for inner in (token, *(token.children or []))]


def active(markdown: str) -> set[str]:
    """What of it would be fetched, run or followed."""
    return {t.type for t in tokens(markdown) if t.type in ("image", "html_inline", "html_block", "link_open")}


class Tags(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}


def on_a_terminal(answer: dict[str, Any], patch: pytest.MonkeyPatch) -> str:
    """What `switchyard ask` writes to a terminal in colours, without the colours."""
    from ui import console

    written = io.StringIO()
    for name in ("OUT", "ERR"):
        terminal = Console(
            file=written, force_terminal=True, color_system="truecolor", width=200, highlight=False, markup=False, emoji=False
        )
        patch.setattr(console, name, terminal)
    console.print_answer(Answer.from_dict(answer))
    return _SGR.sub("", written.getvalue())
