"""Answers have the form that the prompt asks for: JSON of its shape, a label, sentences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.prompt import Prompt, Turn
from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.parse import AnswerParser
from bedrock_spark.schema import parse_ddl

NUMBER, TEXT = (int, float), str


def answer(text: str, system: str = "", **options: Any) -> str:
    prompt = Prompt((Turn("user", text),), system=system, max_tokens=400, **options)
    return DeterministicBackend().complete("m", prompt).text


# System prompt, prompt, and the columns that must be readable from the answer.
JSON_PROMPTS = {
    "classification with a score": (
        "You are a spam filter.",
        'Is this text message spam? Answer with JSON: {"label": "spam" or "ham", "score": 0 to 1}\n'
        "SMS: Free entry to win FA Cup final tickets. Text FA to 87121",
        "label string NOT NULL, score double NOT NULL",
    ),
    "nested JSON without quotes": (
        "",
        'Extract as JSON {"title": ..., "people": [{"name":..., "role":...}], '
        '"amounts": {"total":..., "currency":...}, "when": date} from:\n'
        "Natalia sold clips to 48 of her friends in April.",
        "title string NOT NULL, people array<struct<name: string, role: string>> NOT NULL, "
        "amounts struct<total: double, currency: string> NOT NULL, when date NOT NULL",
    ),
    "keys in a sentence": (
        "",
        "Answer with JSON with the keys label, reason and score (0 to 1).\n\nThe parcel is late.",
        "label string NOT NULL, reason string NOT NULL, score double NOT NULL",
    ),
    "keys as bullets": (
        "",
        "Return a JSON object with the following fields:\n"
        '- category (string): one of "hardware", "software", "network"\n- priority (integer 1-4)\n'
        "- summary: at most 10 words\n- keywords: list of strings\n- needs_human: true/false\n\n"
        "Ticket: The printer on floor 3 is offline and the network drive is slow.",
        "category string NOT NULL, priority int NOT NULL, summary string NOT NULL, "
        "keywords array<string> NOT NULL, needs_human boolean NOT NULL",
    ),
    "TypeScript with comments": (
        "",
        'Return JSON:\n{\n  "label": string, // one of: bug, feature, question\n'
        '  "confidence": number // between 0 and 1\n  "tags": string[],\n'
        '  "is_urgent": boolean\n}\n\n<ticket>\nThe app crashes when I open it.\n</ticket>',
        "label string NOT NULL, confidence double NOT NULL, tags array<string> NOT NULL, "
        "is_urgent boolean NOT NULL",
    ),
    "German": (
        "Du bist ein Assistent im Kundendienst.",
        'Klassifiziere die Nachricht. Antworte nur mit JSON: {"kategorie": '
        '"Rechnung|Versand|Sonstiges", "stimmung": "positiv|negativ|neutral", "dringend": true}\n\n'
        "Nachricht: Mein Paket ist immer noch nicht geliefert, ich bin sehr enttäuscht.",
        "kategorie string NOT NULL, stimmung string NOT NULL, dringend boolean NOT NULL",
    ),
    "a row in JSON, after the shape": (
        "",
        'Classify the customer record. Respond with JSON like {"segment": "consumer|business", '
        '"churn_risk": 0.5, "reason": "..."}\n\n{"id": 17, "note": "Costs too much", "plan": "x"}',
        "segment string NOT NULL, churn_risk double NOT NULL, reason string NOT NULL",
    ),
    "a row in JSON, before the shape": (
        "",
        '{"id": 17, "note": "Company wants to cancel, costs too much"}\n\n'
        'Summarize the record above. Reply with JSON: {"summary": "one sentence", '
        '"risk": "low|high"}',
        "summary string NOT NULL, risk string NOT NULL",
    ),
    "examples": (
        "",
        "Extract sentiment and product as JSON.\n\nInput: I love my new Pixel.\n"
        'Output: {"sentiment": "positive", "product": "Pixel"}\n\nInput: This toaster is terrible.'
        '\nOutput: {"sentiment": "negative", "product": "toaster"}\n\n'
        "Input: The blender broke after a day, what a waste.\nOutput:",
        "sentiment string NOT NULL, product string NOT NULL",
    ),
    "a JSON schema": (
        "",
        'Answer with JSON that matches this schema:\n{"type":"object","properties":{"label":'
        '{"type":"string","enum":["a","b"]},"n":{"type":"integer","minimum":1,"maximum":3}}}\n\nText',
        "label string NOT NULL, n int NOT NULL",
    ),
    "named entities": (
        "",
        'List the entities as JSON: {"entities": [{"text": "...", "type": "PERSON|ORG|LOC", '
        '"start": 0}]}\n\nTim Cook visited Berlin to meet people from Siemens.',
        "entities array<struct<text: string, type: string, start: int>> NOT NULL",
    ),
    "ranges in quotes": (
        "",
        'Score the essay. Output JSON {"grammar": "1-10", "style": "1-10", "feedback": "<text>"}.\n'
        "Essay: My holidays was very nice and me goes swimming.",
        "grammar int NOT NULL, style int NOT NULL, feedback string NOT NULL",
    ),
    "an order with items": (
        "",
        'Parse the order into JSON: {"customer": {"name": "string", "email": "string"}, "items": '
        '[{"sku": "string", "qty": 1, "price": 9.99}], "total": 19.98, "date": "YYYY-MM-DD"}\n\n'
        "Order: Jane Doe (jane@acme.io) ordered 3 pens for 4.50 on 2026-03-02.",
        "customer struct<name: string, email: string> NOT NULL, items array<struct<sku: string, "
        "qty: int, price: double>> NOT NULL, total double NOT NULL, date date NOT NULL",
    ),
    "an empty invoice in a fence": (
        "",
        'Extract the invoice data. Use this format:\n```json\n{\n  "invoice_number": "string",\n'
        '  "vendor": "string",\n  "total": 0.0,\n  "paid": false,\n  "lines": [\n    '
        '{"description": "string", "quantity": 0}\n  ]\n}\n```\n'
        "Invoice:\nACME Corp, Invoice INV-2210, 2 widgets at 9.50 EUR, total 19.00 EUR",
        "invoice_number string NOT NULL, vendor string NOT NULL, total double NOT NULL, "
        "paid boolean NOT NULL, lines array<struct<description: string, quantity: int>> NOT NULL",
    ),
    "keys with their types": (
        "",
        "Extract: name (string), age (integer), city (string). Output JSON.\n\nBob is 42.",
        "name string NOT NULL, age int NOT NULL, city string NOT NULL",
    ),
    "the template of Llama": (
        "",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nReturn {city: string, "
        "days: 1-9} as JSON for: I flew from Berlin to Lisbon.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "city string NOT NULL, days int NOT NULL",
    ),
}


@pytest.mark.parametrize("name", JSON_PROMPTS)
def test_json_has_the_shape_that_the_prompt_shows(name: str) -> None:
    """The pipeline reads every column, and the whole answer is JSON without other keys."""
    system, text, columns = JSON_PROMPTS[name]
    fields = parse_ddl(columns)
    answered = answer(text, system)
    assert AnswerParser(fields).parse(Answer(text=answered)).reason is None, answered
    assert list(json.loads(answered)) == [field.name for field in fields]


def values(name: str) -> Any:
    system, text, _ = JSON_PROMPTS[name]
    return json.loads(answer(text, system))


def test_the_values_make_sense_for_the_row() -> None:
    """Labels share words with the row, names and numbers are the row's, no example is repeated."""
    assert values("classification with a score")["label"] == "spam"
    assert values("nested JSON without quotes")["amounts"] == {"total": 48, "currency": "USD"}
    assert values("keys as bullets")["category"] == "network"
    assert values("TypeScript with comments")["label"] == "bug"
    invoice = values("an empty invoice in a fence")
    assert (invoice["invoice_number"], invoice["vendor"]) == ("INV-2210", "ACME Corp")
    assert values("keys with their types")["age"] == 42
    german = values("German")
    assert (german["kategorie"], german["stimmung"]) == ("Versand", "negativ")
    assert values("examples") == {"sentiment": "negative", "product": "blender"}
    assert "cancel" in values("a row in JSON, before the shape")["summary"]
    entities = [entity["text"] for entity in values("named entities")["entities"]]
    assert entities == ["Tim Cook", "Berlin", "Siemens"]
    order = values("an order with items")
    assert order["customer"] == {"name": "Jane Doe", "email": "jane@acme.io"}
    assert order["date"] == "2026-03-02"


