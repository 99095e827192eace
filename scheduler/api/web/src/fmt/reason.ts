import type { Figure, Reason } from '../api/types';
import { amount, count, perKWh, power, rate, share } from './number';
import { instant, span } from './time';

/** figure renders one number behind a reason with its unit. */
export function figure(f: Figure, currency: string, zone: string): string {
  switch (f.unit) {
    case 'micro_per_hour': return rate(f.value, currency, 4);
    case 'micro': return amount(f.value, currency, 4);
    case 'micro_per_kwh': return perKWh(f.value, currency);
    case 'watts': return power(f.value);
    case 'ppm': return share(f.value, 2);
    case 'ms': return span(f.value);
    case 'instant_ms': return instant(f.value, zone);
    case 'text': return f.text;
    default: return count(f.value);
  }
}

/**
 * sentence is the reason in words: the server's own sentence, so that page and
 * command line say the same, and else the figures alone.
 */
export function sentence(r: Reason | null | undefined, currency: string, zone: string): string {
  if (!r) return '';
  if (r.text) return capital(r.text);
  const figures = (r.figures ?? []).map((f) => `${f.name} ${figure(f, currency, zone)}`);
  return capital(figures.join(', '));
}

export const capital = (s: string) => (s ? s[0].toUpperCase() + s.slice(1) : s);

/** splitCommand cuts a way to start at its command, so that it can be copied. */
export function splitCommand(way: string): { text: string; command: string } {
  const m = /(?:^|[\s:`'"(])(sluice\s[^`"]*[^`"\s.)])[`"')]*\.?\s*$/.exec(way);
  if (!m) return { text: way, command: '' };
  const at = way.indexOf('sluice ', m.index);
  return { text: way.slice(0, at).replace(/[\s:`'"(,;–-]+$/, ''), command: m[1] };
}
