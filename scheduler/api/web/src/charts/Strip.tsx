import type { Gpu } from '../api/types';
import { abnormal, colourKey, order, useOf } from '../fmt/use';
import { fill, Swatch } from '../theme/fills';
import { slot } from '../theme/slots';

export const keyOf = (g: Gpu) => colourKey(useOf(g), slot);

/** countKeys counts devices by fill, in the fixed order. */
export function countKeys(gpus: Gpu[]): [string, number][] {
  const n = new Map<string, number>();
  for (const g of gpus) n.set(keyOf(g), (n.get(keyOf(g)) ?? 0) + 1);
  return order.filter((k) => n.has(k)).map((k) => [k, n.get(k)!]);
}

/** Strip is a 100 % bar of what the devices do now; abnormal states are its dark end. */
export function Strip({ gpus }: { gpus: Gpu[] }) {
  const parts: [string, number][] = [];
  let rest = 0;
  for (const [k, n] of countKeys(gpus)) {
    if (abnormal.includes(k)) rest += n;
    else parts.push([k, n]);
  }
  if (rest) parts.push(['rest', rest]);
  let x = 0;
  return (
    <svg className="mb" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      {parts.map(([k, n]) => {
        const w = (100 * n) / gpus.length;
        x += w;
        return <rect key={k} x={x - w} width={w} height="6" style={{ fill: k === 'rest' ? 'var(--ink-2)' : fill(k) }} />;
      })}
    </svg>
  );
}

/** Cells is one square per device. */
export const Cells = ({ gpus, size = 9 }: { gpus: Gpu[]; size?: number }) => (
  <span className="cells">{gpus.map((g) => <Swatch key={g.id} k={keyOf(g)} size={size} />)}</span>
);
