import { memo } from 'react';
import type { Gpu, Interval } from '../api/types';
import { assignedOf, colourKey } from '../fmt/use';
import type { Colour } from '../theme/colouring';
import { fill, isPattern } from '../theme/fills';
import { slot } from '../theme/slots';
import { STRIP, type Layout } from './layout';
import { columns, pack, rects, stack } from './pack';

interface Props {
  layout: Layout; of: Map<string, Interval[]>; colour: Colour; from: number; to: number; x: (ms: number) => number; width: number; ordered: boolean;
}

const ordered = (g: Gpu) => colourKey(assignedOf(g), slot);

// Patterns need 5 px; in a strip the abnormal states merge into one dark end.
const strip = (key: string) => (isPattern(key) ? 'rest' : key);

function paths(map: Map<string, string>, dim = false) {
  return [...map].map(([k, d]) => <path key={k} d={d} style={{ fill: k === 'rest' ? 'var(--ink-2)' : fill(k), opacity: dim ? 0.9 : 1 }} />);
}

/** HeatBody draws every lane below the price; it changes only with its data. */
export const HeatBody = memo(function HeatBody({ layout, of, colour, from, to, x, width, ordered: showOrder }: Props) {
  const end = x(to);
  return (
    <svg width={width} height={layout.height} aria-hidden="true" shapeRendering="crispEdges">
      {layout.halls.flatMap((h) => h.groups).map((g) => {
        const piecesOf = (d: Gpu) => pack(of.get(d.id) ?? [], from, to, colour.key);
        if (!g.open) {
          const bins = Math.max(40, Math.min(480, Math.round(end / 2)));
          const cols = columns(g.devices.map((d) => pack(of.get(d.id) ?? [], from, to, (i) => strip(colour.key(i)))), from, to, bins);
          const order = [...colour.order.filter((k) => !isPattern(k)), 'rest'];
          const next = columns(g.devices.map((d) => [{ from, to, key: strip(ordered(d)), interval: undefined as never }]), from, to, 1);
          const plan = (ms: number) => (ms <= from ? end : width);
          return (
            <g key={g.key}>
              {paths(stack(cols, order, g.y, STRIP, x))}
              {showOrder ? <>{paths(stack(next, order, g.y, STRIP, plan), true)}<rect x={end} y={g.y} width={width - end} height={STRIP} fill="url(#p-plan)" /></> : null}
            </g>
          );
        }
        return g.nodes.map((n) => {
          const rh = n.h / n.devices.length;
          const lines = n.devices.slice(1).map((_, i) => `M0 ${n.y + (i + 1) * rh - 0.5}H${width}`).join('');
          return (
            <g key={n.node}>
              {paths(rects(n.devices.map(piecesOf), (r) => n.y + r * rh, rh, x))}
              {showOrder ? (
                <>
                  {paths(rects(n.devices.map((d) => [{ from, to, key: ordered(d), interval: undefined as never }]), (r) => n.y + r * rh, rh, (ms) => (ms <= from ? end : width)), true)}
                  <rect x={end} y={n.y} width={width - end} height={n.h} fill="url(#p-plan)" />
                </>
              ) : null}
              <path d={lines} style={{ stroke: 'var(--surface)', opacity: 0.5 }} />
            </g>
          );
        });
      })}
    </svg>
  );
});
