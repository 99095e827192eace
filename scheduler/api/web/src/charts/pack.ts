import type { Interval } from '../api/types';

export interface Piece { from: number; to: number; key: string; interval: Interval }

/** pack clips intervals to the axis, joins neighbours of one fill and drops what lies outside. */
export function pack(intervals: Interval[], from: number, to: number, key: (i: Interval) => string): Piece[] {
  const out: Piece[] = [];
  for (const i of intervals) {
    const a = Math.max(i.from_ms, from);
    const b = Math.min(i.to_ms || to, to); // an open interval lasts until now
    if (b <= a) continue;
    const k = key(i);
    const last = out[out.length - 1];
    if (last && last.key === k && a <= last.to) last.to = Math.max(last.to, b);
    else out.push({ from: a, to: b, key: k, interval: i });
  }
  return out;
}

/** at finds the interval that covers an instant. */
export function at(intervals: Interval[], ms: number, end: number): number {
  return intervals.findIndex((i) => ms >= i.from_ms && ms < (i.to_ms || end));
}

/** rects draws pieces of equal height as one path per fill. */
export function rects(rows: Piece[][], y: (row: number) => number, h: number, x: (ms: number) => number): Map<string, string> {
  const paths = new Map<string, string>();
  rows.forEach((pieces, row) => {
    for (const p of pieces) {
      const a = x(p.from);
      const b = Math.max(x(p.to), a + 0.5);
      paths.set(p.key, (paths.get(p.key) ?? '') + `M${a.toFixed(1)} ${y(row)}H${b.toFixed(1)}v${h}H${a.toFixed(1)}z`);
    }
  });
  return paths;
}

export interface Column { from: number; to: number; counts: Map<string, number>; total: number }

/**
 * columns counts devices by fill along the axis, in `bins` columns, and joins
 * equal neighbours; a device counts where it is at the middle of a column.
 */
export function columns(devices: Piece[][], from: number, to: number, bins: number): Column[] {
  const step = (to - from) / bins;
  const keys = [...new Set(devices.flatMap((d) => d.map((p) => p.key)))].sort();
  const delta = new Map(keys.map((k) => [k, new Int32Array(bins + 1)]));
  for (const d of devices) {
    for (const p of d) {
      const a = Math.max(0, Math.ceil((p.from - from) / step - 0.5));
      const b = Math.min(bins, Math.ceil((p.to - from) / step - 0.5));
      if (b <= a) continue;
      const row = delta.get(p.key)!;
      row[a]++;
      row[b]--;
    }
  }
  const out: Column[] = [];
  const run = new Map(keys.map((k) => [k, 0]));
  for (let i = 0; i < bins; i++) {
    let changed = i === 0;
    for (const k of keys) {
      const d = delta.get(k)![i];
      if (d) {
        changed = true;
        run.set(k, run.get(k)! + d);
      }
    }
    if (changed) {
      const counts = new Map([...run].filter(([, n]) => n > 0));
      out.push({ from: from + i * step, to: from + (i + 1) * step, counts, total: devices.length });
    } else out[out.length - 1].to = from + (i + 1) * step;
  }
  return out;
}

/** stack draws columns as a 100 % strip in a fixed order, first on top, one path per fill. */
export function stack(cols: Column[], order: string[], y0: number, h: number, x: (ms: number) => number): Map<string, string> {
  const paths = new Map<string, string>();
  for (const c of cols) {
    let y = y0;
    for (const k of order) {
      const n = c.counts.get(k) ?? 0;
      if (!n) continue;
      const dy = (n / c.total) * h;
      paths.set(k, (paths.get(k) ?? '') + `M${x(c.from).toFixed(1)} ${y.toFixed(2)}H${x(c.to).toFixed(1)}v${dy.toFixed(2)}H${x(c.from).toFixed(1)}z`);
      y += dy;
    }
  }
  return paths;
}

/** stepPath draws values that hold until changed. */
export function stepPath(points: { at: number; value: number | null }[], from: number, to: number, x: (ms: number) => number, y: (v: number) => number): string {
  let d = '';
  let drawn = false; // a value not known is a gap
  points.forEach((p, i) => {
    const end = Math.min(points[i + 1]?.at ?? to, to);
    const start = Math.max(p.at, from);
    if (p.value === null) drawn = false;
    if (end <= start || p.value === null) return;
    d += (drawn ? `V${y(p.value).toFixed(1)}` : `M${x(start).toFixed(1)} ${y(p.value).toFixed(1)}`) + `H${x(end).toFixed(1)}`;
    drawn = true;
  });
  return d;
}

/** sums adds a value of every device's intervals at the middle of each of `bins` columns. */
export function sums(devices: Interval[][], from: number, to: number, bins: number, value: (i: Interval) => number): number[] {
  const step = (to - from) / bins;
  const delta = new Float64Array(bins + 1);
  for (const d of devices) {
    for (const i of d) {
      const v = value(i);
      if (!v) continue;
      const a = Math.max(0, Math.ceil((i.from_ms - from) / step - 0.5));
      const b = Math.min(bins, Math.ceil(((i.to_ms || to) - from) / step - 0.5));
      if (b <= a) continue;
      delta[a] += v;
      delta[b] -= v;
    }
  }
  const out: number[] = [];
  let run = 0;
  for (let k = 0; k < bins; k++) {
    run += delta[k];
    out.push(run);
  }
  return out;
}
