"""Images and documents in the bodies of the families that take them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bedrock_spark import limits
from bedrock_spark.errors import ConfigError, StorageError
from bedrock_spark.families import FAMILIES, family_by_name
from bedrock_spark.families.request_body import body_template
from bedrock_spark.templates.body_template import BodyTemplate
from bedrock_spark.templates.json_values import Unrenderable
from bedrock_spark.templates.media import Fetch, fetches_nothing
from bedrock_spark.templates.placeholders import RowRejected
from tests.unit.fakes import CLAUDE, make_config
from tests.unit.files import DOCX, GIF, JPEG, PDF, PNG

MODELS: dict[str, dict[str, Any]] = {
    "anthropic": {"id": CLAUDE},
    "nova": {"id": "amazon.nova-lite-v1:0"},
    "converse": {"id": CLAUDE, "invocation": "converse"},
}
LARGE = limits.MAX_BODY_BYTES // 4 * 3


def template_of(
    family: str, fetch: Fetch = fetches_nothing, lint: str = "refuse", **media: Any
) -> BodyTemplate:
    request = {"prompt": "What is it? {{ x }}", "max_tokens": 9, **media}
    config = make_config(request=request, model=MODELS[family], batch={"lint": lint})
    return body_template(config, fetch)


def content_of(template: BodyTemplate, **row: Any) -> list[dict[str, Any]]:
    """Render a row and give what its message holds before the prompt."""
    body = json.loads(template.render({"x": "?", **row}))
    *blocks, prompt = body["messages"][0]["content"]
    assert prompt["text"] == "What is it? ?"
    return blocks


def rejection(template: BodyTemplate, **row: Any) -> str:
    with pytest.raises(RowRejected) as caught:
        template.render({"x": "?", **row})
    return str(caught.value)


def image(family: str, data: bytes, name: str) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    if family == "anthropic":
        source = {"type": "base64", "media_type": f"image/{name}", "data": text}
        return {"type": "image", "source": source}
    return {"image": {"format": name, "source": {"bytes": text}}}


def pdf(family: str, number: int) -> dict[str, Any]:
    text = base64.b64encode(PDF).decode()
    if family == "anthropic":
        source = {"type": "base64", "media_type": "application/pdf", "data": text}
        return {"type": "document", "source": source}
    name = f"document {number}"
    return {"document": {"format": "pdf", "name": name, "source": {"bytes": text}}}


@pytest.mark.parametrize("family", MODELS)
def test_blocks_go_before_the_prompt_in_the_order_of_the_columns(family: str) -> None:
    """Images first, arrays in their order; a column may be bytes or URIs."""
    template = template_of(
        family, lambda uri: JPEG, images=["photo", "scans"], documents=["papers", "letter"]
    )
    row = {"photo": PNG, "scans": ["s3://b/k", GIF], "papers": [PDF, PDF], "letter": PDF}
    assert content_of(template, **row) == [
        image(family, PNG, "png"),
        image(family, JPEG, "jpeg"),
        image(family, GIF, "gif"),
        *(pdf(family, number) for number in (1, 2, 3)),
    ]
    assert set(template.columns) == {"x", "photo", "scans", "papers", "letter"}


@pytest.mark.parametrize("family", MODELS)
def test_an_empty_array_is_no_block_and_a_null_no_record(family: str) -> None:
    """A row may have no image; whether one is missing, nobody else can tell."""
    template = template_of(family, images="photos")
    assert content_of(template, photos=[]) == []
    assert rejection(template, photos=None) == "photos: is null"
    assert rejection(template, photos=[PNG, None]) == "photos: holds a null"


def test_a_text_goes_to_claude_as_text() -> None:
    """Whatever kind of text; without the mark that some editors put before it."""
    template = template_of("anthropic", lambda uri: b"\xef\xbb\xbf# N\xc3\xa4me", documents="d")
    (block,) = content_of(template, d="s3://b/notes.md")
    source = {"type": "text", "media_type": "text/plain", "data": "# Näme"}
    assert block == {"type": "document", "source": source}
    template = template_of("anthropic", lambda uri: b"caf\xe9", documents="d")
    assert rejection(template, d="s3://b/notes.md") == "d: is not valid UTF-8 text"


@pytest.mark.parametrize("family", ["nova", "converse"])
def test_other_documents_keep_their_format(family: str) -> None:
    """As the service calls it."""
    (block,) = content_of(template_of(family, documents="d"), d=DOCX)
    assert block["document"]["format"] == "docx"
    (block,) = content_of(template_of(family, lambda u: b"a,b", documents="d"), d="s3://b/k.csv")
    assert block["document"] == {
        "format": "csv",
        "name": "document 1",
        "source": {"bytes": base64.b64encode(b"a,b").decode()},
    }


@pytest.mark.parametrize(
    ("family", "option", "value", "reason"),
    [
        ("anthropic", "images", PDF, "holds application/pdf; an image must be png, jpeg, gif"),
        ("converse", "images", PDF, "holds application/pdf; an image must be png, jpeg, gif"),
        ("nova", "documents", PNG, "holds image/png; a document must be pdf, doc, docx"),
        ("anthropic", "documents", DOCX, "holds application/vnd.openxmlformats-officedocument"),
        ("converse", "images", b"secret", "is no image or document that is known"),
        ("converse", "images", "/etc/passwd", "is not the s3:// URI of an object"),
        ("converse", "images", "s3://b/k", "names an S3 object, which cannot be fetched here"),
        ("anthropic", "images", PNG + bytes(3_932_160), "holds an image of 3,932,176 bytes; 3,9"),
        ("converse", "images", [PNG] * 21, "holds 21 images; 20 are taken"),
        ("converse", "documents", [PDF] * 6, "holds 6 documents; 5 are taken"),
        ("nova", "documents", PDF + bytes(LARGE), "makes a body of more than 25,000,000 bytes"),
        ("anthropic", "documents", [PDF + bytes(LARGE // 2)] * 2, "makes a body of more than 25"),
    ],
)
def test_what_a_model_would_refuse_rejects_the_row(
    family: str, option: str, value: Any, reason: str
) -> None:
    """Before it is paid for; with the column, and nothing of the data."""
    said = rejection(template_of(family, **{option: "file"}), file=value)
    assert said.startswith(f"file: {reason}")
    assert "secret" not in said


def test_too_many_are_counted_before_any_is_fetched() -> None:
    """A row that names a thousand objects must not have them all read."""

    def never(uri: str) -> bytes:
        raise AssertionError("is fetched")

    template = template_of("converse", never, images=["a", "b"])
    said = rejection(template, a=["s3://b/k"] * 999, b="s3://b/k")
    assert said == "a, b: holds 1000 images; 20 are taken"


def test_no_more_is_fetched_than_a_body_could_hold() -> None:
    """The rest would be thrown away."""
    fetched: list[str] = []

    def fetch(uri: str) -> bytes:
        fetched.append(uri)
        return PNG + bytes(3_000_000)

    said = rejection(template_of("nova", fetch, images="a"), a=[f"s3://b/{i}" for i in range(99)])
    assert said == "a: makes a body of more than 25,000,000 bytes"
    assert len(fetched) == 7


def test_the_limits_of_the_service_can_be_turned_off() -> None:
    """They move; the formats, which decide what a block looks like, stay."""
    template = template_of("converse", lint="ignore", images="a", documents="d")
    assert len(content_of(template, a=[PNG] * 21, d=[PDF] * 6)) == 27
    assert rejection(template, a=PDF, d=PDF).startswith("a: holds application/pdf")


def test_a_large_pdf_is_let_pass_where_a_large_text_is_not() -> None:
    """Claude 4 and Nova take larger ones through Converse."""
    large = bytes(5_000_000)
    template = template_of("converse", lambda uri: b"a" + large.replace(b"\0", b"b"), documents="d")
    assert len(content_of(template, d=PDF + large)) == 1
    assert rejection(template, d="s3://b/k.txt").startswith("d: holds a document of 5,000,001")


@pytest.mark.parametrize("family", [f.name for f in FAMILIES if not f.takes_media])
@pytest.mark.parametrize("option", ["images", "documents"])
def test_other_families_refuse_them(family: str, option: str) -> None:
    """Never dropped; what else there is, is said."""
    request = make_config(request={"prompt": "{{ a }}", option: "photo"}).request
    with pytest.raises(ConfigError, match=rf"^request\.{option}: .* {family} do not take it; .*"):
        family_by_name(family).build(request)


@pytest.mark.parametrize("way", [{"body": {"a": "{{ b }}"}}, {"body_column": "b"}])
def test_they_go_with_a_prompt(way: dict[str, Any]) -> None:
    """A body has its own places."""
    with pytest.raises(ConfigError, match="images, documents go with prompt"):
        make_config(request={**way, "images": "photo", "documents": ["d"]})


def test_a_prompt_may_be_the_same_where_images_differ() -> None:
    """Then the rows do not ask the same."""
    config = make_config(request={"prompt": "What is it?", "images": "photo", "max_tokens": 9})
    assert body_template(config).columns == ("photo",)


def test_a_body_of_ones_own_takes_bytes_and_media_type() -> None:
    """By two filters, in any template, from a field or an element as well."""
    body = {
        "type": "{{ s.photo | media_type }}",
        "data": "data:{{ files[1] | media_type }};base64,{{ files[1] | base64 }}",
    }
    template = body_template(make_config(request={"body": body}), lambda uri: GIF)
    row = {"s": {"photo": PNG}, "files": [None, "s3://b/k"]}
    data = base64.b64encode(GIF).decode()
    assert json.loads(template.render(row)) == {
        "type": "image/png",
        "data": f"data:image/gif;base64,{data}",
    }
    assert template.uris(row) == ["s3://b/k"]
    assert template.uris({"s": None, "files": []}) == []


@pytest.mark.parametrize("request_", [{"prompt": "{{ x }}", "images": "x", "max_tokens": 9}, {
    "body": {"a": "{{ x | base64 }}"}
}])  # fmt: skip
def test_a_failure_of_s3_is_not_the_rows(request_: dict[str, Any]) -> None:
    """It ends the task, which is tried again; a rejected row would be lost."""

    def fetch(uri: str) -> bytes:
        raise StorageError("s3://b: an object could not be fetched: SlowDown")

    template = body_template(make_config(request=request_), fetch)
    with pytest.raises(StorageError, match="SlowDown"):
        template.render({"x": "s3://b/k"})


def test_an_object_that_is_not_there_rejects_its_row() -> None:
    """With the column that names it."""

    def fetch(uri: str) -> bytes:
        raise Unrenderable("names an S3 object that is not there (NoSuchKey)")

    assert rejection(template_of("nova", fetch, images="photo"), photo="s3://b/secret") == (
        "photo: names an S3 object that is not there (NoSuchKey)"
    )
