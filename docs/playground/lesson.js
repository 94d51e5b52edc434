// Points that one draws, and a network that learns them while one looks.

import { button, choice, element, number, prefersLessMotion, row } from "../../tfmdn/plots/browser/elements.js";
import { HeatMap } from "../../tfmdn/plots/browser/heat.js";
import { boxIn, Plot, Surface } from "../../tfmdn/plots/browser/surface.js";
import { DATA_SETS } from "./datasets.js";
import { Adam, Network, normals } from "./network.js";

const COLUMNS = 96,
  ROWS = 72,
  SQUARE = [-1, 1],
  MOST_POINTS = 600,
  BATCH = 96,
  ENOUGH = 6000, // steps
  STEPS_A_FRAME = 12,
  BUDGET = 7; // milliseconds, for the steps of a frame
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
const KEYS = "Arrow keys move a cross, Enter adds a point there, Delete removes the nearest.";

export class Lesson {
  constructor(root) {
    Object.assign(this, { components: 5, isRunning: false, cursor: [0, 0], isCursorShown: false });
    this.map = new HeatMap(COLUMNS, ROWS);
    const attributes = { class: "draw", tabindex: 0, role: "application", "aria-label": `Points to learn. ${KEYS}` };
    this.surface = new Surface(attributes, (...given) => this.draw(...given));
    this.lossSurface = new Surface({ class: "loss", role: "img" }, (...given) => this.drawLoss(...given));
    this.status = element("p", { class: "status", role: "status" });
    this.trainButton = button("Train", () => (this.isRunning ? this.pause() : this.start()), { class: "first" });
    this.componentChoice = choice("Components", [1, 2, 3, 4, 5, 8, 12], (chosen) => this.setComponents(chosen));
    this.meanOnly = button("Mean only", () => this.setComponents(this.components === 1 ? 5 : 1));
    const reset = button("Reset", () => this.reset(), { class: "reset" }),
      clear = button("Clear points", () => this.take([]), { class: "clear" }),
      data = choice("Data", Object.keys(DATA_SETS), (name) => this.take(DATA_SETS[name]()));
    root.replaceChildren(
      row(this.trainButton, reset, clear, data),
      element("div", { class: "plots" }, this.surface.canvas, this.lossSurface.canvas),
      row(this.componentChoice, this.meanOnly),
      this.status,
    );
    this.listen(this.surface.canvas);
    this.take(Object.values(DATA_SETS)[0]());
    this.setComponents(this.components);
  }

  take(points) {
    this.points = points;
    if (!points.length) this.pause();
    this.reset();
  }

  /** Of another number of components; the curve of the losses stays. */
  setComponents(components) {
    this.components = components;
    this.componentChoice.control.value = components;
    this.meanOnly.setAttribute("aria-pressed", components === 1);
    this.reset(this.run.losses.length ? this.run : this.earlier);
  }

  /** A network that knows nothing yet; what it had to learn stays. */
  reset(earlier = null) {
    const network = new Network({ components: this.components }),
      size = network.parameters.length;
    Object.assign(this, { earlier, network, optimizer: new Adam(size), gradient: new Float64Array(size) });
    this.run = { losses: [], components: this.components };
    this.uniform = normals(7).uniform;
    this.show();
  }

