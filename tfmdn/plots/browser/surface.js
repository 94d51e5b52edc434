// A canvas that is as sharp as the screen, is drawn at most once a frame, and follows its size and the colour scheme.

import { number } from "./elements.js";

export class Surface {
  constructor(canvas, draw) {
    Object.assign(this, { canvas, draw, isAsked: false });
    new ResizeObserver(() => this.ask()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.ask());
  }

  /** Draws with the next frame. */
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.now();
    });
  }

  now() {
    const { canvas } = this,
      width = canvas.clientWidth,
      height = canvas.clientHeight,
      density = devicePixelRatio || 1;
    if (!width || !height) return;
    const size = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `12px ${getComputedStyle(canvas).fontFamily}`;
    this.draw(context, width, height);
  }
}

/** The colours of the style sheet by name, as it is now. */
export function colors(canvas) {
  const style = getComputedStyle(canvas);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** Round numbers between two, about so many. */
export function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1),
    power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9),
    last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Where a plot lies in a canvas: labels need the rest. */
export function boxIn(width, height, left = 46) {
  return { left, top: 28, width: width - left - 14, height: height - 70 };
}

/** A rectangle with two axes, each `{range, label, ticks}`; ticks are `[[value, text], ...]` or left out. */
export class Plot {
  constructor(context, box, horizontal, vertical) {
    Object.assign(this, { context, box, horizontal, vertical });
  }

  x(value) {
    const [low, high] = this.horizontal.range;
    return this.box.left + ((value - low) / (high - low)) * this.box.width;
  }

  y(value) {
    const [low, high] = this.vertical.range;
    return this.box.top + this.box.height - ((value - low) / (high - low)) * this.box.height;
  }

  /** The value on the horizontal axis at a place of the canvas, and that on the vertical one. */
  valuesAt(x, y) {
    const { box } = this,
      [left, right] = this.horizontal.range,
      [low, high] = this.vertical.range;
    const inside = (part) => Math.min(Math.max(part, 0), 1);
    return [
      left + inside((x - box.left) / box.width) * (right - left),
      high - inside((y - box.top) / box.height) * (high - low),
    ];
  }

  drawAxes(color) {
    const { context, box } = this;
    context.strokeStyle = color("line");
    context.fillStyle = color("quiet");
    context.lineWidth = 1;
    context.textAlign = "center";
    context.textBaseline = "top";
    const bottom = box.top + box.height;
    const across = this.horizontal.ticks ?? ticks(...this.horizontal.range, box.width / 60).map((v) => [v, number(v)]);
    for (const [value, text] of across) {
      context.beginPath();
      context.moveTo(this.x(value), box.top);
      context.lineTo(this.x(value), bottom);
      context.stroke();
      const half = context.measureText(text).width / 2,
        edge = box.left + box.width + 12;
      context.fillText(text, Math.min(this.x(value), edge - half), bottom + 6);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    const up = this.vertical.ticks ?? ticks(...this.vertical.range, box.height / 45).map((v) => [v, number(v)]);
    for (const [value, text] of up) {
      context.beginPath();
      context.moveTo(box.left, this.y(value));
      context.lineTo(box.left + box.width, this.y(value));
      context.stroke();
      context.fillText(text, box.left - 6, this.y(value));
    }
    context.fillStyle = color("ink");
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.fillText(this.horizontal.label, box.left + box.width, bottom + 36);
    context.textAlign = "left";
    context.fillText(this.vertical.label, Math.min(box.left, 6), box.top - 9);
  }

  line(points, { color, width = 1, dash = [] }) {
    const { context } = this;
    context.save();
    context.strokeStyle = color;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
    context.restore();
  }

  dot(x, y, { color, ring, radius = 4.5 }) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    if (ring) {
      context.lineWidth = 1.5;
      context.strokeStyle = ring;
      context.stroke();
    }
  }

  /** Draws inside of the axes only. */
  clipped(draw) {
    const { context, box } = this;
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
    draw();
    context.restore();
  }
}
