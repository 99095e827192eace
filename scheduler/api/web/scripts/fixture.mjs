// The development server's stand-in for /api/v1. Run by itself it also serves
// the built page, with the content policy and sub-path of the real server:
//   node scripts/fixture.mjs [port] [base path] [token]
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NOW } from './fleet.mjs';
import * as answers from './answers.mjs';

const started = Date.now();
const market = () => NOW + Math.floor(((Date.now() - started) * Number(process.env.SPEED ?? 1)) / 1000) * 1000 * (process.env.STILL ? 0 : 1);

function send(res, value, status = 200) {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(value));
}
const refuse = (res, e) => send(res, { error: { kind: e.kind, text: e.message, next: e.next } }, e.status);

async function body(req) {
  let text = '';
  for await (const piece of req) text += piece;
  return text ? JSON.parse(text) : '';
}

function events(res) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  const tell = () => res.write(`data: ${JSON.stringify({ log_index: answers.status(market()).log_index, plan: 5121, market_ms: market() })}\n\n`);
  tell();
  const timer = setInterval(tell, 1000);
  res.on('close', () => clearInterval(timer));
}

function logs(res, follow) {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  let step = 14200;
  let offset = 0;
  const line = () => {
    const data = Buffer.from(`step ${step += 10} loss ${(1.9 + 6 / (step - 14000)).toFixed(4)} 312.4 samples/s\n`);
    res.write(JSON.stringify({ result: { data: data.toString('base64'), offset } }) + '\n');
    offset += data.length;
  };
  for (let i = 0; i < 40; i++) line();
  if (!follow) return res.end();
  const timer = setInterval(line, 1500);
  res.on('close', () => clearInterval(timer));
}

/** fixture answers what lies under /api/v1 and reports whether it did. */
export function fixture(token = '') {
  return (req, res) => {
    const url = new URL(req.url, 'http://page');
    if (!url.pathname.startsWith('/api/v1/')) return false;
    if (token && req.headers.authorization !== 'Bearer ' + token) {
      refuse(res, { status: 401, kind: 'denied', message: 'no valid token', next: 'the address that sluice dev prints carries one' });
      return true;
    }
    const path = decodeURIComponent(url.pathname.slice('/api/v1/'.length));
    const q = url.searchParams;
    const found = (v) => (v ? send(res, v) : refuse(res, { status: 404, kind: 'not found', message: `there is no ${path.split('/').slice(-1)}`, next: 'sluice gpu list' }));
    const outcome = (v) => (v.error ? refuse(res, v.error) : send(res, v));
    const post = req.method === 'POST';
    let m;
    if (path === 'status') send(res, answers.status(market()));
    else if (path === 'nodes') send(res, answers.nodes());
    else if (path === 'gpus') send(res, answers.gpus());
    else if (path === 'timeline') send(res, answers.timeline(Number(q.get('hours'))));
    else if (path === 'money') send(res, answers.money(Number(q.get('hours'))));
    else if (path === 'events') events(res);
    else if (path === 'jobs' && post) void body(req).then((b) => outcome(answers.submit(b, q.get('file') ?? '', q.get('dry_run'))));
    else if (path === 'jobs') send(res, answers.jobs(q.get('all') === 'true'));
    else if ((m = /^jobs\/(\d+)\/logs$/.exec(path))) logs(res, q.get('follow') === 'true');
    else if ((m = /^jobs\/(\d+)\/cancel$/.exec(path))) found(answers.oneJob(m[1]));
    else if ((m = /^jobs\/(\d+)$/.exec(path))) found(answers.oneJob(m[1]));
    else if ((m = /^explain\/gpus\/(.+)$/.exec(path))) found(answers.explainGpu(m[1]));
    else if ((m = /^explain\/jobs\/(.+)$/.exec(path))) found(answers.explainJob(m[1]));
    else if (path === 'policies/plan') void body(req).then((b) => outcome(answers.planPolicy(b, q.get('file') ?? '')));
    else if (path === 'policies' && post) void body(req).then((b) => outcome(answers.applyPolicy(b, q.get('file') ?? '', Number(q.get('check_index')))));
    else if (path === 'policies') send(res, answers.policies());
    else found(undefined);
    return true;
  };
}

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

export function serve(port, base = '/', token = '') {
  const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
  const answer = fixture(token);
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://page');
    if (!url.pathname.startsWith(base)) return refuse(res, { status: 404, kind: 'not found', message: 'outside the base path', next: '' });
    req.url = '/' + req.url.slice(base.length);
    if (answer(req, res)) return;
    res.setHeader('Content-Security-Policy', "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'");
    const name = normalize(url.pathname.slice(base.length)) || 'index.html';
    let file = extname(name) && !name.startsWith('..') ? name : 'index.html';
    let data = await readFile(join(dist, file)).catch(() => undefined);
    if (!data) data = await readFile(join(dist, (file = 'index.html')));
    if (file === 'index.html') data = data.toString().replace('<base href="/" />', `<base href="${base}" />`);
    res.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream' });
    res.end(data);
  });
  return new Promise((done) => server.listen(port, '127.0.0.1', () => done(server)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port = '5180', base = '/', token = ''] = process.argv.slice(2);
  const server = await serve(Number(port), base, token);
  console.log(`http://127.0.0.1:${server.address().port}${base}${token ? '#token=' + token : ''}`);
}
