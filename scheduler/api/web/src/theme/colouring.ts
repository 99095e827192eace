import type { Interval } from '../api/types';
import { money, watts } from '../fmt/number';
import { abnormal, colourKey, order, parseUse } from '../fmt/use';
import { slot } from './slots';

export type Colouring = 'use' | 'net' | 'watts' | 'health';
export const colourings: Colouring[] = ['use', 'net', 'watts', 'health'];

/** Colour turns an interval into a fill key, and says what each key means. */
export interface Colour { key: (i: Interval) => string; order: string[]; label: (key: string, currency: string) => string }

const steps = [22, 42, 62, 82, 100];
const useKey = (i: { use: string; option: string; job: string }) => colourKey(parseUse(i.use, i.option, i.job), slot);

const names: Record<string, string> = { train: 'training', park: 'parked', coinx: 'other coins' };

/** netPerHour of an interval, micro per hour. */
export function netPerHour(i: Interval, end: number): number {
  const ms = (i.to_ms || end) - i.from_ms;
  return ms > 0 ? ((i.revenue - i.energy) * 3600e3) / ms : 0;
}

/** colour builds a colouring; scales run from zero to the largest value shown. */
export function colour(by: Colouring, intervals: Interval[], end: number, coinOf: (slotName: string) => string): Colour {
  if (by === 'use') {
    return { key: useKey, order, label: (k) => names[k] ?? (abnormal.includes(k) ? k : coinOf(k)) };
  }
  if (by === 'health') {
    return {
      key: (i) => (abnormal.includes(i.use) ? i.use : 'park'), order: ['park', ...abnormal],
      label: (k) => (k === 'park' ? 'working or parked' : k),
    };
  }
  const value = by === 'net' ? (i: Interval) => netPerHour(i, end) : (i: Interval) => i.watts;
  const most = intervals.reduce((m, i) => Math.max(m, value(i)), 0) || 1;
  const hue = by === 'net' ? 'net' : 'ink-2';
  const keys = steps.map((s) => `scale:${hue}:${s}`);
  const loss = 'scale:bad:55';
  return {
    key: (i) => {
      if (i.use === 'unknown') return 'unknown';
      const v = value(i);
      if (v < 0) return loss;
      return keys[Math.min(steps.length - 1, Math.floor((v / most) * steps.length))];
    },
    order: [...keys].reverse().concat(loss, 'unknown'),
    label: (k, currency) => {
      if (k === 'unknown') return 'unknown';
      if (k === loss) return 'costs money';
      const n = keys.indexOf(k);
      const [a, b] = [(most * n) / steps.length, (most * (n + 1)) / steps.length];
      return by === 'net' ? `${money(a, 3)} to ${money(b, 3)} ${currency}/h` : `${watts(a).join(' ')} to ${watts(b).join(' ')}`;
    },
  };
}
