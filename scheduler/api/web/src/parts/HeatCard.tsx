import { useCallback, useMemo, type ReactNode } from 'react';
import { SegmentedControl } from '@mantine/core';
import { useQueries } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { api } from '../api/client';
import type { Gpu, Interval, Status, Timeline } from '../api/types';
import { HeatMap } from '../charts/HeatMap';
import { chosenOf, chosenText } from '../charts/layout';
import { priceScale } from '../charts/PriceLane';
import { countKeys } from '../charts/Strip';
import type { Grid } from '../fmt/csv';
import { count, money, perKWh, power } from '../fmt/number';
import { sentence } from '../fmt/reason';
import { range, stamp } from '../fmt/time';
import { parseUse, useText } from '../fmt/use';
import { colour, colourings, type Colouring } from '../theme/colouring';
import { Swatch } from '../theme/fills';
import { slot } from '../theme/slots';
import type { FleetSearch } from '../pages/router';
import { Card, Fail } from './bits';

interface Props {
  gpus: Gpu[]; timeline: Timeline | undefined; error: unknown; zone: string; colouring: Colouring; open: string; hours: number; status: Status;
  onChange: (patch: Partial<FleetSearch>) => void; ranges: ReactNode;
}

/** parks asks why for one mining device per model: at which power price it would park. */
function useThresholds(gpus: Gpu[], currency: string) {
  const picks = useMemo(() => {
    const first = new Map<string, string>();
    for (const g of gpus) if (g.use === 'mining' && !first.has(g.model)) first.set(g.model, g.id);
    return [...first].slice(0, 3);
  }, [gpus]);
  const answers = useQueries({
    queries: picks.map(([, id]) => ({ queryKey: ['thresholds', id], queryFn: () => api.explainGpu(id), staleTime: 30e3, refetchInterval: 30e3, retry: false })),
  });
  return picks.flatMap(([model], i) => {
    const v = answers[i].data?.parks_above_energy_micro_per_kwh ?? -1;
    return v > 0 ? [{ label: `${model} parks above ${perKWh(v, currency)}`, value: v }] : [];
  });
}

export function HeatCard({ gpus, timeline, error, zone, colouring, open, hours, status, onChange, ranges }: Props) {
  const navigate = useNavigate();
  const thresholds = useThresholds(gpus, status.currency);
  const chosen = useMemo(() => chosenOf(open), [open]);
  const of = useMemo(() => new Map<string, Interval[]>((timeline?.devices ?? []).map((d) => [d.id, d.intervals ?? []])), [timeline]);
  const sites = useMemo(() => new Set(gpus.map((g) => g.site)), [gpus]);
  const to = timeline?.to_ms ?? 0;
  // A server that has just started has no day to show: the axis begins with the first record.
  const from = useMemo(() => {
    if (!timeline) return 0;
    const first = gpus.reduce((m, g) => Math.min(m, of.get(g.id)?.[0]?.from_ms ?? Infinity), Infinity);
    const whole = timeline.to_ms - timeline.from_ms;
    return timeline.to_ms - first < whole * 0.6 ? Math.min(first, timeline.to_ms - 60e3) : timeline.from_ms;
  }, [timeline, gpus, of]);
  const coinOf = useCallback((k: string) => gpus.find((g) => g.coin && slot(g.coin) === k)?.coin ?? k.toUpperCase(), [gpus]);
  const paint = useMemo(() => {
    const shown = colouring === 'use' || colouring === 'health' ? [] : gpus.flatMap((g) => of.get(g.id) ?? []);
    return colour(colouring, shown, to, coinOf);
  }, [colouring, gpus, of, to, coinOf]);
  const prices = useMemo(() => (timeline?.energy ?? []).filter((p) => !p.site || sites.has(p.site)), [timeline, sites]);
  const { drawn } = priceScale(prices, thresholds);
  const toggle = (key: string, o: boolean) => onChange({ open: chosenText(new Map(chosen).set(key, o)) });
  const note = useCallback((list: Gpu[]) => `${power(list.reduce((a, g) => a + Math.max(0, g.watts), 0))} · ${count(list.length)} ${list.length === 1 ? 'device' : 'devices'}`, []);

  const grid = (): Grid => ({
    head: ['device', 'model', `from (${zone})`, `to (${zone})`, 'use', 'W', `revenue ${status.currency}`, `energy ${status.currency}`, `net ${status.currency}`, 'code', 'why', 'plan'],
    rows: gpus.flatMap((g) => (of.get(g.id) ?? []).map((i) => [
      g.id, g.model, stamp(i.from_ms, zone), i.to_ms ? stamp(i.to_ms, zone) : '', useText(parseUse(i.use, i.option, i.job)), i.watts,
      money(i.revenue, 4), money(-i.energy, 4), money(i.revenue - i.energy, 4), i.reason?.code ?? '', sentence(i.reason, status.currency, zone), i.plan,
    ])),
  });
  return (
    <div style={{ marginTop: 14 }}>
      <Card
        title="What each device did" sub={from ? `${range(to - from)} past, then what is ordered` : 'what was recorded'} grid={timeline ? grid : undefined} file={`sluice-timeline-${hours}h`}
        tools={
          <>
            <span className="hide-s"><SegmentedControl aria-label="Colour by" value={colouring} onChange={(v) => onChange({ colour: v === 'use' ? undefined : (v as Colouring) })} data={colourings.map((c) => ({ value: c, label: { use: 'Use', net: `Net ${status.currency}/h`, watts: 'Watts', health: 'Health' }[c] }))} /></span>
            {ranges}
          </>
        }
      >
        <Legend gpus={gpus} colouring={colouring} label={(k) => paint.label(k, status.currency)} keys={paint.order} />
        {drawn.length ? <p className="only-s sm sec"><span style={{ display: 'block', padding: '6px 10px 0' }}>Dotted: {drawn.map((t) => t.label).join(', ')}.</span></p> : null}
        {error && !timeline ? <div className="pad"><Fail error={error} /></div> : null}
        {timeline && to > from ? (
          <HeatMap
            gpus={gpus} of={of} prices={prices} thresholds={thresholds} from={from} to={to} zone={zone} currency={status.currency} colour={paint} ordered={colouring === 'use'}
            chosen={chosen} onToggle={toggle} onOpen={(id) => void navigate({ to: '/why/gpu/$', params: { _splat: id } })} hallNote={note}
            link={(id) => <Link className="lnk" to="/why/gpu/$" params={{ _splat: id }}>Why this device</Link>}
            label={`What ${gpus.length} devices did over ${range(to - from)}. Arrows move by device and by interval, Enter opens why, Escape leaves. The same is under Table.`}
          />
        ) : timeline ? <p className="note">Nothing is recorded yet.</p> : <p className="note" role="status">Asking the server…</p>}
      </Card>
    </div>
  );
}

function Legend({ gpus, colouring, label, keys }: { gpus: Gpu[]; colouring: Colouring; label: (k: string) => string; keys: string[] }) {
  const now = countKeys(gpus);
  if (colouring !== 'use') {
    return <ul className="leg" aria-label="Meaning of the fills">{keys.map((k) => <li key={k}><Swatch k={k} /><span>{label(k)}</span></li>)}</ul>;
  }
  return (
    <ul className="leg" aria-label="Devices by use, now">
      {now.map(([k, n]) => <li key={k}><Swatch k={k} /><span>{label(k)}</span><b>{count(n)}</b></li>)}
      <li className="tot"><span>all</span><b>{count(gpus.length)}</b></li>
      <li><Swatch k="kas" planned /><span>ordered</span></li>
    </ul>
  );
}
