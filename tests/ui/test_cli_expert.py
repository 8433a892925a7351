import json

import pytest

CSV = "question,answer,key,document,split\n"


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "papers"
    (folder / "more").mkdir(parents=True)
    (folder / "knots.md").write_text("---\ntitle: Knots\nsources: A Handbook, 1990\n---\n\nA bowline holds a loop that does not slip.\n")
    (folder / "more" / "sails.txt").write_text("A spinnaker is flown before the wind.\n")
    (folder / "photo.heic").write_bytes(b"\0\1")
    return folder


def test_list_names_every_expert(switchyard):
    lines = [line.split() for line in switchyard("expert", "list").out.splitlines()]
    assert lines[0] == ["name", "files", "questions", "utterances", "covers"]
    assert [line[:4] for line in lines[1:]] == [["bees", "4", "9", "19"], ["tea", "4", "9", "18"]]


def test_a_new_expert_answers_at_once(own_switchyard, own_experts, docs, tmp_path):
    questions = tmp_path / "q.csv"
    questions.write_text(
        f"{CSV}Which knot holds a loop?,The bowline.,bowline,knots,train\nWhat is flown downwind?,A spinnaker.,spinnaker,more/sails,test\n"
    )
    result = own_switchyard("expert", "new", "sailing", "--docs", str(docs), "--questions", str(questions), "--title", 'The "Sea"')
    assert result.status == 0
    folder = own_experts.experts_dir / "sailing"
    assert f"Made {folder}" in result.out
    assert "sailing: 2 documents, 2 questions, 2 utterances" in result.out
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "README.md", "corpus/knots.md", "corpus/more/sails.txt", "expert.toml", "prompt.md", "questions.csv", "utterances.csv",
    ]  # fmt: skip
    assert (folder / "utterances.csv").read_text() == "text,split\nWhich knot holds a loop?,train\nWhat is flown downwind?,test\n"
    answer = json.loads(own_switchyard("ask", "Which knot holds a loop?", "--json").out)
    assert (answer["expert"], answer["citations"][0]["source"]) == ("sailing", "A Handbook, 1990")
    assert own_switchyard("index", "--check", "sailing").status == 0
    assert sorted(p.name for p in own_experts.experts_dir.iterdir()) == ["bees", "out_of_scope.csv", "sailing", "tea"]


@pytest.mark.parametrize(
    ("name", "csv", "line"),
    [
        ("tea", None, "exists already: choose another name"),
        ("No Good", None, "An expert's name is lower-case letters"),
        ("sailing", "question,answer\n", "missing: key, document, split. Bring it into this form with: switchyard data prepare "),
        ("sailing", f"{CSV}q,a,k,knots,exam\n", "row 1: expected the split train, dev or test; got 'exam'."),
    ],
)
def test_a_new_expert_comes_whole_or_not_at_all(own_switchyard, own_experts, docs, tmp_path, name, csv, line):
    more = []
    if csv:
        (tmp_path / "q.csv").write_text(csv)
        more = ["--questions", str(tmp_path / "q.csv")]
    result = own_switchyard("expert", "new", name, "--docs", str(docs), *more)
    assert result.status in (1, 2)
    assert line in result.err
    assert result.err.count("\n") == 1
    assert sorted(p.name for p in own_experts.experts_dir.iterdir()) == ["bees", "out_of_scope.csv", "tea"]


def test_check_reports_and_its_status_says_whether_to_mend(own_switchyard, own_experts):
    well = own_switchyard("expert", "check", "tea", "--json")
    assert well.status == 0
    found = json.loads(well.out)
    assert (found["expert"], found["ok"], found["documents"], found["questions"], found["utterances"]) == ("tea", True, 4, 9, 18)
    with (own_experts.experts_dir / "tea" / "questions.csv").open("a") as file:
        file.write("Who knows?,Nobody.,nobody,lost,train\n")
    with (own_experts.experts_dir / "tea" / "utterances.csv").open("a") as file:
        file.write("how is honey made?,train\n")
    ill = own_switchyard("expert", "check", "tea")
    assert ill.status == 1
    lines = [line.strip() for line in ill.out.splitlines()]
    assert "Dead references of questions: 1" in lines
    assert "Who knows? (lost: no such document)" in lines
    assert "Collisions, cosine above 0.9: 1" in lines
    assert any(line.endswith("how is honey made?  ~  how is honey made [bees]") for line in lines)


def test_an_unknown_expert_cannot_be_checked(switchyard):
    result = switchyard("expert", "check", "[/cats]")
    assert (result.status, result.err) == (2, "Error: No expert is called '[/cats]'. Known: bees, tea.\n")
