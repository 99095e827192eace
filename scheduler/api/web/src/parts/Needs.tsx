import { useMemo } from 'react';
import { Link } from '@tanstack/react-router';
import type { Gpu } from '../api/types';
import { money } from '../fmt/number';
import { capital } from '../fmt/reason';
import { span } from '../fmt/time';
import { abnormal, packIds, shortId } from '../fmt/use';
import { Card, Code, State } from './bits';

export interface Trouble { state: string; gpus: Gpu[]; code: string; why: string; cost: number | null; since: number }

/**
 * troubles groups devices in abnormal states. What one costs is what a working
 * device of its model earns now, less what it earns itself; a silent node earns
 * an unknown amount, and what cannot be priced stands above what costs nothing.
 */
export function troubles(gpus: Gpu[]): Trouble[] {
  const working = new Map<string, { n: number; net: number }>();
  const odd = (g: Gpu) => abnormal.includes(g.use) || (g.health !== '' && g.health !== 'healthy');
  for (const g of gpus) {
    if (odd(g) || g.use === 'parked') continue;
    const w = working.get(g.model) ?? { n: 0, net: 0 };
    working.set(g.model, { n: w.n + 1, net: w.net + g.money_per_hour.net });
  }
  const groups = new Map<string, Trouble>();
  for (const g of gpus) {
    if (!odd(g)) continue;
    const state = abnormal.includes(g.use) ? g.use : g.health;
    const why = [g.reason_text, g.note].filter(Boolean).join('; ');
    const key = [g.node, state, why].join('|');
    const w = working.get(g.model);
    const cost = state === 'unknown' || !w ? null : Math.max(0, w.net / w.n - g.money_per_hour.net);
    const t = groups.get(key);
    if (t) {
      t.gpus.push(g);
      t.cost = t.cost === null || cost === null ? null : t.cost + cost;
      t.since = Math.min(t.since, g.since_ms);
    } else groups.set(key, { state, gpus: [g], code: g.reason, why, cost, since: g.since_ms });
  }
  const rank = (t: Trouble) => (t.cost === null ? 1 : t.cost);
  return [...groups.values()].sort((a, b) => rank(b) - rank(a) || (a.gpus[0].id < b.gpus[0].id ? -1 : 1));
}

export function Needs({ gpus, now, currency }: { gpus: Gpu[]; now: number; currency: string }) {
  const list = useMemo(() => troubles(gpus), [gpus]);
  return (
    <Card title="Needs a look" sub="dearest first" badge={list.length ? <span className="badge bad">{list.length}</span> : null} id="health">
      {list.length === 0 ? <p className="note">Every device is working, parked at our word, or training.</p> : (
        <div className="scroll">
          <table className="rows">
            <thead><tr><th>State</th><th>What</th><th>Why</th><th className="num">Costs {currency}/h</th><th className="num">For</th></tr></thead>
            <tbody>
              {list.slice(0, 50).map((t) => (
                <tr key={t.gpus[0].id}>
                  <td><State>{t.state}</State></td>
                  <td className="nw"><Link className="b" to="/why/gpu/$" params={{ _splat: t.gpus[0].id }}>{t.gpus.length === 1 ? shortId(t.gpus[0].id) : packIds(t.gpus.map((g) => g.id))}</Link></td>
                  <td className="sec wide"><Code>{t.code}</Code> {capital(t.why)}</td>
                  <td className="num">{t.cost === null ? 'not known' : money(t.cost, 2)}<span className="only-s"> {t.cost === null ? '' : currency + '/h'}</span></td>
                  <td className="num sec hide-s">{span(now - t.since)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}
