// A fleet that lives only in the development server: devices, prices and what
// each device did over a day, from seeded numbers. Totals are integrated from
// the same intervals that are shown, so every figure re-adds.

export const HOUR = 3600e3;
export const NOW = Date.parse('2026-10-20T08:12:00Z'); // 16:12 in Irkutsk
const STEP = 10 * 60e3;

export function random(seed) {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = s;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const sites = {
  'bratsk-1': { zone: 'Asia/Irkutsk', cap_w: 180000, base: 0.062, swing: 0.045 },
  'odda-2': { zone: 'Europe/Oslo', cap_w: 40000, base: 0.041, swing: 0.012 },
};
const racks = [
  { site: 'bratsk-1', hall: 'air', rack: 'b01', nodes: ['b01', 'b02'], per: 8, model: 'S19k Pro', kind: 'asic', pue: 1.28 },
  { site: 'bratsk-1', hall: 'tank', rack: 'a01', nodes: ['a01', 'a02', 'a03'], per: 8, model: 'S21 Pro', kind: 'asic', pue: 1.04 },
  { site: 'bratsk-1', hall: 'tank', rack: 'r01', nodes: ['n01', 'n02', 'n03', 'n04', 'n05', 'n06', 'n07', 'n08', 'n09', 'n10'], per: 8, model: 'RTX 3080', kind: 'gpu', pue: 1.04 },
  { site: 'bratsk-1', hall: 'tank', rack: 'r02', nodes: ['n11', 'n12', 'n13', 'n14'], per: 8, model: 'RTX 3080', kind: 'gpu', pue: 1.04 },
  { site: 'odda-2', hall: 'h1', rack: 'h01', nodes: ['h01', 'h02', 'h03', 'h04'], per: 8, model: 'H100', kind: 'gpu', pue: 1.08 },
];
// SCALE=n adds n racks of 32 nodes, to see the page with thousands of devices.
for (let k = 0; k < Number(process.env.SCALE ?? 0); k++) {
  const nodes = Array.from({ length: 32 }, (_, i) => `x${k}-${i}`);
  racks.push({ site: 'odda-2', hall: 'h2', rack: `x${k}`, nodes, per: 8, model: 'RTX 3080', kind: 'gpu', pue: 1.08 });
}
// Watts at the board and gross USD/h of each way to earn, at the day's mean coin price.
const profiles = {
  'S19k Pro': { idle: 12, ways: { BTC: { watts: 2760, gross: 0.188, hash: 120e15 } } },
  'S21 Pro': { idle: 15, ways: { BTC: { watts: 3531, gross: 0.417, hash: 234e15 } } },
  'RTX 3080': { idle: 22, ways: { KAS: { watts: 279, gross: 0.0731, hash: 612e9 }, RVN: { watts: 263, gross: 0.0694, hash: 46.4e9 } }, train: 300 },
  H100: { idle: 68, ways: { KAS: { watts: 420, gross: 0.094, hash: 1900e9 } }, train: 640 },
};
// Jobs by the nodes that held them: [node, first device, devices, from hours ago, to hours ago, job, USD/GPU-h].
const held = [
  ['n04', 0, 8, 24, 17.7, '5', 0.19], ['n05', 0, 8, 12.8, 0, '9', 0.22], ['n07', 3, 5, 24, 14, '5', 0.19], ['n07', 0, 3, 3.6, 0, '9', 0.22],
  ['n09', 0, 8, 24, 0, '12', 0.20], ['n12', 0, 4, 15, 0, '14', 0.21],
  ['h01', 0, 8, 24, 0, '11', 2.1], ['h02', 0, 8, 24, 0, '11', 2.1], ['h03', 0, 8, 19, 0, '15', 1.9], ['h04', 0, 8, 24, 9.3, '13', 1.7],
];
const faults = [
  ['n02', 4, 4, 0.07, 0, 'draining', 'DRAIN', 'its node is being emptied: until Tue 18:00, riser swap'],
  ['n03', 2, 1, 1.1, 0, 'probation', 'UNHEALTHY', 'proves itself after Xid 79: hash rate 96 % of its baseline'],
  ['n03', 5, 1, 2.33, 0, 'probation', 'UNHEALTHY', 'proves itself after Xid 79: hash rate 91 % of its baseline'],
  ['n08', 6, 1, 18.45, 0, 'quarantined', 'UNHEALTHY', 'hash rate 61 % of its baseline after reset; self-test failed'],
  ['n08', 1, 1, 24, 0, 'offline', 'UNHEALTHY', 'switched off by a person on 18 Oct'],
  ['n10', 0, 8, 0.42, 0, 'unknown', 'SILENT', 'its node has not been heard: keeps KAS under its lease, caps still apply'],
  ['n13', 7, 1, 4.1, 0, 'foreign', 'OVERRIDE', 'held by a process that is not ours: pid 41233'],
  ['a02', 5, 2, 20, 0, 'quarantined', 'UNHEALTHY', 'one hash board silent since the coolant alarm of 18 Oct'],
];

export const micro = (usd) => Math.round(usd * 1e6);
export const priceAt = (site, ms) => {
  const s = sites[site];
  const h = ((ms / HOUR + (site === 'bratsk-1' ? 8 : 2)) % 24 + 24) % 24;
  const steps = [0.1, 0, 0, 0, 0.05, 0.1, 0.3, 0.55, 0.6, 0.62, 0.7, 0.7, 0.6, 0.55, 0.6, 0.7, 0.84, 1.4, 1.55, 1.5, 1.3, 0.8, 0.5, 0.25];
  return Math.round((s.base - 0.022 + s.swing * steps[Math.floor(h)]) * 1e6);
};
const coinAt = (coin, ms) => {
  const t = ms / HOUR;
  if (coin === 'BTC') return 1 + 0.02 * Math.sin(t / 5);
  if (coin === 'KAS') return 1 + 0.07 * Math.sin(t / 3.1 + 1.1);
  return 1.0 + 0.06 * Math.sin(t / 2.3 + 2.2);
};

const reason = (code, text, figures = []) => ({ code, text, figures });

/** earnings of one use of one device at an instant, micro USD per hour. */
export function earn(d, use, option, job, ms) {
  const p = profiles[d.model];
  const price = priceAt(d.site, ms);
  let board = p.idle;
  let gross = 0;
  if (use === 'mining') {
    board = p.ways[option].watts;
    gross = p.ways[option].gross * coinAt(option, ms) * d.skill * d.taste[option];
  } else if (use === 'training') {
    board = p.train;
    gross = held.find((h) => h[5] === job)?.[6] ?? 0.2;
  } else if (use === 'offline') board = 0;
  else if (use === 'probation' || use === 'unknown') {
    board = p.ways.KAS?.watts ?? p.idle;
    gross = use === 'probation' ? p.ways.KAS.gross * 0.93 : 0;
  }
  const watts = Math.round(board * d.pue);
  const risk = use === 'mining' ? Math.round(gross * 0.04 * 1e6) : 0;
  const energy = Math.round((watts / 1000) * price);
  const g = micro(gross);
  return { gross: g, risk, energy, net: g - risk - energy, watts, board, energy_micro_per_kwh: price, pue_ppm: Math.round(d.pue * 1e6) };
}

function choose(d, ms, was) {
  const fault = faults.find((f) => f[0] === d.short && d.index >= f[1] && d.index < f[1] + f[2] && ms + STEP > NOW - f[3] * HOUR);
  if (fault) return { use: fault[5], option: '', job: '', reason: reason(fault[6], fault[7]) };
  const job = held.find((h) => h[0] === d.short && d.index >= h[1] && d.index < h[1] + h[2] && ms >= NOW - h[3] * HOUR && ms < NOW - h[4] * HOUR);
  if (job) return { use: 'training', option: '', job: job[5], reason: reason('JOB', `a job pays best here: job ${job[5]} at ${job[6].toFixed(2)} USD/GPU-h`) };
  const ways = Object.keys(profiles[d.model].ways).map((o) => ({ o, net: earn(d, 'mining', o, '', ms).net })).sort((a, b) => b.net - a.net || (a.o < b.o ? -1 : 1));
  const park = earn(d, 'parked', '', '', ms).net;
  const stay = was?.use === 'mining' ? ways.find((w) => w.o === was.option) : undefined;
  const best = stay && ways[0].net - stay.net < 2600 ? stay : ways[0];
  if (best.net <= park) return { use: 'parked', option: '', job: '', reason: reason('UNPROFITABLE', `every use would cost more than parking: power ${(priceAt(d.site, ms) / 1e6).toFixed(3)} USD/kWh`) };
  if (was?.use === 'training') return { use: 'mining', option: best.o, job: '', reason: reason('FREED', 'the job that held it ended') };
  const other = ways.find((w) => w.o !== best.o);
  const lead = other ? `: leads ${other.o} by ${((best.net - other.net) / 1e6).toFixed(4)} USD/h` : '';
  return { use: 'mining', option: best.o, job: '', reason: reason('PRICE', 'nets most of what is open here' + lead) };
}

export function build() {
  const rnd = random(5121);
  const devices = [];
  for (const r of racks) {
    for (const n of r.nodes) {
      for (let i = 0; i < r.per; i++) {
        devices.push({ id: `${r.site}/${n}/${i}`, node: `${r.site}/${n}`, short: n, index: i, ...r, skill: 0.97 + 0.06 * rnd(), taste: { RVN: 0.96 + 0.09 * rnd(), KAS: 1, BTC: 1 }, nodes: undefined });
      }
    }
  }
  const from = NOW - 24 * HOUR;
  for (const d of devices) {
    d.intervals = [];
    let was;
    let seen = '';
    for (let t = from; t < NOW; t += STEP) {
      const c = choose(d, t, was);
      const e = earn(d, c.use, c.option, c.job, t);
      const key = [c.use, c.option, c.job].join();
      const last = d.intervals[d.intervals.length - 1];
      if (last && key === seen) {
        last.to_ms = t + STEP;
        last.revenue += e.gross / 6;
        last.energy += e.energy / 6;
      } else {
        d.intervals.push({
          from_ms: t, to_ms: t + STEP, use: c.use, option: c.option, job: c.job, watts: e.watts, reason: c.reason,
          revenue: e.gross / 6, energy: e.energy / 6, plan: 4977 + Math.floor((t - from) / STEP),
        });
      }
      was = c;
      seen = key;
    }
    for (const i of d.intervals) {
      i.revenue = Math.round(i.revenue);
      i.energy = Math.round(i.energy);
    }
    d.now = was;
    d.rate = earn(d, was.use, was.option, was.job, NOW - STEP);
    // Short spells the ten-minute grid cannot show end the last interval a little earlier.
    const f = faults.find((x) => x[0] === d.short && d.index >= x[1] && d.index < x[1] + x[2]);
    d.since = f && f[3] < 24 ? NOW - f[3] * HOUR : d.intervals[d.intervals.length - 1].from_ms;
  }
  return { devices, sites, racks, profiles, from };
}

/** money books each hour from the same rule as the intervals. */
export function moneyPoints(fleet, hours) {
  const points = [];
  const first = Math.floor((NOW - hours * HOUR) / HOUR) * HOUR + HOUR;
  for (let h = first; h < NOW; h += HOUR) {
    const end = Math.min(h + HOUR, NOW);
    const p = { at_ms: h, revenue: 0, energy: 0, net: 0, all_mining: 0, all_parked: 0, millis: end - h, mining_revenue: 0, training_revenue: 0 };
    for (const d of fleet.devices) {
      for (let t = h; t < end; t += STEP) {
        const w = Math.min(STEP, end - t) / HOUR;
        const i = d.intervals.find((x) => t >= x.from_ms && t < x.to_ms) ?? d.intervals[d.intervals.length - 1];
        const e = earn(d, i.use, i.option, i.job, t);
        p.revenue += e.gross * w;
        p.energy += e.energy * w;
        if (i.use === 'training') p.training_revenue += e.gross * w;
        else p.mining_revenue += e.gross * w;
        const best = Math.max(...Object.keys(profiles[d.model].ways).map((o) => { const x = earn(d, 'mining', o, '', t); return x.gross - x.energy; }));
        p.all_mining += best * w;
        p.all_parked -= earn(d, 'parked', '', '', t).energy * w;
      }
    }
    for (const k of Object.keys(p)) p[k] = Math.round(p[k]);
    p.net = p.revenue - p.energy;
    points.push(p);
  }
  const totals = { revenue: 0, energy: 0, net: 0, all_mining: 0, all_parked: 0, mining_revenue: 0, training_revenue: 0 };
  for (const p of points) for (const k of Object.keys(totals)) totals[k] += p[k];
  return { points, totals, currency: 'USD' };
}
