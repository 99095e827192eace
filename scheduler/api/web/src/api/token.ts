// The token arrives in the fragment, which no server and no log ever sees, and
// leaves the address bar at once, so that a copied address does not carry it.
const key = 'sluice.token';

export function takeToken(): void {
  const m = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!m) return;
  setToken(decodeURIComponent(m[1]));
  history.replaceState(history.state, '', location.pathname + location.search);
}

export function token(): string {
  return sessionStorage.getItem(key) ?? '';
}

export function setToken(value: string): void {
  if (value) sessionStorage.setItem(key, value);
  else sessionStorage.removeItem(key);
}
