import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest

from core.settings import ROOT
from tests.retrieval.qdrant_server import serve


def test_indexes_are_built_checked_and_left_alone(own_switchyard, own_experts):
    before = own_switchyard("index", "--check")
    assert before.status == 1
    assert before.out.splitlines() == ["bees: missing. Run: switchyard index bees", "tea: missing. Run: switchyard index tea"]
    built = own_switchyard("index")
    assert built.status == 0
    assert [line.split(" built in ")[0] for line in built.out.splitlines()] == ["bees:", "tea:", "router: ready, bees · tea · out_of_scope"]
    after = own_switchyard("index", "--check")
    assert (after.status, after.out.splitlines()) == (0, ["bees: ok, 4 documents, 8 passages", "tea: ok, 4 documents, 8 passages"])
    manifest = own_experts.indexes_dir / "tea" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert own_switchyard("index", "tea").out.splitlines()[0] == "tea: up to date, 4 documents, 8 passages"
    assert manifest.stat().st_mtime_ns == written
    own_switchyard("index", "tea", "--force")
    assert manifest.stat().st_mtime_ns > written


def test_what_is_not_ok_is_named_with_what_mends_it(own_switchyard, own_experts):
    own_switchyard("index")
    manifest = own_experts.indexes_dir / "bees" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"encoder": "other"}))
    (own_experts.indexes_dir / "tea" / "passages.jsonl").write_text("")
    found = own_switchyard("index", "--check")
    assert found.status == 1
    assert found.out.splitlines() == ["bees: foreign. Run: switchyard index bees --force", "tea: corrupt. Run: switchyard index tea"]
    (own_experts.indexes_dir / "tea" / "manifest.json").write_text('{"format": 1, "enc')
    assert own_switchyard("index", "tea", "--check").out == "tea: corrupt. Run: switchyard index tea\n"
    refused = own_switchyard("index")
    assert refused.status == 1
    assert refused.err == "Error: The index of bees was written by another encoder. Run: switchyard index bees --force\n"
    assert own_switchyard("index", "--force").status == 0
    assert own_switchyard("index", "--check").status == 0


