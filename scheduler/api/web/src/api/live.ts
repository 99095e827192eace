import { useEffect, useState } from 'react';
import type { QueryClient } from '@tanstack/react-query';
import { address, ApiError, open } from './client';
import { eventReader, pump } from './stream';
import type { WatchMessage } from './types';

export type Link = 'connecting' | 'live' | 'polling' | 'lost';

// How often a change may make a page ask again, by first word of the query key.
// A timeline is the largest answer and the one that changes least per second.
const rest: Record<string, number> = { status: 1000, gpus: 1500, jobs: 1500, nodes: 4000, timeline: 5000, money: 10000, explain: 3000, policies: 5000 };

/**
 * useLive follows the server's events and refreshes what is shown. EventSource
 * cannot send the token, so the stream is read with fetch; where it breaks, the
 * page asks every 2 s until it holds again.
 */
export function useLive(client: QueryClient, enabled: boolean): Link {
  const [link, setLink] = useState<Link>('connecting');
  useEffect(() => {
    if (!enabled) return;
    const stop = new AbortController();
    const last = new Map<string, number>();
    const due = new Map<string, number>();
    const refresh = () => {
      const now = Date.now();
      for (const [key, gap] of Object.entries(rest)) {
        const wait = (last.get(key) ?? 0) + gap - now;
        if (due.has(key)) continue;
        const fire = () => {
          due.delete(key);
          last.set(key, Date.now());
          void client.invalidateQueries({ queryKey: [key] }, { cancelRefetch: false }); // a slow answer is let in
        };
        if (wait <= 0) fire();
        else due.set(key, window.setTimeout(fire, wait));
      }
    };
    const read = eventReader((data) => {
      try {
        const m = JSON.parse(data) as WatchMessage;
        if (m.log_index !== undefined) refresh();
      } catch { /* a comment or a foreign event: nothing to refresh */ }
    });
    const pause = (ms: number) => new Promise<void>((done) => {
      const t = window.setTimeout(done, ms);
      stop.signal.addEventListener('abort', () => { clearTimeout(t); done(); });
    });
    void (async () => {
      while (!stop.signal.aborted) {
        try {
          const res = await open(address('events'), { signal: stop.signal, headers: { Accept: 'text/event-stream' } });
          setLink('live');
          if (res.body) await pump(res.body, read);
        } catch (err) {
          if (stop.signal.aborted) return;
          if (err instanceof ApiError && err.status === 401) return;
          setLink(err instanceof ApiError && err.status === 0 ? 'lost' : 'polling');
        }
        if (stop.signal.aborted) return;
        await pause(2000);
        refresh();
      }
    })();
    return () => {
      stop.abort();
      due.forEach((t) => clearTimeout(t));
    };
  }, [client, enabled]);
  return link;
}
