import type { Gpu, MoneyHistory, Status } from '../api/types';
import { fixed, money, perKWh, share, watts } from '../fmt/number';
import { sum } from '../fmt/scope';
import { range, span } from '../fmt/time';

/** Kpis speak of the scope; the gap is of the whole plan and says so. */
export function Kpis({ status: s, gpus, scope, history }: { status: Status; gpus: Gpu[]; scope: string; history: MoneyHistory | undefined }) {
  const now = sum(gpus);
  const per = `${s.currency}/h`;
  const d = Math.max(Math.abs(now.revenue), Math.abs(now.net)) < 10e6 ? 3 : 1;
  const actual = now.trainable ? Math.round((now.trains / now.trainable) * 1e6) : 0;
  const target = scope ? undefined : s.targets.find((t) => t.use.startsWith('training'));
  const site = s.sites.find((x) => x.name === scope);
  const [w, wu] = watts(!scope ? s.power_w.now : site ? site.now_w : now.watts);
  const used = !scope ? s.power_w.now : site ? site.now_w : now.watts;
  const cap = !scope ? s.power_w.cap : site ? site.cap_w : -1;
  const tick = target && target.min_ppm >= 0 ? target.min_ppm : -1;
  return (
    <section className="kpis" aria-label={`${scope || 'All sites'} now`}>
      <div className="kpi">
        <div className="l">Net {s.sim ? <span className="mut">modelled</span> : null}</div>
        <div className="v">{money(now.net, d)}<span className="u">{per}</span></div>
        {!scope && history ? <Spark history={history} /> : null}
        <div className="s">{!scope && history && history.points.length ? mean(history) : `${gpus.length} devices`}</div>
      </div>
      <div className="kpi">
        <div className="l">Revenue</div>
        <div className="v">{money(now.revenue, d)}<span className="u">{per}</span></div>
        <div className="s">mining {money(now.mining, d)} · AI {money(now.training, d)}</div>
      </div>
      <div className="kpi">
        <div className="l">Energy</div>
        <div className="v">{money(-now.energy, d)}<span className="u">{per}</span></div>
        <div className="s">{prices(s, gpus)}</div>
      </div>
      <div className="kpi">
        <div className="l">AI share <span className="mut">of GPUs</span></div>
        <div className="v">{now.trainable ? fixed(actual, 1e4, 1) : '–'}{now.trainable ? <span className="u">%</span> : null}</div>
        <div className="meter" role="img" aria-label={tick >= 0 ? `${share(actual)} actual, at least ${share(tick)} wanted` : `${share(actual)} actual`}>
          <i style={{ width: `${actual / 1e4}%`, background: 'var(--u-train)' }} />
          {tick >= 0 ? <em style={{ left: `calc(${tick / 1e4}% - 1px)` }} /> : null}
        </div>
        <div className="s" title={target?.text}>{now.trains} of {now.trainable}{target ? ` · ${bounds(target.min_ppm, target.max_ppm)}` : ''}</div>
      </div>
      <div className="kpi">
        <div className="l">Power at the meter</div>
        <div className="v">{w}<span className="u">{wu}</span></div>
        {cap >= 0 ? (
          <>
            <div className="meter" role="img" aria-label={`${fixed(used, cap / 100 || 1, 0)} % of the cap`}><i style={{ width: `${Math.min(100, (used / (cap || 1)) * 100)}%`, background: used > cap ? 'var(--bad)' : undefined }} /></div>
            <div className="s">{used > cap ? <span className="badge bad">over</span> : null} {fixed(used, cap / 100 || 1, 0)} % of {watts(cap).join('\u00a0')} cap</div>
          </>
        ) : <div className="s">no cap of its own</div>}
      </div>
      <div className="kpi">
        <div className="l">Gap, proven {scope ? <span className="mut">whole plan</span> : null}</div>
        <div className="v">{fixed(s.plan.gap_ppm, 1e4, 2)}<span className="u">%</span></div>
        <div className="s">{s.plan.gap_micro_per_hour > 0 ? `at most ${money(s.plan.gap_micro_per_hour, s.plan.gap_micro_per_hour < 1e5 ? 4 : 2)} ${per} more` : s.plan.id ? 'no better plan exists' : 'no plan yet'}</div>
      </div>
    </section>
  );
}

const bounds = (min: number, max: number) =>
  [min >= 0 ? `target ${share(min)}` : '', max >= 0 && min < 0 ? `at most ${share(max)}` : ''].filter(Boolean).join(', ') || 'no bound';

function prices(s: Status, gpus: Gpu[]): string {
  const sites = s.sites.filter((x) => gpus.some((g) => g.site === x.name));
  if (!sites.length) return '';
  const known = sites.filter((x) => x.energy_known).map((x) => x.energy_micro_per_kwh);
  if (!known.length) return 'power price not known';
  const [lo, hi] = [Math.min(...known), Math.max(...known)];
  return lo === hi ? perKWh(lo, s.currency) : `${money(lo, 3)} to ${perKWh(hi, s.currency)}`;
}

function mean(h: MoneyHistory): string {
  const ms = h.points.reduce((a, p) => a + p.millis, 0);
  if (!ms) return 'nothing booked yet';
  const m = (h.totals.net * 3600e3) / ms;
  return `${ms < 2 * 3600e3 ? span(ms) : range(Math.round(ms / 3600e3) * 3600e3)} mean ${money(m, Math.abs(m) < 10e6 ? 3 : 1)}`;
}

function Spark({ history }: { history: MoneyHistory }) {
  const v = history.points.filter((p) => p.millis > 0).map((p) => p.net / p.millis);
  if (v.length < 3) return null;
  const [lo, hi] = [Math.min(...v), Math.max(...v)];
  const d = v.map((n, i) => `${i ? 'L' : 'M'}${((i / (v.length - 1)) * 84).toFixed(1)} ${(20 - ((n - lo) / (hi - lo || 1)) * 18).toFixed(1)}`).join('');
  return <svg className="spk" width="64" height="22" viewBox="0 0 84 22" preserveAspectRatio="none" aria-hidden="true"><path d={d} style={{ fill: 'none', stroke: 'var(--ink-3)', strokeWidth: 1.4 }} /></svg>;
}
