// Figures as people read them: thousands by a narrow no-break space, a true
// minus, a no-break space before the unit. Money comes in micro-units.

export const NARROW = '\u202f';
export const NBSP = '\u00a0';
export const MINUS = '\u2212';

/** fixed renders value / scale with the given decimals, rounding half away from zero. */
export function fixed(value: number, scale: number, digits: number): string {
  const step = 10 ** digits;
  const n = Math.round((Math.abs(value) / scale) * step + 1e-9);
  const whole = Math.floor(n / step);
  const head = String(whole).replace(/\B(?=(\d{3})+(?!\d))/g, NARROW);
  const tail = digits > 0 ? '.' + String(n % step).padStart(digits, '0') : '';
  return (value < 0 && n > 0 ? MINUS : '') + head + tail;
}

export const count = (n: number) => fixed(n, 1, 0);

/** money of micro-units, without its unit. */
export const money = (micro: number, digits: number) => fixed(micro, 1e6, digits);

/** signed puts a plus before gains; zero has no sign. */
export function signed(micro: number, digits: number): string {
  const s = money(micro, digits);
  return micro > 0 && Number(s.replace(NARROW, '')) !== 0 ? '+' + s : s;
}

/** digitsFor picks decimals so that about four figures show: device rates get four, site rates one. */
export function digitsFor(micro: number): number {
  const a = Math.abs(micro) / 1e6;
  if (a >= 1000) return 0;
  if (a >= 10) return 1;
  if (a >= 1) return 2;
  return 4;
}

export const rate = (micro: number, currency: string, digits = digitsFor(micro)) =>
  money(micro, digits) + NBSP + currency + '/h';

export const amount = (micro: number, currency: string, digits = digitsFor(micro)) =>
  money(micro, digits) + NBSP + currency;

export const perKWh = (micro: number, currency: string) => money(micro, 3) + NBSP + currency + '/kWh';

/** watts splits power into figure and unit: W to 1 kW, kW below 10 000, then MW. */
export function watts(w: number): [string, string] {
  const a = Math.abs(w);
  if (a < 1000) return [fixed(w, 1, 0), 'W'];
  if (a < 100e3) return [fixed(w, 1e3, 1), 'kW'];
  if (a < 10e6) return [fixed(w, 1e3, 0), 'kW'];
  return [fixed(w, 1e6, 1), 'MW'];
}

export const power = (w: number) => watts(w).join(NBSP);

export const share = (ppm: number, digits = 1) => fixed(ppm, 1e4, digits) + NBSP + '%';

/** hashrate of milli-hashes per second, in the largest unit that keeps a whole part. */
export function hashrate(milli: number): string {
  if (milli < 0) return 'not known';
  const units = ['H/s', 'kH/s', 'MH/s', 'GH/s', 'TH/s', 'PH/s', 'EH/s'];
  let v = milli / 1000;
  let i = 0;
  while (v >= 1000 && i < units.length - 1) {
    v /= 1000;
    i++;
  }
  return fixed(v, 1, v >= 100 || i === 0 ? 0 : v >= 10 ? 1 : 2) + NBSP + units[i];
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let v = n;
  let i = 0;
  while (v >= 1024 && i < units.length - 1) {
    v /= 1024;
    i++;
  }
  return fixed(v, 1, v >= 100 || i === 0 || Number.isInteger(v) ? 0 : 1) + NBSP + units[i];
}

/**
 * energyText says how an energy cost came about. Power is at the meter where
 * watts × price gives the cost, and at the board where PUE is still a factor.
 */
export function energyText(b: { watts: number; energy: number; energy_micro_per_kwh: number; pue_ppm: number; board_watts?: number }, currency: string): string {
  const plain = (b.watts * b.energy_micro_per_kwh) / 1000;
  const cooled = (plain * b.pue_ppm) / 1e6;
  const pue = b.pue_ppm > 0 ? fixed(b.pue_ppm, 1e6, 2) : '';
  const price = perKWh(b.energy_micro_per_kwh, currency);
  if (pue && b.board_watts) return `${power(b.board_watts)} × PUE ${pue} × ${price}`;
  if (pue && Math.abs(cooled - b.energy) < Math.abs(plain - b.energy)) return `${power(b.watts)} × PUE ${pue} × ${price}`;
  return `${power(b.watts)} × ${price}` + (pue && b.pue_ppm !== 1e6 ? `, PUE ${pue} included` : '');
}

/** trueMinus sets the hyphens before figures in a sentence of the server as minus signs. */
export function trueMinus(text: string): string {
  return text.replace(/(^|[\s(])-(?=\d)/g, '$1\u2212');
}
