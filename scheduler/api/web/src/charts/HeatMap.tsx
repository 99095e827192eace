import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent, type ReactNode } from 'react';
import type { Gpu, Interval, PriceStep } from '../api/types';
import { count, money } from '../fmt/number';
import { clock, when } from '../fmt/time';
import { abnormal } from '../fmt/use';
import type { Colour } from '../theme/colouring';
import { useWidth } from '../parts/bits';
import { timeTicks } from './axis';
import { HeatBody } from './HeatBody';
import { HeatTip, said } from './HeatTip';
import { layout as makeLayout, RACK, type Group } from './layout';
import { at, columns, pack } from './pack';
import { PRICE_HEIGHT, PriceLane, priceScale, type Threshold } from './PriceLane';

const TOP = 18 + PRICE_HEIGHT + 12;
const ORDERED = 0.055; // share of the width right of now, for what is ordered next

type Hit = { gpu: Gpu; index: number } | { group: Group; ms: number };

interface Props {
  gpus: Gpu[]; of: Map<string, Interval[]>; prices: PriceStep[]; thresholds: Threshold[]; from: number; to: number; zone: string; currency: string;
  colour: Colour; ordered: boolean; chosen: Map<string, boolean>; onToggle: (key: string, open: boolean) => void; onOpen: (id: string) => void;
  link: (id: string) => ReactNode; hallNote: (gpus: Gpu[]) => string; label: string;
}

