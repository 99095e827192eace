import { useState } from 'react';
import { Button, Modal } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { api } from '../api/client';
import { client, useExplainJob, useNodes, useStatus } from '../api/queries';
import { count, rate, share, trueMinus } from '../fmt/number';
import { span, when } from '../fmt/time';
import { packIds } from '../fmt/use';
import { Card, Code, Fail, State, Why } from '../parts/bits';
import { Reasons, Ways } from '../parts/JobCard';
import { since } from '../parts/JobTable';
import { LogTail } from '../parts/LogTail';
import { zoneOf } from './Fleet';

const over = ['succeeded', 'failed', 'cancelled'];

export function WhyJob() {
  const { id } = useParams({ from: '/why/job/$id' });
  const status = useStatus();
  const nodes = useNodes();
  const q = useExplainJob(id);
  const [asking, ask] = useState(false);
  const cancel = useMutation({ mutationFn: () => api.cancel(id), onSuccess: () => { ask(false); void client.invalidateQueries(); } });
  if (q.error && !q.data) return <div className="main"><Fail error={q.error} /></div>;
  if (!q.data || !status.data) return <div className="main"><p className="mut" role="status">Asking the server…</p></div>;
  const e = q.data;
  const j = e.job;
  const now = status.data.market_ms;
  const first = j.attempts[j.attempts.length - 1]?.devices[0] ?? '';
  const site = nodes.data?.find((n) => first.startsWith(n.id + '/'))?.site ?? '';
  const zone = zoneOf(status.data.sites, site);
  const bid = rate(j.bid_micro_per_hour, e.currency, 4).replace('/h', '/GPU-h');
  return (
    <div className="main">
      <nav className="crumb" aria-label="Place"><Link to="/jobs">Jobs</Link><span>/ <span className="sec">{j.id}</span></span></nav>
      <div className="hd">
        <h1>Job {j.id} {j.name}</h1>
        <State>{j.phase.toUpperCase()}</State>
        <Code>{j.reason?.code ?? ''}</Code>
        <span className="sm mut">{since(j, now)}</span>
        <span className="grow" />
        {over.includes(j.phase) ? null : <Button onClick={() => ask(true)}>Cancel job…</Button>}
      </div>
      <div className="facts">
        <span>tenant <b>{j.tenant}</b></span>
        <span>GPUs <b>{j.gpus}{j.models.length ? ' × ' + j.models.join(' or ') : ''}</b></span>
        {j.phase === 'active' ? <span>holds <b>{j.width}</b></span> : null}
        <span>bids <b>{bid}</b></span>
        <span>submitted <b>{when(j.submitted_ms, now, zone)}{j.actor ? ' by ' + j.actor : ''}</b></span>
        {j.ended_ms ? <span>ended <b>{when(j.ended_ms, now, zone)}, exit code {j.exit_code}</b></span> : null}
        {j.progress && j.progress.steps > 0 ? <span>step <b>{count(j.progress.step)} of {count(j.progress.steps)}</b></span> : null}
      </div>
      <div className="why">
        <div className="stackv">
          <section className="card" aria-label="Verdict">
            <p className="verdict">{trueMinus(e.verdict)}</p>
            <div className="pad">
              {j.progress && j.progress.steps > 0 ? (
                <div className="meter" role="img" aria-label={`step ${j.progress.step} of ${j.progress.steps}`}><i style={{ width: `${(100 * j.progress.step) / j.progress.steps}%`, background: 'var(--u-train)' }} /></div>
              ) : null}
              <Reasons e={e} zone={zone} />
              <Ways ways={e.ways} phase={j.phase} />
            </div>
            <div className="rec"><span>plan {e.plan.id} · gap {share(e.plan.gap_ppm, 2)} proven</span><span className="grow" /><code>sluice explain job {j.id}</code></div>
          </section>
          <Card title="Attempts">
            {j.attempts.length === 0 ? <p className="note">None yet.</p> : (
              <div className="scroll">
                <table className="rows">
                  <thead><tr><th>#</th><th>Phase</th><th>Devices</th><th className="num">Started</th><th className="num">Ran</th><th className="num">Exit</th></tr></thead>
                  <tbody>
                    {[...j.attempts].reverse().map((a) => (
                      <tr key={a.number}>
                        <td className="b">{a.number}</td>
                        <td><State>{a.phase}</State></td>
                        <td className="wide sec">{packIds(a.devices)}{a.reason?.code ? <> <Why reason={a.reason} currency={e.currency} zone={zone} /></> : null}</td>
                        <td className="num">{a.started_ms ? when(a.started_ms, now, zone) : <span className="mut">–</span>}</td>
                        <td className="num hide-s">{a.started_ms ? span((a.ended_ms || now) - a.started_ms) : <span className="mut">–</span>}</td>
                        <td className="num hide-s">{a.ended_ms ? a.exit_code : <span className="mut">–</span>}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </Card>
          {j.attempts.length ? <LogTail key={j.id} id={j.id} /> : null}
        </div>
        <section className="card" aria-label="Submitted document">
          <header><h2>As submitted</h2></header>
          <pre className="yaml" tabIndex={0}>{j.spec_yaml || 'not kept'}</pre>
        </section>
      </div>
      <Modal opened={asking} onClose={() => ask(false)} title={`Cancel job ${j.id} ${j.name}`} centered>
        <div className="stackv">
          <p>{j.phase === 'active' ? `It is told to save, then stopped; its ${j.width} devices go to their next use.` : 'It leaves the queue.'} This cannot be undone.</p>
          {cancel.error ? <Fail error={cancel.error} /> : null}
          <div style={{ display: 'flex', gap: 8, justifyContent: 'end' }}>
            <Button onClick={() => ask(false)}>Keep it</Button>
            <Button variant="filled" loading={cancel.isPending} onClick={() => cancel.mutate()}>Cancel the job</Button>
          </div>
        </div>
      </Modal>
    </div>
  );
}
