import { useRef, useState } from 'react';
import { Button, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../api/client';
import { client, useJobs, useStatus } from '../api/queries';
import { Card, Fail, State } from '../parts/bits';
import { byNeed, JobTable } from '../parts/JobTable';
import { zoneOf } from './Fleet';

const example = `kind: Job
name: my-training
tenant: default
gang: {gpus: 2}
run:
  command: [python3, train.py]
value: {bid: 0.30 USD/GPU-h}
`;

export function Jobs() {
  const status = useStatus();
  const jobs = useJobs(true);
  if (!status.data) return <div className="main"><p className="mut" role="status">Asking the server…</p></div>;
  const s = status.data;
  const zone = zoneOf(s.sites, '');
  const list = [...(jobs.data ?? [])].sort(byNeed);
  return (
    <div className="main">
      <div className="hd"><h1>Jobs</h1><span className="badge">{s.jobs.queued} queued</span><span className="badge ok">{s.jobs.active} active</span><span className="badge line">{s.jobs.done} done</span></div>
      <div className="jobs">
        <Card title="All jobs" sub="waiting, running, then finished">
          {jobs.error && !jobs.data ? <div className="pad"><Fail error={jobs.error} /></div> : <JobTable jobs={list} now={s.market_ms} currency={s.currency} zone={zone} full />}
        </Card>
        <Submit />
      </div>
    </div>
  );
}

function Submit() {
  const [text, set] = useState(example);
  // One id per text: pressing twice, or retrying after a lost answer, submits once.
  const request = useRef({ text: '', id: '' });
  const run = useMutation({
    mutationFn: (dry: boolean) => {
      if (request.current.text !== text) request.current = { text, id: Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('') };
      return api.submit(text, 'job.yaml', dry, dry ? '' : request.current.id);
    },
    onSuccess: () => void client.invalidateQueries({ queryKey: ['jobs'] }),
  });
  return (
    <section className="card" aria-label="Submit a job">
      <header><h2>Submit a job</h2><span className="mut sm">YAML or JSON</span></header>
      <div className="pad stackv">
        <Textarea label="Document" value={text} onChange={(e) => { set(e.currentTarget.value); run.reset(); }} autosize minRows={12} maxRows={28} spellCheck={false} />
        {run.error ? <Fail error={run.error} /> : null}
        {run.data ? (
          <p role="status">
            {run.variables ? <>It is valid. <State>{run.data.job.phase.toUpperCase()}</State> {run.data.job.reason?.text}</> : <>Submitted as <Link className="lnk b" to="/why/job/$id" params={{ id: run.data.id }}>job {run.data.id} {run.data.job.name}</Link>.</>}
          </p>
        ) : null}
        <div style={{ display: 'flex', gap: 8, justifyContent: 'end' }}>
          <Button loading={run.isPending && run.variables === true} onClick={() => run.mutate(true)}>Check</Button>
          <Button variant="filled" loading={run.isPending && run.variables === false} disabled={!text.trim()} onClick={() => run.mutate(false)}>Submit job</Button>
        </div>
      </div>
    </section>
  );
}
