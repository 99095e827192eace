import { useMemo } from 'react';
import type { Gpu, Status, Timeline } from '../api/types';
import { LineChart, type Series } from '../charts/LineChart';
import { sums } from '../charts/pack';
import type { Grid } from '../fmt/csv';
import { fixed, share } from '../fmt/number';
import { clock, stamp } from '../fmt/time';
import { Card, Code } from './bits';

const bins = 288;

/** ShareCard holds the target against what was reached, and power against its cap. */
export function ShareCard({ gpus, timeline, status: s, scope, zone }: { gpus: Gpu[]; timeline: Timeline | undefined; status: Status; scope: string; zone: string }) {
  const site = s.sites.find((x) => x.name === scope);
  const cap = !scope ? s.power_w.cap : site ? site.cap_w : -1;
  const target = scope ? undefined : s.targets.find((t) => t.use.startsWith('training'));
  const data = useMemo(() => {
    if (!timeline) return undefined;
    const lists = new Map(timeline.devices.map((d) => [d.id, d.intervals ?? []]));
    const mine = gpus.map((g) => lists.get(g.id) ?? []);
    const able = gpus.filter((g) => g.kind !== 'asic').map((g) => lists.get(g.id) ?? []);
    const first = mine.reduce((m, l) => Math.min(m, l[0]?.from_ms ?? Infinity), Infinity);
    const from = Math.max(timeline.from_ms, Math.min(first, timeline.to_ms - 60e3));
    const to = timeline.to_ms;
    const xs = Array.from({ length: bins }, (_, i) => from + ((to - from) * i) / bins);
    const trains = sums(able, from, to, bins, (i) => (i.use === 'training' ? 1 : 0));
    return { xs, to, actual: trains.map((n) => (able.length ? (100 * n) / able.length : null)), kw: sums(mine, from, to, bins, (i) => Math.max(0, i.watts)).map((w) => w / 1000) };
  }, [timeline, gpus]);
  const shares = useMemo<Series[]>(() => {
    if (!data) return [];
    const flat = (ppm: number) => data.xs.map(() => ppm / 1e4);
    const out: Series[] = [{ label: 'AI share', values: data.actual, colour: '--u-train', width: 2, bold: true }];
    if (target && target.min_ppm >= 0) out.push({ label: 'at least', values: flat(target.min_ppm), colour: '--ink', dash: [4, 3] });
    if (target && target.max_ppm >= 0) out.push({ label: 'at most', values: flat(target.max_ppm), colour: '--ink-3', dash: [4, 3] });
    return out;
  }, [data, target?.min_ppm, target?.max_ppm]);
  const powers = useMemo<Series[]>(() => {
    if (!data) return [];
    const out: Series[] = [{ label: 'power', values: data.kw, colour: '--ink', bold: true }];
    if (cap >= 0) out.push({ label: 'cap', values: data.kw.map(() => cap / 1000), colour: '--bad' });
    return out;
  }, [data, cap]);
  const grid = (): Grid => ({
    head: [`at (${zone})`, 'AI share %', 'at least %', 'at most %', 'power kW', 'cap kW'],
    rows: data!.xs.map((x, i) => [
      stamp(x, zone), fixed(data!.actual[i] ?? 0, 1, 2), target && target.min_ppm >= 0 ? target.min_ppm / 1e4 : '', target && target.max_ppm >= 0 ? target.max_ppm / 1e4 : '',
      fixed(data!.kw[i], 1, 3), cap >= 0 ? cap / 1000 : '',
    ]),
  });
  const digits = data && Math.max(...data.kw, 0) < 100 ? 2 : 0;
  return (
    <Card title="Target and power" sub="GPUs training; power at the meter" grid={data ? grid : undefined} file="sluice-share-power">
      {!data ? <p className="note" role="status">Asking the server…</p> : (
        <>
          <LineChart xs={data.xs} series={shares} to={data.to} zone={zone} unit="% of GPUs" height={150} digits={1}
            label={`Share of GPUs training, now ${fixed(data.actual[bins - 1] ?? 0, 1, 1)} %${target ? ', target ' + target.text : ''}.`}
            read={(i) => `${clock(data.xs[i], zone)}: ${fixed(data.actual[i] ?? 0, 1, 1)} % of GPUs train`} />
          {target ? <p className="sm sec" style={{ padding: '0 14px 10px' }}><b>{target.name}</b> {share(target.actual_ppm)} now <Code>{target.code}</Code> {target.text}</p> : <p className="sm mut" style={{ padding: '0 14px 10px' }}>{scope ? 'Targets are shown for all sites.' : 'No target is set.'}</p>}
          <LineChart xs={data.xs} series={powers} to={data.to} zone={zone} unit="kW at the meter" height={120} digits={digits}
            label={`Power at the meter, now ${fixed(data.kw[bins - 1], 1, digits)} kW${cap >= 0 ? ` of ${fixed(cap / 1000, 1, 0)} kW` : ''}.`}
            read={(i) => `${clock(data.xs[i], zone)}: ${fixed(data.kw[i], 1, digits)} kW`} />
        </>
      )}
    </Card>
  );
}
