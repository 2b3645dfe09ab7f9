"""The playground's page: its models, the requests that it makes, and answers as lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient

from bedrock_emulator.answers.png import draw_png
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_lists import Listing, ModelLists
from bedrock_spark.check import check_config
from bedrock_spark.errors import ConfigError
from bedrock_spark.playground import asking
from bedrock_spark.ui.play import models
from bedrock_spark.ui.play.files import FileStore
from bedrock_spark.ui.settings import Kind, Place
from tests.unit.fakes import PROVISIONED, CannedHttp, FakeClock, aws_failure
from tests.unit.families.test_signed_blocks import events
from tests.unit.playground.test_asking import stream
from tests.unit.playground.test_catalogue import foundation, provisioned
from tests.unit.ui.conftest import ClientOf

NOVA, EMBED = "amazon.nova-lite-v1:0", "amazon.titan-embed-text-v2:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CANVAS, TITAN = "amazon.nova-canvas-v1:0", "amazon.titan-text-express-v1"
HOSTILE = "<script>alert(1)</script> {{ x }}"
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """List a few models. Returns a list with an item for each time that they are read."""
    read: list[int] = []
    summaries = (foundation(NOVA), foundation(EMBED), foundation(CANVAS), foundation(TITAN))

    def lists(_client: Any) -> ModelLists:
        read.append(1)
        empty = Listing("ListCustomModels", fault="ListCustomModels was refused" * (len(read) == 1))
        return ModelLists(
            Listing("ListFoundationModels", summaries),
            Listing("ListInferenceProfiles"),
            empty if empty.fault else Listing("ListCustomModels"),
            Listing("ListProvisionedModelThroughputs", (provisioned(),)),
        )

    monkeypatch.setattr(models, "list_models", lists)
    return read


@pytest.fixture
def client(client_of: ClientOf, runtime: Any, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Return a client of pages that may call models; the replies are those of `canned`."""
    monkeypatch.setattr(asking, "runtime_client", lambda *_: runtime)
    made = client_of(aws=AwsSettings("us-east-1"), allow_calls=True, clock=FakeClock())
    made.environ_base["HTTP_ACCEPT"] = "application/json"
    return made


def post(client: FlaskClient, path: str, **values: Any) -> Any:
    return client.post(f"/playground/{path}", json=values).json


def asked(**values: Any) -> dict[str, Any]:
    return {"model": NOVA, "tab": "chat", "question": "Hello", **values}


def lines_of(client: FlaskClient, **values: Any) -> list[dict[str, Any]]:
    reply = client.post("/playground/ask", json={"model": NOVA, "tab": "chat", **values})
    assert reply.status_code == 200, reply.text
    assert reply.mimetype == "application/x-ndjson"
    return [json.loads(line) for line in reply.data.splitlines()]


@pytest.mark.parametrize("tab", ["chat", "text", "image", "embedding", "no-such-tab"])
def test_a_tab_is_a_page(client_of: ClientOf, tab: str) -> None:
    """That says how to allow calls, and asks the service for nothing."""
    page = client_of().get("/playground", query_string={"tab": tab, "model": HOSTILE})
    assert page.status_code == 200
    assert "--allow-calls" in page.text
    assert page.text.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in page.text


def test_models_are_listed_by_their_kinds(client: FlaskClient, listed: list[int]) -> None:
    """Once a minute; a list with a fault is read again."""
    found = client.get("/playground/models?tab=chat").json
    assert [group["name"] for group in found["groups"]] == [
        *("Provisioned throughputs", "Foundation models")
    ]
    assert found["groups"][0]["models"][0]["facts"] == ["InService", "2 model units"]
    assert found["faults"] == ["ListCustomModels was refused"]
    assert client.get("/playground/models?tab=image").json["faults"] == []
    client.get("/playground/models?tab=image")
    assert len(listed) == 2
    client.get("/playground/models?tab=image&new=1")
    assert len(listed) == 3


def test_a_model_says_how_it_is_asked_and_what_it_costs(client: FlaskClient) -> None:
    client.get("/playground/models?tab=chat")
    model = client.get("/playground/model", query_string={"tab": "chat", "model": PROVISIONED}).json
    assert (model["family"], model["way"], model["note"]) == ("nova", "InvokeModel", None)
    assert model["price"] == "paid for by the hour; a call adds nothing"
    assert "of amazon.nova-lite-v1:0:300k" in model["facts"]
    query = {"tab": "chat", "model": NOVA, "converse": "1"}
    assert client.get("/playground/model", query_string=query).json["way"] == "Converse"
    names = [parameter["name"] for parameter in model["parameters"]]
    assert names[:2] == ["system", "max_tokens"]


