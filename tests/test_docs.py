"""The documents are true: their commands run, their links lead somewhere, and what they list is what there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from core.settings import _FROM_ENV, BASE_URLS, PROVIDER_KEYS, ROOT, Settings
from experts.discovery import discover
from graph.confidence import AFTER, BEFORE
from graph.outcomes import DEPTH, ROUNDS
from graph.policy import Policy, load_policy
from graph.prompt_features import STRUCTURE
from graph.routers.transformer import PROTOTYPES
from graph.services import Services
from retrieval.ranking import FEATURES
from tests.ui.conftest import forget, point_at
from ui.cli import COMMANDS, main

GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CARDS = [*sorted(ROOT.glob("experts/*/README.md")), *sorted(ROOT.glob("artifacts/**/README.md")), ROOT / "CONTRIBUTING.md"]
EXPERTS = discover(ROOT / "experts")
VERBS = {path.stem for path in COMMANDS.glob("[a-z]*.py")}
BLOCK = re.compile(r"(?P<not_run><!-- not run: .+? -->\n+)?^```(?P<language>\w*)(?: file=(?P<file>\S+))?\n(?P<body>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATHS = re.compile(r"(?<![\w.~-])/(?:work|root|tmp|home/\w+|Users/\w+)/")
WRITES = ("switchyard expert new", "switchyard train reader", "switchyard train confidence", "switchyard index --force")
"""Commands that change the shipped files: a guide that is run on those must mark them as not run."""
WORDS = {"target", "data", "guarantee", "confidence"}
"""What of the policy is no threshold."""
HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.org|index[-]url|artifactor[y]|://[\w.-]*nexu[s]")


@dataclass(frozen=True)
class Block:
    """A fenced block. `file`: where its text goes before the commands below it run."""

    language: str
    file: str | None
    body: str
    not_run: bool

    @property
    def commands(self) -> list[str]:
        return [line[2:] for line in self.body.splitlines() if line.startswith("$ ")] if self.language == "console" else []


def blocks(path: Path) -> list[Block]:
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [Block(m["language"], m["file"], m["body"], m["not_run"] is not None) for m in found]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    return BLOCK.sub("", path.read_text(encoding="utf-8"))


def rows(path: Path, heading: str) -> dict[str, str]:
    """First cell -> second cell of the table below a heading."""
    section = prose(path).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {cell[0].strip("`"): cell[1].strip() for cell in cells[1:]}


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_experts: Settings) -> Callable[[Path], None]:
    """`at(guide)`: where a reader of the guide stands. The one that makes an expert makes it beside the small ones."""

    def go(guide: Path) -> None:
        if guide.name == "own-expert.md":
            point_at(monkeypatch, own_experts)  # type: ignore[no-untyped-call]
            monkeypatch.chdir(own_experts.experts_dir.parent)
        elif guide.name == "README.md":
            # What `make chat` has done, with which it begins.
            assert main(["index"]) == 0
        monkeypatch.setenv("SWITCHYARD_HOME", str(tmp_path / "home"))

    return go


@pytest.mark.parametrize("guide", GUIDES, ids=named)
def test_commands_do_what_the_guide_says(guide: Path, at: Callable[[Path], None], capsys: pytest.CaptureFixture[str]) -> None:
    at(guide)
    for block in blocks(guide):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.body, encoding="utf-8")
        for command in block.commands:
            if command.startswith("switchyard ") and not block.not_run:
                assert guide.name == "own-expert.md" or not command.startswith(WRITES), f"mark the block as not run: $ {command}"
                forget()  # type: ignore[no-untyped-call]
                status = main(shlex.split(command)[1:])
                said = capsys.readouterr()
                assert status == 0, f"$ {command}\n{said.out}{said.err}"


@pytest.mark.parametrize("n", range(len([b for b in blocks(GUIDES[0]) if b.language == "python"])))
def test_the_readmes_python_runs(n: int, tmp_path: Path) -> None:
    code = [b.body for b in blocks(GUIDES[0]) if b.language == "python"][n]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "SWITCHYARD_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [*GUIDES, *CARDS], ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    dead = [link for link in LINK.findall(prose(path)) if "://" not in link and not leads(path, link)]
    assert dead == []


def leads(path: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (path.parent / file) if file else path
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def mentioned(path: Path) -> Iterator[tuple[str, str]]:
    """(verb, second word or '') of every `switchyard <verb>` in a document."""
    return (m.groups() for m in re.finditer(r"(?<![\w.-])switchyard ([a-z]+)(?: ([a-z]+))?", path.read_text(encoding="utf-8")))  # type: ignore[misc]


@pytest.mark.parametrize("path", [*GUIDES, *CARDS, ROOT / ".env.example", ROOT / "artifacts" / "policy.toml"], ids=named)
def test_every_verb_that_is_named_exists(path: Path) -> None:
    for verb, second in mentioned(path):
        assert verb in VERBS
        below = getattr(get_command(import_module(f"ui.commands.{verb}").app), "commands", None)
        assert not below or not second or second in below, f"switchyard {verb} {second}"


def test_the_readme_names_every_verb() -> None:
    assert {verb for verb, _ in mentioned(ROOT / "README.md")} == VERBS


@pytest.mark.parametrize("path", [*GUIDES, *CARDS], ids=named)
def test_every_target_of_make_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    asked = {shlex.split(c)[1] for block in blocks(path) for c in block.commands if c.startswith("make ")}
    assert asked <= targets


def test_the_example_of_env_names_every_setting_and_no_other() -> None:
    listed = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M)
    tracing = ["LANGSMITH_TRACING", "LANGSMITH_API_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT"]  # which their libraries read themselves
    assert sorted(listed) == sorted([*_FROM_ENV, *PROVIDER_KEYS.values(), *BASE_URLS.values(), *tracing])


def test_the_thresholds_are_the_policys() -> None:
    policy = load_policy(Path("none"), ROOT / "artifacts").model_dump(exclude=WORDS)
    listed = rows(ROOT / "docs" / "how-it-decides.md", "Thresholds")
    assert {name: float(value) for name, value in listed.items()} == policy
    assert set(policy) == set(Policy.model_fields) - WORDS


def test_the_signals_are_the_confidences() -> None:
    listed = rows(ROOT / "docs" / "how-it-decides.md", "Confidence")
    assert tuple(listed) == AFTER
    assert tuple(name for name, known in listed.items() if known.startswith("before")) == BEFORE


@pytest.mark.parametrize("name", ["reader", "confidence"])
def test_a_model_card_holds_the_numbers_of_its_weights(name: str) -> None:
    folder = ROOT / "artifacts" / name
    numbers = json.loads((folder / "weights.json").read_text(encoding="utf-8"))["numbers"]
    assert {k: float(v) for k, v in rows(folder / "README.md", "Numbers").items()} == numbers


def test_the_card_of_difficulty_holds_its_numbers_and_its_make() -> None:
    folder = ROOT / "artifacts" / "difficulty"
    about, words = json.loads((folder / "about.json").read_text(encoding="utf-8")), (folder / "README.md").read_text(encoding="utf-8")
    assert {k: float(v) for k, v in rows(folder / "README.md", "Numbers").items() if k in about["metrics"]} == about["metrics"]
    assert f"kind `{about['difficulty']}`" in words
    assert f"{ROUNDS} gradient-boosted trees of depth {DEPTH} on {len(STRUCTURE)} features" in words
    assert about["trained_on"]["rows"] == 7_084 + 663


def test_the_card_of_the_transformer_holds_its_numbers_and_its_make() -> None:
    folder = ROOT / "artifacts" / "routers" / "transformer"
    about, words = json.loads((folder / "about.json").read_text(encoding="utf-8")), (folder / "README.md").read_text(encoding="utf-8")
    assert rows(folder / "README.md", "Numbers") == {name: f"{value:.3g}" for name, value in about["metrics"].items()}
    settings = about["settings"]
    assert f"{PROTOTYPES} prototypes a label while it is trained, {settings['epochs']} epochs" in words
    assert f"(blend {settings['blend']})" in words
    assert f"{len(about['texts']):,} examples vote" in words
    assert f"{about['rows']:,} rows" in words


def test_the_shipped_transformer_has_learnt_the_examples_that_ship() -> None:
    about = json.loads((ROOT / "artifacts" / "routers" / "transformer" / "about.json").read_text(encoding="utf-8"))
    assert about["examples"] == Services(Settings()).examples_hash


def test_the_model_cards_count_their_inputs() -> None:
    assert f"linear, {len(FEATURES)} features" in (ROOT / "artifacts" / "reader" / "README.md").read_text(encoding="utf-8")
    words = (ROOT / "artifacts" / "confidence" / "README.md").read_text(encoding="utf-8")
    assert f"the {len(BEFORE)} signals known before" in words
    assert f"`after` on all {len(AFTER)} " in words


@pytest.mark.parametrize("name", EXPERTS)
def test_an_experts_card_counts_what_it_holds(name: str) -> None:
    expert, listed = EXPERTS[name], rows(ROOT / "experts" / name / "README.md", "Contents")
    splits = {split: (len(expert.questions(split)), len(expert.utterances(split))) for split in ("train", "dev", "test")}
    for n, what in enumerate(("questions", "utterances")):
        counts = {split: f"{found[n]:,}" for split, found in splits.items()}
        total = sum(found[n] for found in splits.values())
        assert listed[what] == f"{total:,}: {counts['train']} train, {counts['dev']} dev, {counts['test']} test"
    assert listed["documents"] == str(len(list(expert.corpus.glob("*.md"))))
    assert listed["[[safety]]` rules"].startswith(f"{len(expert.card.safety)}: ")


def texts() -> Iterator[tuple[str, str]]:
    """(name, text) of the repository's text files, without what is installed, built or cached."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [n for n in names if (n == ".ci" or not n.startswith(".")) and n != "__pycache__" and not n.endswith(".egg-info")]
        if Path(folder) == ROOT / "indexes":
            names.clear()
        for file in files:
            try:
                yield named(Path(folder) / file), (Path(folder) / file).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_file_names_a_path_or_a_registry_of_a_developers_machine() -> None:
    read = dict(texts())
    assert {"README.md", ".ci/run", "core/settings.py", "indexes/README.md", "experts/out_of_scope.csv"} <= set(read)
    found = [f"{name}: {m[0]}" for name, text in read.items() for m in (PATHS.search(text) or HOSTS.search(text),) if m]
    assert found == []
    assert [name for name in ("constraints.txt", "pyproject.toml") if "://" in read[name]] == []
