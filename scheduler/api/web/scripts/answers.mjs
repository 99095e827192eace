// Answers of the development server, in the shape of operator.proto.
import { HOUR, NOW, build, earn, micro, moneyPoints, priceAt } from './fleet.mjs';

const fleet = build();
const names = { 5: 'embed-sweep', 9: 'rerank-train', 11: 'llm-70b', 12: 'vision-base', 13: 'asr-large', 14: 'diffusion-v2', 15: 'llm-moe', 17: 'llama-ft', 24: 'rerank-eval', 25: 'asr-batch', 16: 'prep-data', 18: 'bad-flags' };
const usd = (m, n = 4) => (m / 1e6).toFixed(n);
export const plan = { gap_ppm: 2100, stage: 'held', milliseconds: 7, id: 5121, at_ms: NOW - 8000, bound_micro_per_hour: 0, objective_micro_per_hour: 0, gap_micro_per_hour: 0, moves: 0 };

const three = (list) => {
  const m = { revenue: 0, energy: 0, net: 0 };
  for (const e of list) {
    m.revenue += e.gross;
    m.energy += e.energy;
  }
  m.net = m.revenue - m.energy;
  return m;
};
const counts = (list) => {
  const c = { total: list.length, mining: 0, training: 0, parked: 0, other: 0, trainable: 0 };
  for (const d of list) {
    c[c[d.now.use] === undefined || d.now.use === 'total' ? 'other' : d.now.use]++;
    if (d.kind === 'gpu') c.trainable++;
  }
  return c;
};

const targets = (share) => [{
  name: 'ai-share', use: 'training', actual_ppm: share, min_ppm: 350000, max_ppm: 600000, code: share >= 350000 ? 'HELD' : 'NO_FIT',
  text: share >= 350000 ? 'met, not binding' : 'below its floor: the queue holds no more fitting work',
}];

export function status(now) {
  const list = fleet.devices;
  const money = three(list.map((d) => d.rate));
  const c = counts(list);
  const share = Math.round((c.training / c.trainable) * 1e6);
  const watts = list.reduce((s, d) => s + d.rate.watts, 0);
  const mining = three(list.map((d) => Object.keys(fleet.profiles[d.model].ways).map((o) => earn(d, 'mining', o, '', NOW - 1)).sort((a, b) => b.net - a.net)[0]));
  const gap = Math.round((money.revenue + money.energy) * 0.0021);
  return {
    servers: ['s1', 's2', 's3'].map((id, i) => ({ id, address: `10.0.0.${i + 1}:7400`, state: i ? 'follower' : 'leader', voter: true })),
    leader: 's1', term: 4, log_index: 88211 + Math.floor((now - NOW) / 1000), config_revision: 118, nodes: nodes().nodes.length, devices: c, ai_share_ppm: share,
    power_w: { now: watts, cap: 220000 }, money_per_hour: money,
    plan: { ...plan, at_ms: now - 8000, gap_micro_per_hour: gap, objective_micro_per_hour: money.net, bound_micro_per_hour: money.net + gap },
    currency: 'USD', market_ms: now, market_speed: Number(process.env.SPEED ?? 1), cluster: 'demo', version: '0.1.0-dev', jobs: { queued: 3, active: 6, done: 4 },
    quotes: [
      { feed: 'btc-usd', value: 64210e6, unit: 'micro', at_ms: now - 40000, age_ms: 40000, stale: false, scale: 0 },
      { feed: 'kas-usd', value: 132000, unit: 'micro', at_ms: now - 22000, age_ms: 22000, stale: false, scale: 0 },
      { feed: 'bratsk-hourly', value: priceAt('bratsk-1', now), unit: 'micro_per_kwh', at_ms: now - 12000, age_ms: 12000, stale: false, scale: 0 },
    ],
    all_mining: mining, all_parked: three(list.map((d) => earn(d, 'parked', '', '', NOW - 1))), targets: targets(share),
    config_state: 'ok', config_age_ms: 900, sim: true,
    sites: Object.entries(fleet.sites).map(([name, s]) => ({
      name, zone: s.zone, cap_w: s.cap_w, now_w: list.filter((d) => d.site === name).reduce((a, d) => a + d.rate.watts, 0),
      energy_micro_per_kwh: priceAt(name, NOW - 1), energy_known: true,
    })),
  };
}

