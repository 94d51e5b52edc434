// Points that one draws, and a network that learns them while one looks.

import { element, number, prefersLessMotion } from "../../tfmdn/plots/browser/elements.js";
import { HeatMap } from "../../tfmdn/plots/browser/heat.js";
import { boxIn, colors, Plot, Surface } from "../../tfmdn/plots/browser/surface.js";
import { DATA_SETS } from "./datasets.js";
import { Adam, Network, normals } from "./network.js";

const COLUMNS = 96,
  ROWS = 72,
  BATCH = 96,
  MOST_POINTS = 600,
  ENOUGH = 6000;
const STEPS_A_FRAME = 12,
  BUDGET = 7; // in a frame: so many steps, or so many milliseconds
const SQUARE = [-1, 1],
  REACH = 1.7; // standard units on a side, so that a square of points has about unit spread

export class Lesson {
  constructor(root) {
    Object.assign(this, { components: 5, seed: 1, isRunning: false, cursor: [0, 0], isCursorShown: false });
    this.map = new HeatMap(COLUMNS, ROWS);
    this.canvas = element("canvas", {
      class: "draw",
      tabindex: 0,
      role: "application",
      "aria-label": "Points to learn. Arrow keys move a cross, Enter adds a point there, Delete removes the nearest.",
    });
    this.lossCanvas = element("canvas", { class: "loss", role: "img" });
    this.surface = new Surface(this.canvas, (context, width, height) => this.draw(context, width, height));
    this.lossSurface = new Surface(this.lossCanvas, (context, width, height) => this.drawLoss(context, width, height));
    this.status = element("p", { class: "status", role: "status" });
    this.trainButton = element("button", { type: "button", class: "first", onclick: () => this.toggle() }, "Train");
    const button = (name, kind, pressed) => element("button", { type: "button", class: kind, onclick: pressed }, name);
    const data = element(
      "select",
      { "aria-label": "Data set", onchange: () => this.choose(data.value) },
      ...Object.keys(DATA_SETS).map((name) => element("option", {}, name)),
    );
    this.componentChoice = element(
      "select",
      { onchange: () => this.setComponents(Number(this.componentChoice.value)) },
      ...[1, 2, 3, 4, 5, 8, 12].map((K) => element("option", { value: K }, String(K))),
    );
    this.componentChoice.value = this.components;
    this.meanOnly = element(
      "button",
      { type: "button", "aria-pressed": "false", onclick: () => this.setComponents(this.components === 1 ? 5 : 1) },
      "Mean only",
    );
    root.replaceChildren(
      element(
        "div",
        { class: "row" },
        this.trainButton,
        button("Reset", "reset", () => this.reset()),
        button("Clear points", "clear", () => this.clear()),
        element("label", { class: "choice" }, "Data ", data),
      ),
      element("div", { class: "plots" }, this.canvas, this.lossCanvas),
      element(
        "div",
        { class: "row" },
        element("label", { class: "choice" }, "Components ", this.componentChoice),
        this.meanOnly,
      ),
      this.status,
    );
    this.listen();
    this.choose(data.value);
  }

  choose(name) {
    this.points = DATA_SETS[name]();
    this.reset();
  }

  clear() {
    this.points = [];
    this.pause();
    this.reset();
  }

  setComponents(components) {
    this.components = components;
    this.componentChoice.value = components;
    this.meanOnly.setAttribute("aria-pressed", components === 1);
    this.reset(true);
  }

  /** A network that knows nothing yet; what it had to learn stays, and the curve of another number of components. */
  reset(keepsCurve = false) {
    if (keepsCurve && this.losses.length) this.earlier = { losses: this.losses, components: this.network.components };
    if (!keepsCurve) this.earlier = null;
    this.network = new Network({ components: this.components, seed: this.seed });
    this.optimizer = new Adam(this.network.parameters.length);
    this.gradient = new Float64Array(this.network.parameters.length);
    this.draw01 = normals(7).uniform;
    this.losses = [];
    this.isMapOld = true;
    this.say();
    this.surface.ask();
    this.lossSurface.ask();
  }

