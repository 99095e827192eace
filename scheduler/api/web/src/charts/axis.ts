import { clock, day, offset } from '../fmt/time';

export interface Tick { at: number; label: string; day: boolean }

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((s) => s * 1000);

/** timeTicks places at most `most` labels on round local times between from and to. */
export function timeTicks(from: number, to: number, zone: string, most: number): Tick[] {
  if (!(to > from) || most < 1) return [];
  const step = steps.find((s) => (to - from) / s <= most) ?? steps[steps.length - 1] * Math.ceil((to - from) / most / 86400e3);
  const shift = offset(from, zone);
  const out: Tick[] = [];
  for (let local = Math.ceil((from + shift) / step) * step; local - shift <= to; local += step) {
    const at = local - shift;
    const midnight = (at + offset(at, zone)) % 86400e3 === 0;
    out.push({ at, day: midnight, label: clock(at, zone, step < 60e3) + (midnight ? ' ' + day(at, zone) : '') });
  }
  return out;
}

/** valueTicks are round values covering lo..hi; zero is among them where it lies inside. */
export function valueTicks(lo: number, hi: number, most = 4): number[] {
  if (!(hi > lo)) return [lo];
  const raw = (hi - lo) / Math.max(1, most);
  const mag = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * mag).find((s) => s >= raw * 0.999)!;
  const out: number[] = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi * (1 + 1e-12) + step * 1e-9; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

/** decimalsFor tells how many decimals a list of ticks needs. */
export function decimalsFor(ticks: number[]): number {
  for (let d = 0; d < 6; d++) {
    if (ticks.every((t) => Math.abs(t * 10 ** d - Math.round(t * 10 ** d)) < 1e-6)) return d;
  }
  return 6;
}

/** spread moves labels apart until they are `gap` from each other, in the order of their wishes. */
export function spread(wishes: number[], gap: number, lo: number, hi: number): number[] {
  const idx = wishes.map((_, i) => i).sort((a, b) => wishes[a] - wishes[b] || a - b);
  const at = idx.map((i) => wishes[i]);
  for (let i = 0; i < at.length; i++) at[i] = Math.max(at[i], i ? at[i - 1] + gap : lo);
  let top = hi;
  for (let i = at.length - 1; i >= 0; i--) {
    at[i] = Math.min(at[i], top);
    top = at[i] - gap;
  }
  const out: number[] = [];
  idx.forEach((i, k) => { out[i] = at[k]; });
  return out;
}