def test_workers_build_the_same_index_bit_by_bit(own_switchyard, own_experts, monkeypatch):
    # A worker imports the main module first: not that of the test runner, or of a page that was tested before.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))

    def files(*options):
        assert own_switchyard("index", "tea", "--force", *options).status == 0
        folder = own_experts.indexes_dir / "tea"
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    alone, together = files("--workers", "1"), files("--workers", "2")
    assert sorted(alone) == sorted(together)
    assert [name for name in alone if alone[name] != together[name]] == []
    assert own_switchyard("index", "--workers", "0").status == 2


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
def test_ctrl_c_leaves_the_old_index_and_no_process(own_switchyard, own_experts):
    assert own_switchyard("index", "tea").status == 0
    for n in range(300):
        (own_experts.experts_dir / "tea" / "corpus" / f"more-{n}.md").write_text(f"# Tea {n}\n" + f"Tea number {n} is green. " * 40)
    manifest = (own_experts.indexes_dir / "tea" / "manifest.json").read_bytes()
    command = [sys.executable, "-m", "ui.cli", "index", "tea", "--workers", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A suite that runs in a shell's background inherits an ignored Ctrl-C.
    pipes |= {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    parent = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True, **pipes)
    children, until = [], time.monotonic() + 60
    while len(children) < 3 and time.monotonic() < until:  # two workers, and the standard library's own keeper of resources
        time.sleep(0.1)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.killpg(parent.pid, signal.SIGINT)
    out, said = parent.communicate(timeout=60)
    assert (parent.returncode, out) == (130, "")
    assert said.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in said
    until = time.monotonic() + 60
    while (left := [pid for pid in children if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []
    assert (own_experts.indexes_dir / "tea" / "manifest.json").read_bytes() == manifest
    assert list((own_experts.indexes_dir / "tea").glob(".new-*")) == []


def test_an_unknown_expert_has_no_index(switchyard):
    result = switchyard("index", "cats")
    assert (result.status, result.err) == (2, "Error: No expert is called 'cats'. Known: bees, tea.\n")


def doctor(run):
    result = run("doctor", "--json")
    document = json.loads(result.out)
    return result.status, document["ok"], {(f["area"], f["name"]): f for f in document["findings"]}


def test_doctor_finds_everything_well(switchyard, monkeypatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-very-secret")
    status, ok, found = doctor(switchyard)
    assert (status, ok) == (0, True)
    assert found["experts", "tea"]["detail"] == "4 documents, 8 passages"
    assert found["router", "similarity"]["state"] == "ok"
    assert found["models", "deepseek:deepseek-chat"]["detail"] == "inferior"
    assert found["models", "local:reader"]["detail"] == "usable"
    assert found["keys", "DEEPSEEK_API_KEY"] == {"area": "keys", "name": "DEEPSEEK_API_KEY", "state": "ok", "detail": "set", "todo": ""}
    assert found["keys", "OPENAI_API_KEY"]["state"] == "note"
    assert "secret" not in json.dumps(list(found.values()))
    printed = switchyard("doctor")
    assert printed.status == 0
    assert "secret" not in printed.out
    assert printed.out.splitlines()[-1].startswith("Ready.")


@pytest.mark.parametrize(("name", "shown"), [("NVIDIA H200", "NVIDIA H200"), (None, "none in use: everything runs on the processor")])
def test_doctor_names_the_gpu(switchyard, monkeypatch, name, shown):
    monkeypatch.setattr("retrieval.gpu.gpu", lambda: name)
    found = doctor(switchyard)[2]
    assert found["encoder", "gpu"] == {"area": "encoder", "name": "gpu", "state": "ok", "detail": shown, "todo": ""}


def test_doctor_looks_at_qdrant(own_switchyard, own_experts, monkeypatch):
    with serve(key="sk-very-secret") as server:
        monkeypatch.setenv("SWITCHYARD_QDRANT_URL", server.url)
        monkeypatch.setenv("QDRANT_API_KEY", "sk-very-secret")
        assert own_switchyard("index").status == 0
        assert not (own_experts.indexes_dir / "tea").exists()
        (own_experts.experts_dir / "tea" / "corpus" / "more.md").write_text("# More\nTea is a drink.")
        status, ok, found = doctor(own_switchyard)
        assert (status, ok) == (0, True)
        assert found["store", "vectors"]["detail"] == f"{server.url}: Qdrant 1.20.0"
        assert found["experts", "bees"]["detail"] == "4 documents, 8 passages"
        assert found["experts", "tea"] == {
            "area": "experts",
            "name": "tea",
            "state": "note",
            "detail": "its shared index is of other documents than this machine's, and answers: 4 documents, 8 passages",
            "todo": "switchyard index tea",
        }
        monkeypatch.setenv("QDRANT_API_KEY", "sk-very-wrong")
        status, ok, found = doctor(own_switchyard)
        assert (status, ok) == (1, False)
        assert found["store", "vectors"]["detail"] == "Qdrant refused the key. Set QDRANT_API_KEY to one that may read and write."
        assert "sk-very" not in json.dumps(list(found.values()))


def test_doctor_names_what_keeps_it_from_answering(own_switchyard, own_experts, monkeypatch, tmp_path):
    own_switchyard("index")
    manifest = own_experts.indexes_dir / "tea" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"encoder": "other"}))
    (own_experts.indexes_dir / "bees" / "manifest.json").unlink()
    monkeypatch.setenv("SWITCHYARD_INFERIOR", "openai:gpt-5-mini")
    monkeypatch.setenv("SWITCHYARD_ARTIFACTS", str(tmp_path / "none"))
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    own_experts.home.mkdir(exist_ok=True)
    (own_experts.home / "prices.toml").write_text("[broken")
    status, ok, found = doctor(own_switchyard)
    assert (status, ok) == (1, False)
    assert found["experts", "tea"]["todo"] == "switchyard index tea --force"
    assert found["experts", "bees"]["state"] == "note"
    assert found["models", "openai:gpt-5-mini"]["detail"].startswith("inferior: OPENAI_API_KEY is not set")
    states = {key: f["state"] for key, f in found.items()}
    problems = [key for key, state in states.items() if state == "problem"]
    assert problems == [
        ("experts", "tea"),
        ("models", "openai:gpt-5-mini"),
        ("artefacts", "policy"),
        ("artefacts", "confidence"),
        ("artefacts", "reader"),
        ("artefacts", "artefacts"),
        ("store", "store"),
    ]
    assert found["artefacts", "artefacts"]["detail"].startswith(f"{own_experts.home / 'prices.toml'} is not readable TOML: ")
    assert own_switchyard("doctor").out.splitlines()[-1] == "7 problems to mend first."


def test_doctor_opens_what_was_trained(own_switchyard, own_experts):
    for name in ("routers/similarity", "difficulty"):
        (own_experts.home / name).mkdir(parents=True)
        (own_experts.home / name / "about.json").write_text("{")
    status, ok, found = doctor(own_switchyard)
    assert (status, ok) == (1, False)
    assert found["router", "similarity"]["detail"].endswith("Run: switchyard train router --kind similarity")
    assert found["artefacts", "difficulty"]["detail"].endswith("Run: switchyard train difficulty FILE")


def test_doctor_looks_at_the_models_on_an_experts_card(own_switchyard, own_experts):
    own_switchyard("index")
    card = own_experts.experts_dir / "bees" / "expert.toml"
    card.write_text(card.read_text() + '\n[models]\nsuperior = "openai:of-the-card"\n')
    status, ok, found = doctor(own_switchyard)
    assert (status, ok) == (1, False)
    assert found["models", "openai:of-the-card"]["detail"].startswith("superior: OPENAI_API_KEY is not set")


def test_doctor_says_which_setting_is_wrong(switchyard, monkeypatch):
    monkeypatch.setenv("SWITCHYARD_MODEL_RETRIES", "many")
    status, ok, found = doctor(switchyard)
    assert (status, ok) == (1, False)
    assert found["settings", "settings"]["detail"].startswith("Setting model_retries")


def test_the_chat_is_served_on_this_machine_only(tiny_settings):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ui.cli", "ui", "--port", str(port)]
    child = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert child.stdout.readline() == f"Switchyard is at http://localhost:{port} (Ctrl-C stops it)\n"
        assert wait_for(f"http://127.0.0.1:{port}/_stcore/health", child) == b"ok"
        taken = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
        assert taken.returncode == 2
        assert taken.stderr == f"Error: Port {port} cannot be used: Address already in use. Try: switchyard ui --port {port + 1}\n"
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)


