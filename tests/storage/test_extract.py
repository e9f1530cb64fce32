"""What is read from files of many formats, and that nothing a file holds makes reading raise."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_storage.extract import BY_SUFFIX, MAX_EXTRACTED_BYTES, extract
from aios_storage.extract.head import fields


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Author: Ann Lee <ann@x.org>,\n        Bo O'Neil\nCreated: 13-Jun-2000\n\nText: none\n",
            [("author", "Ann Lee"), ("author", "Bo O'Neil"), ("created", "13-Jun-2000"), ("year", "2000")],
        ),
        (
            "---\ntitle: A, B\ntags:\n  - one\n  - two\ndate: 2021-03-04\n---\n# Head\n",
            [("title", "A, B"), ("tags", "one"), ("tags", "two"), ("date", "2021-03-04"), ("year", "2021")],
        ),
        (":Author: Ann\n:Status: Draft\n\nText", [("author", "Ann"), ("status", "Draft")]),
        ('+++\ntitle = "A"\n+++\n', [("title", "A")]),
        ("Remember: one line with a colon is a sentence.\n\nText", []),
        ("No head at all", []),
        ("", []),
    ],
)
def test_heads(text: str, expected: list[tuple[str, str]]) -> None:
    assert list(fields(text)) == expected


@pytest.mark.parametrize(
    ("name", "data", "kind", "title", "within"),
    [
        ("a.md", b"# The Title\n\nwords", "markdown", "The Title", "words"),
        ("a.rst", b"The Title\n=========\n\nwords", "rst", "The Title", "words"),
        ("a.html", b"<title>The Title</title><script>no</script><p>wo<b>r</b>ds", "html", "The Title", "words"),
        ("a.json", b'{"title": "The Title", "x": "words"}', "json", "The Title", "words"),
        ("a.csv", b"name,words\n1,2\n", "table", "", "words"),
        ("a.ipynb", b'{"cells": [{"source": ["The Title\\n", "words"]}]}', "notebook", "The Title", "words"),
        ("a.txt", "The Title\nwords é".encode("utf-16"), "text", "The Title", "words é"),
        ("a.txt", "The Title\nwords é".encode("latin-1"), "text", "The Title", "words é"),
        ("a.py", b'"""The Title"""\nwords = 1\n', "py", "The Title", "words"),
    ],
)
def test_formats(name: str, data: bytes, kind: str, title: str, within: str) -> None:
    text = extract(name, data)
    assert (text.kind, text.title) == (kind, title)
    assert within in text.text
    assert "no" not in text.text


@pytest.mark.whole
def test_a_pdf_and_a_word_file() -> None:
    pypdf, docx = pytest.importorskip("pypdf"), pytest.importorskip("docx")
    writer, out = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    writer.add_metadata({"/Title": "Of herons", "/Author": "Ann"})
    writer.write(out)
    assert extract("a.pdf", out.getvalue()).fields == (("title", "Of herons"), ("author", "Ann"))
    document, out = docx.Document(), io.BytesIO()
    document.add_paragraph("Herons by the river")
    document.save(out)
    assert "Herons by the river" in extract("a.docx", out.getvalue()).text


@pytest.mark.whole
@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.bin", bytes(range(256)) * 40, "bin"),
        ("noname", b"\0\1\2", "binary"),
        ("a.pdf", b"%PDF-1.4 no such thing", "pdf"),
        ("a.docx", b"PK\3\4 no such thing", "docx"),
        ("a.txt", b"x" * (MAX_EXTRACTED_BYTES + 1), "txt"),
    ],
)
def test_what_has_no_text_is_known_by_its_name(name: str, data: bytes, kind: str) -> None:
    text = extract(name, data)
    assert (text.text, text.kind, text.fields) == ("", kind, ())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("deep.json", b"[" * 200_000),
        ("half.json", b'{"a": "\\ud800", "title": "\\udfff"}'),
        ("long.json", b'{"k": ' + b"1" * 5000 + b"}"),
        ("a.html", b"<![foo [ bar ]]><p>x"),
        ("a.ipynb", b'{"cells": [{"source": 5}, {"source": [1, 2]}], "metadata": []}'),
        ("b.ipynb", b'{"cells": [{"source": "\\ud800"}], "metadata": {"kernelspec": {"language": 4}}}'),
    ],
)
def test_files_made_to_break_a_parser_are_text(name: str, data: bytes) -> None:
    text = extract(name, data)
    for part in (text.text, text.title, *(part for pair in text.fields for part in pair)):
        part.encode()  # what SQLite takes
    assert text.text


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters()) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["cells", "source", "metadata", "a"]), inner),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from([*sorted(BY_SUFFIX), ".txt", ".py", ""]),
    st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | JSON.map(json.dumps).map(str.encode),
)
def test_any_bytes_can_be_read(suffix: str, data: bytes) -> None:
    text = extract(f"a{suffix}", data)
    if text.exact:
        assert text.text.encode() == data
    text.text.encode()
    text.title.encode()
    for key, value in text.fields:
        assert key.encode()
        value.encode()
