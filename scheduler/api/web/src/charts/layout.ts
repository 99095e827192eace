import type { Gpu } from '../api/types';

export interface NodeRows { node: string; label: string; y: number; h: number; devices: Gpu[] }
export interface Group {
  key: string; hall: string; label: string; model: string; devices: Gpu[]; open: boolean;
  y: number; h: number; nodes: NodeRows[];
}
export interface Hall { key: string; site: string; label: string; y: number; groups: Group[] }
export interface Layout { halls: Hall[]; height: number; rowHeight: number; rows: Gpu[]; refused: string[] }

export const STRIP = 30;
const HEAD = 18;
export const RACK = 24; // an open rack's own line; also the size of its button

/** Rows shown when nobody has chosen, and the most that are ever drawn. */
const FIRST = 96;
export const MOST = 2000;

const byId = new Intl.Collator('en', { numeric: true }).compare;

/**
 * layout stacks halls, racks and, in open racks, one row per device grouped by
 * node. Order is by id and never by value, so that a row stays where it was.
 */
export function layout(gpus: Gpu[], chosen: Map<string, boolean>): Layout {
  const sorted = [...gpus].sort((a, b) => byId(a.id, b.id));
  const halls = new Map<string, Map<string, Gpu[]>>();
  for (const g of sorted) {
    const hall = [g.site, g.hall].filter(Boolean).join('/') || '(no site)';
    const rack = [hall, g.rack || '-', g.model].join('/');
    if (!halls.has(hall)) halls.set(hall, new Map());
    const racks = halls.get(hall)!;
    const list = racks.get(rack);
    if (list) list.push(g);
    else racks.set(rack, [g]);
  }
  const sites = new Set(sorted.map((g) => g.site));
  let free = FIRST;
  let drawn = 0;
  const refused: string[] = [];
  const open = new Map<string, boolean>();
  const all = [...halls.values()].flatMap((racks) => [...racks]);
  // Racks that a job could use come first: what they do changes most.
  const first = [...all].sort((a, b) => Number(b[1][0].kind === 'gpu') - Number(a[1][0].kind === 'gpu'));
  for (const [key, list] of first) {
    let o = chosen.get(key) ?? list.length <= free;
    if (o && drawn + list.length > MOST) {
      o = false;
      refused.push(key);
    }
    open.set(key, o);
    if (o) {
      drawn += list.length;
      if (!chosen.has(key)) free -= list.length;
    }
  }
  const rowHeight = drawn <= 24 ? 14 : drawn <= 48 ? 10 : 6;
  const out: Hall[] = [];
  const rows: Gpu[] = [];
  let y = 0;
  for (const hall of [...halls.keys()].sort(byId)) {
    y += out.length ? 6 : 0;
    const h: Hall = { key: hall, site: sites.size > 1 && hall.includes('/') ? hall.split('/')[0] : '', label: hall.split('/').slice(1).join('/') || hall, y, groups: [] };
    y += HEAD;
    for (const key of [...halls.get(hall)!.keys()].sort(byId)) {
      const devices = halls.get(hall)!.get(key)!;
      const g: Group = {
        key, hall, label: devices[0].rack || devices[0].model, model: devices[0].model, devices, open: open.get(key)!, y, h: 0, nodes: [],
      };
      if (!g.open) {
        y += 2;
        g.y = y;
        g.h = STRIP;
        y += STRIP + 2;
      } else {
        y += RACK;
        const nodes = new Map<string, Gpu[]>();
        for (const d of devices) {
          const list = nodes.get(d.node);
          if (list) list.push(d);
          else nodes.set(d.node, [d]);
        }
        for (const [node, list] of nodes) {
          const nh = Math.max(list.length * rowHeight, 14);
          g.nodes.push({ node, label: node.split('/').pop()!, y, h: nh, devices: list });
          rows.push(...list);
          y += nh + 4;
        }
        g.h = y - g.y;
      }
      h.groups.push(g);
    }
    out.push(h);
  }
  return { halls: out, height: y, rowHeight, rows, refused };
}

/** chosenOf reads the racks opened and closed by hand from the address: "a,b,!c". */
export function chosenOf(text: string): Map<string, boolean> {
  const out = new Map<string, boolean>();
  for (const one of text.split(',')) {
    if (one.startsWith('!')) out.set(one.slice(1), false);
    else if (one) out.set(one, true);
  }
  return out;
}

export const chosenText = (m: Map<string, boolean>) => [...m].map(([k, o]) => (o ? '' : '!') + k).join(',');
