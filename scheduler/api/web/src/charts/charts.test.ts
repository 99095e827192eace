import { describe, expect, it } from 'vitest';
import type { Gpu, Interval } from '../api/types';
import { decimalsFor, spread, timeTicks, valueTicks } from './axis';
import { chosenOf, chosenText, layout, MOST } from './layout';
import { at, columns, pack, rects, stack, stepPath, sums } from './pack';

const interval = (from_ms: number, to_ms: number, use: string, watts = 0): Interval =>
  ({ from_ms, to_ms, use, option: '', job: '', watts, reason: { code: '', text: '', figures: [] }, revenue: 0, energy: 0, plan: 0 });
const key = (i: Interval) => i.use;

describe('time axis', () => {
  const from = Date.UTC(2026, 9, 19, 8, 12);
  it('labels round local hours and the day at midnight', () => {
    const t = timeTicks(from, from + 86400e3, 'Asia/Irkutsk', 9);
    expect(t.map((x) => x.label)).toEqual(['18:00', '21:00', '00:00 Tue 20 Oct', '03:00', '06:00', '09:00', '12:00', '15:00']);
  });
  it('stays on local hours over a change of daylight saving', () => {
    const a = Date.UTC(2026, 9, 24, 12);
    expect(timeTicks(a, a + 86400e3, 'Asia/Irkutsk', 9).every((x) => x.at % 3600e3 === 0)).toBe(true);
  });
  it('adapts to seconds, and survives an empty axis', () => {
    expect(timeTicks(0, 10e3, 'UTC', 5).map((x) => x.label)).toEqual(['00:00:00 Thu 1 Jan', '00:00:02', '00:00:04', '00:00:06', '00:00:08', '00:00:10']);
    expect(timeTicks(5, 5, 'UTC', 5)).toEqual([]);
  });
});

describe('value axis', () => {
  it('is round and holds zero', () => {
    expect(valueTicks(0, 0.14, 3)).toEqual([0, 0.05, 0.1]);
    expect(valueTicks(-12, 80, 4)).toEqual([0, 25, 50, 75]);
    expect(valueTicks(3, 3)).toEqual([3]);
    expect(decimalsFor([0, 0.05, 0.1])).toBe(2);
    expect(decimalsFor([0, 25])).toBe(0);
  });
  it('spreads labels without changing their order', () => {
    expect(spread([50, 10, 12], 14, 0, 100)).toEqual([50, 10, 24]);
    const low = spread([98, 99, 97], 14, 0, 100);
    expect(low).toEqual([86, 100, 72]);
    expect(spread([], 10, 0, 1)).toEqual([]);
  });
});

