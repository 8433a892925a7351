"""No cache grows without end: this lists them all."""

import importlib
import inspect
import pkgutil
from functools import _lru_cache_wrapper

from retrieval.onnx_text import KEPT as VECTORS_KEPT
from retrieval.reader import KEPT as READINGS_KEPT
from retrieval.reader import RANKED, Reader

SERVING = ["core", "store", "retrieval", "llms", "experts", "graph", "server"]
LIMITS = {
    "retrieval.text.stem": 65_536,
    "retrieval.text.terms": 2_048,
    "graph.faithful._numbers": 512,
    "llms.finetuned._read": 2,
    "retrieval.tokens._opened": 4,
    "graph.routers.saved._parsed": 2,
}
ONE_A_PROCESS = {
    "graph.api.compiled", "graph.api.without_memory", "store.engine.engine", "retrieval.encoder._opened", "graph.tracing.langsmith.guard",
}  # fmt: skip
"""Without a limit: their keys are a process's services, databases and model files, nothing that a question brings."""


def cached_functions():
    """(name, function) of every cached function on the serving path."""
    for package in SERVING:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, _lru_cache_wrapper) and value.__module__ == module.name:
                    yield f"{module.name}.{name}", value


def test_a_cached_function_with_arguments_has_a_limit_or_is_one_a_process():
    taking = {name: each.cache_parameters()["maxsize"] for name, each in cached_functions() if inspect.signature(each).parameters}
    assert {name: most for name, most in taking.items() if most is not None} == LIMITS
    assert {name for name, most in taking.items() if most is None} == ONE_A_PROCESS


def test_vectors_and_readings_are_kept_up_to_a_limit(minilm, encoder, tmp_path):
    assert (minilm._model._kept.cache_parameters()["maxsize"], VECTORS_KEPT) == (256, 256)
    reader = Reader(tmp_path, encoder)
    assert (reader._kept.cache_parameters()["maxsize"], READINGS_KEPT) == (512, 512)
    assert (reader._ranked.cache_parameters()["maxsize"], RANKED) == (16, 16)
