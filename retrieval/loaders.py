"""Documents from files: Markdown with front matter, text, HTML, PDF, CSV and JSONL."""

from __future__ import annotations

import csv
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import DocumentError
from core.text import LONGEST_CELL, count, csv_separator, loads, plain
from retrieval.markdown import lines_of, without_comments

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n(.*))?\Z", re.DOTALL | re.MULTILINE)
_PARTS, _EDGES = ["article", "main", "section"], ["header", "footer"]
_BLOCKS = [*_PARTS, *_EDGES, "p", "li", "dt", "dd", "div", "blockquote", "pre", "table", "tr", "caption", "figcaption", "br"]

_NAMED = 10
"""So many files that cannot be read are named."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `whole` asks the chunker to keep it as one passage under its own id (JSONL corpora)."""

    id: str
    title: str
    text: str
    source: str = ""
    whole: bool = False


def load_folder(folder: Path) -> list[Document]:
    """Every document below `folder`, ordered by path. Raises DocumentError naming the files that cannot be read."""
    if not folder.is_dir():
        raise DocumentError(f"Expected a folder of documents at {folder}; found none.")
    return load_files(corpus_files(folder), folder)


def load_files(paths: Sequence[Path], folder: Path) -> list[Document]:
    """The documents of some files below `folder`. Raises DocumentError naming those that cannot be read."""
    found: list[tuple[Path, Document]] = []
    faults: list[str] = []
    for path in paths:
        try:
            found += [(path, doc) for doc in load_file(path, folder)]
        except DocumentError as error:
            faults.append(str(error))
    if faults:
        more = len(faults) - _NAMED
        raise DocumentError(" ".join(faults[:_NAMED]) + (f" And {count(more, 'more file')} cannot be read." if more > 0 else ""))
    seen: dict[str, Path] = {}
    for path, doc in found:
        if other := seen.get(doc.id):
            where = f"{other}, and {path}" if other != path else f"both in {path}"
            raise DocumentError(f"Two documents are called {doc.id!r}: {where}. Rename one.")
        seen[doc.id] = path
    return [doc for _, doc in found]


