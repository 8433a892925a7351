"""Say what works, what does not, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import SwitchyardError
from ui.commands.index import contents, remedy
from ui.console import OUT, count, plain, print_json

if TYPE_CHECKING:
    from graph.services import Services

app = typer.Typer(add_completion=False, rich_markup_mode=None)
STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}
SHOWN_VERSIONS = ("langgraph", "onnxruntime", "streamlit")


@dataclass(frozen=True, slots=True)
class Finding:
    """One row. `state`: ok; note (it answers without this); problem (mend it first). `todo`: what to do, or ''."""

    area: str
    name: str
    state: str
    detail: str
    todo: str = ""


@app.command()
def doctor(json_: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Say what works, what does not, and what to do about it. Exit status 1 when there is a problem."""
    found = findings()
    problems = sum(f.state == "problem" for f in found)
    if json_:
        print_json({"ok": not problems, "findings": [asdict(f) for f in found]})
    else:
        _print(found, problems)
    if problems:
        raise typer.Exit(1)


def findings() -> list[Finding]:
    """Everything that was looked at. Where packages are missing nothing else can be."""
    found = [Finding("python", "python", "ok", platform.python_version()), *_packages()]
    if any(f.state == "problem" for f in found):
        return found
    from graph.services import Services

    try:
        shared = Services()
    except SwitchyardError as error:
        return [*found, Finding("settings", "settings", "problem", str(error))]
    looks: dict[str, Callable[[Services], Iterator[Finding]]] = {
        "encoder": _encoder,
        "experts": _experts,
        "router": _router,
        "models": _models,
        "keys": _keys,
        "artefacts": _artefacts,
        "store": _store,
    }
    for area, look in looks.items():
        try:
            found += look(shared)
        except SwitchyardError as error:
            # What several areas rest on is named once.
            if str(error) not in {one.detail for one in found}:
                found.append(Finding(area, area, "problem", str(error)))
    return found


