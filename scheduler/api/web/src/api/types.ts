// The answers of the server, named as in proto/sluice/v1/operator.proto. Money
// is in micro-units of `currency`, rates are per hour, instants are milliseconds
// since the Unix epoch on the market clock unless said otherwise.

export interface Figure { name: string; value: number; text: string; unit: string }
export interface Reason { code: string; text: string; figures: Figure[] }
export interface Money3 { revenue: number; energy: number; net: number }

export interface Server { id: string; address: string; state: string; voter: boolean }
export interface DeviceCounts { total: number; mining: number; training: number; parked: number; other: number; trainable: number }
export interface PlanSummary {
  gap_ppm: number; stage: string; milliseconds: number; id: number; at_ms: number;
  bound_micro_per_hour: number; objective_micro_per_hour: number; gap_micro_per_hour: number; moves: number;
}
export interface Quote { feed: string; value: number; unit: string; at_ms: number; age_ms: number; stale: boolean; scale: number }
export interface TargetStatus { name: string; use: string; actual_ppm: number; min_ppm: number; max_ppm: number; code: string; text: string }
export interface SiteStatus { name: string; zone: string; cap_w: number; now_w: number; energy_micro_per_kwh: number; energy_known: boolean }

export interface Status {
  servers: Server[]; leader: string; term: number; log_index: number; config_revision: number; nodes: number;
  devices: DeviceCounts; ai_share_ppm: number; power_w: { now: number; cap: number }; money_per_hour: Money3;
  plan: PlanSummary; currency: string; market_ms: number; market_speed: number; cluster: string; version: string;
  jobs: { queued: number; active: number; done: number }; quotes: Quote[]; all_mining: Money3; all_parked: Money3;
  targets: TargetStatus[]; config_state: string; config_age_ms: number; sites: SiteStatus[]; sim: boolean;
}

export interface Node {
  id: string; site: string; hall: string; rack: string; state: string; sim: boolean; version: string;
  address: string; last_seen_ms: number; devices: DeviceCounts; watts: number;
}

export interface Gpu {
  id: string; node: string; model: string; use: string; job: string; coin: string; reason: string; watts: number; sim: boolean;
  kind: string; site: string; hall: string; rack: string; uuid: string; health: string; health_code: string; foreign: string; note: string; reason_text: string;
  reason_figures: Figure[]; since_ms: number; epoch: number; assigned: string; money_per_hour: Money3; hashrate: number;
  temperature_milli_c: number; memory: number; shares_accepted: number; shares_rejected: number; process_hashrate: number;
  pid: number; option: string;
}

export interface Attempt {
  number: number; phase: string; devices: string[]; created_ms: number; started_ms: number; ended_ms: number; exit_code: number; reason: Reason;
}
export interface Job {
  id: string; name: string; tenant: string; phase: string; reason: Reason; gpus: number; width: number; bid_micro_per_hour: number;
  submitted_ms: number; started_ms: number; ended_ms: number; attempts: Attempt[]; spec_yaml: string; actor: string;
  progress: { step: number; steps: number; note: string } | null; exit_code: number; models: string[];
}

export interface Breakdown { gross: number; risk: number; energy: number; net: number; watts: number; energy_micro_per_kwh: number; pue_ppm: number; board_watts: number }
export interface Alternative { use: string; option: string; job: string; money: Breakdown; vs_now: number; reason: Reason; would_win_at: string }
export interface Interval {
  from_ms: number; to_ms: number; use: string; option: string; job: string; watts: number; reason: Reason; revenue: number; energy: number; plan: number;
}
export interface GpuExplanation {
  gpu: Gpu; plan: PlanSummary; currency: string; verdict: string; now: Breakdown; alternatives: Alternative[];
  parks_below_gross_micro_per_hour: number; parks_above_energy_micro_per_kwh: number; quote_age_ms: number; horizon_ms: number;
  history: Interval[]; market_ms: number;
}
export interface JobExplanation {
  job: Job; plan: PlanSummary; currency: string; verdict: string; reasons: Reason[]; break_even_bid: number; ways: string[];
}

export interface Policy { kind: string; name: string; yaml: string; revision: number }
export interface PolicyChange { kind: string; name: string; what: string; fields: string[] }
export interface PolicyPlan {
  check_index: number; changes: PolicyChange[]; moves: { devices: number; from: string; to: string; model: string }[];
  before: Money3; after: Money3; cost_micro_per_hour: number; plan_cost_micro_per_hour: number; below_resolution: boolean;
  displaced: string[]; targets: TargetStatus[]; currency: string; moved_devices: number; notes: string[];
}

export interface DeviceTimeline { id: string; intervals: Interval[] }
export interface PriceStep { at_ms: number; micro_per_kwh: number; site: string; known: boolean }
export interface Timeline { from_ms: number; to_ms: number; devices: DeviceTimeline[]; energy: PriceStep[]; currency: string }

export interface MoneyPoint {
  at_ms: number; revenue: number; energy: number; net: number; all_mining: number; all_parked: number; millis: number;
  mining_revenue: number; training_revenue: number;
}
export interface MoneyHistory {
  points: MoneyPoint[];
  totals: { revenue: number; energy: number; net: number; all_mining: number; all_parked: number; mining_revenue: number; training_revenue: number };
  currency: string;
}
export interface WatchMessage { log_index: number; plan: number; market_ms: number }
