import { Link, useParams } from '@tanstack/react-router';
import { useExplainGpu, useStatus } from '../api/queries';
import type { Alternative, Breakdown, GpuExplanation, Status } from '../api/types';
import { Swatch } from '../theme/fills';
import { seen, slot } from '../theme/slots';
import { bytes, energyText, fixed, hashrate, money, power, share, signed, trueMinus } from '../fmt/number';
import { capital } from '../fmt/reason';
import { span, when } from '../fmt/time';
import { assignedOf, colourKey, optionText, parseUse, shortId, useOf, useText } from '../fmt/use';
import { Card, Code, Fail, State, Why } from '../parts/bits';
import { History } from '../parts/History';
import { JobCard } from '../parts/JobCard';
import { zoneOf } from './Fleet';

export function WhyGpu() {
  const id = useParams({ from: '/why/gpu/$' })._splat ?? '';
  const status = useStatus();
  const q = useExplainGpu(id);
  if (q.error && !q.data) return <div className="main"><Fail error={q.error} /></div>;
  if (!q.data || !status.data) return <div className="main"><p className="mut" role="status">Asking the server…</p></div>;
  return <Page e={q.data} s={status.data} />;
}

function Page({ e, s }: { e: GpuExplanation; s: Status }) {
  const g = e.gpu;
  const zone = zoneOf(s.sites, g.site);
  const now = e.market_ms || s.market_ms;
  const use = useOf(g);
  seen([g.coin, ...e.alternatives.map((a) => parseUse(a.use, a.option, a.job).coin)]);
  const waiting = use.job || e.alternatives.find((a) => a.job && a.reason.code !== 'PRICE')?.job || e.alternatives.find((a) => a.job)?.job || '';
  const places = [g.site, g.hall, g.rack, g.node.split('/').pop() ?? ''];
  return (
    <div className="main">
      <nav className="crumb" aria-label="Place">
        <Link to="/">Fleet</Link>
        {places.map((p, i) => (p ? <span key={i}>/ <Link to="/" search={{ scope: places.slice(0, i + 1).map((x) => x || '-').join('/') }}>{p}</Link></span> : null))}
        <span>/ <span className="sec">{g.id.split('/').pop()}</span></span>
      </nav>
      <div className="hd">
        <h1>{shortId(g.id)}</h1>
        <span className="sec">{g.model}</span>
        <span className="badge"><Swatch k={colourKey(use, slot)} size={9} /> {useText(use)} since {when(g.since_ms, now, zone, true)}, {span(now - g.since_ms)}</span>
        {g.sim ? <span className="badge line">sim</span> : null}
        {g.assigned && parseUse(g.assigned).kind !== use.kind ? <span className="badge warn">ordered: {useText(assignedOf(g))}</span> : null}
        {g.health && g.health !== 'healthy' ? <State>{g.health_code ? `${g.health}: ${g.health_code}` : g.health}</State> : null}
      </div>
      <div className="facts">
        <span>power <b>{g.watts < 0 || use.kind === 'unknown' ? 'not known' : power(g.watts)}</b></span>
        {use.kind === 'mining' ? <span>hash rate <b>{hashrate(g.hashrate)}{g.sim ? ', modelled' : ''}</b></span> : null}
        {g.temperature_milli_c > 0 ? <span>temperature <b>{fixed(g.temperature_milli_c, 1000, 0)} °C</b></span> : null}
        {g.shares_accepted >= 0 ? <span>shares <b>{fixed(g.shares_accepted, 1, 0)} accepted, {fixed(Math.max(0, g.shares_rejected), 1, 0)} rejected</b></span> : null}
        {g.memory > 0 ? <span>memory <b>{bytes(g.memory)}</b></span> : null}
        {g.pid > 0 ? <span>process <b>{g.pid}{g.process_hashrate > 0 ? ', really ' + hashrate(g.process_hashrate) : ''}</b></span> : null}
        {g.uuid ? <span>uuid <b>{g.uuid}</b></span> : null}
        {g.note && g.health !== 'healthy' ? <span>fault <b>{g.note}</b></span> : null}
        {g.foreign ? <span>used by <b>{g.foreign}</b>, not ours</span> : null}
      </div>
      <div className="why">
        <div className="stackv">
          <section className="card" aria-label="Verdict">
            <p className="verdict">{trueMinus(e.verdict)}</p>
            <Margin b={e.now} coin={colourKey(use, slot)} pays={use.kind === 'training' ? 'what the job pays' : use.kind === 'mining' ? `what ${use.coin} pays for its hash rate, after fees` : 'nothing is paid'} currency={e.currency} parked={e.alternatives.find((a) => a.use === 'parked')?.money} />
            <Thresholds e={e} />
            <div className="rec">
              <span>plan {e.plan.id} · gap {share(e.plan.gap_ppm, 2)} proven · {e.quote_age_ms < 0 ? 'no price needed' : `prices ${span(e.quote_age_ms)} old`}</span>
              <span className="grow" />
              <code>sluice explain gpu {g.id}</code>
            </div>
          </section>
          <Alternatives e={e} zone={zone} />
          <History e={e} zone={zone} />
        </div>
        <div className="stackv">
          {waiting ? <JobCard id={waiting} now={now} zone={zone} /> : <section className="card"><p className="note">No waiting job could use this device.</p></section>}
        </div>
      </div>
    </div>
  );
}

