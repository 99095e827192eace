import { NBSP } from './number';

const cache = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = zone + JSON.stringify(options);
  let f = cache.get(key);
  if (!f) {
    try {
      f = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone || 'UTC' });
    } catch {
      f = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' }); // a zone this browser does not know
    }
    cache.set(key, f);
  }
  return f;
}

export function parts(ms: number, zone: string): Record<string, string> {
  const f = format(zone, {
    weekday: 'short', year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
  });
  const out: Record<string, string> = {};
  for (const p of f.formatToParts(ms)) out[p.type] = p.value;
  out.month = out.month.slice(0, 3); // "Sept" is the one four-letter month
  return out;
}

export function clock(ms: number, zone: string, seconds = false): string {
  const p = parts(ms, zone);
  return `${p.hour}:${p.minute}${seconds ? ':' + p.second : ''}`;
}

export function day(ms: number, zone: string): string {
  const p = parts(ms, zone);
  return `${p.weekday} ${p.day} ${p.month}`;
}

/** instant is the full form: Tue 20 Oct 2026, 16:12. */
export function instant(ms: number, zone: string): string {
  const p = parts(ms, zone);
  return `${p.weekday} ${p.day} ${p.month} ${p.year}, ${p.hour}:${p.minute}`;
}

/** when names an instant as shortly as `now` allows. */
export function when(ms: number, now: number, zone: string, seconds = false): string {
  if (!ms) return '–';
  const a = parts(ms, zone);
  const b = parts(now, zone);
  const time = clock(ms, zone, seconds);
  if (a.day === b.day && a.month === b.month && a.year === b.year) return time;
  if (Math.abs(now - ms) < 6 * 86400e3) return `${a.weekday} ${time}`;
  return `${a.day} ${a.month} ${time}`;
}

/** span renders a duration by its two largest units: 2 h 10 m. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const unit = (n: number, u: string) => n + NBSP + u;
  if (s < 100) return unit(s, 's');
  const m = Math.floor(s / 60);
  if (m < 60) return unit(m, 'm');
  const h = Math.floor(m / 60);
  if (h < 24) return unit(h, 'h') + (m % 60 ? NBSP + unit(m % 60, 'm') : '');
  const d = Math.floor(h / 24);
  return unit(d, 'd') + (h % 24 ? NBSP + unit(h % 24, 'h') : '');
}

/** range names the length of an axis: 24 h and not 1 d. */
export const range = (ms: number): string => (ms >= 22.5 * 3600e3 && ms < 48 * 3600e3 ? Math.round(ms / 3600e3) + NBSP + 'h' : span(ms));

/** offset of a zone from UTC at an instant, in milliseconds. */
export function offset(ms: number, zone: string): number {
  const f = format(zone, { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' });
  const p: Record<string, number> = {};
  for (const x of f.formatToParts(ms)) p[x.type] = Number(x.value);
  return Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) - Math.floor(ms / 1000) * 1000;
}

/** stamp is the form for tables and files: 2026-10-20 16:12:00, in the zone named in the head. */
export function stamp(ms: number, zone: string): string {
  return new Date(ms + offset(ms, zone)).toISOString().slice(0, 19).replace('T', ' ');
}
