"""How often Python looks for garbage."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """For a process of our own: the libraries' many objects stay, and looking through them is a sixth of a short command's time."""
    gc.set_threshold(50_000, 20, 20)
