// Servers and senders of the five providers, written from their documents and
// from nothing else: no line is shared with the Go code, and the language is
// another. Reads one line of JSON (see peers.go), prints one with the URLs, and
// ends when its input does.
import { createInterface } from "node:readline";
import { Book, json, parse, send, serve } from "./server.mjs";
import { Kado, cryptoName } from "./kado.mjs";
import { Kanga } from "./kanga.mjs";
import { Koinal } from "./koinal.mjs";
import { Kuna } from "./kuna.mjs";
import { Zumo } from "./zumo.mjs";

const kinds = { kado: Kado, kanga: Kanga, koinal: Koinal, kuna: Kuna, zumo: Zumo };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const options = JSON.parse((await lines.next()).value);
const other = options.dialect === "other";
const book = new Book();
const peers = {}, urls = { crypto: cryptoName };
for (const [name, Kind] of Object.entries(kinds)) {
  peers[name] = new Kind(book, options[name], other);
  urls[name] = (await serve((req) => peers[name].handle(req))).url;
}

// deliver sends a delivery to ingest: the signed path may be another one, as
// behind a proxy.
async function deliver(b) {
  const d = peers[b.provider].delivery(b);
  const url = b.url + (d.path.startsWith("?") ? d.path : "");
  return { ...(await send({ ...d, url })), ...d };
}

const control = await serve(async (req) => {
  const b = req.body.length ? parse(req.body) : {};
  switch (req.path) {
    case "/report":
      return json(200, { calls: book.calls, faults: book.faults });
    case "/set":
      peers[b.provider].set(b);
      return json(200, {});
    case "/forget":
      peers[b.provider].forget();
      return json(200, {});
    case "/sign":
      return json(200, peers[b.provider].delivery(b));
    case "/send":
      return json(200, await deliver(b));
  }
  return json(404, {});
});
console.log(JSON.stringify({ ...urls, control: control.url }));
await lines.next(); // the end of the input
process.exit(0);
