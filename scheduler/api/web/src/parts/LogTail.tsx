import { useEffect, useRef, useState } from 'react';
import { address, open } from '../api/client';
import { bytes64, lineReader, pump } from '../api/stream';
import { bytes } from '../fmt/number';
import { Fail } from './bits';

const keep = 200_000; // characters; the whole log is on the node

/** LogTail follows a job's output. The newest end stays in view unless the reader scrolled away. */
export function LogTail({ id }: { id: string }) {
  const [text, setText] = useState('');
  const [size, setSize] = useState(0);
  const [error, setError] = useState<unknown>(null);
  const [ended, setEnded] = useState(false);
  const box = useRef<HTMLPreElement>(null);
  const stuck = useRef(true);
  useEffect(() => {
    const stop = new AbortController();
    const decoder = new TextDecoder();
    let all = '';
    let frame = 0;
    setError(null);
    setEnded(false);
    const read = lineReader((line) => {
      if (!line) return;
      const m = JSON.parse(line) as { result?: { data?: string; offset?: number }; error?: { text?: string; message?: string } };
      if (m.error) throw new Error(m.error.text ?? m.error.message ?? 'the log ended with an error');
      if (!m.result) return;
      const piece = bytes64(m.result.data ?? '');
      all = (all + decoder.decode(piece, { stream: true })).slice(-keep);
      const offset = (m.result.offset ?? 0) + piece.length; // the offset is that of the first byte
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        setText(all);
        setSize(offset);
      });
    });
    open(address(`jobs/${encodeURIComponent(id)}/logs`, { follow: true }), { signal: stop.signal })
      .then((res) => (res.body ? pump(res.body, read) : undefined))
      .then(() => setEnded(true))
      .catch((err) => { if (!stop.signal.aborted) setError(err); });
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [id]);
  useEffect(() => {
    if (stuck.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  return (
    <section className="card" aria-label="Log">
      <header>
        <h2>Log</h2>
        <span className="mut sm">newest attempt{size ? ', ' + bytes(size) : ''}{ended ? ', ended' : ''}</span>
        <span className="grow" />
        <code className="mut">sluice job logs {id} -f</code>
      </header>
      {error ? <div className="pad"><Fail error={error} /></div> : null}
      {text ? (
        <pre className="log" ref={box} tabIndex={0} onScroll={(e) => { const b = e.currentTarget; stuck.current = b.scrollTop + b.clientHeight > b.scrollHeight - 24; }}>{text}</pre>
      ) : error ? null : <p className="note">{ended ? 'It wrote nothing.' : 'Nothing yet.'}</p>}
    </section>
  );
}
