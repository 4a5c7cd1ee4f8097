// Makes and checks canonical forms with the real V8.
//
//   node gen_v8.mjs corpus > v8-corpus.tsv   the committed corpus (seeded, reproducible)
//   node gen_v8.mjs canon                    base64 bodies on stdin, one a line -> base64
//                                            canonical forms, "!" where JSON.parse throws
//
// A corpus line is: body (base64), canonical form (base64; "=" for the same
// bytes, "!" for a body that JSON.parse refuses), and the first 16 digits of
// the HMAC-SHA256 of "POST" + timestamp + "/kado" + MD5(canonical form).
import { createHash, createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';

const key = 'kado-test-private-key';
const timestamp = '1700000000000';
const lines = 3200;

let state = 0x9e3779b9;
function random() { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

const space = () => (below(4) ? '' : pick([' ', '\n', '\t', '\r\n', '  ']));

const digits = (n) => { let s = ''; for (let i = 0; i < n; i++) s += below(10); return s; };

function bits() { // a double of any exponent
  const b = new DataView(new ArrayBuffer(8));
  b.setUint32(0, below(4294967296)); b.setUint32(4, below(4294967296));
  const f = b.getFloat64(0);
  return Number.isFinite(f) ? f : 0.5;
}

function number() {
  const sign = below(3) ? '' : '-';
  switch (below(9)) {
    case 0: return sign + pick(['0', '0.0', '0e5', '1e400', '1e-400', '5e-324', '2.5e-324', '1.7976931348623157e308', '1e21', '1e20',
      '999999999999999999999', '1e-6', '1e-7', '9007199254740993', '123456789012345680000', '0.000001', '100E-2', '1E+2']);
    case 1: return sign + String(below(1000)) + '.' + digits(1 + below(20));
    case 2: return sign + (1 + below(9)) + digits(below(25));
    case 3: return sign + (1 + below(9)) + '.' + digits(1 + below(17)) + pick(['e', 'E']) + pick(['', '+', '-']) + digits(1 + below(2));
    case 4: return String(bits());
    case 5: return bits().toExponential(below(20));
    case 6: return sign + (1 + below(9)) + digits(15) + '.5';
    case 7: return sign + '0.' + '0'.repeat(below(9)) + digits(1 + below(18));
    default: return String(below(100000) / 100);
  }
}

const hex4 = (n) => { const h = n.toString(16).padStart(4, '0'); return below(2) ? h : h.toUpperCase(); };

function character() {
  switch (below(12)) {
    case 0: return pick(['\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t']);
    case 1: return '\\u' + hex4(below(0x20));
    case 2: return '\\u' + hex4(0xd800 + below(0x800)); // half a pair, or by chance a whole one
    case 3: return '\\u' + hex4(0xd800 + below(0x400)) + '\\u' + hex4(0xdc00 + below(0x400));
    case 4: return '\\u' + hex4(below(0xd800));
    case 5: return pick(['\u2028', '\\u2028', '\u2029', '\u007f', '\\u007F', '\u00a0', '\ufeff', '<', '>', '&', "'", '\u0085']);
    case 6: return String.fromCodePoint(0x1f300 + below(200));
    case 7: return String.fromCodePoint(0xa1 + below(2000));
    default: return String.fromCharCode(97 + below(26));
  }
}

function string(limit) {
  let s = '"';
  for (let n = below(limit); n > 0; n--) s += character();
  return s + '"';
}

function name() {
  switch (below(6)) {
    case 0: return `"${pick(['0', '1', '2', '10', '00', '01', '-1', '1.5', '1e3', '4294967294', '4294967295', '4294967296', '9007199254740992'])}"`;
    case 1: return `"${below(30)}"`;
    case 2: return pick(['"__proto__"', '"constructor"', '"toString"', '""', '"\\u0061"', '"\\u0031"', '"length"']);
    case 3: return pick(['"a"', '"b"', '"A"', '"id"', '"data"']);
    default: return string(4);
  }
}

function value(depth) {
  switch (below(depth > 0 ? 8 : 5)) {
    case 0: return pick(['null', 'true', 'false']);
    case 1: case 2: return number();
    case 3: case 4: return string(7);
    case 5: return list('[', ']', below(4), () => value(depth - 1));
    default: return list('{', '}', below(6), () => name() + space() + ':' + space() + value(depth - 1));
  }
}

function list(open, close, n, item) {
  const items = [];
  for (let i = 0; i < n; i++) items.push(space() + item() + space());
  return open + (n ? items.join(',') : space()) + close;
}

function damage(text) {
  const at = below(text.length + 1);
  return text.slice(0, at) + pick(['', ',', '0', '.', '+', '\\', '"', '\u00a0', '\ufeff', '\u0000', '\t', '}', 'e', '-']) + text.slice(at + below(2));
}

function canonical(text) {
  try { return JSON.stringify(JSON.parse(text)); } catch { return null; }
}

function corpus() {
  const out = [];
  while (out.length < lines) {
    let text = below(4) ? list('{', '}', 1 + below(5), () => name() + space() + ':' + space() + value(below(3))) : value(1 + below(3));
    if (text.length < 4 || text.length > 70) continue;
    if (below(8) === 0) text = damage(text);
    const body = Buffer.from(text, 'utf8');
    const canon = canonical(body.toString('utf8'));
    if (canon === null) { out.push(body.toString('base64') + '\t!\t'); continue; }
    const bytes = Buffer.from(canon, 'utf8');
    const md5 = createHash('md5').update(bytes).digest('hex');
    const mac = createHmac('sha256', key).update('POST' + timestamp + '/kado' + md5).digest('hex');
    out.push([body.toString('base64'), bytes.equals(body) ? '=' : bytes.toString('base64'), mac.slice(0, 16)].join('\t'));
  }
  process.stdout.write(`# node ${process.version}, V8 ${process.versions.v8}; made by gen_v8.mjs, never edited\n` + out.join('\n') + '\n');
}

function canon() {
  const out = [];
  createInterface({ input: process.stdin }).on('line', (line) => {
    const c = canonical(Buffer.from(line, 'base64').toString('utf8'));
    out.push(c === null ? '!' : Buffer.from(c, 'utf8').toString('base64'));
  }).on('close', () => process.stdout.write(out.join('\n') + '\n'));
}

({ corpus, canon })[process.argv[2]]();
