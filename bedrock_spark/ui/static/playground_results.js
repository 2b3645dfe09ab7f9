// The results of the tools that an answer calls, which the user writes.

import { make } from "./elements.js";

let made = 0;

/** Fields for the results of one answer's calls. */
export class Results {
  /** changed: called when a result is written; send: called to send them. */
  constructor(calls, changed, send) {
    this.calls = calls;
    this.fields = calls.map(() => {
      const field = make("textarea", { rows: 3, className: "code", spellcheck: false });
      field.id = `result-${++made}`;
      field.addEventListener("input", changed);
      return field;
    });
    const labels = calls.map((call, i) =>
      make("label", { htmlFor: this.fields[i].id }, `Result of ${call.name ?? "the tool"}, JSON or text`),
    );
    this.button = make("button", { type: "button" }, "Send the results");
    this.button.addEventListener("click", send);
    this.note = make("p", { className: "note" });
    this.note.textContent = "Without results, this answer is no part of the conversation.";
    const rows = this.fields.flatMap((field, i) => [labels[i], field]);
    this.element = make("div", { className: "results" }, ...rows, this.button, this.note);
  }

  /** The results, or null if none is written. Throws an Error if some are missing. */
  get texts() {
    const texts = this.fields.map((field) => field.value);
    if (texts.every((text) => !text.trim())) return null;
    if (texts.some((text) => !text.trim())) {
      throw new Error("Write a result for each call of a tool, or for none");
    }
    return texts;
  }

  /** Let nothing be written any more. isSent: whether the model has got the results. */
  close(isSent) {
    for (const field of this.fields) field.readOnly = true;
    this.button.remove();
    this.note.textContent = isSent ? "Sent." : "Not sent: this answer is no part of the conversation.";
  }
}
