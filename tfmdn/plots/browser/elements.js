// Elements of the page, and what is asked of the reader's settings.

/** A new element with attributes, listeners (`onclick`) and children, which are elements or texts. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const row = (...children) => element("div", { class: "row" }, ...children);

export function button(name, pressed, attributes = {}) {
  return element("button", { type: "button", onclick: pressed, ...attributes }, name);
}

/** A choice with its name: of texts, or of numbers from 0 on with their texts. `changed` gets the one that is chosen. */
export function choice(name, options, changed) {
  const select = element("select", { onchange: () => changed(options[select.selectedIndex]) });
  select.append(...options.map((text) => element("option", {}, String(text))));
  return element("label", { class: "choice" }, `${name} `, select);
}

let count = 0;

/** A slider with its name and its value beside it. `values.text` says how a position reads. */
export function slider(name, { min, max, step, value, text, hint = "" }, changed) {
  const id = `slider-${++count}`;
  const input = element("input", { type: "range", id, min, max, step, value });
  const output = element("output", { for: id });
  const show = () => {
    output.textContent = text(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
    input.style.setProperty("--part", (input.value - min) / (max - min || 1));
  };
  input.addEventListener("input", () => {
    show();
    changed(Number(input.value));
  });
  show();
  const root = element("div", { class: "slider", title: hint }, element("label", { for: id }, name), output, input);
  return {
    root,
    input,
    set(position) {
      input.value = position;
      show();
    },
  };
}

/** A box to tick with the colour of what it shows. */
export function toggle(name, color, checked, changed) {
  const input = element("input", { type: "checkbox", onchange: () => changed(input.checked) });
  input.checked = checked;
  return element("label", { class: "toggle", style: `--color: var(--${color})` }, input, element("span", {}, name));
}

/** A number in four digits at most, with a true minus. */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "unknown" : value < 0 ? "−∞" : "∞";
  const size = Math.abs(value);
  const text =
    size && (size < 1e-3 || size >= 1e6) ? value.toExponential(digits - 2) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

export const prefersLessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
