import pytest

from core.types import Passage
from tests.graph.tiny_bert import make
from training.reader.data import Example

FRUITS = ["apples", "pears", "plums", "cherries", "figs", "dates", "grapes", "limes"]


def passage(n, text):
    return Passage(f"p{n}", "", text, "", f"p{n}")


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """A tiny BERT's folder."""
    return make(tmp_path_factory.mktemp("bert"), ["where", "grow", "here", "are", "some", ".", *FRUITS])


@pytest.fixture
def rows():
    """A question about each fruit, its passage, and another fruit's as the wrong one."""
    passages = [passage(n, f"here are some {fruit}.") for n, fruit in enumerate(FRUITS)]
    return [Example(f"where grow {fruit}", passages[n], (), (passages[n - 1],)) for n, fruit in enumerate(FRUITS)]
