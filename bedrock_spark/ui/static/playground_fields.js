// The fields of the parameters that the chosen models take.

import { make } from "./elements.js";

/** Show a field for each parameter, and keep what is written in those that stay. */
export function showFields(root, sides) {
  const known = new Map();
  for (const side of sides) {
    for (const parameter of side.model?.parameters ?? []) {
      const takers = known.get(parameter.name)?.takers ?? [];
      known.set(parameter.name, { parameter, takers: [...takers, side] });
    }
  }
  const before = valuesOf(root);
  const shown = [...known.values()].map(({ parameter, takers }) => {
    const text = before[parameter.name] ?? parameter.default ?? "";
    const only = takers.length < sides.length ? ` Only for ${takers[0].model.name}.` : "";
    return field(parameter, text, parameter.help + only);
  });
  root.replaceChildren(...shown);
}

/** Return the text of each field by the name of its parameter. */
export function valuesOf(root) {
  const controls = [...root.querySelectorAll("[name]")];
  return Object.fromEntries(controls.map((control) => [control.name, control.value]));
}

function field(parameter, text, help) {
  const id = `field-${parameter.name}`;
  const control = controlOf(parameter);
  control.id = id;
  control.name = parameter.name;
  control.setAttribute("aria-describedby", `${id}-help`);
  const isWide = ["long", "json", "lines"].includes(parameter.kind);
  control.value = text;
  return make(
    "div",
    { className: isWide ? "wide" : "" },
    make("label", { htmlFor: id }, parameter.label),
    control,
    make("p", { className: "note", id: `${id}-help` }, help),
  );
}

function controlOf(parameter) {
  switch (parameter.kind) {
    case "long":
    case "lines":
      return make("textarea", { rows: 2 });
    case "json":
      return make("textarea", { rows: 3, className: "code", spellcheck: false });
    case "choice": {
      const choices = parameter.choices.map((each) => make("option", { value: each }, each));
      return make("select", {}, make("option", { value: "" }, "not sent"), ...choices);
    }
    case "number":
    case "whole": {
      const control = make("input", { type: "number" });
      control.step = parameter.kind === "whole" ? "1" : "any";
      if (parameter.least !== null) control.min = String(parameter.least);
      if (parameter.most !== null) control.max = String(parameter.most);
      return control;
    }
    default:
      return make("input", { autocomplete: "off" });
  }
}