def _packages() -> Iterator[Finding]:
    try:
        needed = [line for line in requires("switchyard") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        yield Finding("packages", "switchyard", "note", "not installed, run from its folder", "make install")
        return
    names = [match[0] for line in needed if (match := re.match(r"[\w.-]+", line))]
    missing = [name for name in names if not _installed(name)]
    if importlib.util.find_spec("faiss") is None:
        missing.append("faiss-cpu")
    for name in missing:
        yield Finding("packages", name, "problem", "not installed", "make install")
    if not missing:
        shown = ", ".join(f"{name} {version(name)}" for name in SHOWN_VERSIONS)
        yield Finding("packages", "packages", "ok", f"all {len(names) + 1} installed, among them {shown}")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _encoder(shared: Services) -> Iterator[Finding]:
    from retrieval.encoder import OnnxEncoder
    from retrieval.gpu import gpu

    yield Finding("encoder", "gpu", "ok", gpu() or "none in use: everything runs on the processor")
    encoder = shared.encoder
    if isinstance(encoder, OnnxEncoder) and not (encoder.cache_dir / encoder.fingerprint / "model.onnx").exists():
        yield Finding("encoder", shared.settings.encoder, "note", "not exported yet: done on first use", "switchyard index")
    else:
        yield Finding("encoder", shared.settings.encoder, "ok", encoder.fingerprint)


def _experts(shared: Services) -> Iterator[Finding]:
    from experts.indexes import index_state, unbuildable

    for expert in shared.experts.values():
        if fault := unbuildable(expert, shared.indexes):
            yield Finding("experts", expert.name, "problem", fault)
            continue
        state = index_state(expert, shared.encoder, shared.indexes, whole=True)
        if state == "ok":
            yield Finding("experts", expert.name, "ok", contents(shared, expert.name))
        elif state == "foreign":
            yield Finding("experts", expert.name, "problem", "its index was written by another encoder", remedy(expert.name, state))
        elif state == "stale" and shared.indexes.shared:
            detail = f"its shared index is of other documents than this machine's, and answers: {contents(shared, expert.name)}"
            yield Finding("experts", expert.name, "note", detail, remedy(expert.name, state))
        else:
            yield Finding("experts", expert.name, "note", f"index {state}: built on first use", remedy(expert.name, state))


def _router(shared: Services) -> Iterator[Finding]:
    if shared.lone:
        yield Finding("router", "none", "ok", f"not needed: every question goes to {shared.lone}")
    elif shared.router_kind != "similarity" or shared.trained.folder("similarity").exists():
        yield _opened(shared, shared.router_kind)
    elif (shared.router_folder / "about.json").exists():
        yield Finding("router", "similarity", "ok", "fitted")
    else:
        yield Finding("router", "similarity", "note", "not fitted to these examples yet: done on first use", "switchyard index")


def _opened(shared: Services, kind: str) -> Finding:
    try:
        shared.router(kind)
    except SwitchyardError as error:
        return Finding("router", kind, "problem", str(error))
    return Finding("router", kind, "ok", "trained")


def _models(shared: Services) -> Iterator[Finding]:
    from llms.prices import sees
    from llms.registry import configured

    tiers = [(tier, spec) for name in (None, *shared.experts) for tier, spec in shared.tiers(name).items()]
    for spec, reason in configured(shared.settings, *(spec for _, spec in tiers)):
        roles = ", ".join(dict.fromkeys(str(tier) for tier, chosen in tiers if chosen == spec))
        if reason is None:
            yield Finding("models", spec, "ok", f"{roles or 'usable'}{', sees pictures' if sees(spec, shared.settings.home) else ''}")
        elif roles or spec == shared.settings.general:
            yield Finding("models", spec, "problem", f"{roles or 'general'}: {reason}")


def _keys(shared: Services) -> Iterator[Finding]:
    from core.settings import PROVIDER_KEYS

    for provider, name in PROVIDER_KEYS.items():
        if shared.settings.key(provider):
            yield Finding("keys", name, "ok", "set")
        else:
            yield Finding("keys", name, "note", f"not set: no {provider} models", f"to use them, put {name} into .env")


def _artefacts(shared: Services) -> Iterator[Finding]:
    from graph.promise import broken_promise
    from llms.prices import read_prices

    for name in ("policy", "confidence", "reader", "difficulty", "recommender"):
        try:
            found = getattr(shared, name)
            if found is None:  # none is trained, and none is needed
                continue
            if name == "reader":  # it opens nothing before it reads
                found.open()
        except SwitchyardError as error:
            yield Finding("artefacts", name, "problem", str(error))
        else:
            yield Finding("artefacts", name, "ok", "read")
    if (prices := shared.settings.home / "prices.toml").exists():
        read_prices(prices)  # what it raises is a finding: without a hosted model nobody would notice
        yield Finding("artefacts", "prices", "ok", "read")
    if broken := broken_promise(shared):
        yield Finding("artefacts", "policy", "note", broken)


def _store(shared: Services) -> Iterator[Finding]:
    home = shared.settings.home
    url = shared.engine.url.render_as_string(hide_password=True)
    yield Finding("store", "database", "ok", url)
    if shared.settings.qdrant_url:
        yield _qdrant(shared.settings.qdrant_url, shared)
    writable = os.access(home, os.W_OK)
    todo = "" if writable else "set SWITCHYARD_HOME to a folder that can be written"
    yield Finding("store", "home", "ok" if writable else "problem", str(home.resolve()), todo)


def _qdrant(url: str, shared: Services) -> Finding:
    from retrieval.qdrant_indexes import QdrantIndexes

    assert isinstance(shared.indexes, QdrantIndexes)
    try:
        return Finding("store", "vectors", "ok", f"{url}: {shared.indexes.server()}")
    except SwitchyardError as error:
        return Finding("store", "vectors", "problem", str(error))


def _print(found: list[Finding], problems: int) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for column in ("state", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column("detail", overflow="fold")
    area = ""
    for f in found:
        if f.area != area:
            table.add_row(Text(f.area, style="bold"))
            area = f.area
        detail = Text(plain(f.detail))
        if f.todo:
            detail.append(f"\n→ {plain(f.todo)}", style="cyan")
        table.add_row(Text(f"  {f.state}", style=STYLES[f.state]), Text(f.name), detail)
    OUT.print(table)
    OUT.print()
    if problems:
        OUT.print(f"{count(problems, 'problem')} to mend first.", style=STYLES["problem"])
    else:
        OUT.print("Ready. Ask away: switchyard chat in the terminal, switchyard ui in the browser.", style=STYLES["ok"])
