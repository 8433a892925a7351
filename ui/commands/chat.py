"""Chat in the terminal."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import StoreError, SwitchyardError, UnknownNameError
from core.types import Answer
from ui.console import OUT, plain, print_answer, say, step

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graph.services import Services

app = typer.Typer(add_completion=False, rich_markup_mode=None)
HELP = "/new begins a new conversation, /expert NAME asks that expert only (auto lets the router choose), /quit leaves."


@app.command()
def chat(
    expert: Annotated[str, typer.Option(metavar="NAME", help="The expert to ask; auto lets the router choose.")] = "auto",
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="A model, written provider:name, in the place of the inferior one.")
    ] = None,
) -> None:
    """Chat in the terminal."""
    from graph.services import services

    shared = services()
    if model:
        shared.model(model)
    talk = Talk(shared, expert, model)
    OUT.print("Switchyard answers from the documents of its experts: " + ", ".join(e.card.title for e in shared.experts.values()))
    OUT.print(HELP, style="dim")
    try:
        with _history(shared.settings.home / "chat_history"):
            while talk.turn(_prompt()):
                pass
    except (EOFError, KeyboardInterrupt):
        OUT.print()


def _prompt() -> str:
    OUT.print()
    return input("> ")


class Talk:
    """A conversation: which expert and model it asks, and its thread."""

    def __init__(self, shared: Services, expert: str, model: str | None) -> None:
        self.shared = shared
        self.model = model
        self.thread = uuid.uuid4().hex
        self.expert = "auto"
        self.ask_only(expert)

    def ask_only(self, expert: str) -> None:
        """Choose the expert. Raises UnknownNameError."""
        if expert != "auto":
            self.shared.expert(expert)
        self.expert = expert

    def turn(self, line: str) -> bool:
        """Do what a line says; False when it says to leave. A known error is said, and the conversation goes on."""
        line = line.strip()
        try:
            if line.startswith("/"):
                return self._command(line)
            if line:
                self._answer(line)
        except SwitchyardError as error:
            say(str(error), style="red")
        return True

    def _command(self, line: str) -> bool:
        word, _, rest = line.partition(" ")
        if word == "/new":
            self.thread = uuid.uuid4().hex
            say("A new conversation.", style="dim")
        elif word == "/expert":
            self.ask_only(rest.strip() or "auto")
            say("The router chooses the expert." if self.expert == "auto" else f"Asking {self.expert} only.", style="dim")
        elif word != "/quit":
            raise UnknownNameError("command", word, ["/new", "/expert NAME", "/quit"])
        return word != "/quit"

    def _answer(self, question: str) -> None:
        from rich.live import Live

        from graph.api import events
        from graph.state import Context

        view = View()
        context = Context(expert=self.expert, model=self.model)
        # The live text is provisional and goes when the answer is there, which is then printed once, as Markdown.
        with Live(view.rendered(), console=OUT, transient=True, refresh_per_second=12) as live:
            for event in events(question, context, self.thread, self.shared):
                view.take(event)
                live.update(view.rendered())
        if view.answer:
            print_answer(Answer.from_dict(view.answer))


class View:
    """What is shown while an answer is being made."""

    def __init__(self) -> None:
        self.status = "Routing …"
        self.draft = ""
        self.text = ""
        self.answer: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Follow an event of `graph.api.stream`. A rejected draft goes."""
        kind, data = event["type"], event["data"]
        if kind == "answer":
            self.answer = data
        elif kind == "token":
            self.text += data
        elif kind == "draft_token":
            self.draft += data
        elif kind == "draft_rejected":
            self.draft = ""
        self.status = step(event) or self.status

    def rendered(self) -> RenderableType:
        """The text so far; drafts are dim."""
        from rich.text import Text

        if self.text:
            return Text(plain(self.text))
        return Text(plain(self.draft) or self.status, style="dim")


@contextmanager
def _history(path: Path) -> Iterator[None]:
    """Arrow keys and earlier questions at the prompt, where the system has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"SWITCHYARD_HOME, {path.parent}: expected a folder that can be written: {error.strerror}. Name one.") from None
    if path.exists():
        readline.read_history_file(path)
    readline.set_history_length(500)
    try:
        yield
    finally:
        readline.write_history_file(path)
