"""Make a new expert's folder from documents, whole or not at all."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import DocumentError, InputError
from experts.discovery import Expert, Item, check_name, load_expert, read_csv
from retrieval.loaders import LOADERS, corpus_files, load_files

_COLUMNS = ("question", "answer", "key", "document", "split")
_PROMPT = """You are the {title} expert of an assistant that answers from its own documents.

Answer the question in the first sentence, then add only what helps. Two to five sentences, plain words.
"""
_README = """# {title}

{description}

- Documents: {documents}, from {docs}
- Questions: {questions}
- Measured: not yet. Run `switchyard expert check {name}`, then `switchyard eval retrieval`.
"""


def create_expert(
    experts: Path, name: str, docs: Path, *, questions: Path | None = None, title: str | None = None, description: str | None = None
) -> Expert:
    """Copy the documents in `docs` (a folder or one file) into `experts/name` and write what else an expert needs.

    Raises InputError for a name that is taken or cannot be used or when there is nothing to read, DocumentError naming the files that
    cannot be read; then nothing is left behind.
    """
    check_name(name)
    if (experts / name).exists():
        raise _taken(experts / name)
    title = title or name.replace("-", " ").replace("_", " ").capitalize()
    description = description or f"Questions about {title.lower()}."
    items = _items(questions)
    try:
        experts.mkdir(parents=True, exist_ok=True)
        # Two levels deep, where no search for experts finds it before it is whole.
        with TemporaryDirectory(prefix=".new-", dir=experts) as staging:
            folder, (root, files) = Path(staging) / name, _files(docs)
            # Read where they are: what cannot be read is named there, not by a copy's path.
            documents = len(load_files(files, root))
            if not documents:
                raise InputError(f"Expected documents with text in {docs}; all of them are empty.")
            _copy(files, root, folder / "corpus")
            card = "".join(f"{key} = {_toml(value)}\n" for key, value in (("name", name), ("title", title), ("description", description)))
            (folder / "expert.toml").write_text(card, encoding="utf-8")
            (folder / "prompt.md").write_text(_PROMPT.format(title=title), encoding="utf-8")
            _write_csv(folder / "questions.csv", _COLUMNS, [tuple(getattr(item, c) for c in _COLUMNS) for item in items])
            _write_csv(folder / "utterances.csv", ("text", "split"), [(item.question, item.split) for item in items])
            about = {"name": name, "title": title, "description": description, "documents": documents, "docs": docs.name}
            (folder / "README.md").write_text(_README.format(**about, questions=len(items)), encoding="utf-8")
            load_expert(folder)
            folder.replace(experts / name)
    except OSError as error:
        if (experts / name).exists():  # another process was quicker
            raise _taken(experts / name) from None
        raise InputError(f"Cannot write {experts / name}: {error.strerror}. Set SWITCHYARD_EXPERTS to a writable folder.") from None
    return load_expert(experts / name)


def _taken(folder: Path) -> InputError:
    unfinished = f"if it was stopped before its index was built, run: switchyard index {folder.name}"
    return InputError(f"{folder} exists already: choose another name, or remove the folder first; {unfinished}")


def _items(questions: Path | None) -> list[Item]:
    if questions is None:
        return []
    if not questions.is_file():
        raise InputError(f"Expected a CSV file of questions at {questions}; found none.")
    try:
        return [Item(**row) for row in read_csv(questions, _COLUMNS)]
    except DocumentError as error:
        raise InputError(f"{error} Bring it into this form with: switchyard data prepare {questions}") from None


def _files(docs: Path) -> tuple[Path, list[Path]]:
    """The folder of the documents, and the files in it that a loader reads. Raises InputError when there are none."""
    files = [docs] if docs.is_file() and docs.suffix.lower() in LOADERS else corpus_files(docs)
    if not files:
        found = "found none of them. Name another folder" if docs.exists() else "there is no such file or folder. Name one that exists"
        raise InputError(f"Expected documents in {docs} ({', '.join(sorted(LOADERS))}); {found}.")
    return docs.parent if docs.is_file() else docs, files


def _copy(files: Sequence[Path], root: Path, corpus: Path) -> None:
    """Copy the files, keeping their places below `root`."""
    for path in files:
        target = corpus / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def _toml(text: str) -> str:
    # JSON's strings are TOML's, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
