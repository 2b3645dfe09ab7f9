// One of the two models: its choice, its request, its answers.

import { make, saves } from "./elements.js";
import { getJson, postForLines, postJson, postStop } from "./json_lines.js";
import { Results } from "./playground_results.js";
import { Turn } from "./playground_turn.js";

export class Side {
  /**
   * key: a or b; its parts stand in several places of the page
   * form: has `tab`, `question()`, `texts()`, `fields()`, `files` and `send()`
   * changed: called when the model or its request is another one
   */
  constructor(key, form, changed) {
    this.roots = [...document.querySelectorAll(`[data-side=${key}]`)];
    this.form = form;
    this.changed = changed;
    this.turns = [];
    // The last turn, whose answer calls tools, and the fields for their results; null if none does.
    this.open = null;
    this.model = null;
    this.bodies = [];
    this.isEdited = false;
    this.sent = null;
    this.sums = { calls: 0, dollars: 0, isPriced: true };
    this.part("model").addEventListener("change", () => this.#choose());
    this.part("id").addEventListener("change", () => this.choose());
    this.part("converse")?.addEventListener("change", () => this.choose());
    this.part("body").addEventListener("input", () => this.#edit(true));
    this.part("back").addEventListener("click", () => this.#edit(false));
    this.part("as-config").addEventListener("click", () => this.#showConfig());
  }

  part(name) {
    return this.roots.map((root) => root.querySelector(`.${name}`)).find(Boolean);
  }

  get isShown() {
    return !this.roots[0].hidden;
  }

  set isShown(isShown) {
    for (const root of this.roots) root.hidden = !isShown;
  }

  /** The id or ARN that calls name. */
  get id() {
    return this.part("id").value.trim() || this.part("model").value;
  }

  /** Fill the list of models; choose the first that serves, if none is chosen. */
  list(groups) {
    const select = this.part("model");
    const before = select.value;
    select.replaceChildren(
      ...groups.map((group) =>
        make("optgroup", { label: group.name }, ...group.models.map((each) => option(each))),
      ),
    );
    const written = this.part("id").value.trim();
    if (before || written) select.value = written || before;
    if (written && select.value === written) this.part("id").value = "";
    this.#chooseFirst();
  }

  #chooseFirst() {
    const select = this.part("model");
    const serves = select.value && !select.selectedOptions[0].disabled;
    if (!serves) select.value = select.querySelector("option:not(:disabled)")?.value ?? "";
  }

  #choose() {
    this.part("id").value = "";
    return this.choose();
  }

  /** Ask the server what the chosen model is and takes. */
  async choose() {
    this.model = null;
    this.bodies = [];
    this.#edit(false, false);
    const written = this.part("id").value.trim();
    // A list that shows another model than the one that is asked would mislead.
    if (written) this.part("model").value = written;
    else this.#chooseFirst();
    if (!this.id) return;
    const values = { model: this.id, tab: this.form.tab, converse: this.#converse ? "1" : "0" };
    await this.#try(async () => {
      this.model = await getJson("/playground/model", values);
      const facts = [...this.model.facts, `asked by ${this.model.way}`, this.model.price];
      if (this.model.note) facts.push(this.model.note);
      this.part("facts").textContent = facts.join(" · ");
    });
    if (!this.model) this.part("facts").textContent = "";
    this.changed();
  }

  get #converse() {
    return this.part("converse")?.checked ?? false;
  }

  /** Whether results of tools are written, which can be sent without a question. */
  get hasResults() {
    return this.open !== null && this.open.results.fields.some((field) => field.value.trim());
  }