  start() {
    if (this.points.length < 2) return this.say("Draw some points first: press in the square, and move.");
    if (this.optimizer.steps >= ENOUGH) this.reset();
    this.setRunning(true);
    let shown = 0;
    const frame = (now) => {
      if (!this.isRunning) return;
      this.learn();
      if (now - shown > (prefersLessMotion() ? 1000 : 50)) {
        shown = now; // the picture costs more than the steps
        this.show();
      }
      if (this.optimizer.steps >= ENOUGH) this.pause();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  pause() {
    this.setRunning(false);
    this.show();
  }

  setRunning(isRunning) {
    this.isRunning = isRunning;
    this.status.setAttribute("aria-live", isRunning ? "off" : "polite"); // else each step would be read aloud
    this.trainButton.textContent = isRunning ? "Pause" : "Train";
  }

  /** Some steps of Adam, each on points drawn at random. */
  learn(steps = STEPS_A_FRAME, budget = BUDGET) {
    const { points, network, gradient, optimizer } = this,
      until = performance.now() + budget;
    for (let step = 0; step < steps && performance.now() < until; step++) {
      const drawn = () => points[Math.floor(this.uniform() * points.length)];
      const batch = points.length > BATCH ? Array.from({ length: BATCH }, drawn) : points;
      this.run.losses.push(network.loss(batch, gradient));
      const rate = 0.012 * (1 - 0.9 * Math.min(optimizer.steps / ENOUGH, 1));
      optimizer.step(network.parameters, gradient, rate);
    }
  }

  lossNow() {
    return this.network.loss(this.points);
  }

  show() {
    this.isMapOld = true;
    this.say();
    this.surface.ask();
    this.lossSurface.ask();
  }

  say(text) {
    const { steps } = this.optimizer,
      loss = steps && this.points.length ? `, loss ${number(this.lossNow(), 3)} nats.` : ". Press Train.";
    this.status.textContent = text ?? `${this.points.length} points, ${steps} steps${loss}`;
  }

  add(point, text) {
    if (this.points.length < MOST_POINTS) this.points.push(point);
    if (!this.isRunning) this.say(text);
    this.surface.ask();
  }

  /** Points follow the mouse, a finger or keys. */
  listen(canvas) {
    let last;
    const follow = (event) => {
      if (last && Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) < 7) return;
      last = event;
      this.add(this.plot.valuesAt(event));
    };
    const hideCursor = () => {
      this.isCursorShown = false;
      this.surface.ask();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      hideCursor();
      last = null;
      follow(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && follow(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", hideCursor);
  }

  key(event) {
    const { cursor } = this,
      step = event.shiftKey ? 0.2 : 0.05;
    if (event.key in MOVES) {
      this.cursor = cursor.map((at, i) => Math.min(Math.max(at + step * MOVES[event.key][i], -1), 1));
      this.say(`Cross at x = ${number(this.cursor[0], 2)}, y = ${number(this.cursor[1], 2)}.`);
    } else if (event.key === "Enter" || event.key === " ") {
      this.add([...cursor], `Point added: ${this.points.length + 1} points.`);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const distance = ([x, y]) => Math.hypot(x - cursor[0], y - cursor[1]);
      const nearest = Math.min(...this.points.map(distance));
      this.points = this.points.filter((point) => distance(point) > nearest);
      this.say(`Point removed: ${this.points.length} points.`);
    } else return;
    this.isCursorShown = true;
    event.preventDefault();
    this.surface.ask();
  }

  fillMap() {
    this.means = [];
    this.map.fill(SQUARE, (column) => {
      const x = (2 * (column + 0.5)) / COLUMNS - 1,
        distribution = this.network.at(x);
      this.means.push([x, distribution.mean()]);
      return (y) => distribution.density(y);
    });
    this.isMapOld = false;
  }

  draw(context, width, height, color) {
    const box = boxIn(width, height),
      across = { range: SQUARE, label: "x, what is known" },
      isTaught = this.optimizer.steps > 0;
    const plot = (this.plot = new Plot(context, box, across, { range: SQUARE, label: "y, what is asked" }));
    if (this.isMapOld) this.fillMap();
    this.map.paint(color("density"));
    plot.drawAxes(color);
    plot.clipped(() => {
      if (isTaught) this.map.draw(context, box);
      for (const point of this.points) plot.dot(...point, { color: color("data"), radius: 2.2 });
      if (isTaught) plot.line(this.means, { color: color("mean"), width: 2.25, dash: [2, 3] });
      for (const isUp of this.isCursorShown ? [false, true] : []) {
        plot.dash(...this.cursor, { color: color("ink"), width: 2 }, isUp);
      }
    });
  }

  drawLoss(context, width, height, color) {
    const runs = [this.earlier, this.run].filter((run) => run?.losses.length),
      curves = runs.map((run) => pieces(run.losses)),
      values = curves.flat().map(([, loss]) => Math.min(loss, 2)),
      range = [Math.min(-1, ...values) - 0.1, Math.max(0.7, ...values) + 0.4], // the names have room above
      steps = [0, Math.max(200, ...runs.map((run) => run.losses.length))],
      box = boxIn(width, height);
    const plot = new Plot(
      context,
      box,
      { range: steps, label: "steps" },
      { range, label: "loss in nats: low is good" },
    );
    plot.drawAxes(color);
    const names = runs.map((run, i) => {
      const style = { color: color(run.components === 1 ? "mean" : "density"), width: 2 };
      if (run === this.earlier) Object.assign(style, { dash: [5, 3], width: 1.25 });
      plot.clipped(() => plot.line(curves[i], style));
      const name = `${run.components === 1 ? "mean only" : `${run.components} components`}: `,
        text = name + number(curves[i].at(-1)[1], 3);
      Object.assign(context, { fillStyle: style.color, textAlign: "right", textBaseline: "middle" });
      context.fillText(text, box.left + box.width - 4, box.top + 10 + 16 * i);
      return text;
    });
    const said = names.length ? `The loss of ${names.join(", of ")} nats.` : "The loss: nothing is learnt yet.";
    this.lossSurface.canvas.setAttribute("aria-label", said);
  }
}

/** Losses as means of a hundred pieces or so, `[[step, loss], ...]`. */
function pieces(losses) {
  const size = Math.ceil(losses.length / 100);
  return Array.from({ length: Math.floor(losses.length / size) }, (_, i) => {
    const own = losses.slice(i * size, (i + 1) * size);
    return [(i + 0.5) * size, own.reduce((sum, loss) => sum + loss, 0) / size];
  });
}
