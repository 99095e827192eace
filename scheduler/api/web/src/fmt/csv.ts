import { MINUS, NARROW } from './number';

/** Grid is a table built from the same response as its chart. */
export interface Grid { head: string[]; rows: (string | number)[][] }

/** csv encodes a grid after RFC 4180; figures lose their typography. */
export function csv(grid: Grid): string {
  const cell = (v: string | number) => {
    const s = typeof v === 'number' ? String(v) : plain(v);
    // A leading =, +, - or @ would be run as a formula by a spreadsheet.
    const safe = typeof v === 'string' && /^[=+\-@]/.test(s) && !/^[+-]?[\d.]+$/.test(s) ? "'" + s : s;
    return /[",\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };
  return [grid.head, ...grid.rows].map((r) => r.map(cell).join(',')).join('\r\n') + '\r\n';
}

const plain = (s: string) => s.replaceAll(NARROW, '').replaceAll(MINUS, '-').replaceAll('\u00a0', ' ');

export function download(name: string, text: string): void {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 1000);
}