  toggle() {
    if (this.isRunning) this.pause();
    else this.start();
  }

  start() {
    if (this.points.length < 2) return this.say("Draw some points first: press in the square, and move.");
    if (this.optimizer.steps >= ENOUGH) this.reset();
    this.isRunning = true;
    this.status.setAttribute("aria-live", "off"); // else each step would be read aloud
    this.trainButton.textContent = "Pause";
    let shown = 0;
    const frame = (now) => {
      if (!this.isRunning) return;
      this.learn();
      if (now - shown > (prefersLessMotion() ? 1000 : 50)) {
        // the picture costs more than the steps
        shown = now;
        this.isMapOld = true;
        this.say();
        this.surface.ask();
        this.lossSurface.ask();
      }
      if (this.optimizer.steps >= ENOUGH) this.pause();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  pause() {
    this.isRunning = false;
    this.status.setAttribute("aria-live", "polite");
    this.trainButton.textContent = "Train";
    this.isMapOld = true;
    this.say();
    this.surface.ask();
  }

  /** Some steps of Adam, each on points drawn at random. */
  learn(steps = STEPS_A_FRAME, budget = BUDGET) {
    const until = performance.now() + budget,
      standard = this.points.map((pair) => pair.map((value) => REACH * value));
    for (let step = 0; step < steps && performance.now() < until; step++) {
      const batch =
        standard.length <= BATCH
          ? standard
          : Array.from({ length: BATCH }, () => standard[Math.floor(this.draw01() * standard.length)]);
      const loss = this.network.loss(batch, this.gradient);
      this.optimizer.rate = 0.02 * (1 - 0.9 * Math.min(this.optimizer.steps / ENOUGH, 1));
      this.optimizer.step(this.network.parameters, this.gradient);
      this.losses.push(loss - Math.log(REACH)); // of y as it is drawn, and not of standard units
    }
  }

  /** The loss of all points, of the density in the units of the drawing. */
  lossNow() {
    return this.network.loss(this.points.map((pair) => pair.map((value) => REACH * value))) - Math.log(REACH);
  }

  say(text) {
    const { steps } = this.optimizer;
    this.status.textContent =
      text ??
      `${this.points.length} points, ${steps} steps` +
        (steps && this.points.length ? `, loss ${number(this.lossNow(), 3)} nats.` : ". Press Train.");
  }

  add(point) {
    if (this.points.length < MOST_POINTS) this.points.push(point);
    this.surface.ask();
  }

  listen() {
    const { canvas } = this;
    let last = null;
    const follow = (event) => {
      const box = canvas.getBoundingClientRect(),
        place = [event.clientX - box.left, event.clientY - box.top];
      if (last && Math.hypot(place[0] - last[0], place[1] - last[1]) < 7) return;
      last = place;
      this.add(this.plot.valuesAt(...place));
      if (!this.isRunning) this.say();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.isCursorShown = false;
      last = null;
      follow(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) follow(event);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => {
      this.isCursorShown = false;
      this.surface.ask();
    });
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    const step = event.shiftKey ? 0.2 : 0.05;
    if (event.key in moves) {
      this.isCursorShown = true;
      this.cursor = this.cursor.map((value, i) => Math.min(Math.max(value + step * moves[event.key][i], -1), 1));
      this.say(`Cross at x = ${number(this.cursor[0], 2)}, y = ${number(this.cursor[1], 2)}.`);
    } else if (event.key === "Enter" || event.key === " ") {
      this.isCursorShown = true;
      this.add([...this.cursor]);
      this.say(`Point added: ${this.points.length} points.`);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const distance = ([x, y]) => Math.hypot(x - this.cursor[0], y - this.cursor[1]);
      const nearest = this.points.reduce(
        (best, point) => (distance(point) < distance(best) ? point : best),
        this.points[0],
      );
      this.points = this.points.filter((point) => point !== nearest);
      this.say(`Point removed: ${this.points.length} points.`);
    } else return;
    event.preventDefault();
    this.surface.ask();
  }

  fillMap() {
    this.means = [];
    this.map.fill(SQUARE, (column) => {
      const x = -1 + (2 * (column + 0.5)) / COLUMNS,
        distribution = this.network.at(REACH * x);
      this.means.push([x, distribution.mean() / REACH]);
      return (y) => distribution.density(REACH * y);
    });
    this.isMapOld = false;
  }

  draw(context, width, height) {
    const color = colors(this.canvas),
      box = boxIn(width, height);
    const plot = new Plot(
      context,
      box,
      { range: SQUARE, label: "x, what is known" },
      { range: SQUARE, label: "y, what is asked" },
    );
    this.plot = plot;
    plot.drawAxes(color);
    if (this.isMapOld) this.fillMap();
    plot.clipped(() => {
      if (this.optimizer.steps) {
        this.map.paint(color("density"));
        this.map.draw(context, box);
      }
      for (const [x, y] of this.points) plot.dot(plot.x(x), plot.y(y), { color: color("data"), radius: 2.2 });
      if (this.optimizer.steps)
        plot.line(
          this.means.map(([x, y]) => [plot.x(x), plot.y(y)]),
          { color: color("mean"), width: 2.25, dash: [2, 3] },
        );
      if (this.isCursorShown) {
        const [x, y] = [plot.x(this.cursor[0]), plot.y(this.cursor[1])];
        plot.line(
          [
            [x - 9, y],
            [x + 9, y],
          ],
          { color: color("ink"), width: 2 },
        );
        plot.line(
          [
            [x, y - 9],
            [x, y + 9],
          ],
          { color: color("ink"), width: 2 },
        );
      }
    });
  }

  drawLoss(context, width, height) {
    const color = colors(this.lossCanvas),
      own = pieces(this.losses),
      earlier = pieces(this.earlier?.losses ?? []);
    const values = [...own, ...earlier].map(([, loss]) => Math.min(loss, 2));
    const range = [Math.min(-1, ...values) - 0.1, Math.max(0.7, ...values) + 0.1];
    const box = boxIn(width, height);
    const most = Math.max(200, this.losses.length, this.earlier?.losses.length ?? 0);
    const plot = new Plot(
      context,
      box,
      { range: [0, most], label: "steps" },
      { range, label: "loss in nats: the lower, the better" },
    );
    plot.drawAxes(color);
    const curve = (points, components, style) => {
      if (!points.length) return;
      plot.clipped(() =>
        plot.line(
          points.map(([step, loss]) => [plot.x(step), plot.y(loss)]),
          style,
        ),
      );
      const [step, loss] = points.at(-1);
      context.fillStyle = style.color;
      context.textAlign = "right";
      context.textBaseline = "bottom";
      const text = components === 1 ? "mean only" : `${components} components`;
      const size = context.measureText(text).width,
        right = Math.max(plot.x(step), box.left + size + 4);
      const below = points
        .filter(([at]) => plot.x(at) > right - size - 4 && plot.x(at) < right)
        .map(([, value]) => plot.y(value));
      context.fillText(text, right, Math.max(Math.min(...below, plot.y(loss)) - 4, box.top + 14));
    };
    const style = (components) => ({ color: color(components === 1 ? "mean" : "density"), width: 2 });
    curve(earlier, this.earlier?.components, { ...style(this.earlier?.components), dash: [5, 3], width: 1.25 });
    curve(own, this.components, style(this.components));
    const [first, last] = [own[0]?.[1], own.at(-1)?.[1]].map((loss) => loss && number(loss, 3));
    this.lossCanvas.setAttribute(
      "aria-label",
      last ? `The loss went from ${first} to ${last} nats.` : "The loss: nothing is learnt yet.",
    );
  }
}

/** Losses as means of a hundred pieces or so, `[[step, loss], ...]`. */
function pieces(losses) {
  const size = Math.max(1, Math.floor(losses.length / 100)),
    means = [];
  for (let i = 0; i + size <= losses.length; i += size) {
    means.push([i + size / 2, losses.slice(i, i + size).reduce((sum, loss) => sum + loss, 0) / size]);
  }
  return means;
}
