// What the answers do: each angle is thrown, and flies as far as physics says.

import { element, number } from "../../tfmdn/plots/browser/elements.js";
import { boxIn, Plot, Surface } from "../../tfmdn/plots/browser/surface.js";

const SPEED = 10,
  GRAVITY = 9.81, // metres and seconds, as in make_model.py
  DISTANCES = [0, 10.8];

/** How far a ball flies that leaves at so many degrees. */
function reach(degrees) {
  return (SPEED ** 2 * Math.sin((2 * degrees * Math.PI) / 180)) / GRAVITY;
}

/** Places of the ball `[[x, height], ...]` on its way: a parabola. */
function flight(degrees) {
  const slope = Math.tan((degrees * Math.PI) / 180),
    far = reach(degrees);
  return Array.from({ length: 41 }, (_, i) => [(i / 40) * far, slope * (i / 40) * far * (1 - i / 40)]);
}

export class Throws {
  /** Beside an explorer, whose answers are thrown. */
  constructor(root, explorer) {
    this.explorer = explorer;
    this.surface = new Surface({ class: "throws", role: "img" }, (...given) => this.draw(...given));
    this.words = element("p", { class: "words" });
    root.replaceChildren(this.surface.canvas, this.words);
    explorer.view.followers.push(() => this.update());
  }

  update() {
    const { modes, mean } = this.explorer.view.answers;
    this.target = this.explorer.model.features[0].places[this.explorer.indices[0]];
    this.angles = modes.filter(({ density }) => density > 0.1 * modes[0].density).map(({ y }) => y);
    this.mean = mean;
    const missed = reach(mean) - this.target,
      side = missed > 0 ? "far" : "short",
      ofMean =
        Math.abs(missed) < 0.3 ? ", is right here, too." : `, flies ${number(Math.abs(missed), 2)} m too ${side}.`;
    const likely = this.angles.map((angle) => `${number(reach(angle), 2)} m at ${number(angle, 2)}°`);
    const strong = (text, kind) => element("strong", { class: kind }, text);
    const target = strong(`${number(this.target, 3)} m`, "target");
    this.words.replaceChildren("The ball came down after ", target, ". The modes fly ");
    this.words.append(
      strong(likely.join(" and "), "good"),
      "; the mean, ",
      strong(`${number(mean, 2)}°`, "bad"),
      ofMean,
    );
    this.surface.canvas.setAttribute("aria-label", this.words.textContent);
    this.surface.ask();
  }

  draw(context, width, height, color) {
    if (!this.angles) return;
    const box = boxIn(width, height),
      high = Math.max(DISTANCES[1] / 2, (DISTANCES[1] * box.height) / box.width), // a metre up is as long as one ahead
      up = { range: [0, high], label: "height in m" },
      plot = new Plot(context, box, { range: DISTANCES, label: "distance in m" }, up),
      ring = color("paper");
    plot.drawAxes(color);
    plot.line(flight(this.mean), { color: color("mean"), width: 2, dash: [2, 3] });
    for (const angle of this.angles) plot.line(flight(angle), { color: color("mode"), width: 2.5 });
    plot.dot(reach(this.mean), 0, { color: color("mean"), ring, radius: 5 });
    for (const angle of this.angles) plot.dot(reach(angle), 0, { color: color("mode"), ring, radius: 5 });
    // A flag where the ball came down.
    const [metre, wide] = [high / box.height, (13 * DISTANCES[1]) / box.width];
    plot.segment([this.target, this.target], [0, 26 * metre], { color: color("ink"), width: 2 });
    const flag = [26, 21, 16].map((at, i) => [this.target + (i % 2) * wide, at * metre]);
    plot.area(flag, color("ink"));
  }
}
