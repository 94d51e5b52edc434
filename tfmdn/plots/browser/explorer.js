// A model in the browser: a map of p(y | x) in which x is moved, and the distribution at that x beside it.

import { element, number, slider } from "./elements.js";
import { HeatMap } from "./heat.js";
import { boxIn, colors, Plot, Surface } from "./surface.js";
import { COVERAGE, DistributionView, visible } from "./view.js";

const MOST_COLUMNS = 240,
  MAP_ROWS = 128;

export class Explorer {
  constructor(root, model) {
    Object.assign(this, { root, model, axis: 0, temperature: 1, scaleTemperature: 1, isMapOld: true });
    this.indices = model.features.map((feature) => Math.floor(feature.size / 2));
    const isUpright = () => this.view.canvas.offsetTop < this.canvas.offsetTop + this.canvas.offsetHeight / 2;
    this.view = new DistributionView({
      target: model.target,
      range: model.range,
      isUpright,
      changed: () => this.surface.ask(),
    });
    this.canvas = element("canvas", { class: "map", tabindex: 0, role: "slider" });
    this.surface = new Surface(this.canvas, (context, width, height) => this.drawMap(context, width, height));
    this.sliders = model.features.map((feature, i) =>
      slider(
        feature.name,
        { min: 0, max: feature.size - 1, step: 1, value: this.indices[i], text: (at) => this.textOf(feature, at) },
        (at) => this.move(i, at),
      ),
    );
    const parts = [element("div", { class: "plots" }, this.canvas, this.view.canvas)];
    const controls = element("div", { class: "controls" }, ...this.sliders.map(({ root: own }) => own));
    if (model.features.length > 1) controls.prepend(this.axisChoice());
    if (model.canBeTempered) controls.append(...this.temperatures());
    root.replaceChildren(...parts, controls, this.view.legend, this.view.facts);
    this.listen();
    this.update();
  }

  textOf(feature, at) {
    return feature.texts ? feature.texts[at] : `${number(feature.places[at])}${feature.unit ? ` ${feature.unit}` : ""}`;
  }

  axisChoice() {
    const choose = (event) => {
      this.axis = Number(event.target.value);
      this.isMapOld = true;
      this.update();
    };
    const options = this.model.features.map((feature, i) => element("option", { value: i }, feature.name));
    return element(
      "label",
      { class: "choice" },
      "On the map's axis ",
      element("select", { onchange: choose }, ...options),
    );
  }

  temperatures() {
    const asFactor = { min: -2, max: 2, step: 0.05, value: 0, text: (at) => number(2 ** at, 3) };
    const change = (name) => (at) => {
      this[name] = 2 ** at;
      this.isMapOld = true;
      this.update();
    };
    this.temperatureSliders = [
      slider(
        "Temperature of the weights",
        { ...asFactor, hint: "Below 1 the likely components win, above 1 all become alike" },
        change("temperature"),
      ),
      slider(
        "Temperature of the scales",
        { ...asFactor, hint: "Below 1 every component is narrower, above 1 wider" },
        change("scaleTemperature"),
      ),
    ];
    const coverage = { min: 0.05, max: 0.99, step: 0.01, value: COVERAGE, text: (at) => `${number(100 * at, 3)} %` };
    const cover = (at) => {
      this.view.coverage = at;
      this.update();
    };
    return [...this.temperatureSliders, slider("Size of the region", coverage, cover)].map(({ root }) => root);
  }

  distributionAt(indices) {
    const own = this.model.at(indices);
    const isPlain = this.temperature === 1 && this.scaleTemperature === 1;
    return isPlain || !this.model.canBeTempered ? own : own.tempered(this.temperature, this.scaleTemperature);
  }

  move(feature, at) {
    const last = this.model.features[feature].size - 1,
      index = Math.min(Math.max(at, 0), last);
    if (index === this.indices[feature]) return;
    this.indices[feature] = index;
    this.sliders[feature].set(index);
    if (feature !== this.axis) this.isMapOld = true;
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
    this.surface.ask(); // after the answers are known, which it shows
    const feature = features[this.axis],
      at = this.indices[this.axis];
    const told = {
      valuemin: 0,
      valuemax: feature.size - 1,
      valuenow: at,
      valuetext: `${this.textOf(feature, at)}: ${this.view.inShort}`,
    };
    for (const [name, value] of Object.entries(told)) this.canvas.setAttribute(`aria-${name}`, value);
    this.canvas.setAttribute("aria-label", `${feature.name}, in a map of the density of ${target.name}`);
  }

