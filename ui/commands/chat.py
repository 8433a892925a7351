"""Chat in the terminal."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import SwitchyardError, UnknownNameError
from core.files import make_home
from core.pictures import Picture, open_pictures
from core.types import Answer
from ui.console import OUT, count, plain, print_answer, say, step

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graph.services import Services

app = typer.Typer(add_completion=False, rich_markup_mode=None)
HELP = (
    "/new begins a new conversation, /expert NAME asks that expert only (auto lets the router choose), "
    "/image FILE shows a picture with the next question, /review shows each route first, /quit leaves."
)


@app.command()
def chat(
    expert: Annotated[str, typer.Option(metavar="NAME", help="The expert to ask; auto lets the router choose.")] = "auto",
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="A model, written provider:name, in the place of the inferior one.")
    ] = None,
    review: Annotated[bool, typer.Option("--review", help="Show each route first, to accept it or to choose another expert.")] = False,
) -> None:
    """Chat in the terminal."""
    from graph.services import services

    shared = services()
    if model:
        shared.model(model)
    talk = Talk(shared, expert, model, review)
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
    """A conversation: which expert and model it asks, whether routes are reviewed, its thread, and the pictures of the next question."""

    def __init__(self, shared: Services, expert: str, model: str | None, review: bool = False) -> None:
        self.shared = shared
        self.model = model
        self.review = review
        self.thread = uuid.uuid4().hex
        self.pictures: tuple[Picture, ...] = ()
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
            if line or self.pictures:
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
        elif word == "/image":
            self.pictures = open_pictures([*self.pictures, rest.strip()], files=True) if rest.strip() else ()
            shown = f"{count(len(self.pictures), 'picture')} for the next question; Enter alone asks about what is shown."
            say(shown if self.pictures else "No picture for the next question.", style="dim")
        elif word == "/review":
            self.review = not self.review
            say("Routes are shown first." if self.review else "Routes are taken as they come.", style="dim")
        elif word != "/quit":
            raise UnknownNameError("command", word, ["/new", "/expert NAME", "/image FILE", "/review", "/quit"])
        return word != "/quit"

    def _answer(self, question: str) -> None:
        from graph.api import events, resumed
        from graph.state import Context
        from ui.reviewing import reply

        context = Context(expert=self.expert, model=self.model, review=self.review, images=self.pictures)
        view = _shown(events(question, context, self.thread, self.shared))
        while offered := view.offered:
            said = reply(offered)
            if said in offered["choices"]:
                view = _shown(resumed(said, context, self.thread, self.shared))
            elif " " in said:  # another question gives the one that waits up
                view = _shown(events(said, context, self.thread, self.shared))
            else:
                say(f"Expected Enter, one of {', '.join(offered['choices'])}, or another question.", style="yellow")
        self.pictures = ()
        if view.answer:
            print_answer(Answer.from_dict(view.answer))


def _shown(turn: Iterable[dict[str, Any]]) -> View:
    """Show a turn as it goes. Its text is provisional and goes when the answer is there, which is then printed once, as Markdown."""
    from rich.live import Live

    view = View()
    with Live(view.rendered(), console=OUT, transient=True, refresh_per_second=12) as live:
        for event in turn:
            view.take(event)
            live.update(view.rendered())
    return view


class View:
    """What is shown while an answer is being made."""

    def __init__(self) -> None:
        self.status = "Routing …"
        self.draft = ""
        self.text = ""
        self.answer: dict[str, Any] | None = None
        self.offered: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Follow an event of `graph.api.stream`. A rejected draft goes."""
        kind, data = event["type"], event["data"]
        if kind == "answer":
            self.answer = data
        elif kind == "review":
            self.offered = data
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
    make_home(path.parent)
    with suppress(OSError):  # there is none yet, or it cannot be read: no reason not to talk
        readline.read_history_file(path)
    readline.set_history_length(500)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(path)