def corpus_files(folder: Path) -> list[Path]:
    """The files below `folder` that a loader reads, hidden ones and those in hidden folders left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in LOADERS and not path.is_dir() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def load_file(path: Path, root: Path | None = None) -> list[Document]:
    """The documents of one file. Raises DocumentError with the file's name and what was expected."""
    name = path.relative_to(root).with_suffix("").as_posix() if root else path.stem
    loader = LOADERS.get(path.suffix.lower())
    if loader is None:
        raise DocumentError(f"{path}: no loader for {path.suffix!r}. Known: {', '.join(sorted(LOADERS))}.")
    try:
        return [_sound(doc) for doc in loader(path, name) if doc.text.strip()]
    except UnicodeDecodeError:
        raise DocumentError(f"{path}: expected UTF-8 text. Convert it, or move it out of the corpus.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise DocumentError(f"{path} cannot be read: {_reason(error)}. Mend it, or move it out of the corpus.") from None


def _markdown(path: Path, name: str) -> Iterator[Document]:
    text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    meta: dict[str, Any] = {}
    if match := _FRONT_MATTER.match(text):
        import yaml

        try:
            loaded = yaml.safe_load(match[1])
        except (yaml.YAMLError, RecursionError) as error:
            raise DocumentError(f"{path}: the front matter is not valid YAML: {_reason(error)}. Mend it.") from None
        if not isinstance(loaded, dict | None):
            raise DocumentError(f"{path}: expected front matter of the form 'title: ...'; got {match[1].strip().splitlines()[0]!r}.")
        meta, text = loaded or {}, match[2] or ""
    text = without_comments(text)
    sources = meta.get("sources") or []
    joined = "; ".join(str(s) for s in sources) if isinstance(sources, list) else str(sources)
    yield Document(name, str(meta.get("title") or _heading(text) or _spoken(name)), text, joined)


def _text(path: Path, name: str) -> Iterator[Document]:
    yield Document(name, _spoken(name), path.read_text(encoding="utf-8-sig"), path.name)


def _html(path: Path, name: str) -> Iterator[Document]:
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It warns of XHTML and of text that looks like a file's name.
            soup = BeautifulSoup(path.read_bytes(), "html.parser")
    except ParserRejectedMarkup as error:
        raise DocumentError(f"{path}: expected HTML: {_reason(error)}. Mend it, or move it out of the corpus.") from None
    title = soup.title.get_text(strip=True) if soup.title else ""
    for tag in soup(["title", "script", "style", "nav", "noscript", "template"]):
        tag.decompose()
    for tag in soup(_EDGES):
        if not tag.find_parent(_PARTS):  # the page's; an article's own says what it is about
            tag.decompose()
    for level in range(1, 7):
        for heading in soup.find_all(f"h{level}"):
            heading.string = f"\n\n{'#' * level} {heading.get_text(' ', strip=True)}\n\n"
    for block in soup.find_all(_BLOCKS):
        block.insert(0, "\n\n")
        block.append("\n\n")
    for cell in soup.find_all(["td", "th"]):
        cell.append(" ")
    yield Document(name, title or _spoken(name), soup.get_text(), path.name)


def _pdf(path: Path, name: str) -> Iterator[Document]:
    from pypdf import PdfReader

    # What it has to say of a damaged file would stand beside our one line, or beside nothing where the file can be read all the same.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(path)
        pages = [page.extract_text() for page in reader.pages]
        title = str(reader.metadata.title) if reader.metadata and reader.metadata.title else _spoken(name)
    except Exception as error:  # A damaged file makes pypdf raise whatever it stumbles over.
        raise DocumentError(f"{path}: expected a readable PDF: {_reason(error)}. Mend it, or move it out of the corpus.") from None
    if not any(page.strip() for page in pages):
        raise DocumentError(f"{path}: this PDF holds no text (a scan?). Run OCR on it, or move it out of the corpus.")
    # A line break inside a PDF's paragraph is layout, not meaning.
    yield Document(name, title, "\n\n".join(re.sub(r"(?<!\n)\n(?!\n)", " ", page) for page in pages), path.name)


def _csv(path: Path, name: str) -> Iterator[Document]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        separator = csv_separator(file.readline())
        file.seek(0)
        reader = csv.DictReader(file, delimiter=separator)
        for n, row in enumerate(reader, 1):
            if more := row.get(None):
                columns = len(reader.fieldnames or ())
                raise DocumentError(
                    f"{path}, row {n}: expected {columns} cells, got {columns + len(more)}: put a text with {separator!r} into quotes."
                )
            cells = {k: v for k, v in row.items() if k and v}
            title = cells.pop("title", None) or f"{_spoken(name)}, row {n}"
            ident, source = cells.pop("id", None) or cells.pop("_id", None) or str(n), cells.pop("source", path.name)
            text = cells.get("text") or ". ".join(f"{k}: {v}" for k, v in cells.items())
            yield Document(f"{name}/{ident}", title, text, source)


def _jsonl(path: Path, name: str) -> Iterator[Document]:
    with path.open(encoding="utf-8-sig") as file:
        for n, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = loads(line)
            except json.JSONDecodeError as error:
                raise DocumentError(f"{path}, line {n}: expected JSON: {error.msg}. Mend it, or take the line out.") from None
            if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                fault = "'text' is no text" if "text" in row else "'text' is missing"
                raise DocumentError(f'{path}, line {n}: expected {{"_id","title","text"}}; {fault}.')
            ident = str(row.get("_id", row.get("id", f"{name}/{n}")))
            yield Document(ident, str(row.get("title") or ""), row["text"], str(row.get("source") or path.name), whole=True)


def _sound(doc: Document) -> Document:
    """Without what a reader does not see and a model would: hidden words must not enter the passages."""
    fields = (doc.id, doc.title, doc.text, doc.source)
    # Halves of surrogate pairs, which names of files can hold, become question marks: two names stay two.
    ident, title, text, source = (plain(field.encode("utf-8", "replace").decode()) for field in fields)
    return replace(doc, id=ident, title=title, text=text, source=source)


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _heading(text: str) -> str:
    match = next((m for line, code in lines_of(text) if not code and (m := re.match(r"#\s+(.+)$", line))), None)
    return match[1].strip() if match else ""


def _spoken(name: str) -> str:
    return name.rsplit("/", 1)[-1].replace("-", " ").replace("_", " ").capitalize()


LOADERS: dict[str, Callable[[Path, str], Iterator[Document]]] = {
    ".md": _markdown,
    ".txt": _text,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
