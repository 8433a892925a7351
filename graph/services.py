"""What the nodes share: encoder, experts, indexes, router, models, policy, store. Everything is made on first use, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from core.errors import DocumentError
from core.settings import Settings, settings
from core.types import Tier
from experts.discovery import Expert, discover, has_out_of_scope, pick
from experts.examples import example_files, router_files
from graph.confidence import Confidence
from graph.difficulty import DifficultyRouter
from graph.fitted import fitted_folder, fitted_safety, fitted_similarity
from graph.learnt import Learnt
from graph.opened import OpenIndexes
from graph.policy import Policy, load_policy
from graph.routers.base import Router
from graph.routers.saved import ABOUT
from graph.routers.similarity import SimilarityRouter
from graph.safety import SafetyRules
from graph.spending import spent
from graph.trained import Trained
from llms.registry import load_model, seeing, tiers
from retrieval.encoder import Encoder, load_encoder
from retrieval.index import Index, corpus_hash
from retrieval.indexes import Indexes, open_indexes
from retrieval.kept import KeptEncoder
from retrieval.reader import Reader
from retrieval.vectors import VectorStore

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from sqlalchemy import Engine

    from graph.recommender import Recommender

# LangChain, LangGraph and SQLAlchemy take half of a short command's time: they are imported where they are used, see `opening`.

RECIPE = 11
"""Raised whenever what the router is fitted on, or how, changes."""
AUTO = "auto"
KEPT_MODELS = 64
"""At most: whoever names models may name many. The oldest goes first, and is loaded anew where it is asked again."""
ModelLoader = Callable[[str, Settings, Reader], "BaseChatModel"]


class Services:
    """One per process in the application; tests make their own with a scripted model loader."""

    def __init__(self, chosen: Settings | None = None, *, load: ModelLoader = load_model) -> None:
        self.settings = chosen or settings()
        self._load = load
        self._models: dict[str, BaseChatModel] = {}
        self._open_indexes = OpenIndexes(self)
        self._lock = RLock()
        # A turn multiplies one vector with a few thousand: waking a pool of BLAS threads for that costs more than it gains.
        threadpool_limits(1, user_api="blas")

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Opens what every question needs, in a thread, during the block, and waits for it at its end.

        The models' files keep a core busy without Python: whoever has libraries to import does it in the block. What cannot be opened is
        met again, and told, where it is needed.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="opening") as pool:
            pool.submit(self._open)
            yield

    def _open(self) -> None:
        if not self.lone:
            self.router()
        _ = self.safety
        self.encoder.encode([""])
        self.reader.open()

    @cached_property
    def watchers(self) -> list[BaseCallbackHandler]:
        """What watches the graph's runs."""
        from graph.tracing import watchers

        return watchers(self.settings)

    @cached_property
    def encoder(self) -> Encoder:
        """The text encoder of questions, passages and examples."""
        return self.open_encoder()

    @property
    def kept_encoder(self) -> KeptEncoder:
        """The same for the experts' examples: it encodes those that are new, and keeps all vectors beside the indexes."""
        return KeptEncoder(self.encoder, fitted_folder(self))

    @property
    def open_encoder(self) -> Callable[[], Encoder]:
        """Opens the encoder, in another process too."""
        return partial(load_encoder, self.settings.encoder, self.settings.indexes_dir.resolve() / ".encoder")

    @cached_property
    def indexes(self) -> Indexes:
        """Where the experts' indexes are kept."""
        return open_indexes(self.settings, self.encoder)

    @cached_property
    def experts(self) -> dict[str, Expert]:
        """The experts, by name."""
        return discover(self.settings.experts_dir)

    @cached_property
    def lone(self) -> str | None:
        """The only expert where there is no out-of-scope bank either: every question is its own, and there is nothing to route."""
        name, *others = self.experts
        return None if others or has_out_of_scope(self.settings.experts_dir) else name

    @cached_property
    def policy(self) -> Policy:
        """The thresholds."""
        return load_policy(self.settings.home, self.settings.artifacts_dir)

    @property
    def confidence(self) -> Confidence:
        """The fitted confidence, as feedback recalibrated it."""
        return self.learnt.confidence(self.shipped_confidence)

    @cached_property
    def shipped_confidence(self) -> Confidence:
        """The fitted confidence, as it ships."""
        return Confidence.read(self.settings.artifacts_dir / "confidence" / "weights.json")

    @cached_property
    def reader(self) -> Reader:
        """The reader: of what the search finds, it says what answers."""
        return Reader(self.settings.artifacts_dir / "reader", self.encoder)

    @cached_property
    def safety(self) -> SafetyRules:
        """The safety rules of all experts, which are learnt on first use."""
        return fitted_safety(self)

    @cached_property
    def difficulty(self) -> DifficultyRouter | None:
        """The trained difficulty router: the user's own, else the shipped one; None where there is none. Raises IndexFault."""
        folders = (root / "difficulty" for root in (self.settings.home, self.settings.artifacts_dir))
        folder = next((f for f in folders if (f / ABOUT).exists()), None)
        return DifficultyRouter.load(folder, self.encoder, ask=self.ask) if folder else None

    @cached_property
    def recommender(self) -> Recommender | None:
        """The trained recommender: the user's own, else the shipped one; None where there is none. Raises IndexFault."""
        from graph.recommender import Recommender

        folders = (root / "recommender" for root in (self.settings.home, self.settings.artifacts_dir))
        folder = next((f for f in folders if (f / ABOUT).exists()), None)
        return Recommender.load(folder, self.encoder, ask=self.ask) if folder else None

    @cached_property
    def engine(self) -> Engine:
        """The store's database."""
        from store.engine import engine

        with self._lock:  # two first calls at once would make two, and nobody would close one of them
            return engine(self.settings.database)

    def expert(self, name: str) -> Expert:
        """One expert. Raises UnknownNameError."""
        return pick(self.experts, name)

    def index(self, name: str) -> Index:
        """An expert's index; one that was rebuilt meanwhile is opened anew, by one thread while the others still read the old one.

        Raises UnknownNameError, IndexFault, DocumentError.
        """
        return self._open_indexes.index(name)

    def model(self, spec: str) -> BaseChatModel:
        """The chat model of `spec`. Raises ModelError or InputError."""
        if found := self._models.get(spec):
            return found
        with self._lock:
            if not (found := self._models.get(spec)):
                found = self._load(spec, self.settings, self.reader)
                if len(self._models) >= KEPT_MODELS:
                    del self._models[next(iter(self._models))]
                self._models[spec] = found
            return found

    def tiers(self, name: str | None, ladder: Mapping[Tier, str] | None = None, *, pictures: bool = False) -> dict[Tier, str]:
        """The specs of both tiers for an expert, or in general. An expert's own models stay; else the turn's `ladder` wins, if any.

        With `pictures` a model that does not see them gives way to the nearest one that does.
        """
        own = [m for m in (self.settings.expert.get(name), self.expert(name).card.models) if m] if name else []
        chosen = dict(ladder) if ladder and not any(m.inferior or m.superior for m in own) else tiers(self.settings, *own)
        return {tier: seeing(spec, self.settings) for tier, spec in chosen.items()} if pictures else chosen

    def router(self, kind: str | None = None) -> Router:
        """The router of `kind`, by default the one that decides, with what feedback taught it; see `Trained.router`."""
        chosen = kind or self.router_kind
        return self.learnt.router(self.trained.router(chosen), chosen)

    @property
    def router_kind(self) -> str:
        """The kind of router that decides where no other is asked for."""
        chosen = self.settings.router
        return self.trained.best if chosen == AUTO else chosen

    @cached_property
    def trained(self) -> Trained:
        """The routers that were trained, opened on first use."""
        return Trained(self)

    @cached_property
    def learnt(self) -> Learnt:
        """What feedback taught."""
        return Learnt(self)

    def ask(self, spec: str, messages: list[BaseMessage]) -> str:
        """The whole answer of a chat model, within the deadline of the settings; see `graph.spending`. Raises ModelError, InputError."""
        from llms.call import stream

        def pieces() -> Iterator[str]:
            reply = yield from stream(self.model(spec), spec, Tier.INFERIOR, messages, settings=self.settings)
            spent(reply.use)

        return "".join(pieces())

    @cached_property
    def examples_hash(self) -> str:
        """Changes whenever an example that the routers learn from does."""
        return corpus_hash(example_files(self.experts, self.settings.experts_dir), str(sorted(self.experts)))

    @cached_property
    def router_folder(self) -> Path:
        """Where the similarity router that fits the present examples is kept, whether it is there or not."""
        files = router_files(self.experts, self.settings.experts_dir)
        of = f"{RECIPE}:{self.encoder.fingerprint}:{sorted(self.experts)}"
        return fitted_folder(self) / corpus_hash(files, of)

    def documents(self, label: str) -> VectorStore | None:
        """The vectors of an expert's passages; None for any other label."""
        try:
            return self.index(label).vectors if label in self.experts else None
        except DocumentError:  # that expert says so when it is asked; the others need not wait for it
            return None

    @cached_property
    def similarity(self) -> SimilarityRouter:
        """The router of the kind `similarity`, which fits itself on first use."""
        return fitted_similarity(self)


@cache
def services() -> Services:
    """The process's services."""
    if form := settings().log:
        from graph.tracing.turnlog import set_up

        set_up(form)
    return Services()
