import type { Gpu } from '../api/types';

/** What a device does, split: an option carries its coin before any '#'. */
export interface Use { kind: string; option: string; coin: string; job: string }

export const abnormal = ['draining', 'probation', 'quarantined', 'foreign', 'offline', 'unknown'];

/** parseUse reads "mining KAS#1", "training job 17" or a bare kind with its parts beside it. */
export function parseUse(text: string, option = '', job = ''): Use {
  const words = (text || 'parked').split(' ');
  const kind = words[0];
  if (kind === 'mining' && !option) option = words[1] ?? '';
  if (kind === 'training' && !job) job = (words[1] === 'job' ? words[2] : words[1]) ?? '';
  if (kind !== 'mining') option = '';
  if (kind !== 'training' && kind !== 'draining') job = '';
  return { kind, option, coin: option.split('#')[0], job };
}

export const useOf = (g: Gpu): Use => parseUse(g.use, g.option || g.coin, g.job);

/**
 * assignedOf is what the device is ordered to; the same as its use once settled.
 * On the way, option and job are those of the order.
 */
export const assignedOf = (g: Gpu): Use =>
  g.assigned && g.assigned !== g.use ? parseUse(g.assigned, g.use.startsWith('mining') ? '' : g.option || g.coin, g.use.startsWith('training') ? '' : g.job) : useOf(g);

export function useText(u: Use): string {
  if (u.kind === 'mining') return u.option ? 'mining ' + optionText(u.option) : 'mining';
  if (u.kind === 'training') return u.job ? 'training job ' + u.job : 'training';
  return u.kind;
}

/** optionText spells a variant: KAS#1 is the second way the profile gives for KAS. */
export function optionText(option: string): string {
  const [coin, n] = option.split('#');
  return n === undefined ? coin : `${coin}, mode ${Number(n) + 1}`;
}

/** colourKey names the fill of a use; keys are CSS custom properties --u-<key>. */
export function colourKey(u: Use, slot: (coin: string) => string): string {
  switch (u.kind) {
    case 'training': return 'train';
    case 'mining': return slot(u.coin);
    case 'parked': return 'park';
    default: return u.kind;
  }
}

/** Order of the fills in strips and legends: training, coins, parked, then the rest. */
export const order = ['train', 'btc', 'kas', 'rvn', 'coinx', 'park', ...abnormal];

/** shortId drops the site: bratsk-1/n07/3 is n07/3. */
export const shortId = (id: string) => id.split('/').slice(-2).join('/');

/** packIds joins device numbers of one node: n02/4–7 and n03/1, 5. */
export function packIds(ids: string[]): string {
  const groups = new Map<string, string[]>();
  for (const id of ids) {
    const at = id.lastIndexOf('/');
    const node = shortId(id).split('/')[0];
    const key = at < 0 ? id : node;
    groups.set(key, [...(groups.get(key) ?? []), at < 0 ? '' : id.slice(at + 1)]);
  }
  return [...groups].map(([node, list]) => {
    if (list[0] === '') return node;
    if (!list.every((x) => /^\d+$/.test(x))) return `${node}/${list.join(', ')}`;
    const ns = list.map(Number).sort((a, b) => a - b);
    const runs: string[] = [];
    for (let i = 0; i < ns.length;) {
      let j = i;
      while (j + 1 < ns.length && ns[j + 1] === ns[j] + 1) j++;
      runs.push(j === i ? `${ns[i]}` : j === i + 1 ? `${ns[i]}, ${ns[j]}` : `${ns[i]}–${ns[j]}`);
      i = j + 1;
    }
    return `${node}/${runs.join(', ')}`;
  }).join('; ');
}
