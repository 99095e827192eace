import { type ReactNode, type RefObject, useEffect, useLayoutEffect, useState } from 'react';
import { Button, CopyButton } from '@mantine/core';
import { ApiError } from '../api/client';
import type { Reason } from '../api/types';
import { csv, download, type Grid } from '../fmt/csv';
import { sentence } from '../fmt/reason';

export const Code = ({ children }: { children: string }) => (children ? <span className="badge code">{children}</span> : null);

/** Why is a reason: the code beside the sentence, never instead of it. */
export function Why({ reason, currency, zone }: { reason: Reason | null | undefined; currency: string; zone: string }) {
  if (!reason || (!reason.code && !reason.text)) return <span className="mut">–</span>;
  return <><Code>{reason.code}</Code> <span className="sec">{sentence(reason, currency, zone)}</span></>;
}

const tones: Record<string, string> = {
  quarantined: 'bad', failed: 'bad', lost: 'bad', unknown: 'warn', draining: 'warn', probation: 'warn', foreign: 'warn', offline: 'line',
  active: 'ok', running: 'ok', succeeded: 'ok', leader: 'ok',
};
export const State = ({ children }: { children: string }) => <span className={`badge ${tones[children.toLowerCase()] ?? ''}`}>{children}</span>;

/** Fail shows a refusal as the command line does: what, and the next step. */
export function Fail({ error }: { error: unknown }) {
  const e = error instanceof ApiError ? error : undefined;
  return (
    <div className="failure" role="alert">
      <div style={{ whiteSpace: 'pre-wrap' }} className={error instanceof Error && error.message.includes('\n') ? 'mono' : undefined}>{error instanceof Error ? error.message : String(error)}{e?.kind ? <span className="mut"> · {e.kind}</span> : null}</div>
      {e?.next ? <div className="next sm">next: {e.next}</div> : null}
    </div>
  );
}

export function Card({ title, sub, tools, grid, file, children, id, badge }: {
  title: string; sub?: ReactNode; tools?: ReactNode; grid?: () => Grid; file?: string; children: ReactNode; id?: string; badge?: ReactNode;
}) {
  const [table, setTable] = useState(false);
  return (
    <section className="card chart" id={id} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {sub ? <span className="mut sm">{sub}</span> : null}
        {badge}
        <span className="grow" />
        {tools}
        {grid ? (
          <>
            <Button variant="subtle" color="gray" aria-pressed={table} onClick={() => setTable(!table)} style={{ color: 'var(--ink-2)', paddingInline: 6 }}>{table ? 'Chart' : 'Table'}</Button>
            <Button variant="subtle" color="gray" onClick={() => download((file ?? 'sluice') + '.csv', csv(grid()))} style={{ color: 'var(--ink-2)', paddingInline: 6 }}>CSV</Button>
          </>
        ) : null}
      </header>
      {table && grid ? <GridTable grid={grid()} /> : children}
    </section>
  );
}

const pageRows = 500;

function GridTable({ grid }: { grid: Grid }) {
  const figure = grid.head.map((_, i) => grid.rows.length > 0 && grid.rows.every((r) => typeof r[i] === 'number' || r[i] === '' || /^[−+]?[\d\u202f.]+$/.test(String(r[i]))));
  return (
    <div className="scroll tall" tabIndex={0}>
      <table className="data">
        <thead><tr>{grid.head.map((h, i) => <th key={h} className={figure[i] ? 'num' : ''}>{h}</th>)}</tr></thead>
        <tbody>
          {grid.rows.slice(0, pageRows).map((r, n) => <tr key={n}>{r.map((c, i) => <td key={i} className={figure[i] ? 'num' : ''}>{c}</td>)}</tr>)}
        </tbody>
      </table>
      {grid.rows.length > pageRows ? <p className="note sm">{pageRows} of {grid.rows.length} rows are shown; the CSV has all.</p> : null}
    </div>
  );
}

/** Command is a line to type, with a button that copies it. */
export const Command = ({ children }: { children: string }) => (
  <div className="cmd">
    <code>{children}</code>
    <CopyButton value={children}>
      {({ copied, copy }) => <button type="button" onClick={copy} aria-label={`Copy ${children}`}>{copied ? 'copied' : 'copy'}</button>}
    </CopyButton>
  </div>
);

/** useWidth follows the width of an element, in whole pixels. */
export function useWidth(ref: RefObject<HTMLElement | null>, first: number): number {
  const [width, setWidth] = useState(first);
  useLayoutEffect(() => {
    if (!ref.current) return;
    setWidth(Math.round(ref.current.getBoundingClientRect().width));
    const watch = new ResizeObserver((e) => setWidth(Math.round(e[0].contentRect.width)));
    watch.observe(ref.current);
    return () => watch.disconnect();
  }, [ref]);
  return width;
}

/** usePhone is true where charts scroll and tables stack. */
export function usePhone(): boolean {
  const [phone, set] = useState(() => matchMedia('(max-width: 760px)').matches);
  useEffect(() => {
    const m = matchMedia('(max-width: 760px)');
    const on = () => set(m.matches);
    m.addEventListener('change', on);
    return () => m.removeEventListener('change', on);
  }, []);
  return phone;
}
