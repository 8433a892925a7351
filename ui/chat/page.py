"""The page "Chat": ask, and read the cited answer. Run by ui/app.py."""

from __future__ import annotations

from graph.services import services
from ui.chat import conversation, sidebar


def main() -> None:
    """Draw the page once."""
    shared = services()
    turns = conversation.stored_turns(shared)
    conversation.draw(shared, sidebar.draw(shared, turns), turns)


if __name__ == "__main__":
    main()
