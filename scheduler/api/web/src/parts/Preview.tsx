import { useEffect, useState } from 'react';
import type { PolicyPlan } from '../api/types';
import { count, money, share, signed } from '../fmt/number';
import { span } from '../fmt/time';
import { Code, Fail } from './bits';

/** Preview shows what a change would move and cost; it dims while it is stale and never jumps. */
export function Preview({ plan, error, at, stale, currency, changed }: {
  plan: PolicyPlan | undefined; error: unknown; at: number; stale: boolean; currency: string; changed: boolean;
}) {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const t = setInterval(() => tick(Date.now()), 5000);
    return () => clearInterval(t);
  }, []);
  const per = `${currency}/h`;
  return (
    <section className="card" aria-label="Preview" aria-busy={stale}>
      <header><h2>What it would do</h2>{at && changed ? <span className="mut sm">{stale ? 'being renewed' : `${span(Math.max(0, now - at))} old`}</span> : null}</header>
      <div className={'pad' + (stale ? ' stale' : '')} aria-live="polite">
        {!changed ? <p className="sec">Nothing is changed. Edit the document to see what moves and what it costs, before it is applied.</p>
          : error ? <Fail error={error} />
          : !plan ? <p className="sec">Being worked out…</p>
          : <Body p={plan} per={per} />}
      </div>
    </section>
  );
}

function Body({ p, per }: { p: PolicyPlan; per: string }) {
  const day = `${p.currency}/day`;
  return (
    <div className="stackv" style={{ gap: 10 }}>
      <p style={{ fontSize: 15, lineHeight: '21px' }}>
        {p.moved_devices === 0 ? 'Moves no device' : <>Moves <b>{count(p.moved_devices)}</b> {p.moved_devices === 1 ? 'device' : 'devices'}</>}
        {p.below_resolution ? <>; its cost is below resolution ({money(p.cost_micro_per_hour, 2)} and {money(p.plan_cost_micro_per_hour, 2)} {per}).</>
          : p.cost_micro_per_hour === 0 ? <> and costs 0 {per}.</>
          : <>; {p.cost_micro_per_hour > 0 ? 'costs' : 'brings'} <b>{money(Math.abs(p.cost_micro_per_hour), 2)} {per}</b>, {money(Math.abs(p.cost_micro_per_hour) * 24, 0)} {day} at today&apos;s prices.</>}
      </p>
      {p.changes.length ? <ul>{p.changes.map((c) => <li key={c.kind + c.name}><span className="badge">{c.what}</span> <b>{c.kind}/{c.name}</b>{c.fields.map((f) => <div key={f} className="mono sec">{f}</div>)}</li>)}</ul> : <p className="sec">The document says what already holds.</p>}
      {p.moves.length ? (
        <table><thead><tr><th className="num">Devices</th><th>From</th><th>To</th></tr></thead><tbody>
          {p.moves.map((m, i) => <tr key={i}><td className="num b">{count(m.devices)}</td><td>{m.from}</td><td>{m.to} <span className="mut">{m.model}</span></td></tr>)}
        </tbody></table>
      ) : null}
      <table><thead><tr><th>{per}</th><th className="num">now</th><th className="num">then</th><th className="num">change</th></tr></thead><tbody>
        {(['revenue', 'energy', 'net'] as const).map((k) => {
          const sign = k === 'energy' ? -1 : 1;
          return <tr key={k}><td className={k === 'net' ? 'b' : ''}>{k}</td><td className="num">{money(sign * p.before[k], 2)}</td><td className="num">{money(sign * p.after[k], 2)}</td><td className="num b">{signed(sign * (p.after[k] - p.before[k]), 2)}</td></tr>;
        })}
      </tbody></table>
      <p className="sm mut">The two plans differ by {money(p.plan_cost_micro_per_hour, 2)} {per}; the figure above is the difference of their proven bounds.</p>
      <p><b>Displaced</b> <span className="sec">{p.displaced.length ? p.displaced.join(', ') : 'no job'}</span></p>
      {p.notes.map((n) => <p key={n}><span className="badge">note</span> <span className="sec">{n}</span></p>)}
      {p.targets.map((t) => <p key={t.name}><b>{t.name}</b> {share(t.actual_ppm)} <Code>{t.code}</Code> <span className="sec">{t.text}</span></p>)}
    </div>
  );
}
