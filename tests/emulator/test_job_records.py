"""The files of a batch job: input lines, output lines, manifests, and input that is refused."""

from __future__ import annotations

import json

import pytest

from .kit import CLAUDE, Kit, ask, record


def test_output_is_where_bedrock_puts_it_in_another_order(kit: Kit) -> None:
    """An `.out` per input and a manifest. Records once, shuffled, with the keys of real ones."""
    arn = kit.submit(60)
    kit.settle(arn)
    names = kit.keys(arn)
    assert len(names) == 2
    assert names[1] == "manifest.json.out"
    assert names[0].endswith(".jsonl.out")
    lines = kit.lines(arn)
    ids = [line["recordId"] for line in lines]
    assert sorted(ids) == [record(n)["recordId"] for n in range(60)]
    assert ids != sorted(ids)
    assert list(lines[0]) == ["modelInput", "modelOutput", "recordId"]
    assert lines[0]["modelInput"] == record(int(ids[0][3:]))["modelInput"]
    usage = [line["modelOutput"]["usage"] for line in lines]
    assert kit.manifest(arn) == {
        "totalRecordCount": 60,
        "processedRecordCount": 60,
        "successRecordCount": 60,
        "errorRecordCount": 0,
        "inputTokenCount": sum(item["input_tokens"] for item in usage),
        "outputTokenCount": sum(item["output_tokens"] for item in usage),
    }


def test_text_comes_back_unescaped_and_unchanged(kit: Kit) -> None:
    """Non-ASCII text is not escaped, and Unicode line separators stay inside their line."""
    text = "Größe \u0085 \u2028 商品 \U0001f600 \ud800 end"
    arn = kit.submit([{"recordId": "A", "modelInput": ask(text)}])
    kit.settle(arn)
    (line,) = kit.lines(arn)
    assert line["modelInput"]["messages"][0]["content"] == text
    plain = kit.submit([{"recordId": "A", "modelInput": ask("Größe 商品")}])
    kit.settle(plain)
    assert "商品".encode() in kit.read(plain, kit.keys(plain)[0])


def test_bodies_a_model_refuses_are_errors_of_their_records(kit: Kit) -> None:
    """modelInput is not validated before a job runs: the job completes, with errors in lines."""
    bad = [
        {"recordId": "no-version", "modelInput": {"max_tokens": 5, "messages": []}},
        {"recordId": "model-id", "modelInput": ask("hi", modelId=CLAUDE)},
        {"recordId": "no-input"},
        {"recordId": "text", "modelInput": "hello"},
        record(1),
    ]
    arn = kit.submit(bad)
    job = kit.settle(arn)
    assert job["status"] == "Completed"
    assert (job["successRecordCount"], job["errorRecordCount"]) == (1, 4)
    errors = {line["recordId"]: line.get("error") for line in kit.lines(arn)}
    assert errors["no-version"]["errorCode"] == 400
    assert "anthropic_version: Field required" in errors["no-version"]["errorMessage"]
    assert "Extra inputs are not permitted" in errors["model-id"]["errorMessage"]
    assert errors["REC00000001"] is None
    assert set(errors["text"]) == {"errorCode", "errorMessage", "expired", "retryable"}


def test_a_record_without_an_id_gets_one(kit: Kit) -> None:
    """Eleven letters or digits, different for each record."""
    arn = kit.submit([{"modelInput": ask("one")}, {"modelInput": ask("two")}])
    kit.settle(arn)
    ids = {line["recordId"] for line in kit.lines(arn)}
    assert len(ids) == 2
    assert all(len(item) == 11 and item.isalnum() for item in ids)


def test_a_prefix_takes_all_jsonl_files_under_it(kit: Kit) -> None:
    """One output per input; other objects are skipped."""
    kit.put("pre/a.jsonl", [record(1), record(2)])
    kit.put("pre/b.jsonl", [record(3)])
    kit.put("pre/_SUCCESS", b"")
    kit.put("prefix-of-another.jsonl", [record(4)])
    request = kit.request(f"s3://{kit.bucket}/pre")
    arn = kit.bedrock.create_model_invocation_job(**request)["jobArn"]
    assert kit.settle(arn)["totalRecordCount"] == 3
    assert kit.keys(arn) == ["a.jsonl.out", "b.jsonl.out", "manifest.json.out"]
    ids = [json.loads(line)["recordId"] for line in kit.read(arn, "b.jsonl.out").splitlines()]
    assert ids == ["REC00000003"]


