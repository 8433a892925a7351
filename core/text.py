"""Text from outside, which people, documents and models write, and numbers in words."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_CELL = 2**24
"""Characters of a cell of CSV: a book fits. A quote that is not closed takes no more."""
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_LONE = re.compile("[\ud800-\udfff]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters: a terminal obeys them
    "\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"  # nothing that is drawn
    "\u2028-\u202e"  # turn the order of what stands beside them round
    "\ud800-\udfff"  # halves of characters, which UTF-8 cannot hold
    "\U000e0000-\U000e0fff]"  # a second alphabet that nobody sees and models read
)


def plain(text: str) -> str:
    """The text without what nobody sees, every end of a line a newline: it steers no terminal and hides no words from its reader."""
    return _UNSEEN.sub("", _LINE_END.sub("\n", text))


def has_lone_surrogate(text: str) -> bool:
    """Whether it holds half a character, as JSON may write one: UTF-8 cannot, and neither files nor tokenizers take it."""
    return bool(_LONE.search(text))


def csv_separator(heading: str) -> str:
    """What separates the columns of a CSV file with this first line: spreadsheets write commas, semicolons or tabs."""
    return max(",;\t", key=heading.count)


def count(n: int, noun: str) -> str:
    """`1 document`, `1,200 documents`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON that keeps every character; those that nobody sees are written as escapes."""
    return _UNSEEN.sub(lambda unseen: json.dumps(unseen[0])[1:-1], json.dumps(value, ensure_ascii=False, indent=indent))


def loads(text: str | bytes) -> Any:
    """JSON that somebody else wrote. Raises json.JSONDecodeError for whatever is wrong with it; its msg says what."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        reason = "a number of too many digits"
    raise json.JSONDecodeError(reason, "", 0)
