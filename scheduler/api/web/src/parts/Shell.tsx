import { useEffect, useState, type FormEvent } from 'react';
import { ActionIcon, Button, PasswordInput, useMantineColorScheme } from '@mantine/core';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { ApiError } from '../api/client';
import { useLive, type Link as LiveLink } from '../api/live';
import { client, useStatus } from '../api/queries';
import { setToken } from '../api/token';
import type { Status } from '../api/types';
import { share } from '../fmt/number';
import { instant, span } from '../fmt/time';
import { Patterns } from '../theme/fills';
import { Fail } from './bits';

/** Shell is what every page has: bar, sign-in, patterns, live link. */
export function Shell() {
  const status = useStatus();
  const refused = status.error instanceof ApiError && status.error.status === 401;
  const link = useLive(client, status.isSuccess);
  const { pathname } = useLocation();
  const on = (part: string) => (pathname.includes(part) ? 'active' : undefined);
  // Before the first answer, and after the server was gone, keep asking.
  useEffect(() => {
    if (!status.isError || refused) return;
    const t = setInterval(() => void client.invalidateQueries(), 2000);
    return () => clearInterval(t);
  }, [status.isError, refused]);
  return (
    <>
      <a className="skip" href={location.href.split('#')[0] + '#main'}>Skip to content</a>
      <Patterns />
      <header className="top">
        <Link className="brand" to="/"><Mark />Sluice</Link>
        <nav className="nav" aria-label="Pages">
          <Link to="/" className={on('/why/gpu/')} activeOptions={{ exact: true, includeSearch: false }}>Fleet</Link>
          <Link to="/jobs" className={on('/why/job/')}>Jobs</Link>
          <Link to="/policies">Policies</Link>
        </nav>
        <span className="grow" />
        {status.data ? <Fresh s={status.data} link={status.isError ? 'lost' : link} /> : null}
        <Theme />
      </header>
      <main id="main" className="page" tabIndex={-1}>
        {refused ? <SignIn error={status.error!} /> : status.isError && !status.data ? <div className="main"><Fail error={status.error} /></div> : <Outlet />}
      </main>
    </>
  );
}

const Mark = () => (
  <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
    <path d="M2 3h14M4 3v12M14 3v12" stroke="var(--ink)" strokeWidth="1.6" fill="none" strokeLinecap="round" />
    <rect x="6.2" y="5.4" width="5.6" height="4.6" rx=".8" fill="var(--accent)" />
    <path d="M6 13.2c1-.9 2-.9 3 0s2 .9 3 0" stroke="var(--accent)" strokeWidth="1.6" fill="none" strokeLinecap="round" />
  </svg>
);

/** late names what is late, or nothing: the dot turns hollow and says the word. */
export function late(s: Status, link: LiveLink): string {
  if (link === 'lost') return 'server not reached';
  if (!s.leader) return 'no leader';
  const stale = s.quotes.filter((q) => q.stale);
  if (stale.length) return `${stale[0].feed} late`;
  if (s.config_state && !s.config_state.startsWith('ok')) return 'policy store: ' + s.config_state;
  return '';
}

function Fresh({ s, link }: { s: Status; link: LiveLink }) {
  const word = late(s, link);
  const oldest = s.quotes.length ? Math.max(...s.quotes.map((q) => q.age_ms)) : -1;
  const zone = s.sites[0]?.zone ?? 'UTC';
  return (
    <span className="fresh" title={`standing plan ${s.plan.id}, stage ${s.plan.stage}, bound proven; ${link === 'live' ? 'live' : 'asks every 2 s'}`}>
      <span className={'dot' + (word ? ' late' : '')} aria-hidden="true" />
      {word ? <span className="late-word" role="status">{word}</span> : null}
      {s.sim ? <span className="badge line" title="Some devices are simulated: their rate and money are modelled">sim</span> : null}
      {s.market_speed !== 1 ? <span className="badge line hide" title="The market clock runs faster than real time">{instant(s.market_ms, zone)} · ×{s.market_speed}</span> : null}
      <span>plan {s.plan.id}</span>
      <span className="hide">gap {share(s.plan.gap_ppm, 2)} proven</span>
      <span>{oldest < 0 ? 'no prices' : `prices ${span(oldest)} old`}</span>
    </span>
  );
}

function Theme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = { auto: 'light', light: 'dark', dark: 'auto' } as const;
  const sign = { auto: '◐', light: '○', dark: '●' }[colorScheme];
  return (
    <span className="theme">
      <ActionIcon variant="default" size={28} onClick={() => setColorScheme(next[colorScheme])} aria-label={`Colours: ${colorScheme}; change to ${next[colorScheme]}`} title={`Colours: ${colorScheme}`}>
        <span aria-hidden="true">{sign}</span>
      </ActionIcon>
    </span>
  );
}

function SignIn({ error }: { error: Error }) {
  const [value, set] = useState('');
  const submit = (e: FormEvent) => {
    e.preventDefault();
    setToken(value.trim());
    void client.resetQueries();
  };
  return (
    <form className="signin card" onSubmit={submit}>
      <header><h2>Sign in</h2></header>
      <div className="pad stackv">
        <Fail error={error} />
        <PasswordInput label="Token" description="kept for this tab only" value={value} onChange={(e) => set(e.currentTarget.value)} autoFocus autoComplete="off" />
        <Button type="submit" variant="filled" disabled={!value.trim()}>Sign in</Button>
      </div>
    </form>
  );
}
