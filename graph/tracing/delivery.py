"""What both ways out have in common: how long an ending process waits, and how much is said when nobody takes the traces.

The libraries write a line for each try, and LangSmith's holds parts of the key.
"""

from __future__ import annotations

import logging
import re

CLOSE_S = 2.0
"""How long a process that ends waits for its last traces to be taken."""
_COMPLAINTS = ("Failed", "Transient")
MOST_CHARS = 200
_KEY = re.compile(r"(\\n|\s)*API Key: [^\s']+")


class Once(logging.Filter):
    """Lets the first complaint through, as one line in plain words, and nothing else. whom: who does not get the traces."""

    def __init__(self, whom: str) -> None:
        super().__init__()
        self._whom, self._said = whom, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        said = record.getMessage()
        if self._said or not said.startswith(_COMPLAINTS):
            return False
        self._said = True
        why = _KEY.sub("", said).splitlines()[0][:MOST_CHARS]
        record.msg, record.args = f"Traces do not reach {self._whom}; answers are not affected. {why}", ()
        return True
