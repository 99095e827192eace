import { describe, expect, it } from 'vitest';
import { csv } from './csv';
import { bytes, digitsFor, energyText, fixed, hashrate, money, perKWh, power, rate, share, signed } from './number';
import { capital, figure, sentence, splitCommand } from './reason';
import { inScope, sum, tree } from './scope';
import { clock, instant, offset, range, span, stamp, when } from './time';
import { assignedOf, colourKey, optionText, packIds, parseUse, shortId, useText } from './use';
import type { Gpu } from '../api/types';

const N = '\u202f';
const B = '\u00a0';
const M = '\u2212';

describe('numbers', () => {
  it.each([
    [0, 1, 0, '0'], [1234567, 1, 0, `1${N}234${N}567`], [-346.7, 1, 1, `${M}346.7`], [-0.00001, 1, 2, '0.00'], [0.125, 1, 2, '0.13'],
    [-0.125, 1, 2, `${M}0.13`], [41200, 1e6, 4, '0.0412'], [999999, 1e6, 2, '1.00'], [1005, 1000, 2, '1.01'],
  ])('fixed(%d / %d, %d digits) is %s', (v, scale, digits, want) => expect(fixed(v, scale, digits)).toBe(want));
  it('signs gains, losses and nothing', () => {
    expect(signed(4100, 4)).toBe('+0.0041');
    expect(signed(-4100, 4)).toBe(`${M}0.0041`);
    expect(signed(0, 4)).toBe('0.0000');
    expect(signed(10, 4)).toBe('0.0000');
  });
  it('keeps about four figures of money', () => {
    expect([50e3, 1.5e6, 83e6, 2e9, -83e6].map(digitsFor)).toEqual([4, 2, 1, 0, 1]);
    expect(rate(83_000_000, 'USD')).toBe(`83.0${B}USD/h`);
    expect(perKWh(100_000, 'USD')).toBe(`0.100${B}USD/kWh`);
    expect(money(-1, 4)).toBe('0.0000');
  });
  it('gives power W, then kW, then MW', () => {
    expect([279, 999, 1000, 20_216, 3_467_000, 9_999_499, 12_300_000].map(power)).toEqual(
      [`279${B}W`, `999${B}W`, `1.0${B}kW`, `20.2${B}kW`, `3${N}467${B}kW`, `9${N}999${B}kW`, `12.3${B}MW`]);
  });
  it('tells board power from power at the meter', () => {
    const b = { energy_micro_per_kwh: 100_000, pue_ppm: 1_040_000 };
    expect(energyText({ ...b, watts: 279, energy: 29_016 }, 'USD')).toBe(`279${B}W × PUE 1.04 × 0.100${B}USD/kWh`);
    expect(energyText({ ...b, watts: 291, board_watts: 279, energy: 29_100 }, 'USD')).toBe(`279${B}W × PUE 1.04 × 0.100${B}USD/kWh`);
    expect(energyText({ ...b, watts: 290, energy: 29_000 }, 'USD')).toBe(`290${B}W × 0.100${B}USD/kWh, PUE 1.04 included`);
    expect(energyText({ ...b, watts: 0, energy: 0, pue_ppm: 0 }, 'USD')).toBe(`0${B}W × 0.100${B}USD/kWh`);
  });
  it('scales hash rates and memory', () => {
    expect(hashrate(612e9)).toBe(`612${B}MH/s`);
    expect(hashrate(46.4e9)).toBe(`46.4${B}MH/s`);
    expect(hashrate(12_400_000)).toBe(`12.4${B}kH/s`);
    expect(hashrate(-1)).toBe('not known');
    expect(bytes(10 * 2 ** 30)).toBe(`10${B}GiB`);
    expect(share(226_000)).toBe(`22.6${B}%`);
  });
});

describe('times', () => {
  const at = Date.UTC(2026, 9, 20, 8, 12, 5);
  it('are local to the site', () => {
    expect(clock(at, 'Asia/Irkutsk')).toBe('16:12');
    expect(clock(at, 'UTC', true)).toBe('08:12:05');
    expect(instant(at, 'Asia/Irkutsk')).toBe('Tue 20 Oct 2026, 16:12');
    expect(stamp(at, 'Asia/Irkutsk')).toBe('2026-10-20 16:12:05');
    expect(clock(at, 'No/Such')).toBe('08:12');
  });
  it('are named as shortly as now allows', () => {
    expect(when(at - 3600e3, at, 'UTC')).toBe('07:12');
    expect(when(at - 86400e3, at, 'UTC')).toBe('Mon 08:12');
    expect(when(at - 20 * 86400e3, at, 'UTC')).toBe('30 Sep 08:12');
    expect(when(0, at, 'UTC')).toBe('–');
  });
  it.each([[40e3, `40${B}s`], [94e3, `94${B}s`], [130 * 60e3, `2${B}h${B}10${B}m`], [7200e3, `2${B}h`], [44 * 3600e3, `1${B}d${B}20${B}h`], [-5, `0${B}s`]])(
    'span(%d) is %s', (ms, want) => expect(span(ms)).toBe(want));
  it('keep a day of axis in hours', () => expect(range(86400e3)).toBe(`24${B}h`));
  it('follow daylight saving', () => {
    expect(offset(Date.UTC(2026, 5, 1), 'Europe/Oslo')).toBe(7200e3);
    expect(offset(Date.UTC(2026, 11, 1), 'Europe/Oslo')).toBe(3600e3);
  });
});

