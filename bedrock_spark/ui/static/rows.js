// Asks rows, and shows each answer as soon as it is there.
const said = document.getElementById("said");
const sums = document.getElementById("sums");
const table = document.getElementById("rows");
const fields = document.getElementById("fields");
const reading = document.getElementById("reading");
const LINES = "application/x-ndjson";
let asking = null;
let dirty = false;

if (reading) waitForRows();
if (table) document.addEventListener("submit", onSubmit);
fields.addEventListener("input", onInput);
fields.addEventListener("submit", () => { dirty = false; });
// What was typed and not applied is on this page only: the browser asks before it goes.
addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });

// Load the page again when its rows are read.
async function waitForRows() {
  for (;;) {
    const reply = await fetch(reading.dataset.state, { headers: { Accept: "application/json" } });
    if (!reply.ok || (await reply.json()).is_there) break;
  }
  if (dirty) reading.textContent = "The rows are read. Apply your changes to see them.";
  else location.reload();
}

function onInput() {
  dirty = true;
  enable();
  if (said) said.textContent = "The fields have changed: apply them first, and the price is shown for them.";
}

// The price on a button is that of the fields as they were applied.
function enable() {
  const off = dirty || asking !== null;
  for (const button of document.querySelectorAll("[data-ask] button, #rows button")) {
    button.disabled = off;
  }
}

function onSubmit(event) {
  if (!event.target.matches("[data-ask]")) return;
  event.preventDefault();
  const sent = new FormData(event.target, event.submitter);
  sent.set("limit", document.getElementById("limit").value);
  ask(event.target.action, sent);
}

async function ask(address, sent) {
  const only = sent.get("numbers") || sent.get("again_number");
  const wanted = [...table.tBodies].filter((body) => !only || body.id === `row-${only}`);
  asking = new AbortController();
  enable();
  for (const body of wanted) body.setAttribute("aria-busy", "true");
  showStop(sent.get("config"));
  try {
    const reply = await fetch(address, {
      method: "POST", body: new URLSearchParams(sent), signal: asking.signal,
      headers: { Accept: `${LINES}, application/json;q=0.9` },
    });
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    said.textContent = `0 of ${wanted.length} answered`;
    let answered = 0;
    for await (const line of linesOf(reply.body)) {
      if (line.end) {
        finish(line, answered, wanted.length);
      } else {
        answered += 1;
        showRow(line);
        said.textContent = `${answered} of ${wanted.length} answered`;
      }
    }
  } catch (error) {
    fail(error.message);
  } finally {
    asking = null;
    for (const body of wanted) body.removeAttribute("aria-busy");
    document.getElementById("stop")?.remove();
    enable();
  }
}

async function* linesOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
  if (rest) throw new Error("the stream of answers broke off; load the page again to see them");
}

// The text of a row is escaped by the server; it is parsed apart and holds no script.
function showRow({ row, html }) {
  const body = document.getElementById(`row-${row}`);
  const { body: made } = new DOMParser().parseFromString(`<table><tbody>${html}</tbody></table>`, "text/html");
  const wasOpen = body.querySelector("details")?.open;
  const hadFocus = body.contains(document.activeElement);
  body.replaceChildren(...made.querySelector("tbody").childNodes);
  body.querySelector("details").open = wasOpen;
  body.removeAttribute("aria-busy");
  for (const button of body.querySelectorAll("button")) button.disabled = true;
  if (hadFocus) body.querySelector("summary").focus({ preventScroll: true });
}

function finish({ html, error }, answered, wanted) {
  const limit = document.getElementById("limit").value;
  const { body } = new DOMParser().parseFromString(html, "text/html");
  sums.replaceChildren(...body.childNodes);
  document.getElementById("limit").value = limit;
  if (error) fail(error);
  else said.textContent = `${answered} of ${wanted} answered`;
}

function fail(message) {
  said.textContent = message;
}

function showStop(config) {
  const button = document.createElement("button");
  button.id = "stop";
  button.type = "button";
  button.textContent = "Stop asking";
  button.addEventListener("click", () => {
    button.disabled = true;
    const body = new URLSearchParams({ config });
    fetch(table.dataset.stop, { method: "POST", body, redirect: "manual" });
  });
  said.after(button);
}
