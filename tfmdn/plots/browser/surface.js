// A canvas that is as sharp as the screen, is drawn at most once a frame, and follows its size and the colour scheme.

import { element, number } from "./elements.js";

export class Surface {
  /** A new canvas. `draw` gets its context, its size, and the colours of the style sheet by name, as they are now. */
  constructor(attributes, draw) {
    Object.assign(this, { canvas: element("canvas", attributes), draw, isAsked: false });
    new ResizeObserver(() => this.ask()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.ask());
  }

  /** Draws with the next frame. */
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => this.now());
  }

  now() {
    this.isAsked = false;
    const { canvas } = this,
      { clientWidth: width, clientHeight: height } = canvas,
      density = devicePixelRatio || 1,
      style = getComputedStyle(canvas);
    if (!width || !height) return;
    Object.assign(canvas, { width: Math.round(width * density), height: Math.round(height * density) }); // clears it
    const context = canvas.getContext("2d");
    context.scale(density, density);
    context.font = `12px ${style.fontFamily}`;
    this.draw(context, width, height, (name) => style.getPropertyValue(`--${name}`).trim());
  }
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

  /** The values on both axes where a pointer is. */
  valuesAt({ offsetX, offsetY }) {
    const { box } = this,
      [left, right] = this.horizontal.range,
      [low, high] = this.vertical.range;
    const inside = (part) => Math.min(Math.max(part, 0), 1);
    return [
      left + inside((offsetX - box.left) / box.width) * (right - left),
      high - inside((offsetY - box.top) / box.height) * (high - low),
    ];
  }

  drawAxes(color) {
    const { context, box, horizontal, vertical } = this,
      right = box.left + box.width,
      bottom = box.top + box.height;
    const marks = (axis, room) => axis.ticks ?? ticks(...axis.range, room).map((value) => [value, number(value)]);
    const write = (text, x, y, align, baseline) => {
      Object.assign(context, { textAlign: align, textBaseline: baseline });
      context.fillText(text, x, y);
    };
    const style = { color: color("line") };
    context.fillStyle = color("quiet");
    for (const [value, text] of marks(horizontal, box.width / 60)) {
      this.segment([value, value], vertical.range, style);
      const half = context.measureText(text).width / 2;
      write(text, Math.min(this.x(value), right + 12 - half), bottom + 6, "center", "top");
    }
    for (const [value, text] of marks(vertical, box.height / 45)) {
      this.segment(horizontal.range, [value, value], style);
      write(text, box.left - 6, this.y(value), "right", "middle");
    }
    context.fillStyle = color("ink");
    write(horizontal.label, right, bottom + 36, "right", "bottom");
    write(vertical.label, Math.min(box.left, 6), box.top - 9, "left", "bottom");
  }

  /** A line through places `[[x, y], ...]`. */
  line(points, { color, width = 1, dash = [] }) {
    const { context } = this;
    Object.assign(context, { strokeStyle: color, lineWidth: width, lineJoin: "round" });
    context.setLineDash(dash);
    context.beginPath();
    for (const [x, y] of points) context.lineTo(this.x(x), this.y(y));
    context.stroke();
    context.setLineDash([]);
  }

  segment([left, right], [start, end], style) {
    const points = [
      [left, start],
      [right, end],
    ];
    this.line(points, style);
  }

  area(points, color) {
    const { context } = this;
    context.fillStyle = color;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(this.x(x), this.y(y));
    context.fill();
  }

  dot(x, y, { color, ring, radius = 4.5 }) {
    const { context } = this;
    context.beginPath();
    context.arc(this.x(x), this.y(y), radius, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    if (ring) {
      Object.assign(context, { lineWidth: 1.5, strokeStyle: ring });
      context.stroke();
    }
  }

  /** A short line across a place, or up. */
  dash(x, y, style, isUp = false) {
    const half = 9 / (isUp ? this.box.height : this.box.width),
      [low, high] = (isUp ? this.vertical : this.horizontal).range,
      around = (value) => [value - half * (high - low), value + half * (high - low)];
    this.segment(isUp ? [x, x] : around(x), isUp ? around(y) : [y, y], style);
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
