import type { Attempt, Breakdown, Gpu, GpuExplanation, Job, JobExplanation, Money3, MoneyHistory, PlanSummary, PolicyPlan, Reason, Status } from './types';

/**
 * complete fills what an answer lacks with the zero of its field, so that a
 * message left out, or a field that an older server does not know yet, is an
 * empty one and not an error in the middle of a page. A template of a list
 * holds one element: the template of each.
 */
export function complete<T>(template: T, value: unknown): T {
  if (value === null || value === undefined) return Array.isArray(template) ? ([] as T) : structuredClone(emptied(template));
  if (Array.isArray(template)) {
    if (!Array.isArray(value)) return [] as T;
    return (template.length ? value.map((v) => complete(template[0], v)) : value) as T;
  }
  if (typeof template === 'object' && template !== null && typeof value === 'object') {
    const out = { ...(value as Record<string, unknown>) };
    for (const [k, t] of Object.entries(template)) out[k] = complete(t, out[k]);
    return out as T;
  }
  return value as T;
}

function emptied<T>(template: T): T {
  if (Array.isArray(template)) return [] as T;
  if (typeof template === 'object' && template !== null) return Object.fromEntries(Object.entries(template).map(([k, v]) => [k, emptied(v)])) as T;
  return template;
}

const money: Money3 = { revenue: 0, energy: 0, net: 0 };
const reason: Reason = { code: '', text: '', figures: [] };
const plan: PlanSummary = {
  gap_ppm: 0, stage: '', milliseconds: 0, id: 0, at_ms: 0, bound_micro_per_hour: 0, objective_micro_per_hour: 0, gap_micro_per_hour: 0, moves: 0,
};
const breakdown: Breakdown = { gross: 0, risk: 0, energy: 0, net: 0, watts: 0, energy_micro_per_kwh: 0, pue_ppm: 0, board_watts: 0 };
const target = { name: '', use: '', actual_ppm: 0, min_ppm: -1, max_ppm: -1, code: '', text: '' };
const attempt: Attempt = { number: 0, phase: '', devices: [], created_ms: 0, started_ms: 0, ended_ms: 0, exit_code: 0, reason };

export const status: Status = {
  servers: [], leader: '', term: 0, log_index: 0, config_revision: 0, nodes: 0,
  devices: { total: 0, mining: 0, training: 0, parked: 0, other: 0, trainable: 0 }, ai_share_ppm: 0, power_w: { now: 0, cap: -1 }, money_per_hour: money,
  plan, currency: '', market_ms: 0, market_speed: 1, cluster: '', version: '', jobs: { queued: 0, active: 0, done: 0 }, quotes: [], all_mining: money,
  all_parked: money, targets: [target], config_state: '', config_age_ms: 0, sites: [], sim: false,
};
export const gpu: Gpu = {
  id: '', node: '', model: '', use: '', job: '', coin: '', reason: '', watts: 0, sim: false, kind: '', site: '', hall: '', rack: '', uuid: '', health: '', health_code: '', foreign: '', note: '',
  reason_text: '', reason_figures: [], since_ms: 0, epoch: 0, assigned: '', money_per_hour: money, hashrate: 0, temperature_milli_c: 0, memory: 0,
  shares_accepted: -1, shares_rejected: -1, process_hashrate: -1, pid: 0, option: '',
};
export const job: Job = {
  id: '', name: '', tenant: '', phase: '', reason, gpus: 0, width: 0, bid_micro_per_hour: 0, submitted_ms: 0, started_ms: 0, ended_ms: 0, attempts: [attempt],
  spec_yaml: '', actor: '', progress: { step: 0, steps: 0, note: '' }, exit_code: 0, models: [],
};
export const gpuExplanation: GpuExplanation = {
  gpu, plan, currency: '', verdict: '', now: breakdown,
  alternatives: [{ use: '', option: '', job: '', money: breakdown, vs_now: 0, reason, would_win_at: '' }],
  parks_below_gross_micro_per_hour: -1, parks_above_energy_micro_per_kwh: -1, quote_age_ms: 0, horizon_ms: 0,
  history: [{ from_ms: 0, to_ms: 0, use: '', option: '', job: '', watts: 0, reason, revenue: 0, energy: 0, plan: 0 }], market_ms: 0,
};
export const jobExplanation: JobExplanation = { job, plan, currency: '', verdict: '', reasons: [reason], break_even_bid: -1, ways: [] };
export const policyPlan: PolicyPlan = {
  check_index: 0, changes: [{ kind: '', name: '', what: '', fields: [] }], moves: [], before: money, after: money, cost_micro_per_hour: 0,
  plan_cost_micro_per_hour: 0, below_resolution: false, displaced: [], targets: [target], currency: '', moved_devices: 0, notes: [],
};
export const moneyHistory: MoneyHistory = {
  points: [{ at_ms: 0, revenue: 0, energy: 0, net: 0, all_mining: 0, all_parked: 0, millis: 0, mining_revenue: 0, training_revenue: 0 }],
  totals: { revenue: 0, energy: 0, net: 0, all_mining: 0, all_parked: 0, mining_revenue: 0, training_revenue: 0 }, currency: '',
};
