// A mixture that is made by hand: weight, centre and scale of each component.

import { button, element, number, row, slider } from "../../tfmdn/plots/browser/elements.js";
import { NormalMixture } from "../../tfmdn/plots/browser/mixture.js";
import { DistributionView } from "../../tfmdn/plots/browser/view.js";

const Y_RANGE = [-6, 6];
// Weights, centres and scales.
const PRESETS = {
  "Two answers": { weights: [0.6, 0.4, 0], locs: [-2.4, 2.2, 0], scales: [0.6, 0.9, 1] },
  "Three peaks": { weights: [0.3, 0.4, 0.3], locs: [-3.4, 0, 3.4], scales: [0.5, 0.5, 0.5] },
  "A long tail": { weights: [0.5, 0.3, 0.2], locs: [-1.8, -0.6, 1.6], scales: [0.5, 1, 1.8] },
  "Normal, but for outliers": { weights: [0.9, 0.1, 0], locs: [0, 0, 2], scales: [0.7, 3, 1] },
  "Two that look like one": { weights: [0.5, 0.5, 0], locs: [-0.9, 0.9, 0], scales: [1, 1, 1] },
};

export class Workbench {
  constructor(root) {
    this.view = new DistributionView({ target: { name: "y" }, range: Y_RANGE });
    this.view.canvas.classList.add("wide");
    this.set(PRESETS["Two answers"]);
    const fieldsets = [0, 1, 2].map((k) => this.component(k));
    const presets = Object.entries(PRESETS).map(([name, preset]) => button(name, () => this.set(preset)));
    const controls = element("div", { class: "controls components" }, ...fieldsets);
    root.replaceChildren(row(...presets), this.view.canvas, this.view.legend, controls, this.view.facts);
    this.update();
  }

  set(preset) {
    Object.assign(this, structuredClone(preset));
    if (this.sliders) this.update();
  }

  /** The sliders of one component, each with what it sets and how it reads it. */
  component(k) {
    const made = [
      ["Weight", "weights", { min: 0, max: 1, step: 0.01, text: () => this.share(k) }],
      ["Centre", "locs", { min: Y_RANGE[0], max: Y_RANGE[1], step: 0.05, text: (at) => number(at, 3) }],
      ["Scale", "scales", { min: -2.3, max: 1.4, step: 0.01, text: (at) => number(Math.exp(at), 2) }],
    ].map(([name, part, values]) => {
      const own = slider(name, { ...values, value: 0 }, (at) => {
        this[part][k] = part === "scales" ? Math.exp(at) : at;
        this.update();
      });
      (this.sliders ??= []).push(() => own.set(part === "scales" ? Math.log(this[part][k]) : this[part][k]));
      return own.root;
    });
    const attributes = { class: "component", style: `--color: var(--c${k})` };
    return element("fieldset", attributes, element("legend", {}, `Component ${k + 1}`), ...made);
  }

  /** Weights are what the sliders say, made to sum to 1. */
  share(k) {
    const total = this.weights.reduce((sum, weight) => sum + weight, 0);
    return `${number((100 * this.weights[k]) / total || 0, 2)} %`;
  }

  update() {
    for (const follow of this.sliders) follow();
    const isNothing = this.weights.every((weight) => weight === 0);
    const logits = this.weights.map((weight) => (isNothing ? 0 : Math.log(weight)));
    this.view.show(new NormalMixture(logits, this.locs, this.scales));
  }
}
