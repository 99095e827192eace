import type { Gpu, Interval } from '../api/types';
import { money, power } from '../fmt/number';
import { sentence } from '../fmt/reason';
import { day, span, when } from '../fmt/time';
import { parseUse, shortId, useText } from '../fmt/use';
import { Code } from '../parts/bits';

const amounts = (micro: number) => (Math.abs(micro) >= 1e6 ? 2 : 3);

/** said is the announcement of one cell, and the label of its hover card. */
export function said(g: Gpu, i: Interval, end: number, zone: string, currency: string): string {
  const net = i.revenue - i.energy;
  return `${shortId(g.id)}, ${useText(parseUse(i.use, i.option, i.job))}, ${when(i.from_ms, end, zone)} to ${i.to_ms && i.to_ms < end ? when(i.to_ms, end, zone) : 'now'}, net ${money(net, amounts(net))} ${currency}`;
}

export function HeatTip({ gpu, interval: i, next, end, zone, currency, link }: {
  gpu: Gpu; interval: Interval; next: Interval | undefined; end: number; zone: string; currency: string; link: React.ReactNode;
}) {
  const to = i.to_ms || end;
  const net = i.revenue - i.energy;
  const ongoing = to >= end;
  const row = (label: string, micro: number, bold = false) => (
    <><dt>{label}</dt><dd className={bold ? 'b' : ''}>{money(micro, amounts(micro))} {currency}</dd></>
  );
  return (
    <>
      <div className="b">
        {shortId(gpu.id)} · {useText(parseUse(i.use, i.option, i.job))}
        {next ? <span className="mut"> → {useText(parseUse(next.use, next.option, next.job)).replace(/^mining /, '')}</span> : null}
        {gpu.sim ? <span className="badge line" style={{ marginLeft: 6 }}>sim</span> : null}
      </div>
      <div className="sec">
        {day(i.from_ms, zone).split(' ')[0]} {when(i.from_ms, i.from_ms, zone)} – {ongoing ? 'now' : when(to, i.from_ms, zone)}, {span(to - i.from_ms)} at {i.use === 'unknown' ? 'power not known' : power(i.watts)}
      </div>
      <dl>{row('revenue', i.revenue)}{row('energy', -i.energy)}{row('net', net, true)}</dl>
      <div className="sec">
        <Code>{i.reason?.code ?? ''}</Code> {sentence(i.reason, currency, zone)}
      </div>
      {next?.reason?.code ? <div className="sec">Left: <Code>{next.reason.code}</Code> {sentence(next.reason, currency, zone)}</div> : null}
      {link}
    </>
  );
}