def wait_for(address, child):
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {address}")


@pytest.mark.parametrize("port", ["0", "70000"])
def test_a_port_that_is_none_is_refused(run, port):
    assert run("ui", "--port", port).status == 2


def test_doctor_and_index_go_without_a_home(own_switchyard, own_experts):
    shutil.rmtree(own_experts.home, ignore_errors=True)
    status, _, found = doctor(own_switchyard)
    assert status == 0
    assert found["store", "home"]["state"] == "ok"


def test_a_document_that_cannot_be_read_stops_its_own_expert_only(own_switchyard, own_experts):
    broken = own_experts.experts_dir / "bees" / "corpus" / "broken.txt"
    broken.write_bytes(b"\xff\xfe\xff")
    line = f"{broken}: expected UTF-8 text. Convert it, or move it out of the corpus."
    result = own_switchyard("index")
    assert result.status == 1
    assert [out.split(" built in ")[0] for out in result.out.splitlines()] == ["tea:", "router: ready, bees · tea · out_of_scope"]
    said = result.err.splitlines()
    assert said[0] == f"bees: {line}"
    assert said[-1] == "Error: Without an index, and so not to be asked: bees. Mend the documents, then run it again."
    checked = own_switchyard("index", "--check")
    assert (checked.status, checked.out.splitlines()) == (1, [f"bees: {line}", "tea: ok, 4 documents, 8 passages"])
    status, ok, found = doctor(own_switchyard)
    assert (status, ok) == (1, False)
    assert (found["experts", "bees"]["state"], found["experts", "bees"]["detail"]) == ("problem", line)
    assert found["experts", "tea"]["state"] == "ok"


def test_an_expert_of_unreadable_documents_alone_stops_no_other(own_switchyard, own_experts):
    for name in ("utterances.csv", "questions.csv"):
        (own_experts.experts_dir / "bees" / name).unlink()
    broken = own_experts.experts_dir / "bees" / "corpus" / "broken.txt"
    broken.write_bytes(b"\xff\xfe\xff")
    result = own_switchyard("ask", "How long does green tea steep?")
    assert (result.status, "two minutes" in result.out) == (0, True)
    asked = own_switchyard("ask", "--expert", "bees", "What is varroa?")
    assert asked.status == 1
    assert f"{broken}: expected UTF-8 text." in asked.err
    assert "Building the index of bees" not in asked.err + result.err


def test_indexes_forced_at_once_are_all_built(own_switchyard, own_experts):
    own_switchyard("index")
    command = [sys.executable, "-m", "ui.cli", "index", "tea", "--force"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) for _ in range(3)]
    ends = [(*process.communicate(timeout=300), process.returncode) for process in started]
    assert [(out.split(" built in ")[0], status) for out, _, status in ends] == [("tea:", 0)] * 3, ends
    assert own_switchyard("index", "tea", "--check").status == 0


def test_doctor_sees_a_file_in_the_place_of_an_index(own_switchyard, own_experts):
    (own_experts.indexes_dir / "tea").write_text("a file")
    status, ok, found = doctor(own_switchyard)
    assert (status, ok) == (1, False)
    detail = f"{own_experts.indexes_dir / 'tea'}: expected a folder for the index; that is a file. Move it away."
    assert (found["experts", "tea"]["state"], found["experts", "tea"]["detail"]) == ("problem", detail)


def test_a_home_that_is_a_file_is_one_line(own_switchyard, own_experts):
    own_experts.home.write_text("a file")
    for command in (["ask", "Hello"], ["chat"]):
        result = own_switchyard(*command)
        assert (result.status, result.err.count("\n")) == (1, 1)
        assert str(own_experts.home) in result.err
        assert result.err.startswith("Error: ")


def test_a_lone_expert_needs_no_router(own_switchyard, own_experts):
    shutil.rmtree(own_experts.experts_dir / "bees")
    (own_experts.experts_dir / "out_of_scope.csv").unlink()
    assert own_switchyard("index").out.splitlines()[-1] == "router: none, all goes to tea"
    assert doctor(own_switchyard)[2]["router", "none"]["detail"] == "not needed: every question goes to tea"
    assert "tea · answered" in own_switchyard("ask", "How long does green tea steep?").out