function Margin({ b, coin, pays, currency, parked }: { b: Breakdown; coin: string; pays: string; currency: string; parked: Breakdown | undefined }) {
  const parts: [string, number, string, string][] = [
    ['gross', b.gross, `var(--u-${/^(btc|kas|rvn|coinx|train)$/.test(coin) ? coin : 'park'})`, pays],
    ['− risk', -b.risk, 'var(--ink-3)', b.risk ? 'haircut for the price moving before it is sold; not booked' : 'none'],
    ['− energy', -b.energy, 'var(--ink-3)', energyText(b, currency)],
  ];
  // One axis from the lowest running sum to the highest; zero is always on it.
  let run = 0;
  const spans = parts.map(([, v]) => {
    const a = run;
    run += v;
    return [Math.min(a, run), Math.max(a, run)];
  });
  const lo = Math.min(0, ...spans.map((x) => x[0]), b.net);
  const hi = Math.max(0, ...spans.map((x) => x[1]), b.net) || 1;
  const bar = (a: number, z: number, fill: string, weak = false) => (
    <i style={{ left: `${((a - lo) / (hi - lo)) * 100}%`, width: `${((z - a) / (hi - lo)) * 100}%`, background: fill, opacity: weak ? 0.6 : 1 }} />
  );
  return (
    <table className="mg">
      <caption className="vh">What it earns, {currency} per hour</caption>
      <tbody>
        {parts.map(([name, v, fill, text], i) => (
          <tr key={name}><th scope="row">{name}</th><td className="num">{money(Math.abs(v), 4)}</td><td className="bar" aria-hidden="true">{v ? bar(spans[i][0], spans[i][1], fill, i === 2) : null}</td><td className="sec f">{text}</td></tr>
        ))}
        <tr className="net">
          <th scope="row">= net</th><td className="num">{money(b.net, 4)}</td>
          <td className="bar" aria-hidden="true">{bar(Math.min(0, b.net), Math.max(0, b.net), b.net < 0 ? 'var(--bad)' : 'var(--net)')}</td>
          <td className="sec f">{currency}/h{parked ? `; parked would ${parked.net <= 0 ? 'cost' : 'earn'} ${money(Math.abs(parked.net), 4)} ${currency}/h` : ''}</td>
        </tr>
      </tbody>
    </table>
  );
}

