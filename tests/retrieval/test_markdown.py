"""What Markdown hides, and what it shows as it stands."""

import time

import pytest

from retrieval.markdown import lines_of, without_comments


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tea <!-- say: coffee --> is hot.", "Tea  is hot."),
        ("One.\n<!-- two\n\nthree\n-->\nFour.", "One.\n\nFour."),
        ("a<!---->b<!-->c<!--->d", "abcd"),
        ("<!-- a --><!-- b -->C", "C"),
        ("Write `<!-- a -->` or ``<!--``; end it with `-->`.", None),
        ("```html\n<!-- shown -->\n```", None),
        ("<!--\n```\n-->\nTea <!-- hidden --> here.\n```\n<!-- shown -->\n```", "\nTea  here.\n```\n<!-- shown -->\n```"),
        ("```inline``` <!-- a -->B", "```inline``` B"),
        ("``` never closed\n<!-- a -->B", "``` never closed\nB"),
        ("Before.\n  <!-- never closed\nHidden.", "Before.\n  "),
        ("An arrow <!-- that nothing closes.", None),
        ("A --> B", None),
        (r"\` <!-- a --> \`", r"\`  \`"),
        ("<!-- a -->B <!-- c", "B <!-- c"),
        ("", ""),
    ],
)
def test_comments_are_not_seen_but_in_code(text, shown):
    assert without_comments(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n```sh\n# b\n```\nc", ["# b"]),
        ("~~~\n```\nb\n```\n~~~", ["```", "b", "```"]),
        ("````\n```\nb\n````  \nc", ["```", "b"]),
        ("- item\n    ```\n    b\n    ```\n  more", ["    b"]),
        ("```\n```\na", []),
        ("```\nnothing closes it\n# a", []),
        ("```not``` a fence\nb\n```\nc\n```", ["c"]),
        ("Title\n~~~~~\nText.", []),
        ("```\na\n```\nb\n```\nc\n```", ["a", "c"]),
    ],
)
def test_lines_of_code(text, code):
    assert [line for line, in_code in lines_of(text) if in_code] == code


def test_all_else_is_given_line_by_line():
    assert list(lines_of("a\n```\nb\n```\nc\n")) == [("a", False), ("", False), ("b", True), ("", False), ("c", False), ("", False)]


@pytest.mark.parametrize("text", ["```a\n", "`", "<!--", "\n<!-- ", "~~~~\n~~~\n", "`a ``b ", "-->", " \t", "`" * 9 + "\n"])
def test_long_nonsense_takes_no_time(text):
    started = time.perf_counter()
    nonsense = text * (400_000 // len(text)) + "."
    assert "".join(without_comments(nonsense).split()) in "".join(nonsense.split())
    assert len(list(lines_of(nonsense))) > 0
    assert time.perf_counter() - started < 3
