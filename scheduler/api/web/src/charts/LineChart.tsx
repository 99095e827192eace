import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import { useComputedColorScheme } from '@mantine/core';
import { fixed } from '../fmt/number';
import { clock } from '../fmt/time';
import { decimalsFor, spread, timeTicks, valueTicks } from './axis';
import { usePhone, useWidth } from '../parts/bits';

export interface Series { label: string; values: (number | null)[]; colour: string; width?: number; dash?: number[]; bold?: boolean }

/**
 * LineChart draws values that hold until changed. xs are instants in ms, one
 * more than there are values is not needed: the last value holds until `to`.
 */
export function LineChart({ xs, series, to, zone, unit, height, label, digits, read }: {
  xs: number[]; series: Series[]; to: number; zone: string; unit: string; height: number; label: string; digits: number; read: (index: number) => string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const width = useWidth(host, 600);
  const phone = usePhone();
  const scheme = useComputedColorScheme('light');
  const [ends, setEnds] = useState<{ top: number; left: number }[]>([]);
  const [index, setIndex] = useState<number | null>(null);
  // Room for the longest label at a line's end, in the widest font we fall back to.
  const longest = Math.max(0, ...series.map((s) => s.label.length + 1 + fixed(s.values[s.values.length - 1] ?? 0, 1, digits).length));
  const margin = Math.max(phone ? 84 : 110, Math.ceil(longest * 6.8) + 22);
  const shape = series.map((s) => s.label + s.colour).join();

  useEffect(() => {
    if (!host.current || width < 80) return;
    const css = getComputedStyle(document.documentElement);
    const ink = (name: string) => css.getPropertyValue('--' + name).trim();
    const font = '11px ' + (ink('sans') || 'sans-serif');
    const axis = { stroke: ink('ink-3'), font, grid: { stroke: ink('line'), width: 1 }, ticks: { show: false } };
    const u = new uPlot({
      width, height, padding: [8, margin, 0, 0], legend: { show: false }, cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range: (_u, lo, hi) => [Math.min(0, lo) * 1.06, Math.max(0, hi) * 1.08 || 1] } },
      axes: [
        { ...axis, size: 22, gap: 4, splits: (_u, _i, a, b) => timeTicks(a, b, zone, Math.max(2, Math.floor((width - margin) / 90))).map((t) => t.at),
          values: (_u, at) => at.map((ms) => clock(ms, zone, at.some((t) => t % 60e3 !== 0))) },
        { ...axis, size: 52, gap: 6, splits: (_u, _i, a, b) => valueTicks(a, b, 4), values: (_u, v) => v.map((n) => fixed(n, 1, decimalsFor(v))) },
      ],
      series: [{}, ...series.map((s) => ({
        label: s.label, stroke: s.colour.startsWith('--') ? ink(s.colour.slice(2)) : s.colour, width: s.width ?? 1.4, dash: s.dash,
        points: { show: false }, paths: uPlot.paths.stepped!({ align: 1 }), spanGaps: false,
      }))],
      hooks: {
        draw: [(p) => {
          const left = p.bbox.left / devicePixelRatio + p.bbox.width / devicePixelRatio + 6;
          const tops = p.data.slice(1).map((d) => {
            const last = [...d].reverse().find((v) => v != null) ?? 0;
            return p.valToPos(last, 'y') + p.bbox.top / devicePixelRatio - 7;
          });
          const at = spread(tops, 14, 0, height - 34);
          setEnds((old) => (old.length === at.length && old.every((o, i) => Math.abs(o.top - at[i]) < 0.5 && o.left === left) ? old : at.map((top) => ({ top, left }))));
        }],
        setCursor: [(p) => setIndex(p.cursor.idx ?? null)],
      },
    }, [[], ...series.map(() => [])] as unknown as uPlot.AlignedData, host.current);
    plot.current = u;
    return () => {
      u.destroy();
      plot.current = null;
    };
    // Data is set below; a new drawing is needed only when its shape changes.
    // eslint-disable-next-line
  }, [width, height, scheme, zone, margin, shape]);

  useEffect(() => {
    const last = (v: (number | null)[]) => v[v.length - 1] ?? null;
    const x = [...xs, to];
    plot.current?.setData([x, ...series.map((s) => [...s.values, last(s.values)])] as unknown as uPlot.AlignedData);
  }, [xs, series, to, width, height, scheme, zone, margin, shape]);

  return (
    <div className="line-chart">
      <div className="read">{index != null && index < xs.length ? read(index) : <span className="mut">{unit}</span>}</div>
      <div className="plot" ref={host} role="img" aria-label={label} style={{ height }}>
        {ends.map((e, i) => {
          const s = series[i];
          if (!s) return null;
          const v = s.values[s.values.length - 1];
          return (
            <span key={s.label} className="ends" style={{ top: e.top, left: e.left, color: 'var(--ink-2)', fontWeight: s.bold ? 600 : 400 }}>
              <i style={{ display: 'inline-block', width: 8, height: 0, borderTop: `2px ${s.dash ? 'dotted' : 'solid'} ${s.colour.startsWith('--') ? `var(${s.colour})` : s.colour}`, verticalAlign: 3, marginRight: 4 }} />
              {s.label} <b>{v == null ? '–' : fixed(v, 1, digits)}</b>
            </span>
          );
        })}
      </div>
    </div>
  );
}
