import { Link } from '@tanstack/react-router';
import type { Job } from '../api/types';
import { count, money } from '../fmt/number';
import { span, when } from '../fmt/time';
import { Code, State } from './bits';
import { sentence } from '../fmt/reason';

const rank: Record<string, number> = { queued: 0, held: 1, waiting: 2, active: 3, failed: 4, cancelled: 5, succeeded: 6 };

/** byNeed puts what waits first, then what runs, then what ended, newest first. */
export const byNeed = (a: Job, b: Job) =>
  (rank[a.phase] ?? 9) - (rank[b.phase] ?? 9) || b.submitted_ms - a.submitted_ms || (a.id < b.id ? -1 : 1);

export function since(j: Job, now: number): string {
  if (j.ended_ms) return span((j.ended_ms || now) - (j.started_ms || j.submitted_ms));
  return span(now - (j.phase === 'active' ? j.started_ms : j.submitted_ms));
}

export function JobTable({ jobs, now, currency, zone, full }: { jobs: Job[]; now: number; currency: string; zone: string; full?: boolean }) {
  if (!jobs.length) return <p className="note">No job waits or runs.</p>;
  return (
    <div className="scroll">
      <table className="rows">
        <thead>
          <tr><th>Phase</th><th>Job</th><th>Why</th><th className="num">GPUs</th>{full ? <><th className="num">Bid {currency}/GPU-h</th><th>Submitted</th></> : null}<th className="num">For</th></tr>
        </thead>
        <tbody>
          {jobs.map((j) => (
            <tr key={j.id}>
              <td><State>{j.phase.toUpperCase()}</State></td>
              <td className="nw"><Link className="b" to="/why/job/$id" params={{ id: j.id }}>{j.id} {j.name}</Link>{full ? <span className="mut"> {j.tenant}</span> : null}</td>
              <td className="sec wide">
                {j.phase === 'active' && j.progress && j.progress.steps > 0
                  ? <>step {count(j.progress.step)} of {count(j.progress.steps)}{j.progress.note ? ', ' + j.progress.note : ''}</>
                  : <><Code>{j.reason?.code ?? ''}</Code> {sentence(j.reason, currency, zone)}</>}
              </td>
              <td className="num">{j.phase === 'active' && j.width !== j.gpus ? `${j.width} of ${j.gpus}` : j.gpus}<span className="only-s">{j.gpus === 1 ? ' GPU' : ' GPUs'}</span></td>
              {full ? <><td className="num hide-s">{money(j.bid_micro_per_hour, 3)}</td><td className="nw sec hide-s">{when(j.submitted_ms, now, zone)}</td></> : null}
              <td className="num sec hide-s">{since(j, now)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