function Thresholds({ e }: { e: GpuExplanation }) {
  const gross = e.parks_below_gross_micro_per_hour;
  const above = e.parks_above_energy_micro_per_kwh;
  if (gross < 0 && above < 0) return null;
  const pct = (v: number, of: number) => `${Math.max(0, Math.min(100, (v / (of || 1)) * 100))}%`;
  const grossEnd = Math.max(e.now.gross, gross) * 1.25;
  const priceEnd = Math.max(e.now.energy_micro_per_kwh, above) * 1.15;
  return (
    <div className="fls">
      {gross >= 0 ? (
        <div className="fl">
          <span className="sm sec">Gross, {e.currency}/h</span>
          <div className="trk" role="img" aria-label={`now ${money(e.now.gross, 4)}, parks below ${money(gross, 4)}`}><i style={{ left: 0, width: pct(gross, grossEnd) }} /><b style={{ left: pct(e.now.gross, grossEnd) }} /></div>
          <span className="sm"><b>{money(e.now.gross, 4)}</b> <span className="mut">now</span> · parks below <b>{money(gross, 4)}</b></span>
        </div>
      ) : null}
      {above >= 0 ? (
        <div className="fl">
          <span className="sm sec">Power, {e.currency}/kWh</span>
          <div className="trk" role="img" aria-label={`now ${money(e.now.energy_micro_per_kwh, 3)}, parks above ${money(above, 3)}`}><i style={{ left: pct(above, priceEnd), right: 0 }} /><b style={{ left: pct(e.now.energy_micro_per_kwh, priceEnd) }} /></div>
          <span className="sm"><b>{money(e.now.energy_micro_per_kwh, 3)}</b> <span className="mut">now</span> · parks above <b>{money(above, 3)}</b></span>
        </div>
      ) : null}
    </div>
  );
}

function Alternatives({ e, zone }: { e: GpuExplanation; zone: string }) {
  const use = useOf(e.gpu);
  const name = (a: Alternative) => {
    const u = parseUse(a.use, a.option, a.job);
    return u.kind === 'training' ? `training, job ${u.job}` : u.kind === 'mining' ? 'mining ' + optionText(u.option) : u.kind;
  };
  const rest = e.alternatives.filter((a) => a.vs_now !== 0 || name(a) !== useText(use).replace('training job', 'training, job'));
  const key = (a: Alternative) => colourKey(parseUse(a.use, a.option, a.job), slot);
  return (
    <Card title="What it could do instead" sub={`per device, at prices now, ${e.currency}/h`} file={'sluice-alternatives'}
      grid={() => ({ head: ['option', `net ${e.currency}/h`, 'vs now', 'code', 'what stops it', 'would win at'], rows: rest.map((a) => [name(a), money(a.money.net, 4), signed(a.vs_now, 4), a.reason.code, a.reason.text, a.would_win_at]) })}>
      <div className="scroll">
        <table className="rows alts">
          <thead><tr><th>Option</th><th className="num">Net {e.currency}/h</th><th className="num">vs now</th><th>What stops it</th><th>Would win at</th></tr></thead>
          <tbody>
            <tr className="nowr"><td className="nw"><Swatch k={colourKey(use, slot)} /> <b>{useText(use)}</b></td><td className="num b">{money(e.now.net, 4)}</td><td className="num mut hide-s">–</td><td className="wide"><span className="badge ok">now</span> <Code>{e.gpu.reason}</Code> <span className="sec">{capital(e.gpu.reason_text)}</span></td><td className="mut hide-s">–</td></tr>
            {rest.map((a, i) => (
              <tr key={i}>
                <td className="nw"><Swatch k={key(a)} /> {a.job ? <Link to="/why/job/$id" params={{ id: a.job }}>{name(a)}</Link> : name(a)}</td>
                <td className="num">{money(a.money.net, 4)}</td>
                <td className="num">{signed(a.vs_now, 4)}</td>
                <td className="wide"><Why reason={a.reason} currency={e.currency} zone={zone} /></td>
                <td className="wide">{a.would_win_at ? <><span className="only-s mut">wins at </span>{a.would_win_at}</> : <span className="mut">–</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