@pytest.mark.parametrize(
    ("content", "quotas", "message"),
    [
        (b"{}\nnot json\n", {}, "Line 2 of input file"),
        (b"{}\n[1]\n", {}, "is not a JSON object"),
        (b"{}\n", {"min_records": 2}, "less records (1) than the required minimum of: 2"),
        (b"{}\n{}\n{}\n", {"max_records": 2}, "allowed maximum of: 2"),
        (b"{}\n{}\n", {"max_file_bytes": 3}, "more than the allowed maximum of: 3"),
        (b"{}\n{}\n", {"max_job_bytes": 4}, "more than the allowed maximum of: 4"),
    ],
)
def test_input_the_service_refuses_fails_the_job(
    kit: Kit, content: bytes, quotas: dict[str, int], message: str
) -> None:
    """After its creation: status Failed with a message, counts of 0, and only a manifest."""
    kit.local.set_faults({"quotas": {"min_records": 1, **quotas}})
    arn = kit.submit(content)
    kit.local.advance_clock(250)
    job = kit.job(arn)
    assert job["status"] == "Failed"
    assert message in job["message"]
    assert job["totalRecordCount"] == 0
    assert kit.keys(arn) == ["manifest.json.out"]
    # Real jobs without output were seen with a manifest of this size.
    assert len(kit.read(arn, "manifest.json.out")) == 23


def test_input_that_is_not_there_or_not_jsonl_fails_the_job(kit: Kit) -> None:
    """The bucket is checked at once, the object while the job is Validating."""
    kit.put("records.json", [record(1)])
    for uri in (f"s3://{kit.bucket}/nothing.jsonl", f"s3://{kit.bucket}/records.json"):
        arn = kit.bedrock.create_model_invocation_job(**kit.request(uri))["jobArn"]
        assert kit.settle(arn)["status"] == "Failed"
        assert ".jsonl" in kit.job(arn)["message"]


def test_converse_records_come_back_with_every_member_of_the_union(kit: Kit) -> None:
    """Absent members are null, so `"text" in block` is always true in batch output."""
    turns = [{"role": "user", "content": [{"text": "Hello there"}]}]
    records = [
        {"recordId": "ok", "modelInput": {"messages": turns, "inferenceConfig": {"maxTokens": 9}}},
        {"recordId": "extra", "modelInput": {"messages": turns, "modelId": CLAUDE}},
        {
            "recordId": "thinking",
            "modelInput": {
                "messages": turns,
                "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
            },
        },
        {
            "recordId": "cache",
            "modelInput": {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}],
                    }
                ]
            },
        },
    ]
    arn = kit.submit(records, modelInvocationType="Converse")
    kit.settle(arn)
    lines = {line["recordId"]: line for line in kit.lines(arn)}
    output = lines["ok"]["modelOutput"]
    (block,) = output["output"]["message"]["content"]
    assert block["text"]
    assert block["toolUse"] is None
    assert block["image"] is None
    assert output["usage"]["cacheReadInputTokenCount"] is None
    assert output["usage"]["outputTokens"] <= 9
    assert "extraneous key [modelId]" in lines["extra"]["error"]["errorMessage"]
    assert "extraneous key [thinking]" in lines["thinking"]["error"]["errorMessage"]
    assert lines["cache"]["error"]["errorCode"] == 403


def test_duplicate_ids_are_accepted(kit: Kit) -> None:
    """As far as is known, the service does not refuse them. The caller must keep ids unique."""
    arn = kit.submit([record(1), record(1)])
    assert kit.settle(arn)["successRecordCount"] == 2
    assert kit.local.usage()["records"][arn] == {"REC00000001": 2}


def test_a_record_nested_too_deep_fails_alone(kit: Kit) -> None:
    """The record fails, or its line is invalid JSON and the job fails; the emulator never does."""
    for depth in (50, 900, 990, 5000):
        nested = b'{"recordId":"a","modelInput":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}\n"
        arn = kit.submit(nested + b'{"recordId":"b","modelInput":{}}\n')
        job = kit.settle(arn)
        assert job["status"] in ("Completed", "Failed")
        assert "internal error" not in job.get("message", "")
