import { useMemo, useState, type KeyboardEvent } from 'react';
import type { Gpu, SiteStatus } from '../api/types';
import { Cells, Strip } from '../charts/Strip';
import { count, money, power } from '../fmt/number';
import { sum, tree, type Branch } from '../fmt/scope';
import { abnormal } from '../fmt/use';

/** Tree filters everything right of it. Arrows open, close and move. */
export function Tree({ gpus, scope, onScope, sites, currency }: { gpus: Gpu[]; scope: string; onScope: (path: string) => void; sites: SiteStatus[]; currency: string }) {
  const root = useMemo(() => tree(gpus), [gpus]);
  const [toggled, setToggled] = useState(new Map<string, boolean>());
  const [focus, setFocus] = useState<string | null>(null);
  const isOpen = (b: Branch) => toggled.get(b.path) ?? (b.level < 2 || scope === b.path || scope.startsWith(b.path + '/') || (b.level === 2 && root.devices.length <= 400) || (b.level === 3 && root.devices.length <= 64) || (b.level === 3 && b.devices.length <= 96 && b.devices.some((g) => abnormal.includes(g.use))));
  const visible: Branch[] = [];
  const walk = (b: Branch) => {
    visible.push(b);
    if (isOpen(b)) b.children.forEach(walk);
  };
  walk(root);
  const current = focus ?? scope;
  const set = (b: Branch, open: boolean) => setToggled(new Map(toggled).set(b.path, open));
  const move = (b: Branch | undefined) => {
    if (!b) return;
    setFocus(b.path);
    document.getElementById('tree-' + b.path)?.focus();
  };
  const key = (e: KeyboardEvent) => {
    const i = visible.findIndex((b) => b.path === current);
    const b = visible[i] ?? root;
    if (e.key === 'ArrowDown') move(visible[i + 1]);
    else if (e.key === 'ArrowUp') move(visible[i - 1]);
    else if (e.key === 'ArrowRight') isOpen(b) || !b.children.length ? move(visible[i + 1]) : set(b, true);
    else if (e.key === 'ArrowLeft') isOpen(b) && b.children.length ? set(b, false) : move(visible.find((p) => p.path === b.path.split('/').slice(0, -1).join('/')));
    else if (e.key === 'Home') move(root);
    else if (e.key === 'End') move(visible[visible.length - 1]);
    else if (e.key === 'Enter' || e.key === ' ') onScope(b.path);
    else return;
    e.preventDefault();
  };
  return (
    <aside className="tree" aria-label="Sites">
      <div role="tree" aria-label="Sites, halls, racks, nodes" onKeyDown={key}>
        {visible.map((b) => (
          <Item key={b.path} b={b} open={isOpen(b)} on={scope === b.path} tab={b.path === current} onScope={onScope} onToggle={() => set(b, !isOpen(b))} site={b.level === 1 ? sites.find((s) => s.name === b.name) : undefined} currency={currency} />
        ))}
      </div>
    </aside>
  );
}

function Item({ b, open, on, tab, onScope, onToggle, site, currency }: {
  b: Branch; open: boolean; on: boolean; tab: boolean; onScope: (path: string) => void; onToggle: () => void; site: SiteStatus | undefined; currency: string;
}) {
  const n = b.devices.length;
  const common = {
    id: 'tree-' + b.path, role: 'treeitem', 'aria-level': b.level + 1, 'aria-selected': on, tabIndex: tab ? 0 : -1, onClick: () => onScope(b.path),
    'aria-expanded': b.children.length ? open : undefined, style: { marginLeft: Math.max(0, b.level - 1) * 12 + (b.level === 4 ? 2 : 0) },
  } as const;
  if (b.level === 4) {
    return <div {...common} className={'leaf' + (on ? ' on' : '')} aria-label={`${b.name}, ${n} devices`}><span>{b.name}</span>{n <= 16 ? <Cells gpus={b.devices} /> : <Strip gpus={b.devices} />}</div>;
  }
  const s = sum(b.devices);
  const odd = b.level > 0 ? b.devices.filter((g) => g.use === 'unknown').length : 0;
  return (
    <div {...common}>
      <div className={'row' + (on ? ' on' : '')}>
        {b.children.length ? <span className="ar" aria-hidden="true" onClick={(e) => { e.stopPropagation(); onToggle(); }}>{open ? '▾' : '▸'}</span> : null}
        <span className="nm">{b.name === '-' ? 'not placed' : b.name}</span>
        {odd && !open ? <span className="badge warn">{odd} unknown</span> : null}
        <span className="vv">{b.level === 1 ? <>{money(s.net, Math.abs(s.net) < 10e6 ? 2 : 1)} <small>{currency}/h</small></> : null}</span>
        <span className="sb">
          {b.level === 3 ? models(b.devices) : `${count(n)}${b.level < 2 ? (n === 1 ? ' device' : ' devices') : ''}${b.level > 0 ? ' · ' + power(site ? site.now_w : s.watts) : ''}`}
        </span>
        <Strip gpus={b.devices} />
      </div>
    </div>
  );
}

function models(gpus: Gpu[]): string {
  const n = new Map<string, number>();
  for (const g of gpus) n.set(g.model, (n.get(g.model) ?? 0) + 1);
  return [...n].map(([m, c]) => `${count(c)} ${m}`).join(', ');
}