# System prompt, prompt, and the whole answer.
LABEL_PROMPTS = {
    "a list after a colon": (
        "",
        "Labels: billing, shipping, refund.\nWhich fits?\n\nMy package has not been delivered.",
        "shipping",
    ),
    "bullets with descriptions": (
        "Classify the ticket into exactly one of these categories:\n- Billing: invoices, payments\n"
        "- Technical: errors, crashes\n- Account: login, password\nAnswer with the category only.",
        "I cannot log in since I changed my password.",
        "Account",
    ),
    "in parentheses": (
        "",
        "What is the sentiment of this review (positive, negative, neutral)?\n\n"
        "Review: I love this phone, the camera is excellent.\n\nSentiment:",
        "positive",
    ),
    "in the sentence": (
        "",
        "Classify this ticket as bug, question or wish. Ticket 7: the export stops and crashes.",
        "bug",
    ),
    "after the sentence": (
        "",
        "Is this review positive or negative? It was awful.",
        "negative",
    ),
    "yes or no": (
        "",
        "Is the following email a complaint? Answer yes or no.\n\nI am very disappointed.",
        "yes",
    ),
    "the row before the question": (
        "",
        "Review: The battery died after two days. Terrible.\n\nBased on the review above, what is "
        "the sentiment? Answer with exactly one word: positive, negative or neutral.",
        "negative",
    ),
    "a numbered list": (
        "You route tickets. Choose exactly one queue:\n1. Billing\n2. Technical Support\n3. Sales\n"
        "Reply with the queue name only.",
        "I was charged twice on my card",
        "Billing",
    ),
    "a JSON array": (
        'Labels: ["card_arrival", "lost_card", "exchange_rate"]. Respond with one label.',
        "Where is my new card? It has not arrived.",
        "card_arrival",
    ),
    "one of, without a colon": ("", "Choose one of spam, ham or other: win a prize now", "spam"),
    "German": (
        "",
        "Ordne die folgende Bewertung ein: positiv, negativ oder neutral?\n\nDas Essen war super.",
        "positiv",
    ),
}