export function nodes() {
  return {
    nodes: fleet.racks.flatMap((r) => r.nodes.map((n) => {
      const list = fleet.devices.filter((d) => d.short === n);
      return {
        id: `${r.site}/${n}`, site: r.site, hall: r.hall, rack: r.rack, state: n === 'n10' ? 'unknown' : 'ready', sim: true, version: '0.1.0-dev',
        address: '127.0.0.1:0', last_seen_ms: Date.now() - (n === 'n10' ? 25 * 60e3 : 2000), devices: counts(list), watts: list.reduce((a, d) => a + d.rate.watts, 0),
      };
    })),
  };
}

const gpu = (d) => ({
  id: d.id, node: d.node, model: d.model, use: d.now.use, job: d.now.job, coin: d.now.option, reason: d.now.reason.code, watts: d.rate.watts, sim: true, kind: d.kind,
  site: d.site, hall: d.hall, rack: d.rack, uuid: `sim-${d.short}-${d.index}`, health: ['quarantined', 'offline'].includes(d.now.use) ? 'failing' : d.now.use === 'probation' ? 'degraded' : 'healthy',
  note: '', reason_text: d.now.reason.text, reason_figures: [], since_ms: Math.round(d.since), epoch: 7,
  assigned: d.now.use === 'draining' ? 'parked' : d.now.use === 'unknown' ? 'mining KAS' : d.now.use,
  money_per_hour: { revenue: d.rate.gross, energy: d.rate.energy, net: d.rate.gross - d.rate.energy },
  hashrate: d.now.option ? Math.round(fleet.profiles[d.model].ways[d.now.option].hash * d.skill) : -1, temperature_milli_c: d.now.use === 'unknown' ? -1 : 52000 + Math.round(d.skill * 9000),
  memory: d.model === 'H100' ? 80 * 2 ** 30 : d.kind === 'gpu' ? 10 * 2 ** 30 : 0, shares_accepted: d.now.option ? 1841 + d.index * 7 : -1, shares_rejected: d.now.option ? 7 : -1,
  process_hashrate: d.now.option ? 12_400_000 : -1, pid: d.now.option || d.now.job ? 20000 + d.index : 0, option: d.now.option,
});
export const gpus = () => ({ gpus: fleet.devices.map(gpu), currency: 'USD' });

export function timeline(hours) {
  const from = NOW - Math.min(24, hours || 24) * HOUR;
  const energy = [];
  for (const site of Object.keys(fleet.sites)) {
    let last = -1;
    for (let t = Math.floor(from / HOUR) * HOUR; t < NOW; t += HOUR) {
      const p = priceAt(site, t);
      if (p !== last) energy.push({ at_ms: t, micro_per_kwh: p, site, known: true });
      last = p;
    }
  }
  return { from_ms: from, to_ms: NOW, devices: fleet.devices.map((d) => ({ id: d.id, intervals: d.intervals.filter((i) => i.to_ms > from) })), energy, currency: 'USD' };
}
export const money = (hours) => moneyPoints(fleet, Math.min(24, hours || 24));

