// What the answers do: each angle is thrown, and flies as far as physics says.

import { element, number } from "../../tfmdn/plots/browser/elements.js";
import { boxIn, colors, Plot, Surface } from "../../tfmdn/plots/browser/surface.js";

const SPEED = 10,
  GRAVITY = 9.81; // metres and seconds, as in make_model.py

/** How far a ball flies that leaves at so many degrees. */
export function reach(degrees) {
  return (SPEED ** 2 * Math.sin((2 * degrees * Math.PI) / 180)) / GRAVITY;
}

/** Places of the ball `[[x, height], ...]` on its way. */
function flight(degrees) {
  const angle = (degrees * Math.PI) / 180,
    far = reach(degrees);
  return Array.from({ length: 41 }, (_, i) => {
    const x = (i / 40) * far,
      t = x / (SPEED * Math.cos(angle));
    return [x, SPEED * Math.sin(angle) * t - (GRAVITY * t * t) / 2];
  });
}

export class Throws {
  /** Beside an explorer, whose answers are thrown. */
  constructor(root, explorer) {
    this.explorer = explorer;
    this.canvas = element("canvas", { class: "throws", role: "img" });
    this.surface = new Surface(this.canvas, (context, width, height) => this.draw(context, width, height));
    this.words = element("p", { class: "words" });
    root.replaceChildren(this.canvas, this.words);
    explorer.view.followers.push(() => this.update());
  }

  update() {
    const { modes, mean } = this.explorer.view.answers;
    this.target = this.explorer.model.features[0].places[this.explorer.indices[0]];
    this.angles = modes
      .filter(({ density }) => density > 0.1 * modes[0].density)
      .map(({ y }) => y)
      .slice(0, 4);
    this.mean = mean;
    const missed = reach(mean) - this.target;
    const likely = this.angles.map((angle) => `${number(reach(angle), 2)} m at ${number(angle, 2)}°`);
    this.words.replaceChildren(
      "The ball came down after ",
      element("strong", {}, `${number(this.target, 3)} m`),
      ". The modes fly ",
      element("strong", { class: "good" }, likely.join(" and ")),
      "; the mean, ",
      element("strong", { class: "bad" }, `${number(mean, 2)}°`),
      Math.abs(missed) < 0.3
        ? ", is right here, too."
        : `, flies ${number(Math.abs(missed), 2)} m too ${missed > 0 ? "far" : "short"}.`,
    );
    this.canvas.setAttribute("aria-label", this.words.textContent);
    this.surface.ask();
  }

  draw(context, width, height) {
    if (!this.angles) return;
    const color = colors(this.canvas),
      box = boxIn(width, height);
    // A metre up is as long as a metre ahead, as far as there is room.
    const high = Math.max(5.4, (10.8 * box.height) / box.width);
    const plot = new Plot(
      context,
      box,
      { range: [0, 10.8], label: "distance in m" },
      { range: [0, high], label: "height in m" },
    );
    plot.drawAxes(color);
    const path = (degrees) => flight(degrees).map(([x, y]) => [plot.x(x), plot.y(y)]);
    plot.line(path(this.mean), { color: color("mean"), width: 2, dash: [2, 3] });
    for (const angle of this.angles) plot.line(path(angle), { color: color("mode"), width: 2.5 });
    plot.dot(plot.x(reach(this.mean)), plot.y(0), { color: color("mean"), ring: color("paper"), radius: 5 });
    for (const angle of this.angles)
      plot.dot(plot.x(reach(angle)), plot.y(0), { color: color("mode"), ring: color("paper"), radius: 5 });
    const x = plot.x(this.target),
      ground = plot.y(0);
    plot.line(
      [
        [x, ground],
        [x, ground - 26],
      ],
      { color: color("ink"), width: 2 },
    );
    context.fillStyle = color("ink");
    context.beginPath();
    for (const [right, up] of [
      [0, 26],
      [13, 21],
      [0, 16],
    ])
      context.lineTo(x + right, ground - up);
    context.fill();
  }
}