describe('intervals', () => {
  const list = [interval(0, 10, 'a'), interval(10, 20, 'a'), interval(20, 30, 'b'), interval(40, 0, 'c')];
  it('are clipped, joined and left open until now', () => {
    expect(pack(list, 5, 60, key).map((p) => [p.from, p.to, p.key])).toEqual([[5, 20, 'a'], [20, 30, 'b'], [40, 60, 'c']]);
    expect(pack(list, 30, 40, key)).toEqual([]);
  });
  it('are found by instant', () => {
    expect([0, 9, 10, 35, 50].map((t) => at(list, t, 60))).toEqual([0, 0, 1, -1, 3]);
  });
  it('become one path per fill', () => {
    const paths = rects([pack(list, 0, 60, key), pack([interval(0, 60, 'b')], 0, 60, key)], (r) => r * 6, 6, (ms) => ms * 2);
    expect(paths.get('b')).toBe('M40.0 0H60.0v6H40.0zM0.0 6H120.0v6H0.0z');
    expect([...paths.keys()]).toEqual(['a', 'b', 'c']);
  });
  it('are counted where they are at the middle of a column', () => {
    const cols = columns([pack(list, 0, 60, key), pack([interval(0, 30, 'b')], 0, 60, key)], 0, 60, 6);
    expect(cols.map((c) => [c.from, c.to, Object.fromEntries(c.counts)])).toEqual([
      [0, 20, { a: 1, b: 1 }], [20, 30, { b: 2 }], [30, 40, {}], [40, 60, { c: 1 }],
    ]);
  });
  it('agree with counting one by one', () => {
    let seed = 7;
    const rnd = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    const devices = Array.from({ length: 20 }, () => {
      const cuts = [0, ...Array.from({ length: 5 }, () => rnd(1000)), 1000].sort((a, b) => a - b);
      return cuts.slice(1).map((to, i) => interval(cuts[i], to, 'abc'[rnd(3)], 1 + rnd(300))).filter((i) => i.to_ms > i.from_ms);
    });
    const cols = columns(devices.map((d) => pack(d, 0, 1000, key)), 0, 1000, 40);
    const watts = sums(devices, 0, 1000, 40, (i) => i.watts);
    for (let k = 0; k < 40; k++) {
      const mid = (k + 0.5) * 25;
      const here = devices.map((d) => d[at(d, mid, 1000)]);
      const col = cols.find((c) => mid >= c.from && mid < c.to)!;
      for (const use of 'abc') expect(col.counts.get(use) ?? 0).toBe(here.filter((i) => i?.use === use).length);
      expect(watts[k]).toBe(here.reduce((a, i) => a + (i?.watts ?? 0), 0));
    }
  });
  it('stack to the full height in a fixed order', () => {
    const paths = stack([{ from: 0, to: 10, counts: new Map([['b', 1], ['a', 3]]), total: 4 }], ['a', 'b'], 0, 40, (ms) => ms);
    expect(paths.get('a')).toBe('M0.0 0.00H10.0v30.00H0.0z');
    expect(paths.get('b')).toBe('M0.0 30.00H10.0v10.00H0.0z');
  });
  it('hold a price until the next step', () => {
    const d = stepPath([{ at: 0, value: 1 }, { at: 10, value: 2 }, { at: 50, value: 9 }], 5, 40, (ms) => ms, (v) => v);
    expect(d).toBe('M5.0 1.0H10.0V2.0H40.0');
    const gap = stepPath([{ at: 0, value: 1 }, { at: 10, value: null }, { at: 20, value: 2 }], 0, 40, (ms) => ms, (v) => v);
    expect(gap).toBe('M0.0 1.0H10.0M20.0 2.0H40.0');
  });
});

describe('layout', () => {
  const gpus = (rack: string, nodes: number, per: number, kind = 'gpu') => Array.from({ length: nodes * per }, (_, i) => {
    const node = `s/${rack}n${Math.floor(i / per)}`;
    return { id: `${node}/${i % per}`, node, site: 's', hall: 'h', rack, model: 'm', kind } as Gpu;
  });
  it('opens what fits and keeps the order of ids', () => {
    const l = layout([...gpus('b', 1, 10), ...gpus('a', 1, 90)], new Map());
    expect(l.halls[0].groups.map((g) => [g.label, g.open])).toEqual([['a', true], ['b', false]]);
    expect(l.rows[2].id).toBe('s/an0/2');
    expect(l.rows[10].id).toBe('s/an0/10');
  });
  it('prefers racks that jobs can use', () => {
    const l = layout([...gpus('a', 1, 90, 'asic'), ...gpus('b', 1, 90)], new Map());
    expect(l.halls[0].groups.map((g) => g.open)).toEqual([false, true]);
  });
  it('never draws more rows than the limit', () => {
    const l = layout([...gpus('a', 20, 100), ...gpus('b', 1, 8)], new Map([['s/h/a/m', true], ['s/h/b/m', true]]));
    expect(l.rows.length).toBeLessThanOrEqual(MOST);
    expect(l.refused).toEqual(['s/h/b/m']);
  });
  it('does not overlap lanes', () => {
    const l = layout([...gpus('a', 3, 8), ...gpus('b', 2, 100), ...gpus('c', 2, 1)], new Map());
    const lanes = l.halls.flatMap((h) => h.groups).flatMap((g) => (g.open ? g.nodes.map((n) => [n.y, n.h]) : [[g.y, g.h]]));
    for (let i = 1; i < lanes.length; i++) expect(lanes[i][0]).toBeGreaterThanOrEqual(lanes[i - 1][0] + lanes[i - 1][1]);
    expect(l.height).toBeGreaterThanOrEqual(lanes[lanes.length - 1][0] + lanes[lanes.length - 1][1]);
  });
  it('keeps choices in the address', () => {
    const m = new Map([['s/h/a/m', true], ['s/h/b/m', false]]);
    expect(chosenText(m)).toBe('s/h/a/m,!s/h/b/m');
    expect(chosenOf(chosenText(m))).toEqual(m);
    expect(chosenOf('')).toEqual(new Map());
  });
});
