import type { Gpu } from '../api/types';

/** placeOf is the path of a device in the tree: site, hall, rack, node. */
export const placeOf = (g: Gpu): string[] => [g.site || '-', g.hall || '-', g.rack || '-', g.node.split('/').pop() || '-'];

export const inScope = (g: Gpu, scope: string): boolean => {
  if (!scope) return true;
  const want = scope.split('/');
  const have = placeOf(g);
  return want.every((w, i) => have[i] === w);
};

export interface Branch { path: string; name: string; level: number; devices: Gpu[]; children: Branch[] }

const byName = new Intl.Collator('en', { numeric: true }).compare;

/** tree groups devices by site, hall, rack and node. Order is by name. */
export function tree(gpus: Gpu[]): Branch {
  const grow = (path: string[], devices: Gpu[]): Branch => {
    const level = path.length;
    const children: Branch[] = [];
    if (level < 4) {
      const parts = new Map<string, Gpu[]>();
      for (const g of devices) {
        const name = placeOf(g)[level];
        const list = parts.get(name);
        if (list) list.push(g);
        else parts.set(name, [g]);
      }
      for (const name of [...parts.keys()].sort(byName)) children.push(grow([...path, name], parts.get(name)!));
    } else devices.sort((a, b) => byName(a.id, b.id));
    // A place nobody named is not a step of the tree.
    const through = children.length === 1 && children[0].name === '-' && level > 0 && level < 3 ? children[0].children : children;
    return { path: path.join('/'), name: path[level - 1] ?? 'All sites', level, devices, children: through };
  };
  return grow([], [...gpus]);
}

/** sum adds what devices earn now, per hour; mining and training apart. */
export function sum(gpus: Gpu[]) {
  const s = { revenue: 0, energy: 0, net: 0, mining: 0, training: 0, watts: 0, trainable: 0, trains: 0 };
  for (const g of gpus) {
    const m = g.money_per_hour;
    s.revenue += m?.revenue ?? 0;
    s.energy += m?.energy ?? 0;
    s.net += m?.net ?? 0;
    if (g.use.startsWith('training')) s.training += m?.revenue ?? 0;
    else s.mining += m?.revenue ?? 0;
    if (g.watts > 0) s.watts += g.watts;
    if (g.kind !== 'asic') s.trainable++;
    if (g.use.startsWith('training')) s.trains++;
  }
  return s;
}
