import { useMemo, useRef } from 'react';
import type { GpuExplanation, Interval } from '../api/types';
import { timeTicks } from '../charts/axis';
import { pack } from '../charts/pack';
import { money } from '../fmt/number';
import { sentence } from '../fmt/reason';
import { clock, range, stamp, when } from '../fmt/time';
import { colourKey, parseUse, useText } from '../fmt/use';
import { fill, isPattern } from '../theme/fills';
import { slot } from '../theme/slots';
import { Card, useWidth, Why } from './bits';

const use = (i: Interval) => parseUse(i.use, i.option, i.job);
const short = (i: Interval) => useText(use(i)).replace(/^(mining|training) /, '');

/** History is one device's day: the strip, and below it each decision, newest first. */
export function History({ e, zone }: { e: GpuExplanation; zone: string }) {
  const ref = useRef<HTMLDivElement>(null);
  const width = useWidth(ref, 800);
  const to = e.market_ms;
  const list = e.history;
  const from = list.length ? Math.max(to - 24 * 3600e3, Math.min(list[0].from_ms, to - 60e3)) : to - 3600e3;
  const x = (ms: number) => ((ms - from) / (to - from)) * (width - 2);
  const pieces = useMemo(() => pack(list, from, to, (i) => colourKey(use(i), slot)), [list, from, to]);
  const ticks = timeTicks(from, to, zone, Math.max(2, Math.floor(width / 110))).filter((t) => x(t.at) > 14 && x(t.at) < width - 120);
  const newest = [...list].reverse();
  return (
    <Card title="What it did" sub={`${range(to - from)} until now`} file="sluice-history" grid={() => ({
      head: [`from (${zone})`, `to (${zone})`, 'use', 'W', `revenue ${e.currency}`, `energy ${e.currency}`, `net ${e.currency}`, 'code', 'why', 'plan'],
      rows: newest.map((i) => [stamp(i.from_ms, zone), i.to_ms ? stamp(i.to_ms, zone) : '', useText(use(i)), i.watts, money(i.revenue, 4), money(-i.energy, 4), money(i.revenue - i.energy, 4), i.reason?.code ?? '', sentence(i.reason, e.currency, zone), i.plan]),
    })}>
      {list.length === 0 ? <p className="note">Nothing is recorded yet.</p> : (
        <>
          <div style={{ padding: '6px 14px 12px' }}>
            <div ref={ref}>
              <div className="ax" aria-hidden="true">
                {ticks.map((t) => <span key={t.at} style={{ left: x(t.at) }}>{t.label}</span>)}
                <span className="nowlab" style={{ right: 0, transform: 'none' }}>now {clock(to, zone)}</span>
              </div>
              <div className="didstrip" role="img" aria-label={pieces.map((p) => `${useText(use(p.interval))} from ${when(p.from, to, zone)}`).join(', ')}>
                <svg width={width} height="26" style={{ display: 'block' }} aria-hidden="true">
                  {pieces.map((p) => <rect key={p.from} x={x(p.from)} width={Math.max(1, x(p.to) - x(p.from))} height="26" style={{ fill: fill(p.key) }} />)}
                  <rect x={width - 2} width="2" height="26" style={{ fill: 'var(--ink)' }} />
                </svg>
                {pieces.filter((p) => x(p.to) - x(p.from) > 56 && !isPattern(p.key)).map((p) => (
                  <span key={p.from} className={'sl ' + p.key} style={{ left: Math.max(0, x(p.from)), width: x(p.to) - x(p.from) }}>{x(p.to) - x(p.from) > 110 ? useText(use(p.interval)) : short(p.interval)}</span>
                ))}
              </div>
            </div>
          </div>
          <div className="scroll" style={{ borderTop: '1px solid var(--line)' }}>
            <table className="rows">
              <thead><tr><th>When</th><th>Decision</th><th>Why</th><th className="num">Net {e.currency}</th><th className="num">Plan</th></tr></thead>
              <tbody>
                {newest.slice(0, 40).map((i, n) => {
                  const before = newest[n + 1];
                  const same = before && useText(use(before)) === useText(use(i));
                  return (
                    <tr key={i.from_ms}>
                      <td className="nw sec">{when(i.from_ms, to, zone, true)}</td>
                      <td className="nw b">{!before ? short(i) : same ? `keeps ${short(i)}` : `${short(before)} → ${short(i)}`}</td>
                      <td className="wide"><Why reason={i.reason} currency={e.currency} zone={zone} /></td>
                      <td className="num">{money(i.revenue - i.energy, 3)}<span className="only-s"> {e.currency}</span></td>
                      <td className="num sec hide-s">{i.plan || '–'}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        </>
      )}
    </Card>
  );
}
