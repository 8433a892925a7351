"""The result as a picture: how the overhead is spread, and the most requests a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {"bare": "#9aa0a6", "ours": "#1f6feb", "dev": "#d29922"}
NAMES = {"bare": "bare FastAPI (the floor)", "ours": "Switchyard", "dev": "LangGraph dev server"}


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=[3, 2])
    for name, numbers in result["held"].items():
        total = max(1, numbers["measured"])
        at_most = {float(ms): count / total for ms, count in numbers["overhead_ms_at_most"].items()}
        left.plot(list(at_most), list(at_most.values()), marker="o", markersize=3, color=COLOURS[name], label=NAMES[name])
    setup = result["setup"]
    left.set(xscale="log", ylim=(0, 1.02), xlabel="overhead over the model's own time, at most (ms)", ylabel="share of the turns")
    left.set_title(f"{setup['chats']} chats held for {setup['seconds']:g} s, a pause of {setup['pause_s']} s", fontsize=9)
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    names = list(result["flat_out"])
    rates = [result["flat_out"][name]["requests_per_second"] for name in names]
    bars = right.barh([NAMES[name] for name in names], rates, color=[COLOURS[name] for name in names])
    right.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    right.set(xlabel="requests a second", xlim=(0, max(rates) * 1.15))
    right.set_title(f"{setup['chats']} chats that never pause", fontsize=9)
    right.invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)
