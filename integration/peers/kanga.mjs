// Kanga TPG, from kanga.txt.
import { createHmac } from "node:crypto";
import { Answer, json, once, parse, word } from "./server.mjs";

const testSecret = "8B2EFBECA2BEBB2C413BCFD7915E9209D80F3F4222042B31DD9D605E39F2035F";

export class Kanga {
  payments = new Map();
  tokens = new Set();
  nonce = 0;

  constructor(book, options, other) {
    this.book = book;
    this.o = options;
    this.other = other;
    this.base = other ? "/gateway" : "/api";
  }

  fault(t) { this.book.fault("kanga", t); }

  fail(code) {
    return this.other ? json(code === 9001 ? 404 : 401, { result: "fail", code: String(code) }) : json(200, { result: "fail", code });
  }

  handle(req) {
    const page = req.path.match(/^\/tpg\/payment\/([^/]+)$/);
    if (req.method === "GET" && page) return this.page(req, page[1]);
    if (req.method !== "POST" || !req.path.startsWith(this.base + "/")) return new Answer(404, "<html>not found</html>", { "content-type": "text/html" });
    const body = parse(req.body);
    switch (req.path.slice(this.base.length)) {
      case "/tpg/price/estimate":
        return this.estimate(req, body);
      case "/v2/tpg/create/payment":
        return this.create(req, body);
      case "/v2/tpg/transaction":
        return this.check(req, body);
      case "/v2/test":
        this.book.call("kanga", "test");
        return body?.appId === "TEST" && Number.isSafeInteger(body.nonce) && this.signed(req, testSecret) ? json(200, { result: "ok" }) : json(200, { result: "fail" });
    }
    return new Answer(404, "<html>not found</html>", { "content-type": "text/html" });
  }

  signed(req, secret) {
    return once(req, "api-sig") === createHmac("sha512", secret).update(req.body).digest("hex");
  }

  // accepted checks key, signature and nonce. "The nonce must increase with each call."
  accepted(req, body) {
    if (body?.appId !== this.o.appId || !this.signed(req, this.o.secret)) return false;
    if (typeof body.nonce !== "number" || !Number.isSafeInteger(body.nonce)) {
      this.fault("nonce is no integer");
      return false;
    }
    if (body.nonce <= this.nonce) return false;
    this.nonce = body.nonce;
    return true;
  }

  estimate(req, body) {
    this.book.call("kanga", "price estimate");
    if (once(req, "api-sig") !== undefined) this.fault("the price estimate is signed");
    if (body?.shopToken !== this.o.appId || typeof body.token !== "string" || typeof body.quantity !== "string") return this.fail(9000);
    return json(200, { EMT: "3090", BTC: "0.0015", ETH: "0.0685", oPLN: "40.33" });
  }

  create(req, body) {
    this.book.call("kanga", "create payment token");
    if (!this.accepted(req, body)) return this.fail(9000);
    const token = word("tok");
    this.tokens.add(token);
    return json(200, { result: "ok", paymentToken: token });
  }

  check(req, body) {
    this.book.call("kanga", "check payment");
    if (!this.accepted(req, body)) return this.fail(9000);
    const p = this.payments.get(body.id);
    if (!p) return this.fail(9001);
    return json(200, { result: "ok", currency: p.currency, amount: p.amount, state: p.state });
  }

  // page is what the payer's browser opens: it begins the payment.
  page(req, key) {
    this.book.call("kanga", "start payment");
    const q = req.query;
    if (key !== this.o.appId || !["currency", "amount", "transactionKey"].every((n) => q.getAll(n).length === 1 && q.get(n))) return new Answer(400, "bad payment");
    if (q.get("paymentToken") && (!q.get("email") || !this.tokens.has(q.get("paymentToken")))) return new Answer(400, "bad token");
    this.payments.set(q.get("transactionKey"), { currency: q.get("currency"), amount: q.get("amount"), state: "NEW" });
    return new Answer(200, "<html>pay</html>", { "content-type": "text/html" });
  }

  set({ id, ...fields }) {
    this.payments.set(id, Object.assign(this.payments.get(id) ?? { currency: "oPLN", amount: "10.50", state: "NEW" }, fields));
  }

  delivery({ id }) {
    const form = "transactionKey=" + encodeURIComponent(id);
    if (!this.other) return { method: "GET", path: "?" + form, headers: {}, body: "" };
    return { method: "POST", path: "", headers: { "content-type": "application/x-www-form-urlencoded" }, body: form };
  }
}
