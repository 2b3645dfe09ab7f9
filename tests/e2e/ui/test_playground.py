"""The playground in Chromium against the local Bedrock: chat, side by side, image, embedding."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from bedrock_emulator import LocalBedrock
from bedrock_emulator.answers.png import draw_png
from bedrock_spark.check import check_config
from tests.browser import PHONE, SCREEN
from tests.e2e.ui.checks import Watched, check_as_it_is, check_page, open_page
from tests.e2e.ui.conftest import Serve
from tests.e2e.ui.pictures import picture
from tests.emulator.openai_stub import asking, serving
from tests.emulator.test_openai_streaming import Stub, delta

pytestmark = pytest.mark.long

LAMP = base64.b64decode(draw_png("lamp", 64, 64))
HOSTILE = "<script>alert(1)</script> & <img src=x onerror=alert(2)>"
TOOLS = [{"name": "look_up", "input_schema": {"type": "object", "properties": {"id": {}}}}]
FAULTS = {
    "models": {"amazon.nova-pro*": {"legacy_in_days": -30, "ends_in_days": 43}},
    "custom_models": {"tickets": "amazon.nova-micro-v1:0:128k"},
}
ANSWERS = (
    # The first that matches anything in the conversation counts.
    {"match": "script", "text": f"You wrote {HOSTILE}"},
    {"match": "What is on it", "text": "A lamp."},
    {"match": "late since Monday", "text": "Order 17 is late."},
    {"match": "lost in transit", "thinks": 40, "text": "Order 18 is lost."},
    {"match": "order 18", "thinks": 40, "tool": {"name": "look_up", "input": {"id": 18}}},
    {"match": "weigh", "thinks": 40, "text": "Both weigh the same: a kilogram."},
    {"match": "order 17", "tool": {"name": "look_up", "input": {"id": 17}}},
    {"match": "slowly", "delay_seconds": 20},
)


@pytest.fixture(scope="module")
def bedrock_here() -> Iterator[LocalBedrock]:
    """Serve a local Bedrock with a provisioned throughput that is in service."""
    with LocalBedrock(FAULTS, speed=0) as local:
        local.client("bedrock").create_provisioned_model_throughput(
            modelUnits=2, provisionedModelName="tickets", modelId="amazon.nova-lite-v1:0:300k"
        )
        local.advance_clock(3_600)
        local.set_answers(*ANSWERS)
        yield local


@pytest.fixture
def address(serve: Serve, bedrock_here: LocalBedrock) -> str:
    return serve("--allow-calls", "--endpoint-url", bedrock_here.endpoint_url)


def opened(browser: Browser, address: str, tab: str, width: int = SCREEN) -> Watched:
    watched = open_page(browser, address, width)
    watched.page.goto(f"{address.partition('/?')[0]}/playground?tab={tab}")
    expect(watched.page.locator("#fields > *").first).to_be_visible()
    return watched


def ask(page: Page, question: str) -> None:
    """Ask the models that are chosen, and wait for the whole answers."""
    page.fill("#question", question)
    expect(page.locator("#price")).to_contain_text("call")
    page.click("#send")
    expect(page.locator("#send")).to_be_enabled()
    expect(page.locator("[data-side=a] .result")).to_have_text("Answered")


def answers(page: Page, side: str = "a") -> str:
    return page.inner_text(f"[data-side={side}].answers")


@pytest.mark.parametrize("tab", ["chat", "text", "image", "embedding"])
def test_each_tab_fits_and_can_be_used_by_the_keyboard(
    browser: Browser, address: str, tab: str
) -> None:
    """Also without a list of models, before they are read."""
    check_page(browser, address, f"/playground?tab={tab}")


def test_a_chat_with_a_throughput(browser: Browser, address: str) -> None:
    """Several turns; reasoning is folded, a tool call is shown, and data is text."""
    watched = opened(browser, address, "chat")
    page = watched.page
    facts = page.locator("[data-side=a] .facts").first
    expect(facts).to_contain_text("of amazon.nova-lite-v1:0:300k · InService · 2 model units")
    page.fill("[name=system]", "Be brief")
    ask(page, "Which orders are late?")
    ask(page, "Why is that?")
    ended = page.locator("[data-side=a] .turn .facts").last
    expect(ended).to_contain_text(re.compile(r"tokens: \d+ in, \d+ out · paid for by the hour"))
    expect(ended).to_contain_text("first piece after")
    page.fill("#question", "Please look up order 17")
    page.fill("[name=tools]", json.dumps(TOOLS))
    body = page.locator("#a-body")
    expect(body).to_have_value(re.compile("look_up"))
    said = [m["content"][0]["text"] for m in json.loads(body.input_value())["messages"]]
    assert said[::2] == ["Which orders are late?", "Why is that?", "Please look up order 17"]
    ask(page, "Please look up order 17")
    assert "Calls the tool look_up" in answers(page)
    assert json.loads(page.locator("[data-side=a] .turn > div pre").inner_text()) == {"id": 17}
    # The result goes back to the model, which answers; the conversation keeps the call.
    page.get_by_label("Result of look_up, JSON or text").fill('{"state": "late since Monday"}')
    expect(body).to_have_value(re.compile("toolResult"))
    page.get_by_role("button", name="Send the results").click()
    expect(page.locator("[data-side=a] .turn")).to_have_count(4)
    expect(page.locator("[data-side=a] .turn").last).to_contain_text("Order 17 is late.")
    expect(page.locator("#send")).to_be_enabled()
    picture(page, "playground-chat")
    page.set_input_files("#file", {"name": "lamp.png", "mimeType": "", "buffer": LAMP})
    expect(page.locator("#attach li")).to_contain_text(f"lamp.png, 64 x 64, {len(LAMP)} bytes")
    page.set_input_files("#file", {"name": "terms.txt", "mimeType": "", "buffer": b"Terms"})
    problem = page.locator("[data-side=a] .problem")
    expect(problem).to_contain_text("terms.txt: Nova takes documents by Converse only")
    page.check("#a-converse")
    expect(page.locator("[data-side=a] .facts").first).to_contain_text("asked by Converse")
    ask(page, "What is on it?")
    assert "A lamp." in answers(page)
    image = page.locator("[data-side=a] .turn img")
    assert image.evaluate("image => image.complete && image.naturalWidth") == 64
    expect(page.locator("#attach li")).to_have_count(0)
    ask(page, HOSTILE)
    assert f"You wrote {HOSTILE}" in answers(page)
    assert page.locator("[data-side=a] .log").locator("script").count() == 0
    expect(page.locator("[data-side=a] .total")).to_have_text("In all: 6 calls, $0")
    # The document in the wrong form was refused, as it should be.
    assert {e.partition(":")[0] for e in watched.errors} == {"console", "status"}
    watched.errors.clear()
    for width in (SCREEN, PHONE):
        page.set_viewport_size({"width": width, "height": 844})
        check_as_it_is(watched, width)
    page.click("#fresh")
    expect(page.locator("[data-side=a] .log")).to_be_empty()
    page.context.close()


def test_two_models_side_by_side(browser: Browser, address: str) -> None:
    """Each with its own request, reasoning, price before and cost after."""
    watched = opened(browser, address, "chat")
    page = watched.page
    page.check("#both")
    page.select_option("#b-model", "us.amazon.nova-pro-v1:0")
    expect(page.locator("[data-side=b] .facts").first).to_contain_text("Legacy · ends on")
    page.fill("#a-id", "us.anthropic.claude-haiku-4-5-20251001-v1:0")
    page.locator("#a-id").press("Tab")
    page.select_option("[name=thinking]", "low")
    page.fill("[name=max_tokens]", "3000")
    page.fill("#question", "What do a kilogram of lead and one of feathers weigh?")
    expect(page.locator("#price")).to_contain_text(re.compile(r"\$[\d.]+ to \$.*\$[\d.]+ to \$"))
    page.click("#send")
    for side in ("a", "b"):
        expect(page.locator(f"[data-side={side}] .result")).to_have_text("Answered")
        assert "Both weigh the same" in answers(page, side)
        assert re.search(r"cost \$0\.\d+", answers(page, side))
    reasoning = page.locator("[data-side=a] .turn details").first
    assert reasoning.get_attribute("open") is None
    assert reasoning.locator("summary").inner_text() == "Reasoning"
    picture(page, "playground-side-by-side")
    check_as_it_is(watched, SCREEN)
    # Claude takes the results of a tool with a budget of thinking, after its own thinking.
    page.uncheck("#both")
    page.fill("[name=tools]", json.dumps(TOOLS))
    ask(page, "Please look up order 18")
    page.get_by_label("Result of look_up, JSON or text").fill("lost in transit")
    page.get_by_role("button", name="Send the results").click()
    expect(page.locator("[data-side=a] .turn").last).to_contain_text("Order 18 is lost.")
    expect(page.locator("[data-side=a] .turn").last.locator("details").first).to_contain_text(
        "Reasoning"
    )
    # The other tab and a page that is loaded again have the same model.
    page.get_by_role("link", name="Text").click()
    expect(page.locator("[data-side=a] .facts").first).to_contain_text("claude-haiku-4-5")
    page.reload()
    expect(page.locator("[data-side=a] .facts").first).to_contain_text("claude-haiku-4-5")
    assert watched.errors == []
    page.context.close()


def test_a_request_is_edited_and_becomes_a_config(browser: Browser, address: str) -> None:
    """What was edited is what is sent, and what the config has."""
    watched = opened(browser, address, "text")
    page = watched.page
    page.fill("#question", "Say hello")
    page.locator("[data-side=a] .request summary").click()
    body = page.locator("#a-body")
    expect(body).to_have_value(re.compile("Say hello"))
    request = json.loads(body.input_value())
    request["inferenceConfig"]["maxTokens"] = 3
    body.fill(json.dumps(request))
    page.click("#send")
    expect(page.locator("[data-side=a] .turn .facts")).to_contain_text("stop reason max_tokens")
    page.locator("[data-side=a] .as-config").click()
    config = page.locator("#a-config")
    expect(config).to_have_value(re.compile("maxTokens: 3"))
    checked = check_config(yaml.safe_load(config.input_value()))
    assert checked.model.id == "amazon.nova-lite-v1:0:300k"
    body.fill("{")
    expect(page.locator("[data-side=a] .problem")).to_contain_text("is not valid JSON")
    page.locator("[data-side=a] .back").click()
    expect(body).to_have_value(re.compile('"maxTokens": 1024'))
    # The page's own request with broken JSON was refused, as it should be.
    assert {e.partition(":")[0] for e in watched.errors} == {"console", "status"}
    page.context.close()


def test_an_answer_can_be_stopped(browser: Browser, address: str) -> None:
    watched = opened(browser, address, "text")
    page = watched.page
    page.fill("#question", "Answer slowly")
    expect(page.locator("#price")).to_contain_text("call")
    page.click("#send")
    expect(page.locator("[data-side=a] .log")).to_have_attribute("aria-busy", "true")
    page.click("#stop")
    expect(page.locator("[data-side=a] .result")).to_have_text("Stopped")
    assert "its tokens are not known" in answers(page)
    expect(page.locator("#send")).to_be_enabled()
    assert watched.errors == []
    page.context.close()


def test_a_picture(browser: Browser, address: str, tmp_path: Path) -> None:
    """Is shown with its size and seed, and can be saved."""
    watched = opened(browser, address, "image")
    page = watched.page
    page.fill("[name=seed]", "42")
    ask(page, "A red lamp on a desk")
    image = page.locator("[data-side=a] img")
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    assert image.get_attribute("alt") == "A red lamp on a desk"
    assert re.search(r"\d+ x \d+ png, [\d,]+ bytes, seed 42", answers(page))
    assert re.search(r"cost \$0\.\d+", answers(page))
    with page.expect_download() as download:
        page.locator("[data-side=a] figure a").click()
    assert download.value.suggested_filename.endswith("-seed-42-1.png")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    check_as_it_is(watched, SCREEN)
    page.context.close()


def test_embeddings(browser: Browser, address: str) -> None:
    """Each text has its norm and the nearest other text."""
    watched = opened(browser, address, "embedding")
    page = watched.page
    ask(page, f"the cat sleeps\nthe price of gold rises\nthe cat eats\n{HOSTILE}")
    rows = page.locator("[data-side=a] tbody tr").all_inner_texts()
    assert len(rows) == 4
    first = rows[0].split("\t")
    assert (first[0], first[3]) == ("the cat sleeps", "the cat eats")
    assert abs(float(first[1]) - 1) < 0.01
    assert rows[3].startswith(HOSTILE)
    picture(page, "playground-embedding")
    check_as_it_is(watched, SCREEN)
    page.context.close()


def test_without_the_option_no_call_is_made(
    browser: Browser, serve: Serve, bedrock_here: LocalBedrock
) -> None:
    """The form, the request and the config work; the button does not."""
    address = serve("--endpoint-url", bedrock_here.endpoint_url)
    watched = opened(browser, address, "chat")
    page = watched.page
    expect(page.locator("#price")).to_contain_text("--allow-calls")
    expect(page.locator("#send")).to_be_disabled()
    page.fill("#question", "Hello")
    page.locator("[data-side=a] .as-config").click()
    expect(page.locator("#a-config")).to_have_value(re.compile("{{ text }}"))
    assert watched.errors == []
    page.context.close()


def test_pieces_appear_as_they_come_and_stop_ends_the_call(browser: Browser, serve: Serve) -> None:
    """The model waits in the middle of its answer; after Stop, its server sees the end, too."""
    with serving(Stub()) as model, asking(model) as kit:
        model.script = [delta(content="Alpha "), None, "pieces until the client has gone"]
        address = serve("--allow-calls", "--endpoint-url", kit.local.endpoint_url)
        watched = opened(browser, address, "text")
        page = watched.page
        page.fill("#question", "Count")
        expect(page.locator("#price")).to_contain_text("call")
        page.click("#send")
        text = page.locator("[data-side=a] .turn .text")
        expect(text).to_have_text("Alpha ")
        page.click("#stop")
        expect(page.locator("[data-side=a] .result")).to_have_text("Stopped")
        expect(text).to_have_text("Alpha ")
        model.go_on.set()
        assert model.hung_up.wait(30)
        assert watched.errors == []
        page.context.close()
