// Lines and events of a streaming answer. Both parsers are fed whatever pieces
// the network cuts, and keep the unfinished rest.

export function lineReader(onLine: (line: string) => void): (piece: string) => void {
  let rest = '';
  return (piece) => {
    rest += piece;
    let end: number;
    while ((end = rest.indexOf('\n')) >= 0) {
      onLine(rest.slice(0, end).replace(/\r$/, ''));
      rest = rest.slice(end + 1);
    }
  };
}

/** eventReader reads server-sent events and hands out the data of each. */
export function eventReader(onData: (data: string) => void): (piece: string) => void {
  let data: string[] = [];
  return lineReader((line) => {
    if (line === '') {
      if (data.length) onData(data.join('\n'));
      data = [];
    } else if (line.startsWith('data:')) {
      data.push(line.slice(5).replace(/^ /, ''));
    }
  });
}

/** pump reads a body to its end, decoding across piece borders. */
export async function pump(body: ReadableStream<Uint8Array>, sink: (piece: string) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    sink(decoder.decode(value, { stream: true }));
  }
  sink(decoder.decode());
}

/** bytes64 decodes standard base64. */
export function bytes64(text: string): Uint8Array {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
