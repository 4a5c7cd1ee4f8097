// Koinal Checkout, from koinal.txt. What that document has lost is chosen here
// twice: as anyone would guess, and differently.
import { createHash, createHmac } from "node:crypto";
import { json, once, parse, word } from "./server.mjs";

const guessed = {
  quote: ["POST", "/quote"], order: ["POST", "/order"], status: ["GET", /^\/order\/([^/]+)\/status$/], auth: "authorization", scheme: "", unit: 1, tokenHeader: "token",
  wallet: "wallet_address", tag: "destination_tag", ip: "ip_address", header: "Signature", completed: "COMPLETED",
  order_: (o) => ({ id: o.id, status: o.status, currency_amount: o.fiat, currency: o.currency, cryptocurrency_amount: o.crypto, cryptocurrency: o.asset, transaction_id: o.tx, timestamp: String(Date.now()) }),
  checkout: (url, id) => ({ checkout_url: url, id }),
};
const different = {
  quote: ["POST", "/api/checkout/get-quote"], order: ["PUT", "/api/checkout/create"], status: ["POST", /^\/api\/checkout\/([^/]+)\/status$/], auth: "x-authorization-hash", scheme: "Hash ",
  unit: 1000, tokenHeader: "quote-token", wallet: "walletAddress", tag: "xrpTag", ip: "customerIp", header: "Koinal-Callback-Sign", completed: "Settled",
  order_: (o) => ({ order: { number: String(o.id), state: o.status }, totalFiat: o.fiat, fiatCode: o.currency, amount: o.crypto, coin: o.asset, txid: o.tx, requestedAt: "x" }),
  checkout: (url, id) => ({ redirect: { to: url }, order: { number: String(id) } }),
};

export class Koinal {
  quotes = new Map();
  orders = new Map();
  next = 1000;

  constructor(book, options, other) {
    this.book = book;
    this.o = options;
    this.other = other;
    this.d = other ? different : guessed;
  }

  fault(t) { this.book.fault("koinal", t); }
  refuse() { return json(200, { code: "96", message: "DECLINED", status: "DECLINED" }); }
  approve(data) { return json(200, { data, code: "00", message: "APPROVED", status: "APPROVED" }); }

  handle(req) {
    const { d } = this;
    if (!this.authorized(req)) return json(401, { code: "01", message: "UNAUTHORIZED", status: "DECLINED" });
    if (req.method === d.quote[0] && req.path === d.quote[1]) return this.quote(parse(req.body));
    if (req.method === d.order[0] && req.path === d.order[1]) return this.create(req, parse(req.body));
    const status = req.path.match(d.status[1]);
    if (req.method === d.status[0] && status) {
      this.book.call("koinal", "order status");
      const o = this.orders.get(status[1]);
      return o ? this.approve(this.d.order_(o)) : json(404, { code: "14", message: "NOT FOUND", status: "DECLINED" });
    }
    return json(404, {});
  }

  // authorized opens the authorization hash and makes its signature anew.
  authorized(req) {
    const value = once(req, this.d.auth);
    if (!value?.startsWith(this.d.scheme)) return false;
    const hash = value.slice(this.d.scheme.length);
    const token = parse(Buffer.from(hash, "base64"));
    if (!token || Buffer.from(JSON.stringify(token)).toString("base64") !== hash) return false;
    const { merchant_code: code, customer_reference: ref, timestamp, signature } = token;
    if (code !== this.o.merchantCode || typeof ref !== "string" || typeof timestamp !== "string") return false;
    const right = createHmac("sha256", this.o.secret).update(`${code}${ref}${timestamp}${this.o.secret}`).digest("hex");
    if (signature !== right) return false;
    if (Math.abs(Date.now() - Number(timestamp) * this.d.unit) > 60_000) this.fault("timestamp of the hash is another time");
    this.book.call("koinal", "authorization hash");
    return true;
  }

  quote(b) {
    this.book.call("koinal", "quote");
    const fiat = b?.currency_amount, crypto = b?.cryptocurrency_amount;
    if ((fiat === undefined) === (crypto === undefined) || typeof (fiat ?? crypto) !== "number" || !b.currency || !b.cryptocurrency) return this.refuse();
    const q = { fiat: fiat ?? 1000, crypto: crypto ?? 0.10034116, currency: b.currency, asset: b.cryptocurrency, token: createHash("md5").update(word("q")).digest("hex") };
    this.quotes.set(q.token, q);
    return this.approve({ cryptocurrency_amount: q.crypto, cryptocurrency: q.asset, currency_amount: q.fiat, currency: q.currency, token: q.token });
  }

  create(req, b) {
    this.book.call("koinal", "create order");
    const q = this.quotes.get(b?.token);
    if (!q || once(req, this.d.tokenHeader) !== b.token) return this.refuse();
    const tag = b[this.d.tag];
    if (!b[this.d.wallet] || !/^[0-9a-f.:]+$/.test(b[this.d.ip] ?? "") || (tag !== undefined && (q.asset !== "XRP" || !/^\d+$/.test(tag)))) return this.refuse();
    this.quotes.delete(b.token);
    const id = ++this.next;
    this.orders.set(String(id), { id, status: "PENDING", ...q, tx: "" });
    return this.approve(this.d.checkout(`https://checkout.example.com/pay/${id}`, id));
  }

  set({ id, ...fields }) {
    this.orders.set(id, Object.assign(this.orders.get(id) ?? { id: Number(id), status: "PENDING", fiat: 1000, crypto: 0.10034116, currency: "USD", asset: "BTC", tx: "" }, fields));
  }

  // delivery is the callback: the two readings of "with SHA-256", one a dialect.
  delivery({ id }) {
    const body = JSON.stringify(this.d.order_(this.orders.get(id)), null, this.other ? 2 : 0);
    const s = this.o.callbackSecret;
    const sign = this.other ? createHmac("sha256", s).update(body + s).digest("hex") : createHash("sha256").update(body + s).digest("hex");
    return { method: "POST", path: "", body, headers: { "content-type": "application/json", [this.d.header]: sign } };
  }
}
