"""Documents to passages, passages to vectors, questions to hits. Knows nothing of experts: the caller hands it documents."""

import os

# ONNX Runtime reports its use to its maker unless it is told not to before it is loaded. Every model here is opened by this package.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
