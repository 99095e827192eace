import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';
import { base } from '../api/client';
import { Shell } from '../parts/Shell';
import { colourings, type Colouring } from '../theme/colouring';
import { Fleet } from './Fleet';
import { Jobs } from './Jobs';
import { Policies } from './Policies';
import { WhyGpu } from './WhyGpu';
import { WhyJob } from './WhyJob';

/** FleetSearch is what the address of the fleet page holds, so that a view can be mailed. */
export interface FleetSearch { scope?: string; hours?: number; colour?: Colouring; open?: string }

const text = (v: unknown) => (typeof v === 'string' && v !== '' ? v : typeof v === 'number' ? String(v) : undefined);

const root = createRootRoute({ component: Shell, notFoundComponent: () => <div className="main"><p>There is no such page.</p></div> });
const fleet = createRoute({
  getParentRoute: () => root, path: '/', component: Fleet,
  validateSearch: (q: Record<string, unknown>): FleetSearch => {
    const hours = Number(q.hours);
    return {
      scope: text(q.scope), hours: hours >= 1 && hours < 24 ? Math.floor(hours) : undefined,
      colour: colourings.includes(q.colour as Colouring) ? (q.colour as Colouring) : undefined, open: text(q.open),
    };
  },
});
const whyGpu = createRoute({ getParentRoute: () => root, path: '/why/gpu/$', component: WhyGpu });
const whyJob = createRoute({ getParentRoute: () => root, path: '/why/job/$id', component: WhyJob });
const jobs = createRoute({ getParentRoute: () => root, path: '/jobs', component: Jobs });
const policies = createRoute({
  getParentRoute: () => root, path: '/policies', component: Policies, validateSearch: (q: Record<string, unknown>): { doc?: string } => ({ doc: text(q.doc) }),
});

// The address bar keeps plain text: scope=bratsk-1/tank, not a quoted JSON string.
const parse = (s: string) => Object.fromEntries(new URLSearchParams(s));
const write = (o: Record<string, unknown>) => {
  const q = Object.entries(o).filter(([, v]) => v !== undefined).map(([k, v]) => k + '=' + encodeURIComponent(String(v)).replaceAll('%2F', '/').replaceAll('%2C', ','));
  return q.length ? '?' + q.join('&') : '';
};

export const router = createRouter({
  routeTree: root.addChildren([fleet, whyGpu, whyJob, jobs, policies]), basepath: base, parseSearch: parse, stringifySearch: write, scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register { router: typeof router }
}