@pytest.mark.parametrize("name", LABEL_PROMPTS)
def test_one_of_the_labels_is_the_answer(name: str) -> None:
    """The one whose words the row has."""
    system, text, label = LABEL_PROMPTS[name]
    assert answer(text, system) == label


def test_labels_of_examples_are_the_labels() -> None:
    """A prompt may list none, but end where the next label belongs."""
    text = "Text: great movie\nLabel: pos\n\nText: boring\nLabel: neg\n\nText: okay I guess\nLabel:"
    assert answer(text) in ("pos", "neg")


def test_a_question_with_an_or_is_not_the_list_to_answer_with() -> None:
    """The list after "Reply with" is."""
    asked = 'Which answer is better, A or B? Reply with "A" or "B".\n\nA: Paris\nB: London'
    assert answer(asked) in ("A", "B")


def test_a_rating_is_a_number_of_its_scale() -> None:
    """And nothing else, for any row."""
    question = "Rate the quality of this answer on a scale from 1 to 5. Reply with the number only."
    ratings = {answer(f"{question}\n\nAnswer: {word}") for word in "abcdefghijklmnopqrstuvwxyz"}
    assert ratings <= {"1", "2", "3", "4", "5"}
    assert len(ratings) > 2
    scale = "Rate the sentiment from 1 (very negative) to 5 (very positive). Only the number."
    assert answer(f"<review>Great value, works fine</review>\n\n{scale}") == "5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Say in one sentence what os.getcwd is for.\n\nReturn the current working directory.",
         "os.getcwd: Return the current working directory."),
        ("Summarize in two sentences:\n\nThe tram grows. It opens in 2031. Critics disagree.",
         "The tram grows. It opens in 2031."),
        ("Translate to German: How do I locate my card?", "[German] How do I locate my card?"),
        ("Who was Ada Lovelace?", 'about Ada Lovelace of the local Bedrock. You asked: "Who was'),
    ],
)  # fmt: skip
def test_other_answers_are_sentences_from_the_prompt(text: str, expected: str) -> None:
    """They quote the row, or the question if there is no row."""
    assert expected in answer(text)