const none = { code: '', text: '', figures: [] };
const spec = (id, gpus, model, bid) => `kind: Job\nname: ${names[id]}\ntenant: research\ngang: {gpus: ${gpus}, models: [${model}]}\nrun:\n  command: [python3, train.py, --steps, "40000"]\ncheckpoint: {signal: SIGUSR1, grace: 120s, every: 30m}\nvalue: {bid: ${bid} USD/GPU-h}\n`;
function job(id, phase, gpus, model, bid, started, reason, ended = 0, exit = 0) {
  const devices = fleet.devices.filter((d) => d.now.job === String(id)).map((d) => d.id);
  const begun = started ? NOW - started * HOUR : 0;
  const over = ended ? NOW - ended * HOUR : 0;
  return {
    id: String(id), name: names[id], tenant: 'research', phase, reason, gpus, width: phase === 'active' ? devices.length : 0, bid_micro_per_hour: micro(bid),
    submitted_ms: Math.round(NOW - ((started || 2.4) + 0.2) * HOUR), started_ms: Math.round(begun), ended_ms: Math.round(over), actor: 'token:admin', exit_code: exit, models: [model],
    spec_yaml: spec(id, gpus, model, bid), progress: phase === 'active' ? { step: 14200 + Number(id) * 310, steps: 40000, note: 'loss 1.92' } : { step: 0, steps: 0, note: '' },
    attempts: begun ? [{ number: 1, phase: over ? 'exited' : 'running', devices, created_ms: Math.round(begun), started_ms: Math.round(begun + 94e3), ended_ms: Math.round(over), exit_code: exit, reason: none }] : [],
  };
}
const list = () => [
  job(17, 'queued', 8, 'RTX 3080', 0.22, 0, { code: 'NO_FIT', text: 'no complete placement exists: needs 8 on one node, n07 can free 5, n12 4', figures: [{ name: 'needs', value: 8, text: '', unit: 'count' }] }),
  job(24, 'queued', 32, 'RTX 3080', 0.042, 0, { code: 'PRICE', text: 'bids 0.0420 USD/GPU-h; mining pays 0.0724 USD/h on the same devices', figures: [] }),
  job(25, 'waiting', 16, 'RTX 3080', 0.042, 0, { code: 'DEPENDENCY', text: 'waits on another job: 17, on success', figures: [] }),
  job(9, 'active', 11, 'RTX 3080', 0.22, 12.8, { code: 'JOB', text: 'a job pays best here', figures: [] }),
  job(11, 'active', 16, 'H100', 2.1, 26, { code: 'JOB', text: 'a job pays best here', figures: [] }),
  job(12, 'active', 8, 'RTX 3080', 0.2, 31, { code: 'JOB', text: 'a job pays best here', figures: [] }),
  job(14, 'active', 4, 'RTX 3080', 0.21, 15, { code: 'JOB', text: 'a job pays best here', figures: [] }),
  job(15, 'active', 8, 'H100', 1.9, 19, { code: 'JOB', text: 'a job pays best here', figures: [] }),
  job(5, 'succeeded', 13, 'RTX 3080', 0.19, 30, { code: 'EXIT', text: 'the process ended by itself: code 0', figures: [] }, 14),
  job(13, 'succeeded', 8, 'H100', 1.7, 40, { code: 'EXIT', text: 'the process ended by itself: code 0', figures: [] }, 9.3),
  job(16, 'cancelled', 2, 'RTX 3080', 0.1, 20, { code: 'CANCELLED', text: 'a person cancelled it', figures: [] }, 18, 143),
  job(18, 'failed', 1, 'RTX 3080', 0.3, 6, { code: 'ATTEMPTS_USED', text: 'no attempt is left: 5 of 5, last exit code 2', figures: [] }, 5.8, 2),
];
export const jobs = (all) => ({ jobs: list().filter((j) => all || !['succeeded', 'failed', 'cancelled'].includes(j.phase)), currency: 'USD' });
export const oneJob = (id) => list().find((j) => j.id === id);

export function explainJob(id) {
  const j = oneJob(id);
  if (!j) return undefined;
  const queued = j.phase === 'queued';
  return {
    job: j, plan, currency: 'USD',
    verdict: queued ? `Waits: ${j.reason.text}.` : j.phase === 'active' ? `Trains on ${j.width} devices since ${new Date(j.started_ms).toISOString().slice(11, 16)} UTC, attempt 1.` : `Is ${j.phase}: ${j.reason.text}.`,
    reasons: queued ? [j.reason, { code: 'STABLE', text: 'evicting job 9 would lose 0.9 GPU-h of work', figures: [{ name: 'lost', value: 198000, text: '', unit: 'micro' }, { name: 'horizon', value: HOUR, text: '', unit: 'ms' }] }] : [j.reason],
    break_even_bid: queued ? micro(0.33) : -1,
    ways: queued ? ['wait for job 9, which frees 3 on n07 at about 16:20: sluice job show 9', 'split over two nodes, n07 and n12: sluice job update 17 --set gang.perNode=4', 'bid 0.33 USD/GPU-h, which evicts job 9: sluice job update 17 --set value.bid=0.33'] : [],
  };
}