  listen() {
    const { canvas } = this;
    const follow = (event) => {
      const box = canvas.getBoundingClientRect();
      if (!this.plot) return;
      const [x] = this.plot.valuesAt(event.clientX - box.left, event.clientY - box.top);
      this.move(this.axis, this.model.features[this.axis].nearest(x));
    };
    let start = [0, 0]; // a finger that goes up or down scrolls
    const isAcross = (event) => Math.abs(event.clientX - start[0]) > Math.abs(event.clientY - start[1]);
    canvas.addEventListener("pointerdown", (event) => {
      start = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
      if (event.pointerType !== "touch") follow(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons && (event.pointerType !== "touch" || isAcross(event))) follow(event);
    });
    canvas.addEventListener("pointerup", follow);
    canvas.addEventListener("keydown", (event) => {
      const size = this.model.features[this.axis].size,
        at = this.indices[this.axis],
        page = Math.max(1, Math.round(size / 10));
      const steps = {
        ArrowLeft: -1,
        ArrowDown: -1,
        ArrowRight: 1,
        ArrowUp: 1,
        PageDown: -page,
        PageUp: page,
        Home: -size,
        End: size,
      };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.move(this.axis, at + steps[event.key]);
    });
  }

  fillMap() {
    const feature = this.model.features[this.axis],
      [low, high] = feature.range;
    const columns = Math.min(MOST_COLUMNS, feature.size);
    if (this.map?.columns !== columns) this.map = new HeatMap(columns, MAP_ROWS);
    this.means = [];
    this.map.fill(this.model.range, (column) => {
      const place = low + ((column + 0.5) / columns) * (high - low);
      const indices = this.indices.map((own, i) => (i === this.axis ? feature.nearest(place) : own));
      const distribution = this.distributionAt(indices);
      this.means.push([place, distribution.mean()]);
      return (y) => distribution.density(y);
    });
    this.isMapOld = false;
  }

  drawMap(context, width, height) {
    const color = colors(this.canvas),
      feature = this.model.features[this.axis],
      { target } = this.model;
    if (this.isMapOld) this.fillMap();
    const box = boxIn(width, height);
    const named = ({ name, unit }) => (unit ? `${name} in ${unit}` : name);
    const ofTexts = feature.texts?.map((text, i) => [i, text.length > 9 ? `${text.slice(0, 8)}…` : text]);
    const every = ofTexts && Math.ceil(ofTexts.length / (width / 70));
    const plot = new Plot(
      context,
      box,
      { range: feature.range, label: named(feature), ticks: ofTexts?.filter((_, i) => i % every === 0) },
      { range: this.model.range, label: named(target) },
    );
    this.plot = plot;
    plot.drawAxes(color);
    this.map.paint(color("density"));
    plot.clipped(() => {
      this.map.draw(context, box);
      for (const [x, y] of this.model.points) plot.dot(plot.x(x), plot.y(y), { color: color("data"), radius: 1.5 });
      this.drawCursor(plot, color);
    });
  }

  drawCursor(plot, color) {
    const { answers: said, shown } = this.view,
      x = plot.x(this.model.features[this.axis].places[this.indices[this.axis]]);
    if (shown.mean)
      plot.line(
        this.means.map(([at, mean]) => [plot.x(at), plot.y(mean)]),
        { color: color("mean"), width: 2, dash: [2, 3] },
      );
    plot.line(
      [
        [x, plot.box.top],
        [x, plot.box.top + plot.box.height],
      ],
      { color: color("ink"), width: 1 },
    );
    if (!said) return;
    if (shown.region)
      for (const [low, high] of said.region)
        plot.line(
          [
            [x, plot.y(low)],
            [x, plot.y(high)],
          ],
          { color: color("region"), width: 6 },
        );
    if (shown.quantiles)
      for (const y of said.quantiles)
        plot.line(
          [
            [x - 9, plot.y(y)],
            [x + 9, plot.y(y)],
          ],
          { color: color("quantile"), width: 2 },
        );
    if (shown.mean) plot.dot(x, plot.y(said.mean), { color: color("mean"), ring: color("paper"), radius: 4 });
    if (shown.modes) {
      for (const { y } of visible(said.modes)) plot.dot(x, plot.y(y), { color: color("mode"), ring: color("paper") });
    }
  }
}
