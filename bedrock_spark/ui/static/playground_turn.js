// One question and its answer on the page, which grows while the answer comes.

import { bytesOf, make, saves } from "./elements.js";

/** Return a file of a question: a small picture, or its name. */
function sent(file) {
  const caption = make("figcaption", {}, file.words);
  const image = file.url ? make("img", { src: file.url, alt: file.words, className: "small" }) : null;
  return make("figure", {}, image, caption);
}

export class Turn {
  /** question: what was asked; texts: the texts of embeddings, in the order of the calls. */
  constructor(question, texts, files = []) {
    this.texts = texts;
    this.text = "";
    this.dollars = 0;
    this.isPriced = true;
    this.isWhole = false;
    this.asked = make("p", { className: "asked" }, question);
    this.element = make("article", { className: "turn" }, this.asked);
    for (const file of files) this.element.append(sent(file));
    this.calls = [];
    this.signed = [];
    this.part = null;
    this.kind = null;
    this.vectors = [];
  }

  /** Show an event of the server. */
  add(event) {
    const show = {
      text: () => this.#addText(event.text),
      reasoning: () => this.#reasoning(event.text),
      tool: () => this.#beginTool(event.name),
      tool_input: () => this.#append("tool", event.text),
      picture: () => this.#picture(event),
      vector: () => this.vectors.push(event),
      near: () => this.#nearest(event.rows),
      ended: () => this.#end(event),
      failed: () => this.#fail(event),
    }[event.kind];
    show();
  }

  /** Say that the user ended the answer. */
  stop() {
    this.isPriced = false;
    this.#facts(["stopped by you", "what came until then is paid for; its tokens are not known"]);
  }

  #addText(text) {
    this.text += text;
    if (this.kind !== "text") this.#begin("text", make("p", { className: "text" }));
    this.#append("text", text);
  }

  #reasoning(text) {
    if (this.kind !== "reasoning") {
      const shown = make("p", { className: "text" });
      const folded = make("details", {}, make("summary", {}, "Reasoning"), shown);
      this.#begin("reasoning", shown, folded);
    }
    this.#append("reasoning", text);
  }

  #beginTool(name) {
    const input = make("pre", {});
    this.#begin("tool", input, make("div", {}, make("p", {}, `Calls the tool ${name ?? ""}`), input));
  }

  #begin(kind, part, element = part) {
    this.kind = kind;
    this.part = part;
    this.element.append(element);
  }

  #append(kind, text) {
    if (this.kind === kind) this.part.append(text);
  }

  #picture(event) {
    this.kind = "picture";
    const data = bytesOf(event.data);
    const link = make("a", { className: "button" }, `Save ${event.name}`);
    saves(link, data, event.type, event.name);
    const image = make("img", { src: link.href, alt: this.asked.textContent });
    const caption = make("figcaption", {}, event.facts);
    this.element.append(make("figure", {}, image, caption, link));
  }

  #nearest(rows) {
    const several = new Set(rows.map((row) => row.type)).size > 1;
    const name = (call, input) => this.texts[call + input] ?? `text ${call + input + 1}`;
    const head = [
      make("th", { scope: "col" }, "text"),
      make("th", { scope: "col", className: "num" }, "norm"),
      make("th", { scope: "col", className: "num" }, "numbers"),
      make("th", { scope: "col" }, "nearest other text"),
      make("th", { scope: "col", className: "num" }, "cosine"),
    ];
    const body = rows.map((row) =>
      make(
        "tr",
        {},
        make("td", {}, name(row.call, row.input)),
        make("td", { className: "num" }, row.norm),
        make("td", { className: "num" }, several ? `${row.length} ${row.type}` : `${row.length}`),
        make("td", {}, row.near_call === null ? "–" : name(row.near_call, row.near_input)),
        make("td", { className: "num" }, row.cosine ?? "–"),
      ),
    );
    const table = make(
      "table",
      {},
      make("caption", {}, "Each text, the norm of its vector, and the text nearest to it"),
      make("thead", {}, make("tr", {}, ...head)),
      make("tbody", {}, ...body),
    );
    const box = make("div", { className: "scroll", tabIndex: 0, role: "region" }, table);
    box.setAttribute("aria-label", "Vectors");
    this.element.append(box);
  }

  #end(event) {
    this.isWhole = true;
    // If a model's reasoning had no end, the server sends the whole as text when it is over.
    this.text = event.text;
    this.calls = event.calls;
    this.signed = event.signed;
    if (event.dollars === null) this.isPriced = false;
    else this.dollars += Number(event.dollars);
    const text = this.texts.length > 1 ? [this.texts[event.call]] : [];
    this.#facts([...text, ...event.facts]);
    const shown = make("pre", { tabIndex: 0 }, event.shown);
    const parts = [make("summary", {}, "Answer as JSON"), shown];
    if (event.output !== null) {
      const link = make("a", { className: "button" }, "Save the answer");
      saves(link, event.output, "application/json", "answer.json");
      parts.push(link);
    }
    this.element.append(make("details", {}, ...parts));
    this.kind = null;
  }

  #fail(event) {
    if (event.billed) this.isPriced = false;
    this.element.append(make("p", { className: "problem", role: "alert" }, event.message));
    this.#facts(event.facts);
    this.kind = null;
  }

  #facts(facts) {
    this.element.append(make("p", { className: "facts" }, facts.join(" · ")));
  }
}
