"""Documents from files: Markdown with front matter, text, HTML, PDF, CSV and JSONL."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import DocumentError

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `whole` asks the chunker to keep it as one passage under its own id (JSONL corpora)."""

    id: str
    title: str
    text: str
    source: str = ""
    whole: bool = False


def load_folder(folder: Path) -> list[Document]:
    """Every document below `folder`, ordered by path. Raises DocumentError naming the file that cannot be read."""
    if not folder.is_dir():
        raise DocumentError(f"Expected a folder of documents at {folder}; found none.")
    found = [doc for path in corpus_files(folder) for doc in load_file(path, folder)]
    seen: set[str] = set()
    for doc in found:
        if doc.id in seen:
            raise DocumentError(f"Two documents in {folder} are called {doc.id!r}: rename one.")
        seen.add(doc.id)
    return found


def corpus_files(folder: Path) -> list[Path]:
    """The files below `folder` that a loader reads, hidden ones left out."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in LOADERS and not p.name.startswith("."))


def load_file(path: Path, root: Path | None = None) -> list[Document]:
    """The documents of one file. Raises DocumentError with the file's name and what was expected."""
    name = path.relative_to(root).with_suffix("").as_posix() if root else path.stem
    loader = LOADERS.get(path.suffix.lower())
    if loader is None:
        raise DocumentError(f"{path}: no loader for {path.suffix!r}. Known: {', '.join(sorted(LOADERS))}.")
    try:
        return [doc for doc in loader(path, name) if doc.text.strip()]
    except DocumentError:
        raise
    except UnicodeDecodeError:
        raise DocumentError(f"{path}: expected UTF-8 text. Convert it, or move it out of the corpus.") from None
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DocumentError(f"{path} cannot be read: {str(error).splitlines()[0]}. Mend it, or move it out of the corpus.") from None


def _markdown(path: Path, name: str) -> Iterator[Document]:
    text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    meta: dict[str, Any] = {}
    if match := _FRONT_MATTER.match(text):
        import yaml

        try:
            loaded = yaml.safe_load(match[1])
        except yaml.YAMLError as error:
            raise DocumentError(f"{path}: the front matter is not valid YAML: {str(error).splitlines()[0]}.") from None
        if not isinstance(loaded, dict):
            raise DocumentError(f"{path}: expected front matter of the form 'title: ...'.")
        meta, text = loaded, match[2]
    sources = meta.get("sources") or []
    joined = sources if isinstance(sources, str) else "; ".join(str(s) for s in sources)
    yield Document(name, str(meta.get("title") or _heading(text) or _spoken(name)), text, joined)


def _text(path: Path, name: str) -> Iterator[Document]:
    yield Document(name, _spoken(name), path.read_text(encoding="utf-8-sig"), path.name)


def _html(path: Path, name: str) -> Iterator[Document]:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(path.read_bytes(), "html.parser")
    for tag in soup(["script", "style", "nav", "header", "footer", "noscript", "template"]):
        tag.decompose()
    title = soup.title.get_text(strip=True) if soup.title else ""
    for level in (1, 2, 3):
        for heading in soup.find_all(f"h{level}"):
            heading.string = f"\n\n{'#' * level} {heading.get_text(' ', strip=True)}\n\n"
    for block in soup.find_all(["p", "li", "div", "section", "article", "br", "tr"]):
        block.append("\n\n")
    yield Document(name, title or _spoken(name), soup.get_text(), path.name)


def _pdf(path: Path, name: str) -> Iterator[Document]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        pages = [page.extract_text() for page in reader.pages]
        title = str(reader.metadata.title) if reader.metadata and reader.metadata.title else _spoken(name)
    except PyPdfError as error:
        raise DocumentError(f"{path}: expected a readable PDF: {error}. Mend it, or move it out of the corpus.") from None
    if not any(page.strip() for page in pages):
        raise DocumentError(f"{path}: this PDF holds no text (a scan?). Run OCR on it, or move it out of the corpus.")
    # A line break inside a PDF's paragraph is layout, not meaning.
    yield Document(name, title, "\n\n".join(re.sub(r"(?<!\n)\n(?!\n)", " ", page) for page in pages), path.name)


def _csv(path: Path, name: str) -> Iterator[Document]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for n, row in enumerate(csv.DictReader(file), 1):
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
            row = json.loads(line)
            if not isinstance(row, dict) or "text" not in row:
                raise DocumentError(f'{path}, line {n}: expected {{"_id","title","text"}}.')
            ident = str(row.get("_id", row.get("id", f"{name}/{n}")))
            yield Document(ident, str(row.get("title") or ""), str(row["text"]), str(row.get("source") or path.name), whole=True)


def _heading(text: str) -> str:
    match = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
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
