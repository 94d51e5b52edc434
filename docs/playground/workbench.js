// A mixture that is made by hand: weight, centre and scale of each component.

import { element, number, slider } from "../../tfmdn/plots/browser/elements.js";
import { NormalMixture } from "../../tfmdn/plots/browser/mixture.js";
import { DistributionView } from "../../tfmdn/plots/browser/view.js";

const Y_RANGE = [-6, 6];
const PRESETS = {
  "Two answers": [
    [0.6, -2.4, 0.6],
    [0.4, 2.2, 0.9],
    [0, 0, 1],
  ],
  "Three peaks": [
    [0.3, -3.4, 0.5],
    [0.4, 0, 0.5],
    [0.3, 3.4, 0.5],
  ],
  "A long tail": [
    [0.5, -1.8, 0.5],
    [0.3, -0.6, 1],
    [0.2, 1.6, 1.8],
  ],
  "Normal, but for outliers": [
    [0.9, 0, 0.7],
    [0.1, 0, 3],
    [0, 2, 1],
  ],
  "Two that look like one": [
    [0.5, -0.9, 1],
    [0.5, 0.9, 1],
    [0, 0, 1],
  ],
};

export class Workbench {
  constructor(root) {
    this.view = new DistributionView({ target: { name: "y" }, range: Y_RANGE });
    this.view.canvas.classList.add("wide");
    this.components = PRESETS["Two answers"].map((component) => [...component]);
    const parts = this.components.map((component, k) => this.component(component, k));
    const presets = Object.keys(PRESETS).map((name) =>
      element("button", { type: "button", onclick: () => this.set(PRESETS[name]) }, name),
    );
    root.replaceChildren(
      element("div", { class: "row" }, ...presets),
      this.view.canvas,
      this.view.legend,
      element("div", { class: "controls components" }, ...parts),
      this.view.facts,
    );
    this.update();
  }

  component(component, k) {
    const change =
      (i, of = (at) => at) =>
      (at) => {
        component[i] = of(at);
        this.update();
      };
    const [weight, loc, scale] = component;
    component.sliders = [
      slider("Weight", { min: 0, max: 1, step: 0.01, value: weight, text: (at) => this.share(k, at) }, change(0)),
      slider(
        "Centre",
        { min: Y_RANGE[0], max: Y_RANGE[1], step: 0.05, value: loc, text: (at) => number(at, 3) },
        change(1),
      ),
      slider(
        "Scale",
        { min: -2.3, max: 1.4, step: 0.01, value: Math.log(scale), text: (at) => number(Math.exp(at), 2) },
        change(2, Math.exp),
      ),
    ];
    return element(
      "fieldset",
      { class: "component", style: `--color: var(--c${k})` },
      element("legend", {}, `Component ${k + 1}`),
      ...component.sliders.map(({ root }) => root),
    );
  }

  /** Weights are what the sliders say, made to sum to 1. */
  share(k, at) {
    const others = this.components.reduce((sum, [weight], i) => sum + (i === k ? at : weight), 0);
    return others ? `${number((100 * at) / others, 2)} %` : "0 %";
  }

  set(preset) {
    this.components.forEach((component, k) => {
      preset[k].forEach((value, i) => {
        component[i] = value;
      });
    });
    this.update();
  }

  update() {
    const total = this.components.reduce((sum, [weight]) => sum + weight, 0);
    const weights = this.components.map(([weight]) => (total ? weight : 1));
    this.components.forEach(({ 0: weight, 1: loc, 2: scale, sliders }) => {
      [weight, loc, Math.log(scale)].forEach((value, i) => sliders[i].set(value));
    });
    this.mixture = new NormalMixture(
      weights.map(Math.log),
      this.components.map(([, loc]) => loc),
      this.components.map(([, , scale]) => scale),
    );
    this.view.show(this.mixture);
  }
}
