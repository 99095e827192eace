import type {
  GpuExplanation, Gpu, Job, JobExplanation, MoneyHistory, Node, Policy, PolicyChange, PolicyPlan, Status, Timeline,
} from './types';
import * as normal from './normal';
import { token } from './token';

/** ApiError is the server's refusal: a sentence, and the next step if it named one. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, readonly kind: string, message: string, readonly next: string) {
    super(message);
  }
}

/** Base of the page, from <base href>: the API lies beside it. */
export const base = new URL(document.baseURI).pathname;

type Query = Record<string, string | number | boolean | undefined | string[]>;

export function address(path: string, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) {
    if (Array.isArray(v)) v.forEach((one) => q.append(k, one));
    else if (v !== undefined && v !== '' && v !== false) q.set(k, String(v));
  }
  const s = q.toString();
  return base + 'api/v1/' + path + (s ? '?' + s : '');
}

/** idPath keeps the slashes of an id and escapes everything else. */
export const idPath = (id: string) => id.split('/').map(encodeURIComponent).join('/');

export async function open(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const t = token();
  if (t) headers.set('Authorization', 'Bearer ' + t);
  let res: Response;
  try {
    res = await fetch(url, { ...init, headers });
  } catch (err) {
    if (err instanceof DOMException && err.name === 'AbortError') throw err;
    throw new ApiError(0, 'unreachable', 'unavailable', 'the server does not answer', 'check that it runs; this page retries by itself');
  }
  if (!res.ok) throw await refusal(res);
  return res;
}

async function refusal(res: Response): Promise<ApiError> {
  const text = await res.text().catch(() => '');
  try {
    const e = JSON.parse(text).error;
    return new ApiError(res.status, String(e.code ?? ''), e.kind ?? '', e.text ?? e.message ?? '', e.next ?? '');
  } catch {
    return new ApiError(res.status, '', '', text.slice(0, 300) || `the server answered ${res.status}`, '');
  }
}

async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await open(address(path, query), { signal })).json() as Promise<T>;
}

/** post sends a document as the whole body, a JSON string; everything else rides in the query. */
async function post<T>(path: string, document: string | undefined, query?: Query): Promise<T> {
  const init: RequestInit = { method: 'POST' };
  if (document !== undefined) {
    init.body = JSON.stringify(document);
    init.headers = { 'Content-Type': 'application/json' };
  }
  return (await open(address(path, query), init)).json() as Promise<T>;
}

export const api = {
  status: (s?: AbortSignal) => get<Status>('status', {}, s).then((r) => normal.complete(normal.status, r)),
  nodes: (s?: AbortSignal) => get<{ nodes: Node[] }>('nodes', {}, s).then((r) => r.nodes ?? []),
  gpus: (s?: AbortSignal) => get<{ gpus: Gpu[] }>('gpus', {}, s).then((r) => normal.complete([normal.gpu], r.gpus)),
  jobs: (all: boolean, s?: AbortSignal) => get<{ jobs: Job[] }>('jobs', { all }, s).then((r) => normal.complete([normal.job], r.jobs)),
  timeline: (hours: number, s?: AbortSignal) => get<Timeline>('timeline', { hours }, s).then((r) => ({ ...r, devices: r.devices ?? [], energy: r.energy ?? [] })),
  money: (hours: number, s?: AbortSignal) => get<MoneyHistory>('money', { hours }, s).then((r) => normal.complete(normal.moneyHistory, r)),
  explainGpu: (id: string, s?: AbortSignal) => get<GpuExplanation>('explain/gpus/' + idPath(id), {}, s).then((r) => normal.complete(normal.gpuExplanation, r)),
  explainJob: (id: string, s?: AbortSignal) => get<JobExplanation>('explain/jobs/' + encodeURIComponent(id), {}, s).then((r) => normal.complete(normal.jobExplanation, r)),
  policies: (s?: AbortSignal) => get<{ policies: Policy[]; revision: number; invalid: string[] }>('policies', {}, s),
  submit: (document: string, file: string, dry_run: boolean, request_id: string) =>
    post<{ id: string; log_index: number; job: Job }>('jobs', document, { file, dry_run, request_id })
      .then((r) => ({ ...r, job: normal.complete(normal.job, r.job) })),
  cancel: (id: string) => post<Job>(`jobs/${encodeURIComponent(id)}/cancel`, undefined),
  planPolicy: (document: string, file: string, del: string[]) => post<PolicyPlan>('policies/plan', document, { file, delete: del }).then((r) => normal.complete(normal.policyPlan, r)),
  applyPolicy: (document: string, file: string, del: string[], check_index: number, comment: string) =>
    post<{ revision: number; changes: PolicyChange[] }>('policies', document, { file, delete: del, check_index, comment })
      .then((r) => ({ ...r, changes: r.changes ?? [] })),
};
