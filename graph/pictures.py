"""Pictures that come with a question: taken out of the conversation, and put into words where the question has none of its own.

They are shown to models that see (see `graph.drafting.call`), for one turn: no checkpoint and no run holds them. What stays is a mark in
the question's text, with the description where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AnyMessage, HumanMessage

from core.errors import ModelError
from core.pictures import Picture, Source, marked, open_pictures
from core.text import plain
from core.types import ModelUse, Notice, Tier
from graph.clarifying import names_nothing
from graph.drafting import call
from graph.followup import leans
from graph.prompts import gives_orders
from graph.services import Services
from graph.smalltalk import small_talk
from graph.state import Context, Draft, State
from llms.prices import sees

DESCRIBE = """Say in one or two plain sentences what the picture shows, naming things as somebody would who looks them up, and repeat what \
is written on it where that matters. Say nothing else."""
DESCRIPTION_CHARS = 400
ORDERS = "The picture holds words that look like orders to the model; they were not taken into the question."
UNSEEN = "The picture was not looked at: this rests on the words of the question alone."
NO_EYES = "The picture was not looked at: no model that sees pictures is set up here."


@dataclass(frozen=True, slots=True)
class Look:
    """What a first look at the pictures gave: a description, where one was needed and could be had, what it took, and why there is none."""

    description: str = ""
    spent: list[ModelUse] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def taken(asked: AnyMessage, context: Context) -> tuple[Picture, ...]:
    """The checked pictures of a message and of the run's context. Raises InputError."""
    return open_pictures([*_parts(asked), *(context.images or ())])


def look(services: Services, question: str, pictures: Sequence[Picture], check: Callable[[], None]) -> Look:
    """Describe the pictures of a question that has no words, or only points at them ("What does this mean?"); see `call` for `check`."""
    enough = question and (small_talk(question) or not (leans(question) or names_nothing(question)))
    if not pictures or enough:
        return Look()
    spec = services.tiers(None, pictures=True)[Tier.INFERIOR]
    if not sees(spec, services.settings.home):
        return Look()
    try:
        reply, notices, broken = call(services, spec, Tier.INFERIOR, [HumanMessage(DESCRIBE)], check, pictures=pictures)
    except ModelError as error:
        return Look(notices=[Notice("fallback", f"The picture could not be described: {error}")])
    description = " ".join(plain(reply.text).split())[:DESCRIPTION_CHARS].strip()
    if not sees(reply.use.model, services.settings.home):  # a local reader stood in
        description = ""
    if gives_orders(description):  # as a part of the question it would be obeyed
        description, notices = "", [*notices, Notice("injection", ORDERS)]
    return Look(description, [*broken, reply.use], notices)


def without_pictures(message: AnyMessage) -> AnyMessage:
    """The same message, a mark in the place of its pictures."""
    return message.model_copy(update={"content": marked(str(message.text), len(_parts(message)))})


def told(services: Services, state: State, drafts: Sequence[Draft]) -> list[Notice]:
    """What to say of the turn's pictures when the answer is there: what was changed, and who looked at them or that nobody did."""
    pictures, settings = state.get("pictures") or (), services.settings
    if not pictures:
        return []
    notices = [Notice("image", picture.notice) for picture in pictures if picture.notice]
    description = state.get("description")
    if description:
        notices.append(Notice("image", f"What a model saw in the picture: {description}"))
    saw = [draft for draft in drafts if draft.use.model and sees(draft.use.model, settings.home)]
    if not saw and not description:
        somebody = sees(services.tiers(None, pictures=True)[Tier.INFERIOR], settings.home)
        return [*notices, Notice("image", UNSEEN if somebody else NO_EYES)]
    for draft in saw:
        usual = services.tiers(draft.expert or None, state.get("ladder"))[draft.asked]
        if not sees(usual, settings.home):
            notices.append(Notice("image", f"{usual} does not see pictures: {draft.use.model} was asked instead."))
    return notices


def _parts(message: AnyMessage) -> list[Source]:
    """The pictures of a message, in the form of any of the usual APIs, as data: URLs or whatever else stands there."""
    blocks = [block for block in message.content_blocks if block["type"] == "image"] if not isinstance(message.content, str) else []
    return [f"data:{b.get('mime_type', '')};base64,{b['base64']}" if "base64" in b else str(b.get("url", "")) for b in blocks]
