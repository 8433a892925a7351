"""The map: examples, passages and the typed prompt in two dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from core.types import OUT_OF_SCOPE
from retrieval.encoder import Vectors
from ui.chat.markup import BOTH, Titles, title
from ui.lab.examples import Examples, spread
from ui.lab.projection import Projection, fit_projection

if TYPE_CHECKING:
    import altair as alt

MOST_POINTS = 1_500
TEXT_CHARS = 160
HEIGHT_PX = 460
EXAMPLE, PASSAGE = "Example", "Passage"
ON_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
ON_DARK = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00")
"""Okabe and Ito's colours, which colour-blind readers can tell apart, those with the most contrast first."""
GREY = "#8a9696"
OTHERS = "Other experts"
STAR = "M0,-1L0.26,-0.36L0.95,-0.31L0.42,0.14L0.59,0.81L0,0.45L-0.59,0.81L-0.42,0.14L-0.95,-0.31L-0.26,-0.36Z"


@dataclass(frozen=True, slots=True)
class Landscape:
    """What is drawn whatever the prompt. `points`: {x, y, text, label, kind}; `labels`: those with an own colour; `grey`: the others."""

    projection: Projection
    points: list[dict[str, Any]]
    labels: list[str]
    grey: list[str]

    def colours(self, *, dark: bool) -> dict[str, str]:
        """The colour of each label on a dark or a light page, in the legend's order."""
        return dict(zip(self.labels, ON_DARK if dark else ON_LIGHT, strict=False)) | dict.fromkeys(self.grey, GREY)


def landscape(found: Examples, documents: Examples, titles: Titles) -> Landscape:
    """Project a sample of both; the directions are learnt from the examples of one label."""
    shown, passages = spread(found, MOST_POINTS * 2 // 3), spread(documents, MOST_POINTS // 3)
    single = [n for n, label in enumerate(shown.labels) if BOTH not in label]
    projection = fit_projection(shown.vectors[single], [shown.labels[n] for n in single])
    own = _frequent(shown.labels)
    points = []
    for kind, part in ((PASSAGE, passages), (EXAMPLE, shown)):
        for text, label, (x, y) in zip(part.texts, part.labels, projection.apply(part.vectors), strict=True):
            name = title(label, titles) if label in (*own, OUT_OF_SCOPE) else OTHERS
            points.append({"x": round(float(x), 3), "y": round(float(y), 3), "text": _short(text), "label": name, "kind": kind})
    names = {point["label"] for point in points}
    grey = [name for name in (OTHERS, title(OUT_OF_SCOPE, titles)) if name in names]
    return Landscape(projection, points, [title(label, titles) for label in own], grey)


def _frequent(labels: Sequence[str]) -> list[str]:
    """The labels with the most points, at most one for each colour; those of several experts last."""
    found = Counter(label for label in labels if label != OUT_OF_SCOPE).most_common(len(ON_LIGHT))
    return sorted((label for label, _ in found), key=lambda label: (BOTH in label, label))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARS else f"{line[: TEXT_CHARS - 1].rstrip()}…"


def legend(colours: Mapping[str, str], *, prompt: bool) -> str:
    """What colours and shapes mean. `prompt`: whether one is on the map."""
    labels = "".join(f'<li><span style="background:{colour}"></span>{escape(name)}</li>' for name, colour in colours.items())
    shapes = f'<li><span class="lab-round"></span>{EXAMPLE}</li><li><span class="lab-diamond"></span>{PASSAGE} of a document</li>'
    own = '<li><span class="lab-star"></span>Your prompt</li>' if prompt else ""
    return f'<ul class="lab-legend" aria-label="Legend">{labels}{shapes}{own}</ul>'


def chart(drawn: Landscape, colours: Mapping[str, str], prompt: str, vector: Vectors | None) -> alt.LayerChart:
    """The map; with `vector`, shape (dimensions,), the prompt as a star. Dragging moves it, Ctrl and the wheel zoom."""
    import altair as alt

    place = {"x": alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)), "y": alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False))}
    hover = [alt.Tooltip("text:N", title="Text"), alt.Tooltip("label:N", title="Label"), alt.Tooltip("kind:N", title="Kind")]
    # Without Ctrl the wheel scrolls the page, as everywhere.
    move = alt.selection_interval(bind="scales", zoom="wheel![event.ctrlKey]", name="move")
    points = (
        alt.Chart(alt.InlineData(drawn.points))
        .mark_point(filled=True, size=34, opacity=0.65)
        .encode(
            **place,
            color=alt.Color("label:N", legend=None, scale=alt.Scale(domain=list(colours), range=list(colours.values()))),
            shape=alt.Shape("kind:N", legend=None, scale=alt.Scale(domain=[EXAMPLE, PASSAGE], range=["circle", "diamond"])),
            tooltip=hover,
            description="text:N",
        )
        .add_params(move)
    )
    layers = [points]
    if vector is not None:
        star = alt.Chart(alt.InlineData([_own(drawn.projection, prompt, vector)]))
        star = star.mark_point(shape=STAR, size=700, filled=True, fill="#111111", stroke="#ffffff", strokeWidth=1.5, opacity=1)
        layers.append(star.encode(**place, tooltip=hover[::2], description="text:N"))
    drawing: alt.LayerChart = alt.layer(*layers).properties(height=HEIGHT_PX).configure_view(stroke=None)
    return drawing


def _own(projection: Projection, prompt: str, vector: Vectors) -> dict[str, Any]:
    x, y = projection.apply(vector[None])[0]
    return {"x": float(x), "y": float(y), "text": _short(prompt), "kind": "Your prompt"}