/** HeatMap shows what every device did: one row each, above them the price that decided. */
export function HeatMap(p: Props) {
  const { of, from, to, zone, currency, colour } = p;
  const cv = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(cv, 960);
  const [hit, setHit] = useState<Hit | null>(null);
  const [pinned, setPinned] = useState(false);
  const [cursor, setCursor] = useState({ row: 0, index: -1 });
  const [spoken, speak] = useState('');
  const lay = useMemo(() => makeLayout(p.gpus, p.chosen), [p.gpus, p.chosen]);
  const end = p.ordered ? width * (1 - ORDERED) : width - 2;
  const x = useMemo(() => (ms: number) => ((ms - from) / (to - from)) * end, [from, to, end]);
  const place = useMemo(() => {
    const rows = new Map<string, { y: number; h: number }>();
    for (const g of lay.halls.flatMap((h) => h.groups)) {
      for (const n of g.nodes) n.devices.forEach((d, i) => rows.set(d.id, { y: n.y + (i * n.h) / n.devices.length, h: n.h / n.devices.length }));
    }
    return rows;
  }, [lay]);
  useEffect(() => {
    const s = scroller.current;
    if (s) s.scrollLeft = s.scrollWidth; // a phone begins at now
  }, [width]);

  const find = (e: PointerEvent): Hit | null => {
    const box = cv.current!.getBoundingClientRect();
    const px = e.clientX - box.left;
    const y = e.clientY - box.top - TOP;
    const ms = from + (px / end) * (to - from);
    for (const g of lay.halls.flatMap((h) => h.groups)) {
      if (y < g.y || y >= g.y + g.h) continue;
      if (!g.open) return ms <= to ? { group: g, ms } : null;
      const n = g.nodes.find((k) => y >= k.y && y < k.y + k.h);
      if (!n) return null;
      const gpu = n.devices[Math.min(n.devices.length - 1, Math.floor(((y - n.y) / n.h) * n.devices.length))];
      const list = of.get(gpu.id) ?? [];
      const index = at(list, Math.min(ms, to - 1), to + 1);
      return index < 0 ? null : { gpu, index };
    }
    return null;
  };
  const move = (e: PointerEvent) => {
    if (!pinned && e.pointerType !== 'touch') setHit(find(e));
  };
  const click = (e: PointerEvent) => {
    if (e.target instanceof Element && e.target.closest('.tip')) return;
    const h = find(e);
    if (!h) {
      setHit(null);
      setPinned(false);
    } else if ('group' in h) p.onToggle(h.group.key, true);
    else if (e.pointerType === 'touch') {
      setHit(h);
      setPinned(true);
    } else p.onOpen(h.gpu.id);
  };
  const go = (row: number, pick: (list: Interval[]) => number) => {
    const gpu = lay.rows[row];
    if (!gpu) return;
    const list = of.get(gpu.id) ?? [];
    const index = Math.max(0, Math.min(list.length - 1, pick(list)));
    setCursor({ row, index });
    setHit(list[index] ? { gpu, index } : null);
    speak(list[index] ? said(gpu, list[index], to, zone, currency) : `${gpu.id}, nothing recorded`);
  };
  const key = (e: KeyboardEvent) => {
    const now = lay.rows[cursor.row];
    const mid = now ? of.get(now.id)?.[cursor.index] : undefined;
    const same = (list: Interval[]) => (mid ? at(list, Math.max(mid.from_ms, from), to + 1) : list.length - 1);
    const last = lay.rows.length - 1;
    if (e.key === 'ArrowDown') go(Math.min(last, cursor.index < 0 ? 0 : cursor.row + 1), same);
    else if (e.key === 'ArrowUp') go(Math.max(0, cursor.row - 1), same);
    else if (e.key === 'ArrowRight') go(cursor.row, () => cursor.index + 1);
    else if (e.key === 'ArrowLeft') go(cursor.row, (l) => (cursor.index < 0 ? l.length - 1 : cursor.index - 1));
    else if (e.key === 'Home') go(0, same);
    else if (e.key === 'End') go(last, same);
    else if (e.key === 'Enter' && now && cursor.index >= 0) p.onOpen(now.id);
    else if (e.key === 'Escape') {
      setHit(null);
      setPinned(false);
      cv.current?.blur();
    } else return;
    e.preventDefault();
  };

  const ticks = timeTicks(from, to, zone, Math.max(3, Math.floor(end / 95)));
  const scale = priceScale(p.prices, p.thresholds);
  return (
    <div className="hm">
      <Labels {...p} lay={lay} scale={scale} />
      <div className="hs" ref={scroller}>
        <div
          className="cv" ref={cv} style={{ height: TOP + lay.height }} tabIndex={0} role="application" aria-roledescription="heat map" aria-label={p.label}
          onPointerMove={move} onPointerLeave={() => !pinned && setHit(null)} onPointerUp={click} onKeyDown={key} onBlur={() => setHit(null)}
        >
          <div className="ax" aria-hidden="true">
            {ticks.filter((t) => x(t.at) > 14 && x(t.at) < end - 72).map((t) => <span key={t.at} style={{ left: x(t.at) }}>{t.label}</span>)}
            <span className="nowlab" style={p.ordered ? { left: end } : { left: 'auto', right: 0, transform: 'none' }}>now {clock(to, zone)}</span>
          </div>
          {ticks.map((t) => <i key={t.at} className="vl" style={{ left: x(t.at) }} />)}
          <PriceLane prices={p.prices} thresholds={p.thresholds} from={from} to={to} x={x} width={width} />
          {lay.halls.map((h) => <span key={h.key} className="hallnote" style={{ top: TOP + h.y + 2 }}>{p.hallNote(h.groups.flatMap((g) => g.devices))}</span>)}
          <div style={{ position: 'absolute', top: TOP, left: 0 }}>
            <HeatBody layout={lay} of={of} colour={colour} from={from} to={to} x={x} width={width} ordered={p.ordered} />
          </div>
          <i className="nowl" style={{ left: end }} />
          {hit && 'gpu' in hit ? <Cell {...p} hit={hit} box={place.get(hit.gpu.id)} x={x} width={width} pinned={pinned} /> : null}
          {hit && 'group' in hit ? <Strip {...p} hit={hit} x={x} width={width} /> : null}
        </div>
      </div>
      <div className="vh" aria-live="polite">{spoken}</div>
      {lay.refused.length ? <p className="note sm" style={{ gridColumn: '1 / -1' }}>At most 2 000 rows are drawn at a time: close a rack to open {lay.refused.length === 1 ? 'another' : 'others'}.</p> : null}
    </div>
  );
}

