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
    """Render a row and return the blocks before the prompt in its message."""
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
def test_blocks_come_before_the_prompt_in_the_order_of_the_columns(family: str) -> None:
    """Images come first, arrays keep their order, and a column may hold bytes or URIs."""
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
def test_an_empty_array_makes_no_block_and_a_null_rejects_the_row(family: str) -> None:
    """A row may have no image. A null may be a missing image, so it is not accepted."""
    template = template_of(family, images="photos")
    assert content_of(template, photos=[]) == []
    assert rejection(template, photos=None) == "photos: is null"
    assert rejection(template, photos=[PNG, None]) == "photos: holds a null"


def test_cohere_embeds_a_text_with_the_images_of_its_row() -> None:
    """As mixed content of data URIs. Without a column of images, the text stands alone."""
    model = {"id": "cohere.embed-v4:0"}
    request = {"prompt": "A page: {{ x }}", "dimensions": 256, "images": ["pages"]}
    template = body_template(make_config(request=request, model=model))
    body = json.loads(template.render({"x": "y", "pages": [PNG, JPEG]}))
    *images, text = body.pop("inputs")[0]["content"]
    assert text == {"type": "text", "text": "A page: y"}
    assert body == {"input_type": "search_document", "output_dimension": 256}
    for part, (data, name) in zip(images, ((PNG, "png"), (JPEG, "jpeg")), strict=True):
        encoded = base64.b64encode(data).decode()
        assert part == {"type": "image_url", "image_url": f"data:image/{name};base64,{encoded}"}
    with pytest.raises(ConfigError, match=r"request\.documents: models of the family cohere_embed"):
        body_template(make_config(request={**request, "documents": "d"}, model=model))


def test_a_text_file_is_sent_to_claude_as_text() -> None:
    """Every text format, without a byte order mark. Other bytes than UTF-8 reject the row."""
    template = template_of("anthropic", lambda uri: b"\xef\xbb\xbf# N\xc3\xa4me", documents="d")
    (block,) = content_of(template, d="s3://b/notes.md")
    source = {"type": "text", "media_type": "text/plain", "data": "# Näme"}
    assert block == {"type": "document", "source": source}
    template = template_of("anthropic", lambda uri: b"caf\xe9", documents="d")
    assert rejection(template, d="s3://b/notes.md") == "d: is not valid UTF-8 text"


@pytest.mark.parametrize("family", ["nova", "converse"])
def test_other_documents_keep_their_format(family: str) -> None:
    """The block names the format as the service does."""
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
        (
            "anthropic",
            "images",
            PNG + bytes(3_932_160),
            "holds an image of 3,932,176 bytes; at most 3,932,160 are taken",
        ),
        ("converse", "images", [PNG] * 21, "holds 21 images; at most 20 are taken"),
        ("converse", "documents", [PDF] * 6, "holds 6 documents; at most 5 are taken"),
        ("nova", "documents", PDF + bytes(LARGE), "makes a body of more than 25,000,000 bytes"),
        ("anthropic", "documents", [PDF + bytes(LARGE // 2)] * 2, "makes a body of more than 25"),
    ],
)
def test_media_that_a_model_would_refuse_reject_the_row(
    family: str, option: str, value: Any, reason: str
) -> None:
    """Before anything is paid for. The reason names the column and shows no data."""
    message = rejection(template_of(family, **{option: "file"}), file=value)
    assert message.startswith(f"file: {reason}")
    assert "secret" not in message


def test_the_number_of_images_is_checked_before_any_is_fetched() -> None:
    """A row that names a thousand objects must not cause a thousand reads."""

    def never(uri: str) -> bytes:
        raise AssertionError("is fetched")

    template = template_of("converse", never, images=["a", "b"])
    message = rejection(template, a=["s3://b/k"] * 999, b="s3://b/k")
    assert message == "a, b: holds 1000 images; at most 20 are taken"


def test_fetching_stops_when_a_body_is_full() -> None:
    """Further objects would be fetched in vain."""
    fetched: list[str] = []

    def fetch(uri: str) -> bytes:
        fetched.append(uri)
        return PNG + bytes(3_000_000)

    template = template_of("nova", fetch, images="a")
    message = rejection(template, a=[f"s3://b/{i}" for i in range(99)])
    assert message == "a: makes a body of more than 25,000,000 bytes"
    assert len(fetched) == 7


def test_the_limits_of_the_service_can_be_turned_off() -> None:
    """Limits change. The formats stay checked, because they decide the shape of a block."""
    template = template_of("converse", lint="ignore", images="a", documents="d")
    assert len(content_of(template, a=[PNG] * 21, d=[PDF] * 6)) == 27
    assert rejection(template, a=PDF, d=PDF).startswith("a: holds application/pdf")


def test_a_large_pdf_is_accepted_and_a_large_text_is_not() -> None:
    """Claude 4 and Nova take larger PDF files through Converse."""
    large = bytes(5_000_000)
    template = template_of("converse", lambda uri: b"a" + large.replace(b"\0", b"b"), documents="d")
    assert len(content_of(template, d=PDF + large)) == 1
    assert rejection(template, d="s3://b/k.txt").startswith("d: holds a document of 5,000,001")


@pytest.mark.parametrize("family", [f.name for f in FAMILIES if not f.takes_media])
@pytest.mark.parametrize("option", ["images", "documents"])
def test_other_families_refuse_images_and_documents(family: str, option: str) -> None:
    """They are not dropped silently. The message says what to do instead."""
    request = make_config(request={"prompt": "{{ a }}", option: "photo"}).request
    with pytest.raises(ConfigError, match=rf"^request\.{option}: .* {family} do not take it; .*"):
        family_by_name(family).build(request, "")


@pytest.mark.parametrize("way", [{"body": {"a": "{{ b }}"}}, {"body_column": "b"}])
def test_images_and_documents_need_a_prompt(way: dict[str, Any]) -> None:
    """A body that the user writes has its own places for them."""
    with pytest.raises(ConfigError, match="images, documents go with prompt"):
        make_config(request={**way, "images": "photo", "documents": ["d"]})


def test_a_prompt_without_a_placeholder_is_accepted_with_images() -> None:
    """The rows differ by their images."""
    config = make_config(request={"prompt": "What is it?", "images": "photo", "max_tokens": 9})
    assert body_template(config).columns == ("photo",)


def test_two_filters_give_the_bytes_and_the_media_type() -> None:
    """In any template, also from a field or an element."""
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
def test_a_failure_of_s3_does_not_reject_the_row(request_: dict[str, Any]) -> None:
    """It ends the task, which Spark retries. A rejected row would be lost."""

    def fetch(uri: str) -> bytes:
        raise StorageError("s3://b: an object could not be fetched: SlowDown")

    template = body_template(make_config(request=request_), fetch)
    with pytest.raises(StorageError, match="SlowDown"):
        template.render({"x": "s3://b/k"})


def test_an_object_that_does_not_exist_rejects_its_row() -> None:
    """The reason names the column."""

    def fetch(uri: str) -> bytes:
        raise Unrenderable("names an S3 object that is not there (NoSuchKey)")

    assert rejection(template_of("nova", fetch, images="photo"), photo="s3://b/secret") == (
        "photo: names an S3 object that is not there (NoSuchKey)"
    )
