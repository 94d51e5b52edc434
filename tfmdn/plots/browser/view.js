// One distribution as a picture and in words: the curve, its components, peaks, regions, quantiles and mean.

import { element, number, toggle } from "./elements.js";
import { boxIn, Plot, Surface, ticks } from "./surface.js";

export const LEVELS = [0.05, 0.5, 0.95],
  COVERAGE = 0.8; // as in tables.py
export const COMPONENT_COLORS = 6; // --c0 to --c5
const POINTS = 200;
const IDEAS = [
  ["components", "Components", "component", true],
  ["region", "Most likely region", "region", true],
  ["modes", "Modes", "mode", true],
  ["quantiles", "Quantiles", "quantile", false],
  ["mean", "Mean", "mean", true],
];

/** The modes but for those that one could not see, from the highest down. */
export function visible(modes) {
  return modes.filter((peak) => peak.density > 0.05 * modes[0].density);
}

export const named = ({ name, unit }) => (unit ? `${name} in ${unit}` : name);

/** All numbers that are shown of a distribution. */
export function answers(distribution, coverage) {
  return {
    mean: distribution.mean(),
    stddev: distribution.stddev(),
    modes: distribution.modes(),
    region: distribution.region(coverage),
    quantiles: distribution.quantiles(LEVELS),
  };
}

export class DistributionView {
  /** Of a target `{name, unit}` in a range. `changed` is called when another idea is shown. */
  constructor({ target, range, isUpright = () => false, changed = () => {} }) {
    Object.assign(this, { target, range, isUpright, coverage: COVERAGE, followers: [] });
    this.shown = Object.fromEntries(IDEAS.map(([key, , , isShown]) => [key, isShown]));
    this.surface = new Surface({ role: "img", class: "slice" }, (...given) => this.draw(...given));
    this.canvas = this.surface.canvas;
    const show = (key, isShown) => {
      this.shown[key] = isShown;
      this.surface.ask();
      changed();
    };
    this.toggles = IDEAS.map(([key, name, color, isShown]) => toggle(name, color, isShown, (on) => show(key, on)));
    this.legend = element("fieldset", { class: "legend" }, element("legend", {}, "Show"), ...this.toggles);
    this.facts = element("dl", { class: "facts" });
  }

  show(distribution, given = "") {
    Object.assign(this, { distribution, given, answers: answers(distribution, this.coverage) });
    this.toggles[0].hidden = !distribution.size;
    this.write();
    this.surface.ask();
    for (const follow of this.followers) follow();
  }

  write() {
    const { mean, stddev, modes, region, quantiles } = this.answers,
      { name, unit } = this.target;
    const tiny = 1e-9 * (this.range[1] - this.range[0]); // but for rounding it is 0
    const place = (y) => number(Math.abs(y) < tiny ? 0 : y, 3);
    const inUnits = (text) => (unit ? `${text} ${unit}` : text);
    const places = (ys) => ys.map(place).join(", ");
    const peaks = visible(modes).slice(0, 6);
    const count = `${peaks.length} mode${peaks.length > 1 ? "s" : ""}`;
    const intervals = region.map(([low, high]) => (low === high ? place(low) : `${place(low)} to ${place(high)}`));
    const peakPlaces = places(peaks.map((peak) => peak.y));
    const gaps = intervals.length > 1 ? "; it leaves the gaps out" : "";
    const atoms = (this.distribution.atoms ?? []).map(({ y, probability }) => [
      "density",
      `P( ${name} = ${number(y)} )`,
      number(probability, 3),
      "a value with a probability of its own: the thick line, of full height for 1",
    ]);
    const facts = [
      ...atoms,
      ["mode", count, inUnits(peakPlaces), "the peaks: the likely answers, the likeliest first"],
      [
        "region",
        `Most likely ${number(100 * this.coverage, 3)} %`,
        inUnits(intervals.join(", or ")),
        `the smallest set that holds y so often${gaps}`,
      ],
      ["mean", "Mean", inUnits(`${place(mean)} ± ${place(stddev)}`), "all that a network with squared error would say"],
      [
        "quantile",
        "Quantiles",
        inUnits(places(quantiles)),
        "y is at most that, 5\u00a0%, 50\u00a0% and 95\u00a0% of the time",
      ],
    ];
    const written = facts.map(([color, term, value, meaning]) => {
      const said = element("dd", {}, element("strong", {}, value), element("span", {}, meaning));
      return element("div", { style: `--color: var(--${color})` }, element("dt", {}, term), said);
    });
    this.facts.replaceChildren(...written);
    this.inShort = `${count} at ${peakPlaces}; mean ${place(mean)}`;
    this.canvas.setAttribute("aria-label", `The density of ${name}${this.given}: ${this.inShort}.`);
  }