  /** The turns that are sent. Throws an Error if results are missing. */
  #turns() {
    const results = this.open?.results.texts ?? null;
    return results === null ? [...this.turns] : [...this.turns, { ...this.open.turn, results }];
  }

  /** Return the question as the server reads it. Throws an Error if results of tools are missing. */
  asked() {
    return {
      model: this.id,
      tab: this.form.tab,
      question: this.form.question(),
      converse: this.#converse,
      fields: this.form.fields(),
      turns: this.#turns(),
      files: this.form.files.ids,
      body: this.isEdited ? this.part("body").value : null,
    };
  }

  /** Make the request of the form. Returns what it costs in words, or null if there is none. */
  async prepare() {
    if (!this.model) return null;
    let made = null;
    await this.#try(async () => {
      made = await postJson("/playground/request", this.asked());
    });
    this.bodies = made === null ? [] : made.bodies;
    if (made !== null && !this.isEdited) this.part("body").value = made.bodies[0];
    return made;
  }

  #edit(isEdited, tells = true) {
    this.isEdited = isEdited;
    this.part("back").hidden = !isEdited;
    this.part("origin").textContent = isEdited
      ? "Changed by you; this is what is sent"
      : "Made by the form; what you change here is sent instead";
    if (tells) this.changed();
  }

  /** Send the prepared requests, and show the answers as they come. */
  async send(signal) {
    const texts = this.form.texts();
    const question = this.isEdited ? "The request as JSON" : this.form.question();
    const turn = new Turn(question || "The results of the tools", texts, [...this.form.files.list]);
    const log = this.part("log");
    if (this.form.tab !== "chat") log.replaceChildren();
    log.append(turn.element);
    log.setAttribute("aria-busy", "true");
    this.part("result").textContent = "";
    this.sent = this.asked();
    const id = crypto.randomUUID();
    signal.addEventListener("abort", () => postStop(id));
    await this.#try(async () => {
      const { model, tab, converse } = this.sent;
      const request = { model, tab, converse, bodies: this.bodies, id };
      for await (const event of postForLines("/playground/ask", request, signal)) turn.add(event);
    }, signal);
    if (signal.aborted) turn.stop();
    log.setAttribute("aria-busy", "false");
    this.#note(turn, signal.aborted);
  }

  /** Keep the turn, and those that it was sent after; offer to write the results of its calls. */
  #keep(turn) {
    const { model, question, turns, files } = this.sent;
    const isSent = turns.length > this.turns.length;
    this.open?.results.close(isSent);
    this.open = null;
    this.turns = turns;
    const { calls, signed } = turn;
    const kept = { question, answer: turn.text, calls, results: [], files, model, signed };
    if (turn.calls.length > 0) {
      const results = new Results(turn.calls, () => this.changed(), () => this.form.send());
      turn.element.append(results.element);
      this.open = { turn: kept, results };
    } else if (turn.text.trim()) {
      this.turns.push(kept);
    }
  }

  #note(turn, isStopped) {
    if (this.form.tab === "chat" && turn.isWhole && !this.isEdited) this.#keep(turn);
    this.sums.calls += this.bodies.length;
    this.sums.dollars += turn.dollars;
    this.sums.isPriced &&= turn.isPriced;
    const dollars = `$${Number(this.sums.dollars.toPrecision(6))}`;
    const cost = this.sums.isPriced ? dollars : `${dollars}, and calls of unknown cost`;
    const calls = `${this.sums.calls} call${this.sums.calls === 1 ? "" : "s"}`;
    this.part("total").textContent = `In all: ${calls}, ${cost}`;
    this.part("result").textContent = isStopped ? "Stopped" : turn.isWhole ? "Answered" : "Failed";
  }

  /** Forget the turns of the conversation. */
  clear() {
    this.turns = [];
    this.open = null;
    this.part("log").replaceChildren();
    this.part("result").textContent = "";
  }

  /** Show the question in the form as a config, or else the last one that was asked. */
  async #showConfig() {
    const box = this.part("config");
    await this.#try(async () => {
      const isBlank = !this.form.question().trim() && !this.isEdited;
      const asked = isBlank && this.sent?.model === this.id ? this.sent : this.asked();
      const { text } = await postJson("/playground/config", asked);
      box.querySelector("textarea").value = text;
      saves(box.querySelector("a"), text, "application/yaml", "playground.yaml");
      box.hidden = false;
    });
  }

  async #try(work, signal) {
    const problem = this.part("problem");
    try {
      await work();
      problem.hidden = true;
    } catch (error) {
      if (signal?.aborted) return;
      problem.textContent = error.message;
      problem.hidden = false;
    }
  }
}

function option(model) {
  const name = model.name === model.id ? model.id : `${model.name} – ${model.id}`;
  const facts = model.facts.length ? ` (${model.facts.join(", ")})` : "";
  return make("option", { value: model.id, disabled: model.lacks !== null }, name + facts);
}
