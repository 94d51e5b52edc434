// A model in the browser: a map of p(y | x) in which x is moved, and the distribution at that x beside it.

import { choice, element, number, slider } from "./elements.js";
import { HeatMap } from "./heat.js";
import { boxIn, Plot, Surface } from "./surface.js";
import { COVERAGE, DistributionView, named, visible } from "./view.js";

const MOST_COLUMNS = 240,
  MAP_ROWS = 128;

export class Explorer {
  constructor(root, model) {
    Object.assign(this, { model, axis: 0, temperature: 1, scaleTemperature: 1, isMapOld: true });
    this.indices = model.features.map((feature) => Math.floor(feature.size / 2));
    const { target, range, features } = model;
    const isUpright = () => this.view.canvas.offsetTop < this.canvas.offsetTop + this.canvas.offsetHeight / 2;
    this.view = new DistributionView({ target, range, isUpright, changed: () => this.surface.ask() });
    this.surface = new Surface({ class: "map", role: "img" }, (...given) => this.draw(...given));
    this.canvas = this.surface.canvas;
    this.sliders = features.map((feature, i) => {
      const values = { min: 0, max: feature.size - 1, step: 1, value: this.indices[i] };
      return slider(feature.name, { ...values, text: (at) => this.textOf(feature, at) }, (at) => this.move(i, at));
    });
    const controls = element("div", { class: "controls" }, ...this.sliders.map((each) => each.root));
    if (features.length > 1) controls.prepend(this.axisChoice());
    if (model.canBeTempered) controls.append(...this.temperatures());
    const plots = element("div", { class: "plots" }, this.canvas, this.view.canvas);
    root.replaceChildren(plots, controls, this.view.legend, this.view.facts);
    this.listen();
    this.update();
  }

  textOf(feature, at) {
    return feature.texts ? feature.texts[at] : `${number(feature.places[at])} ${feature.unit}`.trimEnd();
  }

  axisChoice() {
    const names = this.model.features.map((feature) => feature.name);
    return choice("On the map's axis", names, (name) => this.change({ axis: names.indexOf(name) }));
  }

  temperatures() {
    const powers = { min: -2, max: 2, step: 0.05, value: 0, text: (at) => number(2 ** at, 3) };
    const ofWeights = { ...powers, hint: "Below 1 the likely components win, above 1 all become alike" };
    const ofScales = { ...powers, hint: "Below 1 every component is narrower, above 1 wider" };
    const sizes = { min: 0.05, max: 0.99, step: 0.01, value: COVERAGE, text: (at) => `${number(100 * at, 3)} %` };
    return [
      slider("Temperature of the weights", ofWeights, (at) => this.change({ temperature: 2 ** at })),
      slider("Temperature of the scales", ofScales, (at) => this.change({ scaleTemperature: 2 ** at })),
      slider("Size of the region", sizes, (at) => {
        this.view.coverage = at;
        this.update();
      }),
    ].map((each) => each.root);
  }

  distributionAt(indices) {
    const own = this.model.at(indices);
    const isPlain = this.temperature === 1 && this.scaleTemperature === 1;
    return isPlain ? own : own.tempered(this.temperature, this.scaleTemperature);
  }

  /** Takes what changes the map. */
  change(settings) {
    Object.assign(this, settings, { isMapOld: true });
    this.update();
  }

  move(feature, at) {
    if (at === this.indices[feature]) return;
    this.indices[feature] = at;
    this.sliders[feature].set(at);
    this.isMapOld ||= feature !== this.axis;
    this.update();
  }

  /** With the next frame, however often it was asked for. */
  update() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => this.updateNow());
  }

  updateNow() {
    this.isAsked = false;
    const { features, target } = this.model;
    const given = features.map((feature, i) => `${feature.name} = ${this.textOf(feature, this.indices[i])}`).join(", ");
    this.view.show(this.distributionAt(this.indices), ` at ${given}`);
    const { inShort } = this.view;
    this.canvas.setAttribute("aria-label", `A map of the density of ${target.name}. At ${given}: ${inShort}.`);
    this.sliders.forEach(({ input }, i) => {
      input.setAttribute("aria-valuetext", `${this.textOf(features[i], this.indices[i])}: ${inShort}`);
    });
    this.surface.ask(); // after the answers are known, which it shows
  }

  /** The map follows the mouse; a finger that goes up or down scrolls. Keys move the sliders. */
  listen() {
    const { canvas } = this;
    let start;
    const isAcross = (event) => Math.abs(event.clientX - start.clientX) > Math.abs(event.clientY - start.clientY);
    const follow = (event) => {
      const [x] = this.plot.valuesAt(event);
      this.move(this.axis, this.model.features[this.axis].nearest(x));
    };
    canvas.addEventListener("pointerdown", (event) => {
      start = event;
      canvas.setPointerCapture(event.pointerId);
      if (event.pointerType !== "touch") follow(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons && (event.pointerType !== "touch" || isAcross(event))) follow(event);
    });
    canvas.addEventListener("pointerup", follow);
  }

  fillMap() {
    const feature = this.model.features[this.axis],
      [low, high] = feature.range;
    const columns = Math.min(MOST_COLUMNS, feature.size);
    if (this.map?.columns !== columns) this.map = new HeatMap(columns, MAP_ROWS);
    this.means = [];
    this.map.fill(this.model.range, (column) => {
      const place = low + ((column + 0.5) / columns) * (high - low);
      const distribution = this.distributionAt(this.indices.with(this.axis, feature.nearest(place)));
      this.means.push([place, distribution.mean()]);
      return (y) => distribution.density(y);
    });
    this.isMapOld = false;
  }

  draw(context, width, height, color) {
    const { model, view } = this,
      feature = model.features[this.axis],
      box = boxIn(width, height),
      every = Math.ceil(feature.size / (width / 70));
    const names = feature.texts?.map((text, i) => [i, text.length > 9 ? `${text.slice(0, 8)}…` : text]);
    const across = { range: feature.range, label: named(feature), ticks: names?.filter((_, i) => i % every === 0) };
    const plot = new Plot(context, box, across, { range: model.range, label: named(model.target) });
    if (this.isMapOld) this.fillMap();
    this.plot = plot;
    plot.drawAxes(color);
    this.map.paint(color("density"));
    plot.clipped(() => {
      this.map.draw(context, box);
      for (const [x, y] of model.points) plot.dot(x, y, { color: color("data"), radius: 1.5 });
      if (view.shown.mean) plot.line(this.means, { color: color("mean"), width: 2, dash: [2, 3] });
      const x = feature.places[this.indices[this.axis]];
      plot.segment([x, x], model.range, { color: color("ink") });
      if (view.answers) this.drawAnswers(plot, x, color);
    });
  }

  drawAnswers(plot, x, color) {
    const { answers: said, shown } = this.view,
      ring = color("paper");
    for (const ends of shown.region ? said.region : []) {
      plot.segment([x, x], ends, { color: color("region"), width: 6 });
    }
    for (const y of shown.quantiles ? said.quantiles : []) plot.dash(x, y, { color: color("quantile"), width: 2 });
    if (shown.mean) plot.dot(x, said.mean, { color: color("mean"), ring, radius: 4 });
    for (const { y } of shown.modes ? visible(said.modes) : []) plot.dot(x, y, { color: color("mode"), ring });
  }
}
