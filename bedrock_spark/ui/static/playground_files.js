// The files that go with the next question. Their bytes are in the memory of the server.

import { make } from "./elements.js";
import { postFile } from "./json_lines.js";

export class Files {
  /** root: has the input, the list and the problem; changed: called when there are others. */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.list = [];
    root?.querySelector("input").addEventListener("change", (event) => this.#add(event.target));
  }

  get ids() {
    return this.list.map((each) => each.id);
  }

  /** Say which files the chosen models take. */
  describe(texts) {
    if (this.root) this.root.querySelector(".takes").textContent = [...new Set(texts)].join(" ");
  }

  clear() {
    this.list = [];
    if (this.root) this.#show();
  }

  async #add(input) {
    const problem = this.root.querySelector(".problem");
    problem.hidden = true;
    for (const file of input.files) {
      try {
        const kept = await postFile("/playground/file", file);
        const url = kept.is_image ? URL.createObjectURL(file) : null;
        if (!this.ids.includes(kept.id)) this.list.push({ ...kept, url });
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
      }
    }
    input.value = "";
    this.#show();
    this.changed();
  }

  #show() {
    const items = this.list.map((each) => {
      const button = make("button", { type: "button" }, "Remove");
      button.setAttribute("aria-label", `Remove ${each.words}`);
      button.addEventListener("click", () => {
        this.list = this.list.filter((other) => other !== each);
        this.#show();
        this.changed();
        this.root.querySelector("input").focus();
      });
      return make("li", {}, `${each.words} `, button);
    });
    this.root.querySelector("ul").replaceChildren(...items);
  }
}
