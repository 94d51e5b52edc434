// One distribution as a picture and in words: the curve, its components, peaks, regions, quantiles and mean.

import { element, number, toggle } from "./elements.js";
import { boxIn, colors, Plot, Surface, ticks } from "./surface.js";

export const LEVELS = [0.05, 0.5, 0.95],
  COVERAGE = 0.8; // as in tables.py
export const COMPONENT_COLORS = 6; // --c0 to --c5
const NO_BREAK = "\u00a0";
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
    this.canvas = element("canvas", { role: "img", class: "slice" });
    this.surface = new Surface(this.canvas, (context, width, height) => this.draw(context, width, height));
    this.legend = element("fieldset", { class: "legend" }, element("legend", {}, "Show"));
    const show = (key, isShown) => {
      this.shown[key] = isShown;
      this.surface.ask();
      changed();
    };
    this.toggles = IDEAS.map(([key, name, color, isShown]) => toggle(name, color, isShown, (on) => show(key, on)));
    this.legend.append(...this.toggles);
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
    const { answers: said, facts } = this,
      unit = this.target.unit ? ` ${this.target.unit}` : "";
    const tiny = 1e-9 * (this.range[1] - this.range[0]); // but for rounding it is 0
    const place = (y) => number(Math.abs(y) < tiny ? 0 : y, 3);
    const fact = (color, name, value, meaning) =>
      element(
        "div",
        { style: `--color: var(--${color})` },
        element("dt", {}, name),
        element("dd", {}, element("strong", {}, value), element("span", {}, meaning.replaceAll(" %", NO_BREAK + "%"))),
      );
    const peaks = visible(said.modes).slice(0, 6);
    const modes = `${peaks.length} mode${peaks.length > 1 ? "s" : ""}`;
    const intervals = said.region.map(([low, high]) => (low === high ? place(low) : `${place(low)} to ${place(high)}`));
    const atoms = (this.distribution.atoms ?? []).map(({ y, probability }) =>
      fact(
        "density",
        `P( ${this.target.name} = ${number(y)} )`,
        number(probability, 3),
        "a value with a probability of its own: the thick line, of full height for 1",
      ),
    );
    facts.replaceChildren(
      ...atoms,
      fact(
        "mode",
        modes,
        peaks.map((peak) => place(peak.y)).join(", ") + unit,
        "the peaks: the likely answers, the likeliest first",
      ),
      fact(
        "region",
        `Most likely ${number(100 * this.coverage, 3)} %`,
        intervals.join(", or ") + unit,
        intervals.length > 1
          ? "the smallest set that holds y so often; it leaves the gaps out"
          : "the smallest set that holds y so often",
      ),
      fact(
        "mean",
        "Mean",
        `${place(said.mean)} ± ${place(said.stddev)}${unit}`,
        "all that a network with squared error would say",
      ),
      fact(
        "quantile",
        "Quantiles",
        said.quantiles.map(place).join(", ") + unit,
        "y is at most that, 5 %, 50 % and 95 % of the time",
      ),
    );
    const places = peaks.map((peak) => place(peak.y)).join(", ");
    this.inShort = `${modes} at ${places}; mean ${place(said.mean)}`;
    this.canvas.setAttribute("aria-label", `The density of ${this.target.name}${this.given}: ${this.inShort}.`);
  }

  /** The numbers that are drawn, as the curve is. */
  curve() {
    const [low, high] = this.range,
      { distribution } = this;
    const ys = Array.from({ length: POINTS + 1 }, (_, i) => low + (i / POINTS) * (high - low));
    if (distribution.isStepped) return this.steps();
    const places = distribution.places?.() ?? this.answers.modes.map((peak) => peak.y);
    ys.push(...places.filter((y) => y > low && y < high));
    ys.sort((a, b) => a - b);
    return ys.map((y) => [y, distribution.density(y)]);
  }

  /** The outline of bars over values of y. */
  steps(first = -Infinity, last = Infinity) {
    const { y: values, parts } = this.distribution,
      half = (values[1] - values[0]) / 2;
    const bar = (y, i) => [y - half, y + half].map((end) => [end, parts.density[i]]);
    return values.flatMap((y, i) => (y < first - half || y > last + half ? [] : bar(y, i)));
  }

  draw(context, width, height) {
    if (!this.distribution) return;
    const upright = this.isUpright(),
      color = colors(this.canvas),
      curve = this.curve();
    const [step] = ticks(0, curve.reduce((top, [, p]) => Math.max(top, p), 0) * 1.08 || 1, 4).slice(1);
    const top = step * Math.ceil((curve.reduce((most, [, p]) => Math.max(most, p), 0) * 1.08) / step);
    const unit = this.target.unit ? ` in ${this.target.unit}` : "";
    const per = this.distribution.isStepped
      ? "probability"
      : this.target.unit
        ? `density per ${this.target.unit.replace(/s$/, "")}`
        : "density";
    const ofTarget = { range: this.range, label: `${this.target.name}${unit}`, ticks: this.target.ticks };
    const ofDensity = { range: [0, top], label: per, ticks: ticks(0, top, 3).map((v) => [v, number(v, 3)]) };
    const box = upright ? boxIn(width, height, 14) : boxIn(width, height);
    const plot = upright
      ? new Plot(context, box, ofDensity, {
          ...ofTarget,
          label: "",
          ticks: ticks(...this.range, box.height / 45).map((v) => [v, ""]),
        })
      : new Plot(context, box, ofTarget, ofDensity);
    plot.drawAxes(color);
    const at = (y, p) => (upright ? [plot.x(p), plot.y(y)] : [plot.x(y), plot.y(p)]);
    plot.clipped(() => this.drawIdeas(plot, at, curve, top, color));
  }

  drawIdeas(plot, at, curve, top, color) {
    const { context } = plot,
      { answers: said, shown, distribution } = this;
    const area = (points, style) => {
      context.fillStyle = style;
      context.beginPath();
      context.moveTo(...at(points[0][0], 0));
      for (const [y, p] of points) context.lineTo(...at(y, p));
      context.lineTo(...at(points[points.length - 1][0], 0));
      context.fill();
    };
    area(curve, color("density-fill"));
    if (shown.region) {
      for (const [low, high] of said.region) {
        const { isStepped } = distribution;
        const inside = isStepped ? this.steps(low, high) : curve.filter(([y]) => y > low && y < high);
        if (isStepped && !inside.length) continue; // beyond the values that are shown
        const ends = isStepped ? [inside[0], inside.at(-1)] : [low, high].map((y) => [y, distribution.density(y)]);
        area([ends[0], ...inside, ends[1]], color("region-fill"));
        plot.line([at(ends[0][0], 0), at(ends[1][0], 0)], { color: color("region"), width: 9 });
      }
    }
    if (shown.components) {
      for (let k = 0; k < (distribution.size ?? 0); k++) {
        const own = curve.map(([y]) => at(y, distribution.componentDensity(k, y)));
        plot.line(own, { color: color(`c${k % COMPONENT_COLORS}`), width: 1.5, dash: [6, 3] });
      }
    }
    plot.line(
      curve.map(([y, p]) => at(y, p)),
      { color: color("density"), width: 2.25 },
    );
    for (const { y, probability } of distribution.atoms ?? []) {
      plot.line([at(y, 0), at(y, probability * top)], { color: color("density"), width: 5 });
    }
    if (shown.quantiles) {
      for (const y of said.quantiles) {
        plot.line([at(y, 0), at(y, Math.max(distribution.density(y), 0.06 * top))], {
          color: color("quantile"),
          width: 2,
        });
      }
    }
    if (shown.mean) plot.line([at(said.mean, 0), at(said.mean, top)], { color: color("mean"), width: 2, dash: [2, 3] });
    if (shown.modes) {
      const atomAt = (y) => (distribution.atoms ?? []).find((atom) => Math.abs(atom.y - y) < 1e-6);
      for (const { y, density } of visible(said.modes)) {
        const height = atomAt(y) ? atomAt(y).probability * top : density;
        plot.dot(...at(y, height), { color: color("mode"), ring: color("paper") });
      }
    }
  }
}
