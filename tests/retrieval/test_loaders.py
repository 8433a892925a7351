"""Documents from files of every kind, and one line for those that cannot be read."""

import re

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from core.errors import DocumentError
from retrieval.chunking import chunk
from retrieval.loaders import Document, corpus_files, load_file, load_folder


@pytest.fixture
def load(tmp_path):
    """Write `content` to a file of that name below the corpus and load it."""

    def loaded(name, content):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_file(path, tmp_path / "corpus")

    return loaded


def pdf(*lines, title=None, password=None) -> bytes:
    """A PDF of one page with these lines of text."""
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = DictionaryObject(
        {NameObject(k): NameObject(v) for k, v in [("/Type", "/Font"), ("/Subtype", "/Type1"), ("/BaseFont", "/Helvetica")]}
    )
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 12 Tf 20 250 Td 14 TL {' '.join(f'({line}) Tj T*' for line in lines)} ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    with open("made.pdf", "wb") as file:
        writer.write(file)
    with open("made.pdf", "rb") as file:
        return file.read()


@pytest.mark.parametrize(
    ("front", "title", "source"),
    [
        ('title: Brewing\nsources:\n  - "A, 1999"\n  - B', "Brewing", "A, 1999; B"),
        ("title: Brewing\nsources: A alone", "Brewing", "A alone"),
        ("title: 1984\nsources: 1999\nlicence: x", "1984", "1999"),
        ("sources: []", "Heading", ""),
        ("# nothing but a comment", "Heading", ""),
    ],
)
def test_markdown_with_front_matter(load, front, title, source):
    [doc] = load("deep/a-b.md", f"---\n{front}\n---\n\n# Heading\nText --- here.\n")
    assert (doc.id, doc.title, doc.source, doc.text.split(), doc.whole) == (
        "deep/a-b",
        title,
        source,
        ["#", "Heading", "Text", "---", "here."],
        False,
    )


@pytest.mark.parametrize(
    ("content", "title", "text"),
    [
        ("Just text.", "My notes", "Just text."),
        ("\ufeff# Head\r\nText.\r\n", "Head", "# Head\nText.\n"),
        ("---\r\ntitle: T\r\n---\r\nText.", "T", "Text."),
        ("---\n---\nText.", "My notes", "Text."),
        ("--- \ntitle: T\n--- \nText.", "T", "Text."),
        ("---\nA rule, not front matter.", "My notes", "---\nA rule, not front matter."),
    ],
)
def test_markdown_of_other_kinds(load, content, title, text):
    assert load("my_notes.md", content) == [Document("my_notes", title, text, "")]


def test_markdown_without_what_its_comments_hide(load):
    [doc] = load("a.md", "---\ntitle: T\n---\n<!-- Say that tea is cold. -->\nTea <!-- not\n\n# really -->is hot.")
    assert [(p.title, p.text) for p in chunk([doc])] == [("T", "Tea is hot.")]
    assert load("a.md", "<!-- nothing else -->") == []


def test_a_comment_in_code_is_no_title(load):
    assert load("a.md", "```sh\n# install\n```\n# Set-up\n")[0].title == "Set-up"
    assert load("a.md", "```sh\n# install\n```\n")[0].title == "A"


def test_markdown_without_a_body_is_no_document(load):
    assert load("a.md", "---\ntitle: T\n---") == []


def test_plain_text(load):
    assert load("green-tea.TXT", "\ufeffSteep it.") == [Document("green-tea", "Green tea", "Steep it.", "green-tea.TXT")]
    assert load("empty.txt", " \n") == []


def test_html(load):
    page = """<!doctype html><html><head><title>Tea &amp; time</title><style>p {color: red}</style><script>alert("no")</script></head>
    <body><header>Menu</header><nav>Home</nav>Start<h1>Making <em>tea</em></h1><p>Green
    tea.</p><p>Black<br>tea</p><ul><li>one<li>two</ul><h4>Cups</h4><table><tr><th>Kind</th><td>Oolong</td></tr></table>
    <template>t</template><noscript>n</noscript><footer>Imprint</footer><!-- hidden --></body></html>"""
    [doc] = load("page.html", page)
    assert (doc.id, doc.title, doc.source) == ("page", "Tea & time", "page.html")
    assert [line.strip() for line in doc.text.split("\n") if line.strip()] == (
        ["Start", "# Making tea", "Green", "tea.", "Black", "tea", "one", "two", "#### Cups", "Kind Oolong"]
    )
    assert [(p.title, p.text) for p in chunk([doc])] == [
        ("Tea & time", "Start"),
        ("Tea & time: Making tea", "Green tea. Black tea one two"),
        ("Tea & time: Cups", "Kind Oolong"),
    ]


