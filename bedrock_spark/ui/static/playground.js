// The playground: a question, its parameters, and one or two models that are asked.

import { getJson } from "./json_lines.js";
import { Files } from "./playground_files.js";
import { showFields, valuesOf } from "./playground_fields.js";
import { Side } from "./playground_side.js";

const WAIT_MS = 250;
const TEXT_TABS = new Set(["chat", "text"]);
const element = (id) => document.getElementById(id);
const play = element("play");
const fields = element("fields");
const files = new Files(element("attach"), () => later());
const form = {
  files,
  send: () => send(),
  tab: play.dataset.tab,
  question: () => element("question").value,
  fields: () => valuesOf(fields),
  texts: () => (play.dataset.tab === "embedding" ? linesOf(element("question").value) : []),
};
const isAllowed = play.dataset.allowed === "yes";
const sides = ["a", "b"].map((key) => new Side(key, form, () => changedModel()));
let stopper = null;
let timer = null;
let prepared = 0;

function linesOf(text) {
  return text.split(/\r\n|\r|\n/).map((line) => line.trim()).filter(Boolean);
}

const shown = () => sides.filter((side) => side.isShown);

/** Keep the first model in the address, and in the links to the tabs that take the same models. */
function keepModel() {
  const { model, id } = sides[0];
  if (model === null) return;
  const withModel = (address) => {
    const changed = new URL(address);
    changed.searchParams.set("model", id);
    return changed.href;
  };
  history.replaceState(null, "", withModel(location.href));
  for (const link of document.querySelectorAll(".tabs a")) {
    const tab = new URL(link.href).searchParams.get("tab");
    if (TEXT_TABS.has(tab) && TEXT_TABS.has(form.tab)) link.href = withModel(link.href);
  }
}

function changedModel() {
  keepModel();
  showFields(fields, shown());
  files.describe(shown().map((side) => side.model?.files ?? "").filter(Boolean));
  later();
}

/** Make the requests again, a moment after the last key. */
function later() {
  clearTimeout(timer);
  timer = setTimeout(prepare, WAIT_MS);
}

/** Make the requests and show what they cost. Returns whether all of them can be sent. */
async function prepare() {
  clearTimeout(timer);
  const number = ++prepared;
  const chosen = askable();
  const made = await Promise.all(chosen.map((side) => side.prepare()));
  const isReady = made.every((each) => each !== null);
  if (number !== prepared || !isAllowed) return isReady;
  const several = chosen.length > 1;
  element("price").textContent = chosen
    .map((side, i) => (made[i] ? costOf(side, made[i], several) : null))
    .filter(Boolean)
    .join("; ");
  return isReady;
}

function costOf(side, made, isOneOfTwo) {
  const calls = made.bodies.length === 1 ? "This call" : `These ${made.bodies.length} calls`;
  return `${isOneOfTwo ? `${side.model.name}: ` : ""}${calls}: ${made.before}`;
}

/** The models that get something: without a question, those whose results of tools are written. */
function askable() {
  if (form.question().trim()) return shown();
  const some = shown().filter((side) => side.isEdited || side.hasResults);
  return some.length > 0 ? some : shown();
}

async function send(event) {
  event?.preventDefault();
  if (stopper !== null || !isAllowed) return;
  const asked = askable();
  if (!form.question().trim() && !asked.some((side) => side.isEdited || side.hasResults)) {
    element("question").focus();
    return;
  }
  const current = new AbortController();
  stopper = current;
  setBusy(true);
  try {
    if (!(await prepare()) || current.signal.aborted) return;
    await Promise.all(asked.map((side) => side.send(current.signal)));
    if (form.tab === "chat" && !current.signal.aborted) {
      element("question").value = "";
      files.clear();
    }
  } finally {
    stopper = null;
    setBusy(false);
    later();
  }
  element("question").focus();
}

function setBusy(isBusy) {
  element("send").disabled = isBusy || !isAllowed;
  element("stop").disabled = !isBusy;
}

async function list(isNew) {
  const said = element("listed");
  try {
    const values = { tab: form.tab, new: isNew ? "1" : "0" };
    const { groups, faults } = await getJson("/playground/models", values);
    const count = groups.reduce((sum, group) => sum + group.models.length, 0);
    said.textContent = `${count} models are listed.`;
    element("faults").textContent = faults.join("; ");
    element("faults").hidden = faults.length === 0;
    for (const side of sides) side.list(groups);
  } catch (error) {
    said.textContent = "No models are listed; write an id or an ARN.";
    element("faults").textContent = error.message;
    element("faults").hidden = false;
  }
  await Promise.all(shown().map((side) => side.choose()));
}

element("both").addEventListener("change", async (event) => {
  sides[1].isShown = event.target.checked;
  if (event.target.checked) await sides[1].choose();
  else changedModel();
});
play.addEventListener("submit", send);
play.addEventListener("input", later);
element("stop").addEventListener("click", () => stopper?.abort());
window.addEventListener("pagehide", () => stopper?.abort());
element("fresh")?.addEventListener("click", () => {
  for (const side of sides) side.clear();
  files.clear();
  later();
});
element("question").addEventListener("keydown", (event) => {
  const isSent = event.key === "Enter" && (form.tab === "chat" ? !event.shiftKey : event.ctrlKey);
  if (isSent && !event.isComposing) send(event);
});
element("renew").addEventListener("click", () => list(true));
setBusy(false);
list(false);
