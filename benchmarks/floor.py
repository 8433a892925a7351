"""How near the encoding of a question comes to what this processor can do.

Usage: python -m benchmarks.floor [--short] [--json] [--report DIR]

Two limits, both measured here on one thread: the operations of the matrix products over the int8 rate of one large product, and the bytes
of their weights over the bandwidth with which as many bytes are read again and again, which is how they stay in the processor's cache
between questions. No way of running the model on this processor beats the larger of the two; tokenising, normalisation, softmax and the
passing of data from one to the next come on top. Beside it the same weights as torch exports them, int8 too (not in the short form).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import numpy as np

from benchmarks.measured import Measured, Row, Target, parser, run, spread, timed
from core.settings import settings
from experts.discovery import discover
from retrieval.encoder import MAX_TOKENS, TOKENIZER, OnnxEncoder, exported_model, packaged_model
from retrieval.export import to_int8, trace
from retrieval.onnx_bank import IR_VERSION, OPSET
from retrieval.onnx_text import OnnxText, open_session

QUESTIONS, SHORT = 400, 40
ROWS, SIDE = 512, 1536
"""Of the large product: as long as a passage, as wide as the model's widest layer."""
REPEATS = 40
TIMES_FLOOR = 3.0


def main() -> None:
    """Measure and print."""
    chosen = parser(__doc__).parse_args()
    run("benchmarks.floor", chosen, lambda: measure(SHORT if chosen.short else QUESTIONS, short=chosen.short))


def measure(n: int, *, short: bool) -> Measured:
    """The limits, and the encoder beside them."""
    encoder = OnnxEncoder(settings().indexes_dir.resolve() / ".encoder")
    questions = [i.question for e in discover(settings().experts_dir).values() for i in e.questions("test")][:n]
    weights = weights_of(exported_model(encoder.cache_dir / encoder.fingerprint, encoder.precision))
    length = tokens(questions)
    # Of attention, each token's product with every other, twice, in all layers, is a hundredth of the rest at this length.
    operations, rate, bandwidth = 2 * weights * length, int8_rate(), read_rate(weights)
    by_operations, by_bytes = operations / rate, weights / bandwidth
    sides: list[Callable[[str], object]] = [lambda q: encoder.encode([q])]
    if not short:
        text = traced()
        sides.append(lambda q: text.vectors([q]))
    timed(lambda q: [side(q) for side in sides], ["The first question loads the model."])
    # In turn, so that whatever else the machine does slows both.
    encoded, *others = (spread(each) for each in zip(*([timed(side, [q])[0] for side in sides] for q in questions), strict=True))
    floor = max(by_operations, by_bytes)
    rows = [
        Row("encoding a question", {"tokens": length}, encoded),
        *(Row("the same, traced by torch", {}, other, baseline=True) for other in others),
        Row(
            "limit by operations",
            {"giga-operations": operations / 1e9, "per second": rate / 1e9},
            {"p50": by_operations * 1000},
            baseline=True,
        ),
        Row("limit by bytes", {"MB": weights / 1e6, "GB per second": bandwidth / 1e9}, {"p50": by_bytes * 1000}, baseline=True),
    ]
    times = encoded["p50"] / (floor * 1000)
    return Measured("floor", len(questions), rows, [Target("encoding, times its physical floor", times, TIMES_FLOOR)])


def traced() -> OnnxText:
    """The model as torch exports it."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw, small = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        trace(packaged_model(), raw)
        to_int8(raw, small)
        return OnnxText(small, packaged_model() / TOKENIZER, max_tokens=MAX_TOKENS)


def weights_of(model: Path) -> int:
    """Weights of the model's int8 products, a byte each."""
    import onnx

    graph = onnx.load(model).graph
    used = {node.input[1] for node in graph.node if node.op_type == "MatMulInteger"}
    return sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.name in used)


def tokens(questions: list[str]) -> float:
    """Of a question, on average."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(packaged_model() / TOKENIZER))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return float(np.mean([len(tokenizer.encode(question).ids) for question in questions]))


def int8_rate() -> float:
    """Operations a second of one large int8 product in ONNX Runtime, the best of REPEATS."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.integers(-127, 128, (SIDE, SIDE), np.int8), "weights")
    rows = helper.make_tensor_value_info("rows", TensorProto.UINT8, [ROWS, SIDE])
    product = helper.make_tensor_value_info("product", TensorProto.INT32, [ROWS, SIDE])
    multiply = helper.make_node("MatMulInteger", ["rows", "weights"], ["product"])
    graph = helper.make_graph([multiply], "product", [rows], [product], [weights])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), path)
        session = open_session(path)
    given = {"rows": rng.integers(0, 256, (ROWS, SIDE), np.uint8)}
    return 2 * ROWS * SIDE * SIDE / min(timed(lambda _: session.run(None, given), range(REPEATS)))


def read_rate(size: int) -> float:
    """Bytes a second with which so many are read again, the best of REPEATS."""
    words = np.ones(size // 8, np.int64)
    return size / min(timed(lambda _: words.sum(), range(REPEATS)))


if __name__ == "__main__":
    main()