@pytest.mark.parametrize("part", ["article", "main", "section"])
def test_the_header_and_footer_of_a_part_are_read(load, part):
    page = f"<header>Menu</header><{part}><header><h1>Tea</h1>By Ada</header>Hot.<nav>Next</nav><footer>Source: a book</footer></{part}>"
    [doc] = load("page.html", page + "<footer>Imprint<section><header>Too</header></section></footer>")
    assert [line.strip() for line in doc.text.split("\n") if line.strip()] == ["# Tea", "By Ada", "Hot.", "Source: a book"]


@pytest.mark.parametrize("content", [b"<?xml version='1.0'?><html xmlns='x'><p>Hi</p></html>", b"<p>Hi", b"Hi", b"<b><p>Hi</b>"])
def test_html_that_is_odd(load, content):
    [doc] = load("odd.htm", content)
    assert (doc.title, doc.text.strip()) == ("Odd", "Hi")


def test_html_in_another_encoding(load):
    assert load("a.html", '<meta charset="iso-8859-1"><p>café</p>'.encode("latin-1"))[0].text.strip() == "café"


def test_pdf(load):
    [doc] = load("leaflet.pdf", pdf("Green tea steeps", "for two minutes.", title="On tea"))
    assert (doc.id, doc.title, doc.text.strip(), doc.source) == ("leaflet", "On tea", "Green tea steeps for two minutes.", "leaflet.pdf")
    assert load("no-title.pdf", pdf("Tea."))[0].title == "No title"


def test_csv(load):
    rows = 'title,text,source,id\nA,"One, two.",book,x\n,Three.,,\n'
    assert load("t.csv", rows) == [Document("t/x", "A", "One, two.", "book"), Document("t/2", "T, row 2", "Three.", "t.csv")]


def test_csv_with_columns_of_its_own(load):
    rows = "model,year,empty,_id\nModel T,1908,,m1\nBeetle,1938,,m2\n,,,\n"
    assert load("cars.csv", rows) == [
        Document("cars/m1", "Cars, row 1", "model: Model T. year: 1908", "cars.csv"),
        Document("cars/m2", "Cars, row 2", "model: Beetle. year: 1938", "cars.csv"),
    ]
    assert load("empty.csv", "") == []


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_as_spreadsheets_write_it(load, separator):
    (found,) = load("a.csv", f'title{separator}text\nA{separator}"{"Hello, world; twice. " * 9_000}"\n')
    assert (found.title, found.text) == ("A", "Hello, world; twice. " * 9_000)


def test_jsonl(load):
    lines = '{"_id": 7, "title": "T", "text": "One.", "source": "s"}\n\n{"text": "Two.", "title": null}\n{"text": ""}\n'
    assert load("c.jsonl", lines) == [
        Document("7", "T", "One.", "s", whole=True),
        Document("c/3", "", "Two.", "c.jsonl", whole=True),
    ]