function Labels({ lay, scale, onToggle, currency, prices }: Props & { lay: ReturnType<typeof makeLayout>; scale: ReturnType<typeof priceScale> }) {
  return (
    <div className="labels">
      <b style={{ top: 20, height: 16 }} className="hide-s">Power price</b>
      <span className="mut hide-s" style={{ top: 36, height: 16 }}>{currency}/kWh</span>
      {(prices.length ? scale.ticks : []).map((t) => <span key={t} className="yax" style={{ top: 18 + scale.y(t * 1e6) - 7, height: 14 }}>{money(t * 1e6, scale.digits)}</span>)}
      {lay.halls.map((h) => <span key={h.key} className="hall" style={{ top: TOP + h.y, height: 18 }}>{h.site ? <span className="hide-s">{h.site} ·</span> : null}{h.label}</span>)}
      {lay.halls.flatMap((h) => h.groups).map((g) => (
        <span key={g.key} style={{ top: TOP + g.y, height: g.open ? RACK : g.h }}>
          <button type="button" aria-expanded={g.open} onClick={() => onToggle(g.key, !g.open)}>{g.open ? '▾' : '▸'} {g.label}</button>
          <span className={'mut' + (g.open ? ' hide-s' : '')}>{count(g.devices.length)} {g.model}</span>
        </span>
      ))}
      {lay.halls.flatMap((h) => h.groups).flatMap((g) => g.nodes).map((n) => {
        const odd = abnormal.map((k) => [k, n.devices.filter((d) => d.use === k).length] as const).filter(([, c]) => c > 0).slice(0, n.h >= 34 ? 2 : 1);
        return (
          <span key={n.node} className="node" style={{ top: TOP + n.y, height: n.h }}>
            {n.label}
            {odd.map(([k, c]) => <span key={k} className={`badge ${k === 'quarantined' ? 'bad' : 'warn'}`} title={`${c} ${k}`}>{c === n.devices.length ? k : `${c} ${k === 'quarantined' ? 'quar.' : k}`}</span>)}
          </span>
        );
      })}
    </div>
  );
}

const tipLeft = (a: number, b: number, width: number) => (a > 272 ? a - 266 : b + 272 < width ? b + 10 : Math.max(0, Math.min(width - 258, a)));

function Cell({ hit, of, box, x, width, from, to, zone, currency, pinned, link }: Props & {
  hit: { gpu: Gpu; index: number }; box: { y: number; h: number } | undefined; x: (ms: number) => number; width: number; pinned: boolean;
}) {
  const list = of.get(hit.gpu.id) ?? [];
  const i = list[hit.index];
  if (!i || !box) return null;
  const a = Math.max(0, x(Math.max(i.from_ms, from)));
  const b = x(Math.min(i.to_ms || to, to));
  return (
    <>
      <i className="hit" style={{ left: a - 1, width: Math.max(4, b - a + 2), top: TOP + box.y - 1, height: box.h + 2 }} />
      <div className="tip" style={{ left: tipLeft(a, b, width), top: Math.max(20, TOP + box.y - 60), pointerEvents: pinned ? 'auto' : 'none' }}>
        <HeatTip gpu={hit.gpu} interval={i} next={list[hit.index + 1]} end={to} zone={zone} currency={currency} link={link(hit.gpu.id)} />
      </div>
    </>
  );
}

function Strip({ hit, of, colour, from, to, x, width, zone, currency }: Props & { hit: { group: Group; ms: number }; x: (ms: number) => number; width: number }) {
  const g = hit.group;
  const [col] = columns(g.devices.map((d) => pack(of.get(d.id) ?? [], from, to, colour.key)), hit.ms, hit.ms + 1, 1);
  const a = x(hit.ms);
  return (
    <div className="tip" style={{ left: tipLeft(a, a, width), top: TOP + g.y - 10, pointerEvents: 'none' }}>
      <div className="b">{g.label} · {count(g.devices.length)} {g.model}</div>
      <div className="sec">{when(hit.ms, to, zone)}</div>
      <dl>{colour.order.filter((k) => col.counts.has(k)).map((k) => <Row key={k} label={colour.label(k, currency)} n={col.counts.get(k)!} />)}</dl>
      <div className="mut">Click opens one row per device.</div>
    </div>
  );
}

const Row = ({ label, n }: { label: string; n: number }) => <><dt>{label}</dt><dd className="b">{count(n)}</dd></>;
