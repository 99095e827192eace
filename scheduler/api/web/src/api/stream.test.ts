import { describe, expect, it } from 'vitest';
import { bytes64, eventReader, lineReader, pump } from './stream';
import { assign } from '../theme/slots';

describe('streams', () => {
  it('give whole lines however the pieces are cut', () => {
    const text = '{"a":1}\r\n\n{"b":2}\nrest';
    for (let cut = 0; cut < text.length; cut++) {
      const lines: string[] = [];
      const read = lineReader((l) => lines.push(l));
      read(text.slice(0, cut));
      read(text.slice(cut));
      expect(lines).toEqual(['{"a":1}', '', '{"b":2}']);
    }
  });
  it('give the data of events and pass over comments', () => {
    const data: string[] = [];
    const read = eventReader((d) => data.push(d));
    read(': hello\n\nevent: x\ndata: {"log');
    read('_index":1}\n\ndata:a\ndata: b\n\ndata: cut');
    expect(data).toEqual(['{"log_index":1}', 'a\nb']);
  });
  it('keep characters that a piece cuts in two', async () => {
    const raw = new TextEncoder().encode('грн ✓');
    let out = '';
    await pump(new ReadableStream({ start(c) { for (const b of raw) c.enqueue(Uint8Array.of(b)); c.close(); } }), (s) => { out += s; });
    expect(out).toBe('грн ✓');
    expect([...bytes64('AP8Q')]).toEqual([0, 255, 16]);
  });
});

describe('coin colours', () => {
  it('are kept for good and given by name', () => {
    expect(assign({}, ['RVN', 'BTC'])).toEqual({ BTC: 'btc', RVN: 'rvn' });
    expect(assign({ XMR: 'kas' }, ['KAS', 'XMR'])).toEqual({ XMR: 'kas', KAS: 'btc' });
    expect(assign({}, ['D', 'B', 'C', 'A', 'E'])).toEqual({ A: 'kas', B: 'btc', C: 'rvn', D: 'coinx', E: 'coinx' });
    expect(assign({}, ['', ''])).toEqual({});
  });
});