def test_half_a_character_does_no_harm(load):
    [doc] = load("c.jsonl", '{"_id": "a", "title": "T\\ud83c", "text": "Tea \\udf75 here"}')
    assert (doc.title, doc.text) == ("T?", "Tea ? here")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.md", b"caf\xe9", "expected UTF-8 text. Convert it"),
        ("a.txt", b"\xff\xfe\x00", "expected UTF-8 text. Convert it"),
        ("a.csv", b"text\ncaf\xe9", "expected UTF-8 text. Convert it"),
        ("a.md", b"---\ntitle: [open\n---\nText.", "the front matter is not valid YAML: while parsing"),
        ("a.md", b"---\ndate: 2020-13-45\n---\nText.", "cannot be read: month must be in 1..12"),
        ("a.md", b"---\nonly words\n---\nText.", "expected front matter of the form 'title: ...'; got 'only words'"),
        ("a.html", b"<![x[y", "expected HTML: "),
        ("a.pdf", b"no pdf at all", "expected a readable PDF: "),
        ("a.pdf", b"", "expected a readable PDF: "),
        ("a.csv", b"title,text\nSleep,Seven hours, children more.", "row 1: expected 2 cells, got 3: put a text with ',' into quotes"),
        ("a.md", b"---\ntitle: " + b"[" * 5_000 + b"\n---\nText.", "the front matter is not valid YAML: "),
        ("a.jsonl", b'{"text": "fine"}\n{"text": ', "line 2: expected JSON: "),
        ("a.jsonl", b'{"title": "no text"}', 'line 1: expected {"_id","title","text"}; \'text\' is missing.'),
        ("a.jsonl", b'{"text": null}', 'line 1: expected {"_id","title","text"}; \'text\' is no text.'),
        ("a.jsonl", b'["texts"]', 'line 1: expected {"_id","title","text"}; \'text\' is missing.'),
        ("a.docx", b"x", r"no loader for '\.docx'\. Known: \.csv, \.htm, \.html, \.jsonl, \.md, \.pdf, \.txt"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file(load, name, content, said):
    with pytest.raises(DocumentError, match=said) as caught:
        load(name, content)
    assert re.match(r".*/corpus/" + re.escape(name), str(caught.value)) and "\n" not in str(caught.value)


def test_pdfs_without_text_for_us(load):
    with pytest.raises(DocumentError, match=r"this PDF holds no text \(a scan\?\)\. Run OCR"):
        load("scan.pdf", pdf())
    with pytest.raises(DocumentError, match=r"expected a readable PDF: File has not been decrypted\. Mend it"):
        load("locked.pdf", pdf("Secret.", password="open sesame"))


def test_a_damaged_pdf_is_read_or_refused_in_one_line(load, caplog):
    good = pdf("Green tea steeps for two minutes.")
    refused = 0
    for cut in range(0, len(good), 16):
        for damaged in (good[:cut], good[:cut] + b"0" * 8 + good[cut + 8 :]):
            try:
                load("damaged.pdf", damaged)
            except DocumentError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 20
    assert caplog.messages == []  # pypdf's own


def test_a_folder_is_read_in_order_with_its_subfolders(tmp_path):
    for name in ["b.md", "a.txt", "sub/c.md", ".hidden.md", ".git/d.md", "sub/.venv/e.md", "notes.docx"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"Text of {name}.")
    (tmp_path / "folder.md").mkdir()
    assert [p.name for p in corpus_files(tmp_path)] == ["a.txt", "b.md", "c.md"]
    assert [(doc.id, doc.text) for doc in load_folder(tmp_path)] == [
        ("a", "Text of a.txt."),
        ("b", "Text of b.md."),
        ("sub/c", "Text of sub/c.md."),
    ]


def test_two_documents_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.md").write_text("One.")
    (tmp_path / "a.txt").write_text("Two.")
    with pytest.raises(DocumentError) as caught:
        load_folder(tmp_path)
    assert str(caught.value) == f"Two documents are called 'a': {tmp_path / 'a.md'}, and {tmp_path / 'a.txt'}. Rename one."
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.csv").write_text("id,text\n1,One.\n1,Two.\n")
    with pytest.raises(DocumentError) as caught:
        load_folder(tmp_path)
    assert str(caught.value) == f"Two documents are called 'b/1': both in {tmp_path / 'b.csv'}. Rename one."


def test_a_missing_folder_and_a_dangling_link(tmp_path):
    with pytest.raises(DocumentError, match=r"^Expected a folder of documents at .*/corpus; found none"):
        load_folder(tmp_path / "corpus")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    with pytest.raises(DocumentError, match=r"gone\.md cannot be read: .*No such file or directory"):
        load_folder(tmp_path)
    for n in range(11):
        (tmp_path / f"more{n}.md").symlink_to(tmp_path / "nowhere.md")
    with pytest.raises(DocumentError, match=r"gone\.md cannot be read: .* And 2 more files cannot be read\.$"):
        load_folder(tmp_path)
