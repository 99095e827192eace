// A coin keeps its colour for good, whatever its rank. Three colours exist; the
// first coins seen take them, and every later one is "other coins".
const pinned: Record<string, string> = { BTC: 'btc', KAS: 'kas', RVN: 'rvn' };
const free = ['kas', 'btc', 'rvn'];

/** assign gives slots to coins not yet in `known`, in the order of their names. */
export function assign(known: Record<string, string>, coins: string[]): Record<string, string> {
  const out = { ...known };
  const taken = () => new Set(Object.values(out));
  const fresh = [...new Set(coins)].filter((c) => c && !(c in out)).sort();
  for (const c of fresh) if (pinned[c] && !taken().has(pinned[c])) out[c] = pinned[c];
  for (const c of fresh) if (!(c in out)) out[c] = free.find((s) => !taken().has(s)) ?? 'coinx';
  return out;
}

const key = 'sluice.coins';
let known: Record<string, string> = {};

export function loadSlots(): void {
  try {
    known = JSON.parse(localStorage.getItem(key) ?? '{}');
  } catch {
    known = {};
  }
}

export function seen(coins: string[]): void {
  if (coins.every((c) => !c || c in known)) return;
  known = assign(known, coins);
  try {
    localStorage.setItem(key, JSON.stringify(known));
  } catch { /* a browser without storage chooses anew each time */ }
}

export function slot(coin: string): string {
  if (!(coin in known)) seen([coin]);
  return known[coin] ?? 'coinx';
}
