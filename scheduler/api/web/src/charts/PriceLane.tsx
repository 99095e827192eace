import type { PriceStep } from '../api/types';
import { decimalsFor, spread, valueTicks } from './axis';
import { stepPath } from './pack';

export const PRICE_HEIGHT = 76;

export interface Threshold { label: string; value: number }

/** priceScale covers zero and every price and threshold shown. */
export function priceScale(prices: PriceStep[], thresholds: Threshold[]) {
  const shown = prices.filter((p) => p.known).map((p) => p.micro_per_kwh);
  const most = Math.max(1000, ...shown);
  const all = [...shown, ...thresholds.map((t) => t.value).filter((v) => v < most * 1.6)];
  const hi = Math.max(1000, ...all) * 1.12;
  const lo = Math.min(0, ...all) * 1.12;
  const ticks = valueTicks(lo / 1e6, hi / 1e6, 3);
  const y = (v: number) => PRICE_HEIGHT - 4 - ((v - lo) / (hi - lo)) * (PRICE_HEIGHT - 8);
  const drawn = thresholds.filter((t) => t.value > lo && t.value < hi);
  return { y, ticks, drawn, digits: Math.max(2, decimalsFor(ticks)) };
}

/** PriceLane shares the axis of the rows below it: which price decided. */
export function PriceLane({ prices, thresholds, from, to, x, width }: {
  prices: PriceStep[]; thresholds: Threshold[]; from: number; to: number; x: (ms: number) => number; width: number;
}) {
  const scale = priceScale(prices, thresholds);
  const sites = [...new Set(prices.map((p) => p.site))].sort();
  const lines = sites.map((site) => {
    const points = prices.filter((p) => p.site === site).sort((a, b) => a.at_ms - b.at_ms).map((p) => ({ at: p.at_ms, value: p.known ? p.micro_per_kwh : null }));
    return { site, last: points[points.length - 1]?.value ?? 0, d: stepPath(points, from, to, x, scale.y) };
  });
  const zero = scale.y(0);
  const { drawn } = scale;
  const labels = spread(drawn.map((t) => scale.y(t.value) - 13), 13, 0, PRICE_HEIGHT - 13);
  const names = spread(lines.map((l) => scale.y(l.last) - 6), 13, 0, PRICE_HEIGHT - 13);
  return (
    <div style={{ position: 'absolute', top: 18, left: 0, right: 0, height: PRICE_HEIGHT }}>
      <svg width={width} height={PRICE_HEIGHT} aria-hidden="true">
        {lines.length === 1 && lines[0].d && prices.every((p) => p.known) ? <path d={`${lines[0].d}V${zero}H${x(Math.max(from, prices[0]?.at_ms ?? from))}z`} style={{ fill: 'var(--sunken)' }} /> : null}
        <path d={`M0 ${zero}H${width}`} style={{ stroke: 'var(--line-2)' }} />
        {drawn.map((t) => <path key={t.label} d={`M0 ${scale.y(t.value).toFixed(1)}H${width}`} style={{ stroke: 'var(--ink-3)', strokeDasharray: '2 3' }} />)}
        {lines.map((l, i) => <path key={l.site} d={l.d} style={{ fill: 'none', stroke: 'var(--ink)', strokeWidth: 1.4, strokeDasharray: i ? '5 2' : undefined }} />)}
      </svg>
      {drawn.map((t, i) => <span key={t.label} className="pl hide-s" style={{ left: `${30 + 22 * (i % 3)}%`, top: labels[i] }}>{t.label}</span>)}
      {prices.every((p) => !p.known) ? <span className="pl" style={{ left: 4, top: 30 }}>not known</span> : null}
      {lines.length > 1 ? lines.map((l, i) => <span key={l.site} className="pl" style={{ right: width - x(to) + 6, top: names[i] }}>{l.site}</span>) : null}
    </div>
  );
}