describe('uses', () => {
  it.each([
    ['mining KAS#1', '', '', 'mining KAS, mode 2', 'kas'], ['mining', 'BTC', '', 'mining BTC', 'btc'], ['training job 17', '', '', 'training job 17', 'train'],
    ['training', '', '9', 'training job 9', 'train'], ['parked', 'KAS', '', 'parked', 'park'], ['', '', '', 'parked', 'park'], ['quarantined', '', '', 'quarantined', 'quarantined'],
  ])('%s %s %s reads %s', (use, option, job, text, key) => {
    const u = parseUse(use, option, job);
    expect(useText(u)).toBe(text);
    expect(colourKey(u, (c) => c.toLowerCase())).toBe(key);
  });
  it('treats an order equal to the use as settled', () => {
    const g = { use: 'mining', assigned: 'mining', coin: 'KAS', option: 'KAS#1', job: '' } as Gpu;
    expect(assignedOf(g).option).toBe('KAS#1');
    expect(assignedOf({ ...g, assigned: 'training job 4' }).job).toBe('4');
    expect(assignedOf({ ...g, use: 'draining', assigned: 'mining' }).coin).toBe('KAS');
    expect(useText(assignedOf({ ...g, use: 'training', job: '9', option: '', coin: '', assigned: 'mining' }))).toBe('mining');
    expect(useText(assignedOf({ ...g, assigned: 'training', job: '' }))).toBe('training');
  });
  it('packs device numbers into runs', () => {
    expect(packIds(['s/n02/4', 's/n02/5', 's/n02/6', 's/n02/7'])).toBe('n02/4–7');
    expect(packIds(['s/n03/5', 's/n03/1', 's/n04/0', 's/n04/1'])).toBe('n03/1, 5; n04/0, 1');
    expect(packIds(['s/n1/gpu-a', 's/n1/gpu-b'])).toBe('n1/gpu-a, gpu-b');
    expect(packIds(['lone'])).toBe('lone');
    expect(shortId('bratsk-1/n07/3')).toBe('n07/3');
    expect(optionText('RVN')).toBe('RVN');
  });
});

describe('reasons', () => {
  const figures = [{ name: 'gain', value: 4100, text: '', unit: 'micro_per_hour' }, { name: 'horizon', value: 3600e3, text: '', unit: 'ms' }];
  it('use the words of the server, else the figures', () => {
    expect(sentence({ code: 'STABLE', text: 'does not pay back', figures }, 'USD', 'UTC')).toBe('Does not pay back');
    expect(sentence({ code: 'STABLE', text: '', figures }, 'USD', 'UTC')).toBe(`Gain 0.0041${B}USD/h, horizon 1${B}h`);
    expect(sentence(null, 'USD', 'UTC')).toBe('');
    expect(capital('')).toBe('');
  });
  it('render every unit', () => {
    const show = (unit: string, value: number, text = '') => figure({ name: 'x', unit, value, text }, 'USD', 'UTC');
    expect(show('watts', 279)).toBe(`279${B}W`);
    expect(show('ppm', 2100)).toBe(`0.21${B}%`);
    expect(show('micro_per_kwh', 100000)).toBe(`0.100${B}USD/kWh`);
    expect(show('micro', 8000)).toBe(`0.0080${B}USD`);
    expect(show('text', 0, 'n07')).toBe('n07');
    expect(show('count', 1200)).toBe(`1${N}200`);
    expect(show('instant_ms', Date.UTC(2026, 9, 20))).toBe('Tue 20 Oct 2026, 00:00');
  });
  it.each([
    ['bid 0.33 USD/GPU-h, which evicts job 9: sluice job update 17 --set value.bid=0.33', 'bid 0.33 USD/GPU-h, which evicts job 9', 'sluice job update 17 --set value.bid=0.33'],
    ['wait for job 9 (`sluice job show 9`)', 'wait for job 9', 'sluice job show 9'],
    ['sluice job show 9', '', 'sluice job show 9'],
    ['add more devices', 'add more devices', ''],
  ])('split the command off %s', (way, text, command) => expect(splitCommand(way)).toEqual({ text, command }));
});

describe('csv', () => {
  it('quotes, drops typography and disarms formulas', () => {
    const out = csv({ head: ['a', 'b'], rows: [['x,"y"', `${M}1${N}234.5`], ['=1+1', 3], ['-0.5', '@home']] });
    expect(out).toBe(`a,b\r\n"x,""y""",-1234.5\r\n'=1+1,3\r\n-0.5,'@home\r\n`);
  });
});

describe('scope', () => {
  const gpu = (id: string, site: string, hall: string, rack: string, use = 'mining', kind = 'gpu') =>
    ({ id, node: id.split('/').slice(0, -1).join('/'), site, hall, rack, use, kind, model: 'm', watts: 100, money_per_hour: { revenue: 10, energy: 4, net: 6 } }) as Gpu;
  const list = [gpu('s/n10/0', 's', 'h', 'r'), gpu('s/n2/0', 's', 'h', 'r', 'training'), gpu('t/a/0', 't', '', '', 'parked', 'asic')];
  it('groups by place, in the order of names', () => {
    const root = tree(list);
    expect(root.children.map((c) => c.name)).toEqual(['s', 't']);
    expect(root.children[0].children[0].children[0].children.map((c) => c.name)).toEqual(['n2', 'n10']);
    expect(root.children[1].children.map((c) => c.path)).toEqual(['t/-/-/a']);
  });
  it('filters and adds', () => {
    expect(list.filter((g) => inScope(g, 's/h')).length).toBe(2);
    expect(list.filter((g) => inScope(g, 's/h/r/n2')).length).toBe(1);
    expect(inScope(list[0], '')).toBe(true);
    const s = sum(list);
    expect(s).toMatchObject({ revenue: 30, energy: 12, net: 18, training: 10, mining: 20, watts: 300, trainable: 2, trains: 1 });
  });
});