def test_a_row_that_looks_like_an_instruction_is_a_row() -> None:
    """Documentation is full of braces, lists and `return`. It does not say how to answer."""
    row = (
        "format(value, spec)\n\nReturn value.__format__(spec), e.g. {name: value} or {'a': 1}. "
        "It is one of: a, b."
    )
    answered = answer(f"Explain in one line what this does.\n\n{row}")
    assert "format(value, spec)" in answered


def test_labels_of_the_prompt_are_those_of_a_json_member() -> None:
    """A shape often names the member, and the sentence before it the labels."""
    text = (
        "Classify the ticket as billing, shipping or refund. Answer with JSON: "
        '{"label": "...", "score": 0.9}\n\nMy package has not been delivered.'
    )
    assert json.loads(answer(text))["label"] == "shipping"


def test_a_request_for_a_json_object_is_answered_with_one() -> None:
    """`response_format: {"type": "json_object"}` says nothing about the members."""
    assert isinstance(json.loads(answer("Hello", wants_json=True)), dict)
    shaped = json.loads(answer('Fill in {"n": 1 to 3}: x', wants_json=True))
    assert list(shaped) == ["n"]
    assert shaped["n"] in (1, 2, 3)


def test_an_answer_continues_what_the_request_has_begun() -> None:
    """A last message of the assistant is the beginning of the answer."""
    turns = (Turn("user", 'Return {"n": 1 to 3} as JSON.'), Turn("assistant", "{"))
    text = DeterministicBackend().complete("m", Prompt(turns, max_tokens=50)).text
    assert json.loads("{" + text)["n"] in (1, 2, 3)


_NAMES = st.sampled_from(["label", "score", "summary", "tags", "when", "city", "x1", "is_new"])
# A type of a column, and the ways to write it where a value belongs.
_WRITTEN = {
    "string": ['"..."', "string", '"<text>"', '"a short sentence"', '"string"', '"Berlin"'],
    "int": ["1-5", '"1 to 9"', "integer", "3", '"integer 0-10"', "1|2|3"],
    "double": ["0.5", "0 to 1", '"float between 0 and 1"', "number", "12.75"],
    "boolean": ["true", "true|false", "boolean", '"true or false"'],
    "date": ["date", '"YYYY-MM-DD"', '"2026-01-31"'],
    "array<string>": [
        "[string]",
        '["a", "b"]',
        '["..."]',
        "string[]",
        '"list of strings"',
    ],
    "struct<a: string, n: int>": ['{"a": "...", "n": 1}', "{a: string, n: 1-3}"],
    "array<struct<a: string>>": ['[{"a": "..."}]', '[{"a": string}, ...]'],
}
_MEMBERS = st.lists(
    st.sampled_from([(kind, text) for kind, texts in _WRITTEN.items() for text in texts]),
    min_size=1,
    max_size=5,
)
_ROWS = st.one_of(st.text(max_size=60), st.sampled_from(['{"id": 3}', "[x]", "Rate it: 1 to 5."]))


@given(st.lists(_NAMES, min_size=5, max_size=5, unique=True), _MEMBERS, _ROWS, st.booleans())
def test_every_way_to_write_a_shape_is_understood(
    names: list[str], members: list[tuple[str, str]], row: str, lines: bool
) -> None:
    """Members keep their types, whatever the row is, on one line or on many."""
    named = list(zip(names, members, strict=False))
    joint = ",\n  " if lines else ", "
    shape = "{" + joint.join(f'"{name}": {text}' for name, (_, text) in named) + "}"
    columns = ", ".join(f"{name} {kind} NOT NULL" for name, (kind, _) in named)
    answered = answer(f"Answer with JSON like this: {shape}\n\nText: {row}")
    parsed = AnswerParser(parse_ddl(columns)).parse(Answer(text=answered))
    assert parsed.reason is None, (shape, answered)


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_prompt_makes_the_reader_fail(system: str, text: str) -> None:
    """Any text has an answer, and the same one each time."""
    assert answer(text, system) == answer(text, system)


@given(st.text(st.sampled_from('{}[]":,|/#.- \n<>()ab1'), max_size=120))
def test_no_brackets_make_the_reader_fail(text: str) -> None:
    """Shapes are read by a parser of their own."""
    assert answer(f"Answer with JSON: {text}\n\nRow") is not None