export function explainGpu(id) {
  const d = fleet.devices.find((x) => x.id === id);
  if (!d) return undefined;
  const at = NOW - 1;
  const cut = ({ gross, risk, energy, net, watts, board, energy_micro_per_kwh, pue_ppm }) => ({ gross, risk, energy, net, watts, board_watts: board, energy_micro_per_kwh, pue_ppm });
  const now = cut(d.rate);
  const ways = Object.keys(fleet.profiles[d.model].ways);
  const parked = cut(earn(d, 'parked', '', '', at));
  const alternatives = [];
  for (const o of ways) {
    if (o === d.now.option) continue;
    const m = cut(earn(d, 'mining', o, '', at));
    const more = m.net - now.net;
    alternatives.push({
      use: 'mining', option: o, job: '', money: m, vs_now: more,
      reason: more > 0 ? { code: 'STABLE', text: `switching costs 0.0080 USD; pays back in ${Math.round(8000 / more * 60)} m, horizon 1 h`, figures: [] } : { code: 'PRICE', text: `pays ${usd(-more)} USD/h less`, figures: [] },
      would_win_at: `${o} at ${usd(m.gross + Math.abs(more) + 8000)} USD/h gross`,
    });
  }
  if (d.kind === 'gpu' && d.now.use !== 'training') {
    const m = cut(earn(d, 'training', '', '17', at));
    m.gross = micro(0.22);
    m.net = m.gross - m.energy;
    alternatives.push({ use: 'training', option: '', job: '17', money: m, vs_now: m.net - now.net, reason: list()[0].reason, would_win_at: 'bid 0.33 USD/GPU-h, bids 0.22' });
    const n = { ...m, gross: 42000, net: 42000 - m.energy };
    alternatives.push({ use: 'training', option: '', job: '24', money: n, vs_now: n.net - now.net, reason: { code: 'PRICE', text: 'its bid covers the energy, not what mining pays', figures: [] }, would_win_at: 'bid 0.0724 USD/GPU-h, bids 0.0420' });
  }
  if (d.now.use !== 'parked') alternatives.push({ use: 'parked', option: '', job: '', money: parked, vs_now: parked.net - now.net, reason: { code: 'PRICE', text: `idle draw ${parked.watts} W at ${usd(parked.energy_micro_per_kwh, 3)} USD/kWh`, figures: [] }, would_win_at: `gross below ${usd(Math.max(0, now.energy - parked.energy + now.risk))} USD/h` });
  const best = alternatives.filter((a) => a.use !== 'parked').sort((a, b) => b.vs_now - a.vs_now)[0];
  const what = d.now.use === 'mining' ? `Mines ${d.now.option} for ${usd(now.net)} USD/h` : d.now.use === 'training' ? `Trains job ${d.now.job} for ${usd(now.net)} USD/h` : d.now.use === 'parked' ? `Is parked, costs ${usd(-now.net)} USD/h` : `Is ${d.now.use}: ${d.now.reason.text}`;
  const label = best && (best.job ? 'Job ' + best.job : best.option);
  const verdict = best ? `${what}. ${label} would bring ${usd(Math.abs(best.vs_now))} USD/h ${best.vs_now > 0 ? 'more, but ' + best.reason.text : 'less'}.` : what + '.';
  return {
    gpu: gpu(d), plan, currency: 'USD', verdict, now, alternatives,
    parks_below_gross_micro_per_hour: d.now.use === 'mining' ? Math.max(0, now.energy - parked.energy + now.risk) : -1,
    parks_above_energy_micro_per_kwh: d.now.use === 'mining' ? Math.round(((now.gross - now.risk) / (now.watts - parked.watts)) * 1000) : -1,
    quote_age_ms: 40000, horizon_ms: HOUR, history: d.intervals, market_ms: NOW,
  };
}

