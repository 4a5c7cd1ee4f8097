// What the five providers share: HTTP, and a book of what was asked of them and
// of every request that contradicts their document.
import { createServer, request as httpRequest } from "node:http";

export class Book {
  calls = {};
  faults = [];

  call(provider, name) {
    const of = (this.calls[provider] ??= {});
    of[name] = (of[name] ?? 0) + 1;
  }

  // fault notes a request that the document forbids. Nothing secret goes into it.
  fault(provider, text) {
    this.faults.push(`${provider}: ${text}`);
  }
}

// An answer ends a request: throw one, or return one.
export class Answer {
  constructor(status, body, headers = {}) {
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

export const json = (status, value) => new Answer(status, JSON.stringify(value), { "content-type": "application/json" });
export const text = (status, value) => new Answer(status, value, { "content-type": "text/plain" });

async function read(req) {
  const parts = [];
  for await (const part of req) parts.push(part);
  return Buffer.concat(parts);
}

// serve answers requests {method, path, query, headers, raw, body} on a free port.
export function serve(handle) {
  const server = createServer(async (req, res) => {
    const body = await read(req);
    const [path, query = ""] = req.url.split("?");
    let answer;
    try {
      answer = await handle({ method: req.method, path, query: new URLSearchParams(query), headers: req.headers, raw: req.rawHeaders, body });
    } catch (e) {
      answer = e instanceof Answer ? e : text(500, String(e?.stack ?? e));
    }
    res.writeHead(answer.status, answer.headers);
    res.end(answer.body);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve({ server, url: `http://127.0.0.1:${server.address().port}` }));
  });
}

// once is a header that must be there exactly once, else undefined.
export function once(req, name) {
  const values = [];
  for (let i = 0; i < req.raw.length; i += 2) {
    if (req.raw[i].toLowerCase() === name) values.push(req.raw[i + 1]);
  }
  return values.length === 1 ? values[0] : undefined;
}

export function parse(body) {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

// send makes the request of a delivery and gives the status it was answered with.
export function send({ method, url, headers, body }) {
  return new Promise((resolve, reject) => {
    const req = httpRequest(url, { method, headers: { ...headers, "content-length": Buffer.byteLength(body) } }, async (res) => {
      resolve({ status: res.statusCode, body: (await read(res)).toString("utf8") });
    });
    req.on("error", reject);
    req.end(body);
  });
}

let counter = 0;
// word is an identifier that no other has.
export const word = (prefix) => `${prefix}-${process.pid.toString(36)}-${(++counter).toString(36).padStart(4, "0")}`;

export const need = (body, names) => names.filter((n) => typeof body?.[n] !== "string" || body[n] === "");