@pytest.mark.parametrize(
    ("model", "tab", "converse", "message"),
    [
        (CANVAS, "chat", "0", "is asked on the tab image"),
        (NOVA, "embedding", "0", "is asked on the tab chat"),
        (EMBED, "chat", "1", "Converse is for models that answer with text"),
        ("amazon.rerank-v1:0", "chat", "0", "ranks texts"),
    ],
)
def test_a_model_on_the_wrong_tab_is_refused(
    client: FlaskClient, model: str, tab: str, converse: str, message: str
) -> None:
    query = {"tab": tab, "model": model, "converse": converse}
    reply = client.get("/playground/model", query_string=query)
    assert reply.status_code == 400
    assert message in reply.json["error"]["message"]


def test_a_request_is_what_the_form_says(client: FlaskClient) -> None:
    """Its turns and those fields that the model takes; the price comes with it."""
    made = post(
        client,
        "request",
        **asked(
            question=HOSTILE,
            fields={"system": "Be brief", "max_tokens": "50", "top_p": " ", "seed": "7"},
            turns=[{"question": "Hi", "answer": "Hello"}],
        ),
    )
    assert json.loads(made["bodies"][0]) == {
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Hello"}]},
            {"role": "user", "content": [{"text": HOSTILE}]},
        ],
        "system": [{"text": "Be brief"}],
        "inferenceConfig": {"maxTokens": 50},
    }
    assert made["ignored"] == ["seed"]
    assert made["before"].startswith("$0.00")


def test_each_line_is_a_text_to_embed(client: FlaskClient) -> None:
    question = " a cat \n\na dog\r\n"
    made = post(client, "request", model=EMBED, tab="embedding", question=question)
    texts = [json.loads(body)["inputText"] for body in made["bodies"]]
    assert texts == ["a cat", "a dog"]
    many = "\n".join(map(str, range(51)))
    refused = post(client, "request", model=EMBED, tab="embedding", question=many)
    assert "at most 50 texts" in refused["error"]["message"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fields": {"max_tokens": "many"}}, "Most tokens of the answer: is not a whole number"),
        ({"fields": {"temperature": "3"}}, "request.temperature"),
        ({"body": "{"}, "is not valid JSON (line 1)"),
        ({"body": '{"a": NaN}'}, "has NaN, which is not JSON"),
        ({"body": '{"a": 1e999}'}, "the request as JSON: has a number that is too large"),
        ({"body": '{"a": "\\ud800"}'}, "has half a character"),
        ({"body": f'{{"a": {"[" * 100_000}{"]" * 100_000}}}'}, "has more than 100 lists"),
        ({"fields": {"tools": "[1e999]"}}, "Tools: has a number that is too large"),
        ({"fields": {"tools": "[" * 9_999 + "]" * 9_999}}, "Tools: has more than 100 lists"),
        ({"fields": {"tools": "[{"}}, "Tools: is not valid JSON (line 1)"),
        ({"fields": {"temperature": "1e999"}}, "Temperature: is not a number"),
        ({"body": "[]"}, "must be an object"),
        ({"model": " "}, "choose a model"),
        ({"tab": "video"}, "no tab 'video'"),
        ({"turns": "x"}, "cannot be read"),
    ],
)
def test_a_wrong_request_says_what_to_change(
    client: FlaskClient, values: dict[str, Any], message: str
) -> None:
    reply = client.post("/playground/request", json=asked(**values))
    assert reply.status_code == 400
    assert message in reply.json["error"]["message"]


TOOLS = json.dumps([{"name": "look_up", "input_schema": {"type": "object", "properties": {}}}])
CALL = {"name": "look_up", "id": "c1", "input": '{"id": 17}'}