let revision = 118;
const docs = [
  ['Target', 'ai-share', 'kind: Target\nname: ai-share\nmeasure: devices\nof: owned\nuse: training\nmin: 35%\nmax: 60%\ntier: 3\n'],
  ['Site', 'bratsk-1', 'kind: Site\nname: bratsk-1\nzone: Asia/Irkutsk\npower:\n  cap: 180kW\n  halls:\n    - {name: air,  cap: 48kW, cooling: {pue: 1.28}}\n    - {name: tank, cap: 130kW, cooling: {pue: 1.04}}\ntariff: bratsk-hourly\n'],
  ['Site', 'odda-2', 'kind: Site\nname: odda-2\nzone: Europe/Oslo\npower: {cap: 40kW, cooling: {pue: 1.08}}\ntariff: odda-hourly\n'],
  ['Tariff', 'bratsk-hourly', 'kind: Tariff\nname: bratsk-hourly\ncurrency: USD\nbands:\n  - {price: 0.040 USD/kWh, days: mon-sun, hours: "00:00-06:00"}\n  - {price: 0.100 USD/kWh}\n'],
  ['Coin', 'KAS', 'kind: Coin\nname: KAS\nalgorithm: kheavyhash\nprice: {feed: kas-usd}\nrisk: {haircut: 4%}\n'],
  ['Tenant', 'research', 'kind: Tenant\nname: research\nguarantee: 16 GPU\ntransferPrice: 0.042 USD/GPU-h\n'],
].map(([kind, name, yaml]) => ({ kind, name, yaml, revision: 100 }));
export const policies = () => ({ policies: docs, revision, invalid: [] });
const bad = (text, file) => {
  const at = text.split('\n').findIndex((l) => /gpu_count|minimum/.test(l));
  if (at >= 0) return { status: 400, kind: 'invalid', message: `${file}:${at + 1}:1: unknown field ${text.split('\n')[at].trim().split(':')[0]}; did you mean ${/minimum/.test(text) ? 'min' : 'gpus'}?`, next: 'sluice help documents' };
  if (!/^kind: /m.test(text)) return { status: 400, kind: 'invalid', message: `${file}:1:1: no kind; a document starts with kind: and name:`, next: '' };
  return undefined;
};
export function planPolicy(text, file) {
  const err = bad(text, file);
  if (err) return { error: err };
  const kind = /^kind: +(\S+)/m.exec(text)?.[1] ?? '';
  const name = /^name: +(\S+)/m.exec(text)?.[1] ?? '';
  const old = docs.find((d) => d.kind === kind && d.name === name);
  const changed = old?.yaml !== text;
  const s = status(NOW);
  const after = { revenue: s.money_per_hour.revenue - 1.9e6, energy: s.money_per_hour.energy - 0.44e6, net: s.money_per_hour.net - 1.46e6 };
  return {
    check_index: revision, changes: changed ? [{ kind, name, what: old ? 'changed' : 'added', fields: old ? ['min 35% -> 45%'] : [] }] : [],
    moves: changed ? [{ devices: 16, from: 'mining KAS', to: 'training', model: 'RTX 3080' }, { devices: 2, from: 'mining RVN', to: 'parked', model: 'RTX 3080' }] : [],
    before: s.money_per_hour, after: changed ? after : s.money_per_hour, cost_micro_per_hour: changed ? 1460000 : 0, plan_cost_micro_per_hour: changed ? 1520000 : 0,
    below_resolution: false, displaced: [], targets: s.targets, currency: 'USD', moved_devices: changed ? 18 : 0, notes: [],
  };
}
export function applyPolicy(text, file, index) {
  const err = bad(text, file);
  if (err) return { error: err };
  if (index && index !== revision) return { error: { status: 409, kind: 'conflict', message: `the policy changed meanwhile: revision ${revision}, you saw ${index}`, next: 'look at the preview again, then apply with the new revision' } };
  const plan = planPolicy(text, file);
  text = text.replace(/: +/g, ': '); // the store spells documents in its own way
  for (const c of plan.changes) {
    const old = docs.find((d) => d.kind === c.kind && d.name === c.name);
    if (old) Object.assign(old, { yaml: text, revision: revision + 1 });
    else docs.push({ kind: c.kind, name: c.name, yaml: text, revision: revision + 1 });
  }
  revision++;
  return { revision, changes: plan.changes };
}
export function submit(text, file, dry) {
  const err = bad(text, file);
  if (err) return { error: err };
  const j = { ...list()[0], id: dry ? '' : '26', name: /^name: +(\S+)/m.exec(text)?.[1] ?? 'job' };
  return { id: j.id, log_index: 88300, job: j };
}