  /** The curve as pairs of y and its density. */
  curve() {
    const { distribution, range, answers: said } = this,
      [low, high] = range;
    if (distribution.isStepped) return this.steps();
    const ys = Array.from({ length: POINTS + 1 }, (_, i) => low + (i / POINTS) * (high - low));
    const places = [...(distribution.places?.() ?? []), ...said.modes.map((peak) => peak.y)];
    ys.push(...places.filter((y) => y > low && y < high));
    return ys.sort((a, b) => a - b).map((y) => [y, distribution.density(y)]);
  }

  /** The outline of bars over values of y. */
  steps(first = -Infinity, last = Infinity) {
    const { y: values, parts } = this.distribution,
      half = (values[1] - values[0]) / 2;
    const bar = (y, i) => [y - half, y + half].map((end) => [end, parts.density[i]]);
    return values.flatMap((y, i) => (y < first - half || y > last + half ? [] : bar(y, i)));
  }

  draw(context, width, height, color) {
    const { distribution, target, range } = this;
    if (!distribution) return;
    const curve = this.curve(),
      highest = 1.08 * Math.max(...curve.map(([, p]) => p)) || 1,
      step = ticks(0, highest, 4)[1],
      top = step * Math.ceil(highest / step);
    const unit = target.unit ? ` per ${target.unit.replace(/s$/, "")}` : "";
    const ofTarget = { range, label: named(target) };
    const ofDensity = {
      range: [0, top],
      label: distribution.isStepped ? "probability" : `density${unit}`,
      ticks: ticks(0, top, 3).map((value) => [value, number(value, 3)]),
    };
    if (this.isUpright()) {
      const box = boxIn(width, height, 14);
      const silent = ticks(...range, box.height / 45).map((value) => [value, ""]); // the map beside it has the numbers
      this.drawIn(new Plot(context, box, ofDensity, { range, label: "", ticks: silent }), curve, top, color, true);
    } else this.drawIn(new Plot(context, boxIn(width, height), ofTarget, ofDensity), curve, top, color, false);
  }

  drawIn(plot, curve, top, color, isUpright) {
    plot.drawAxes(color);
    const turned = ([y, p]) => (isUpright ? [p, y] : [y, p]);
    const line = (points, name, style) => plot.line(points.map(turned), { color: color(name), ...style });
    const upTo = (y, p, name, style) =>
      line(
        [0, p].map((height) => [y, height]),
        name,
        style,
      );
    const area = (points, name) => {
      const ends = [points.at(-1)[0], points[0][0]].map((y) => [y, 0]);
      plot.area([...points, ...ends].map(turned), color(name));
    };
    plot.clipped(() => this.drawIdeas({ plot, curve, top, color, turned, line, upTo, area }));
  }

  drawIdeas({ plot, curve, top, color, turned, line, upTo, area }) {
    const { answers: said, shown, distribution } = this,
      { isStepped, size = 0, atoms = [] } = distribution;
    area(curve, "density-fill");
    for (const [low, high] of shown.region ? said.region : []) {
      const ends = [low, high].map((y) => [y, distribution.density(y)]);
      const within = curve.filter(([y]) => y > low && y < high);
      const inside = isStepped ? this.steps(low, high) : [ends[0], ...within, ends[1]];
      if (!inside.length) continue; // beyond the values that are shown
      area(inside, "region-fill");
      const base = [inside[0], inside.at(-1)].map(([y]) => [y, 0]);
      line(base, "region", { width: 9 });
    }
    for (let k = 0; k < size && shown.components; k++) {
      const own = curve.map(([y]) => [y, distribution.componentDensity(k, y)]);
      line(own, `c${k % COMPONENT_COLORS}`, { width: 1.5, dash: [6, 3] });
    }
    line(curve, "density", { width: 2.25 });
    for (const { y, probability } of atoms) upTo(y, probability * top, "density", { width: 5 });
    for (const y of shown.quantiles ? said.quantiles : []) {
      upTo(y, Math.max(distribution.density(y), 0.06 * top), "quantile", { width: 2 });
    }
    if (shown.mean) upTo(said.mean, top, "mean", { width: 2, dash: [2, 3] });
    for (const { y, density } of shown.modes ? visible(said.modes) : []) {
      const atom = atoms.find((other) => Math.abs(other.y - y) < 1e-6);
      plot.dot(...turned([y, atom ? atom.probability * top : density]), { color: color("mode"), ring: color("paper") });
    }
  }
}