def test_results_of_tools_go_on_with_the_conversation(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    """The answer says which tools it calls; the next request has each call with its result."""
    use = {"toolUse": {"toolUseId": "c1", "name": "look_up"}}
    chunks = (
        {"contentBlockStart": {"start": use}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": '{"id": 17}'}}}},
        {"messageStop": {"stopReason": "tool_use"}},
    )
    canned(runtime, stream(*chunks))
    assert lines_of(client, bodies=["{}"])[-1]["calls"] == [CALL]
    turn = {"question": "Look up 17", "answer": "", "calls": [CALL], "results": ["late"]}
    values = asked(question="", fields={"tools": TOOLS}, turns=[turn])
    (body,) = post(client, "request", **values)["bodies"]
    _, called, results = json.loads(body)["messages"]
    assert called["content"][0]["toolUse"]["input"] == {"id": 17}
    assert results["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "late"}]}}
    ]
    missing = post(client, "request", **{**values, "turns": [{**turn, "results": []}]})
    assert "write a result for each call" in missing["error"]["message"]


def test_thinking_goes_back_to_the_model_that_signed_it(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    """Unchanged, with the results of the tools. To another model, thinking cannot be asked for."""
    thought = {"type": "thinking", "thinking": "hm {{ x }}", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"id": 17}}
    canned(runtime, stream(*events([thought, use])))
    ended = lines_of(client, model=HAIKU, bodies=["{}"])[-1]
    assert ended["signed"] == [thought, use]
    turn = {
        "question": "Look up 17",
        "answer": "",
        "calls": ended["calls"],
        "results": ["late"],
        "model": HAIKU,
        "signed": ended["signed"],
    }
    fields = {"tools": TOOLS, "thinking": "low", "max_tokens": "2000"}
    values = asked(model=HAIKU, question="", fields=fields, turns=[turn])
    (body,) = post(client, "request", **values)["bodies"]
    assert json.loads(body)["messages"][1]["content"] == [thought, use]
    other = {**values, "turns": [{**turn, "model": "anthropic.claude-3-7-sonnet-20250219-v1:0"}]}
    refused = post(client, "request", **other)
    assert "leave thinking out until the next question" in refused["error"]["message"]


PNG = base64.b64decode(draw_png("x", 600, 400))


def attach(client: FlaskClient, name: str, data: bytes) -> Any:
    return client.post("/playground/file", query_string={"name": name}, data=data).json


@pytest.mark.parametrize(("model", "converse"), [(NOVA, False), (NOVA, True), (HAIKU, False)])
def test_a_picture_goes_with_its_question(
    client: FlaskClient,
    runtime: Any,
    canned: Callable[..., CannedHttp],
    model: str,
    converse: bool,
) -> None:
    """The page shows a reference in place of its bytes, which are sent; its price is shown."""
    file = attach(client, "C:\\fakepath\\lamp.png", PNG)
    assert (file["words"], file["is_image"]) == (f"lamp.png, 64 x 43, {len(PNG):,} bytes", True)
    values = asked(model=model, converse=converse)
    made = post(client, "request", **values, files=[file["id"]])
    assert made["before"] != post(client, "request", **values)["before"]
    (body,) = made["bodies"]
    picture, text = json.loads(body)["messages"][0]["content"]
    assert f"file:{file['id']}" in json.dumps(picture)
    assert text["text"] == "Hello"
    http = canned(runtime, aws_failure("ValidationException", 400))
    sent = {"model": model, "tab": "chat", "bodies": [body], "converse": converse}
    client.post("/playground/ask", json=sent)
    blocks = json.loads(http.sent[0].body)["messages"][0]["content"]
    source = (blocks[0].get("image") or blocks[0])["source"]
    assert base64.b64decode(source.get("bytes") or source["data"]) == PNG
    turn = {"question": "Look", "answer": "A lamp", "files": [file["id"]]}
    later = post(client, "request", **values, turns=[turn])["bodies"][0]
    assert json.loads(later)["messages"][0]["content"][0] == picture


@pytest.mark.parametrize(
    ("name", "data", "values", "said"),
    [
        ("a.png", b"no picture", {}, "a.png: is no image or document"),
        ("a.txt", b"words", {}, "a.txt: Nova takes documents by Converse only: tick"),
        ("a.png", PNG, {"model": "meta.llama3-8b-instruct-v1:0"}, "a.png: this model takes no"),
        ("a.png", PNG, {"model": "us.meta.llama4-scout-17b-instruct-v1:0"}, "by Converse only"),
        ("a.png", PNG, {"model": "amazon.nova-micro-v1:0"}, "a.png: this model takes no pictures"),
        ("a.png", PNG + b"x" * 4_000_000, {"converse": True}, "a.png: holds an image of 4,0"),
        ("a.png", PNG + b"x" * 19_000_000, {}, "makes a body of more than 25,000,000 bytes"),
        ("", b"x", {}, "the value 'name' is missing"),
    ],
)
def test_a_file_that_cannot_be_sent_is_named(
    client: FlaskClient, name: str, data: bytes, values: dict[str, Any], said: str
) -> None:
    """With the reason, before anything is paid for."""
    file = attach(client, name, data)
    made = post(client, "request", **asked(files=[file["id"]], **values)) if "id" in file else file
    assert said in made["error"]["message"]


def test_documents_have_a_price_that_is_not_known(client: FlaskClient) -> None:
    file = attach(client, "terms.md", b"# Terms")
    values = asked(files=[file["id"]], converse=True)
    made = post(client, "request", **values)
    (body,) = made["bodies"]
    document = json.loads(body)["messages"][0]["content"][0]["document"]
    assert (document["format"], document["name"]) == ("md", "document 1")
    assert "without its document, whose tokens are not known before" in made["before"]
    config = yaml.safe_load(post(client, "config", **values)["text"])
    assert config["request"]["documents"] == ["document"]
    unknown = post(client, "request", **asked(files=["0" * 32]))
    assert "no longer in the memory" in unknown["error"]["message"]
    query = {"tab": "chat", "model": NOVA}
    words = client.get("/playground/model", query_string=query).json["files"]
    assert words == "Pictures: png, jpeg, gif, webp. Documents: by Converse only. 19 MB in all"


def test_the_oldest_files_make_room() -> None:
    """Those of the last questions stay."""
    store = FileStore(most=25)
    ids = [store.add(f"{n}.txt", b"ten bytes.").id for n in range(3)]
    assert [*store.find(ids[1:])] == ids[1:]
    with pytest.raises(ConfigError, match="attach it again"):
        store.find(ids[:1])
    large = store.add("large.txt", b"x" * 99).id
    assert [*store.find([large])] == [large]


@pytest.mark.parametrize("path", ["request", "ask", "config"])
def test_a_request_of_any_depth_is_no_error_of_the_server(client: FlaskClient, path: str) -> None:
    deep = f'{{"model": "{NOVA}", "tab": "chat", "x": {"[" * 100_000}{"]" * 100_000}}}'
    reply = client.post(f"/playground/{path}", data=deep)
    assert (reply.status_code, "cannot be read" in reply.json["error"]["message"]) == (400, True)


def test_nothing_is_called_without_the_option(client_of: ClientOf) -> None:
    client = client_of(aws=AwsSettings("us-east-1"))
    reply = client.post(
        "/playground/ask", json={"model": NOVA, "tab": "chat", "bodies": ["{}"]}, headers=JSON
    )
    assert reply.status_code == 403
    assert "--allow-calls" in reply.json["error"]["message"]


def test_an_answer_comes_as_lines(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    """What is sent is the request as the page shows it, byte for byte as JSON."""
    chunks = (
        {"contentBlockDelta": {"delta": {"text": HOSTILE}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 1_000, "outputTokens": 1_000}}},
    )
    http = canned(runtime, stream(*chunks))
    text, ended = lines_of(client, bodies=['{"messages": []}'])
    assert text == {"call": 0, "kind": "text", "text": HOSTILE}
    assert (ended["kind"], ended["ending"], ended["text"]) == ("ended", "finished", HOSTILE)
    assert ended["facts"][:2] == ["tokens: 1,000 in, 1,000 out", "cost $0.0003"]
    assert ended["dollars"] == "0.000300"
    assert json.loads(ended["shown"]) == list(chunks)
    assert json.loads(http.sent[0].body) == {"messages": []}
    assert http.sent[0].url.endswith("/invoke-with-response-stream")


def test_vectors_are_followed_by_the_nearest(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    vectors = [[3.0, 4.0], [0.0, 1.0], [3.0, 4.1]]
    canned(runtime, *((200, {"embedding": v, "inputTextTokenCount": 2}) for v in vectors))
    bodies = [json.dumps({"inputText": str(n)}) for n in range(3)]
    *lines, near = lines_of(client, model=EMBED, tab="embedding", bodies=bodies)
    assert [line["kind"] for line in lines] == ["vector", "ended"] * 3
    assert lines[0] == {"call": 0, "kind": "vector", "length": 2, "norm": "5", "type": "float"}
    assert near["kind"] == "near"
    assert [row["near_call"] for row in near["rows"]] == [2, 2, 0]
    assert near["rows"][0]["cosine"] == "0.9999"


def test_a_picture_comes_with_its_name_and_facts(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    image = draw_png("x", 512, 512)
    canned(runtime, (200, {"images": [image]}))
    body = {"imageGenerationConfig": {"seed": 7}}
    picture, ended = lines_of(client, model=CANVAS, tab="image", bodies=[json.dumps(body)])
    assert picture["type"] == "image/png"
    assert picture["name"] == "amazon.nova-canvas-v1-0-seed-7-1.png"
    assert picture["facts"].endswith("seed 7")
    assert base64.b64decode(picture["data"]) == base64.b64decode(image)
    assert ended["output"] is None
    assert "characters more" in ended["shown"] or len(image) < 250
    assert "cost $0.0" in " ".join(ended["facts"])


def test_an_error_is_a_line_without_the_prompt(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    secret = "4711-secret words of a prompt"
    canned(runtime, aws_failure("ValidationException", 400, f"Malformed input: {secret}"))
    (failed,) = lines_of(client, bodies=[json.dumps({"messages": secret})])
    assert (failed["kind"], failed["billed"]) == ("failed", False)
    assert "Malformed input" in failed["message"]
    assert secret not in failed["message"]


def test_a_closed_answer_ends_its_call(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    """The next request of several is not sent."""
    delta = {"contentBlockDelta": {"delta": {"text": "one"}}}
    http = canned(runtime, stream(delta, delta, {"messageStop": {"stopReason": "end_turn"}}))
    values = {"model": NOVA, "tab": "text", "bodies": ["{}", "{}"]}
    reply = client.post("/playground/ask", json=values, buffered=False)
    assert json.loads(next(iter(reply.response)))["text"] == "one"
    reply.close()
    assert len(http.sent) == 1


def test_stop_ends_a_call_that_waits_to_be_repeated(
    client: FlaskClient, runtime: Any, canned: Callable[..., CannedHttp]
) -> None:
    """At once: it is not asked again, and so not paid for. No other question is asked."""
    http = canned(runtime, aws_failure("ThrottlingException", 429))

    def stop(**_: Any) -> None:
        assert client.post("/playground/stop", data={"id": "one"}).json == {"stopped": True}

    runtime.meta.events.register("before-send", stop)
    (failed,) = lines_of(client, tab="text", bodies=["{}", "{}"], id="one")
    assert (failed["kind"], failed["billed"]) == ("failed", False)
    runtime.meta.events.unregister("before-send", stop)
    # A stop that is faster than what it stops holds, too.
    client.post("/playground/stop", data={"id": "two"})
    assert lines_of(client, bodies=["{}"], id="two") == []
    assert len(http.sent) == 1


@pytest.mark.parametrize(
    ("values", "body"),
    [
        ({}, None),
        ({"turns": [{"question": "Hi", "answer": "Hello"}]}, 3),
        ({"body": '{"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}'}, 1),
    ],
)
def test_a_question_becomes_a_config(
    client_of: ClientOf, values: dict[str, Any], body: int | None
) -> None:
    """With several turns, or if the JSON was edited, it has the whole request."""
    client = client_of(aws=AwsSettings("us-east-1"), place=Place("s3://mine/runs", Kind.PREFIX))
    text = post(client, "config", **asked(**values))["text"]
    config = check_config(yaml.safe_load(text))
    assert config.run_uri == "s3://mine/runs/playground"
    if body is None:
        assert (config.request.prompt, config.request.max_tokens) == ("Hello\n\n{{ text }}", 2_048)
    else:
        assert config.request.body is not None
        assert len(config.request.body["messages"]) == body


def test_a_model_of_one_turn_chats_by_converse(client: FlaskClient) -> None:
    query = {"tab": "chat", "model": TITAN}
    model = client.get("/playground/model", query_string=query).json
    family = client.get("/playground/model", query_string={**query, "tab": "text"}).json["family"]
    assert family == "titan_text"
    assert model["family"] in ("titan_text", "converse")
    assert (model["way"] == "Converse") == (model["note"] is not None)
