import { useMemo } from 'react';
import type { MoneyHistory, MoneyPoint, Status } from '../api/types';
import { LineChart, type Series } from '../charts/LineChart';
import type { Grid } from '../fmt/csv';
import { money } from '../fmt/number';
import { clock, range, stamp } from '../fmt/time';
import { Card, Fail } from './bits';

/** perHour turns a booked amount into a rate: the running hour is not over. */
export const perHour = (p: MoneyPoint, micro: number): number | null => (p.millis > 0 ? (micro * 3600e3) / p.millis / 1e6 : null);

export function MoneyCard({ history, error, status, zone }: { history: MoneyHistory | undefined; error: unknown; status: Status; zone: string }) {
  const per = `${status.currency}/h`;
  const points = useMemo(() => (history?.points ?? []).filter((p) => p.millis > 0), [history]);
  const xs = useMemo(() => points.map((p) => p.at_ms), [points]);
  const of = (key: 'net' | 'all_mining' | 'all_parked' | 'revenue' | 'energy') => points.map((p) => perHour(p, p[key]));
  const net = useMemo<Series[]>(() => [
    { label: 'Sluice net', values: of('net'), colour: '--net', width: 2.2, bold: true },
    { label: 'all mining', values: of('all_mining'), colour: '--ink-3' },
    { label: 'all parked', values: of('all_parked'), colour: '--ink-3', dash: [2, 3] },
  ], [points]);
  const flows = useMemo<Series[]>(() => [
    { label: 'revenue', values: of('revenue'), colour: '--ink' },
    { label: 'energy', values: of('energy').map((v) => (v === null ? null : -v)), colour: '--ink-3', dash: [4, 3] },
  ], [points]);
  const last = points[points.length - 1];
  const end = last ? last.at_ms + last.millis : 0;
  const digits = points.some((p) => Math.abs(p.net) >= 10e6) ? 1 : 3;
  const span = (p: MoneyPoint) => `${clock(p.at_ms, zone)} to ${clock(p.at_ms + p.millis, zone)}`;
  const rate = (p: MoneyPoint, v: number) => money((perHour(p, v) ?? 0) * 1e6, digits);
  const t = history?.totals;
  const booked = points.reduce((a, p) => a + p.millis, 0);
  const whole = t && Math.abs(t.net) >= 100e6 ? 0 : 2;
  const grid = (): Grid => ({
    head: [`from (${zone})`, 'booked min', `revenue ${status.currency}`, 'mining', 'training', `energy ${status.currency}`, `net ${status.currency}`, 'all mining', 'all parked'],
    rows: points.map((p) => [
      stamp(p.at_ms, zone), Math.round(p.millis / 60e3), money(p.revenue, 4), money(p.mining_revenue, 4), money(p.training_revenue, 4), money(-p.energy, 4), money(p.net, 4),
      money(p.all_mining, 4), money(p.all_parked, 4),
    ]),
  });
  return (
    <Card title="Money per hour" sub={t && points.length ? `whole cluster, ${money(t.net, whole)} ${status.currency} net in ${range(booked)}; all mining ${money(t.all_mining, whole)}` : 'whole cluster'} grid={history ? grid : undefined} file="sluice-money">
      {error && !history ? <div className="pad"><Fail error={error} /></div> : points.length === 0 ? <p className="note">Nothing is booked yet; the first market hour is running.</p> : (
        <>
          <LineChart xs={xs} series={net} to={end} zone={zone} unit={`net, ${per}, against simpler rules at the same prices`} height={170} digits={digits}
            label={`Net per market hour, ${rate(last, last.net)} ${per} in the latest; all mining ${rate(last, last.all_mining)}, all parked ${rate(last, last.all_parked)}.`}
            read={(i) => `${span(points[i])}: net ${rate(points[i], points[i].net)}, all mining ${rate(points[i], points[i].all_mining)}, all parked ${rate(points[i], points[i].all_parked)} ${per}`} />
          <LineChart xs={xs} series={flows} to={end} zone={zone} unit={`revenue and energy, ${per}`} height={120} digits={digits}
            label={`Revenue and energy per market hour, ${rate(last, last.revenue)} and ${rate(last, -last.energy)} ${per} in the latest.`}
            read={(i) => `${span(points[i])}: revenue ${rate(points[i], points[i].revenue)} (AI ${rate(points[i], points[i].training_revenue)}), energy ${rate(points[i], -points[i].energy)} ${per}`} />
        </>
      )}
    </Card>
  );
}
