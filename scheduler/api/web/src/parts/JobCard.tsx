import { Link } from '@tanstack/react-router';
import { useExplainJob } from '../api/queries';
import type { JobExplanation } from '../api/types';
import { rate } from '../fmt/number';
import { capital, splitCommand } from '../fmt/reason';
import { Code, Command, Fail, State, Why } from './bits';
import { since } from './JobTable';

const waiting = ['queued', 'waiting', 'held'];

/** Reasons says why it waits or runs, with what a bid would change. */
export function Reasons({ e, zone }: { e: JobExplanation; zone: string }) {
  const waits = waiting.includes(e.job.phase);
  return (
    <>
      {e.reasons.length ? (
        <>
          <h2 className="sub" style={{ marginTop: 8 }}>{waits ? 'Why it waits' : 'Why'}</h2>
          {e.reasons.map((r, i) => <p key={i} style={{ marginTop: 3 }}><Why reason={r} currency={e.currency} zone={zone} /></p>)}
        </>
      ) : null}
      {waits ? (
        <p className="sec" style={{ marginTop: 6 }}>
          {e.break_even_bid < 0 ? `No bid helps; it bids ${rate(e.job.bid_micro_per_hour, e.currency, 4).replace('/h', '/GPU-h')}.`
            : <>Would start at a bid of <b>{rate(e.break_even_bid, e.currency, 4).replace('/h', '/GPU-h')}</b>; it bids {rate(e.job.bid_micro_per_hour, e.currency, 4).replace('/h', '/GPU-h')}.</>}
        </p>
      ) : null}
    </>
  );
}

export function Ways({ ways, phase }: { ways: string[]; phase: string }) {
  if (!ways.length) return null;
  return (
    <>
      <h2 className="sub" style={{ marginTop: 10 }}>{waiting.includes(phase) ? 'Ways to start' : 'What you can do'}</h2>
      <ul className="ways">
        {ways.map((w) => {
          const { text, command } = splitCommand(w);
          return <li key={w}>{capital(text)}{command ? <Command>{command}</Command> : null}</li>;
        })}
      </ul>
    </>
  );
}

/** JobCard is the short form beside a device. */
export function JobCard({ id, now, zone }: { id: string; now: number; zone: string }) {
  const q = useExplainJob(id);
  if (q.error && !q.data) return <Fail error={q.error} />;
  if (!q.data) return null;
  const e = q.data;
  return (
    <section className="card" aria-label={`Job ${id}`}>
      <header>
        <h2>Job {id} {e.job.name}</h2>
        <State>{`${e.job.phase.toUpperCase()}`}</State><span className="sm mut">{since(e.job, now)}</span>
        {e.job.phase === 'queued' ? <Code>{e.job.reason?.code ?? ''}</Code> : null}
        <span className="grow" />
        <Link className="lnk" to="/why/job/$id" params={{ id }}>Job</Link>
      </header>
      <div className="pad">
        <p style={{ fontSize: 15, lineHeight: '21px' }}>{e.verdict}</p>
        <Reasons e={e} zone={zone} />
        <Ways ways={e.ways} phase={e.job.phase} />
      </div>
    </section>
  );
}
