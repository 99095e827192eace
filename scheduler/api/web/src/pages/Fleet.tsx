import { useMemo } from 'react';
import { SegmentedControl } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useGpus, useJobs, useMoney, useStatus, useTimeline } from '../api/queries';
import { instant } from '../fmt/time';
import { inScope } from '../fmt/scope';
import { Card, Fail } from '../parts/bits';
import { HeatCard } from '../parts/HeatCard';
import { byNeed, JobTable } from '../parts/JobTable';
import { Kpis } from '../parts/Kpis';
import { MoneyCard } from '../parts/MoneyCard';
import { Needs } from '../parts/Needs';
import { ShareCard } from '../parts/ShareCard';
import { Tree } from '../parts/Tree';
import { seen } from '../theme/slots';
import type { FleetSearch } from './router';

/** zoneOf is the zone of the scope's site; of several sites with different zones it is the first one's. */
export function zoneOf(sites: { name: string; zone: string }[], site: string): string {
  return sites.find((s) => s.name === site)?.zone || sites[0]?.zone || 'UTC';
}

export function Fleet() {
  const search = useSearch({ from: '/' }) as FleetSearch;
  const navigate = useNavigate();
  const set = (patch: Partial<FleetSearch>) => void navigate({ to: '/', search: { ...search, ...patch }, replace: true, resetScroll: false });
  const scope = search.scope ?? '';
  const hours = search.hours ?? 24;
  const status = useStatus();
  const gpus = useGpus();
  const timeline = useTimeline(hours);
  const money = useMoney(24);
  const jobs = useJobs(false);
  const all = gpus.data;
  const list = useMemo(() => (all ?? []).filter((g) => inScope(g, scope)), [all, scope]);
  if (all) seen(all.map((g) => g.coin));
  const s = status.data;
  if (!s || !all) return <div className="main">{status.error || gpus.error ? <Fail error={status.error ?? gpus.error} /> : <p className="mut" role="status">Asking the server…</p>}</div>;
  const zone = zoneOf(s.sites, scope.split('/')[0]);
  const odd = (k: string) => list.filter((g) => g.use === k).length;
  return (
    <div className="lay">
      <Tree gpus={all} scope={scope} onScope={(path) => set({ scope: path || undefined })} sites={s.sites} currency={s.currency} />
      <div className="main">
        <div className="hd">
          <h1>{scope ? scope.split('/').join(' / ') : 'All sites'}</h1>
          {odd('unknown') ? <span className="badge warn">{odd('unknown')} unknown</span> : null}
          {odd('quarantined') ? <span className="badge bad">{odd('quarantined')} quarantined</span> : null}
          <span className="grow" />
          <span className="sm sec">{instant(s.market_ms, zone)} {zone}</span>
        </div>
        {list.length === 0 ? (
          <section className="card"><p className="note">{all.length ? `Nothing is at ${scope}.` : 'No agent has joined yet. Start one with: sluice agent'}</p></section>
        ) : (
          <>
            <Kpis status={s} gpus={list} scope={scope} history={money.data} />
            <HeatCard
              gpus={list} timeline={timeline.data} error={timeline.error} zone={zone} colouring={search.colour ?? 'use'} open={search.open ?? ''} hours={hours} status={s}
              onChange={set}
              ranges={<SegmentedControl aria-label="Range" value={String(hours)} onChange={(v) => set({ hours: v === '24' ? undefined : Number(v) })} data={[{ value: '1', label: '1 h' }, { value: '6', label: '6 h' }, { value: '24', label: '24 h' }]} />}
            />
            <div className="two">
              <MoneyCard history={money.data} error={money.error} status={s} zone={zone} />
              <ShareCard gpus={list} timeline={timeline.data} status={s} scope={scope} zone={zone} />
            </div>
            <div className="two even">
              <Needs gpus={list} now={s.market_ms} currency={s.currency} />
              <Card title="Jobs" sub="waiting first, whole cluster">
                {jobs.error && !jobs.data ? <div className="pad"><Fail error={jobs.error} /></div> : <JobTable jobs={[...(jobs.data ?? [])].sort(byNeed)} now={s.market_ms} currency={s.currency} zone={zone} />}
              </Card>
            </div>
          </>
        )}
      </div>
    </div>
  );
}
