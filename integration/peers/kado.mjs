// Kado, from kado.txt: signatures by the code line of the document, in V8 and,
// where it is installed, with the very library that the document names.
import { createHash, createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { json, need, once, parse, word } from "./server.mjs";

function library() {
  if (!process.env.CRYPTO_JS) return undefined;
  return createRequire(join(process.env.CRYPTO_JS, "/"))("crypto-js");
}
const CryptoJS = library();
export const cryptoName = CryptoJS ? "crypto-js" : "node:crypto";

const md5 = (s) =>
  CryptoJS ? CryptoJS.MD5(CryptoJS.enc.Utf8.parse(s)).toString(CryptoJS.enc.Hex) : createHash("md5").update(s, "utf8").digest("hex");
const hmac = (s, key) => (CryptoJS ? CryptoJS.HmacSHA256(s, key).toString() : createHmac("sha256", key).update(s, "utf8").digest("hex"));

// payloadHex is the document's: of the text that JSON.stringify makes anew.
const payloadHex = (payload) => md5(JSON.stringify(JSON.parse(payload)));

const messages = {
  order_pending: "Order is pending crypto trade", order_processing: "Order is disbursing funds",
  order_completed: "Order is complete", order_failed: "Order has failed",
};

export class Kado {
  orders = new Map();
  customers = new Map(); // by userId
  hook = {};

  constructor(book, options, other) {
    this.book = book;
    this.o = options;
    this.other = other;
  }

  fault(t) { this.book.fault("kado", t); }

  handle(req) {
    const { method, path } = req;
    if (method === "GET" && req.headers["content-type"]) this.fault(`GET ${path} has a Content-Type`);
    const order = path.match(/^\/v2\/public\/orders\/([^/]+)$/);
    if (method === "GET" && order) return this.order(req, order[1]);
    if (method === "GET" && path === "/v2/ramp/quote") return this.quote(req);
    if (!this.signed(req)) return json(401, { success: false, message: "unauthorized" });
    const upload = path.match(/^\/v2\/partner\/kyc\/([^/]+)\/upload-docs$/);
    if (method === "POST" && upload) return this.upload(req, upload[1]);
    const byRef = path.match(/^\/v1\/partner\/kyc\/ref\/([^/]+)$/);
    if (method === "GET" && byRef) return this.status("kyc status by userRef", [...this.customers.values()].find((c) => c.userRef === byRef[1]));
    const kyc = path.match(/^\/v1\/partner\/kyc\/([^/]+)$/);
    if (method === "GET" && kyc) return this.status("kyc status", this.customers.get(kyc[1]));
    switch (`${method} ${path}`) {
      case "POST /v1/partner/kyc/submit":
        return this.person(req, "kyc submit", ["phone"]);
      case "POST /v1/partner/kyc/init-partial":
        return this.person(req, "kyc init-partial", []);
      case "POST /v1/partner/configure-webhook":
        return this.configure(req);
    }
    return json(404, { success: false, message: "no such route" });
  }

  signed(req) {
    const [ts, key, sig] = ["x-timestamp", "x-public-key", "x-signature"].map((n) => once(req, n));
    const type = req.headers["content-type"] ?? "";
    const hash = req.method === "POST" && type.startsWith("application/json") ? payloadHex(req.body.toString("utf8")) : "";
    const good = hmac(req.method + ts + req.path + hash, this.o.privateKey);
    if (key !== this.o.publicKey || sig !== good) return false;
    if (!/^\d{13}$/.test(ts) || Math.abs(Date.now() - Number(ts)) > 60_000) {
      this.fault("X-Timestamp is not the current time in milliseconds");
      return false;
    }
    return true;
  }

  widget(req) {
    const id = req.headers["x-widget-id"];
    if (id !== undefined && id !== this.o.widgetId) this.fault("another X-Widget-Id");
    return id !== undefined;
  }

  data(value, status = 200) {
    return json(status, { success: true, message: "ok", data: value });
  }

  order(req, id) {
    this.book.call("kado", "order status");
    this.widget(req);
    const o = this.orders.get(id);
    return o ? this.data(o) : json(404, { success: false, message: "order not found" });
  }

  quote(req) {
    this.book.call("kado", "quote");
    if (!this.widget(req) && !this.signed(req)) return json(401, { success: false, message: "unauthorized" });
    const q = Object.fromEntries(req.query);
    const missing = need(q, ["transactionType", "fiatMethod", "amount", "asset", "blockchain", "currency"]);
    if (missing.length) return json(400, { success: false, message: "missing parameters" });
    const amount = Number(q.amount);
    return this.data({
      request: q,
      quote: {
        asset: q.asset, baseAmount: { amount, unit: q.currency }, price: { amount: 1.0001, price: 1.0001, symbol: q.asset, unit: q.currency },
        totalFee: { amount: 1.5, unit: q.currency }, receive: { amount: amount - 1.5, unit: q.currency, unitCount: (amount - 1.5) / 1.0001, symbol: q.asset },
        feeType: "standard", minValue: { amount: 10, unit: q.currency }, maxValue: { amount: 5000, unit: q.currency },
      },
    });
  }

  person(req, name, more) {
    this.book.call("kado", name);
    const p = parse(req.body);
    const missing = [...need(p, ["firstName", "lastName", "email", "dateOfBirth", ...more]), ...need(p?.address, ["street1", "postalCode", "city", "country"])];
    const us = p?.address?.country === "US";
    const bad =
      missing.length > 0 || (p.phone !== undefined && !/^\+\d{7,15}$/.test(p.phone)) || !/^\d{4}-\d\d-\d\d$/.test(p.dateOfBirth) ||
      (us && (!/^\d{9}$/.test(p.ssn ?? "") || !p.address.state));
    const known = ["firstName", "middleName", "lastName", "phone", "email", "address", "dateOfBirth", "ssn"];
    if (bad || Object.keys(p).some((k) => !known.includes(k))) return json(400, { success: false, message: `rejected: ${missing}` });
    const userId = word("user");
    this.customers.set(userId, { userId, userRef: "ref-" + userId, status: "L0", docsUploaded: false });
    return this.other ? json(200, { userId }) : this.data({ userId });
  }

  upload(req, id) {
    this.book.call("kado", "upload documents");
    const c = this.customers.get(id);
    if (!c) return json(404, { success: false, message: "no such user" });
    const boundary = (req.headers["content-type"] ?? "").match(/^multipart\/form-data; boundary=(.+)$/)?.[1];
    const parts = {};
    for (const part of req.body.toString("latin1").split(`--${boundary}`).slice(1, -1)) {
      const [head, ...rest] = part.slice(2).split("\r\n\r\n");
      const name = head.match(/name="([^"]+)"/)?.[1];
      parts[name] = { file: /filename="[^"]+"/.test(head), size: rest.join("\r\n\r\n").length - 2, value: rest.join("").slice(0, -2) };
    }
    const { documentType, documentFront, documentBack, profileImage, ...unknown } = parts;
    const images = [documentFront, documentBack, profileImage].filter(Boolean);
    if (!["license", "identificationCard", "passport"].includes(documentType?.value) || !documentFront || Object.keys(unknown).length || !images.every((p) => p.file && p.size > 0)) {
      return json(400, { success: false, message: "bad form" });
    }
    c.docsUploaded = true;
    c.status = "L1";
    c.bytes = images.reduce((n, p) => n + p.size, 0);
    return this.data({});
  }

  status(name, c) {
    this.book.call("kado", name);
    if (!c) return json(404, { success: false, message: "no such user" });
    const answer = { status: c.status, docsUploaded: c.docsUploaded };
    if (name === "kyc status by userRef") answer.userId = c.userId;
    return this.other ? json(200, answer) : this.data(answer);
  }

  configure(req) {
    this.book.call("kado", "configure webhook");
    const b = parse(req.body);
    if (need(b, ["webhookUrl", "webhookSecret"]).length || !b.webhookUrl.startsWith("https://")) return json(400, { success: false, message: "bad webhook" });
    this.hook = b;
    return this.data({});
  }

  // set makes or changes an order or a customer.
  set({ kind, id, ...fields }) {
    if (kind === "customer") {
      const c = this.customers.get(id) ?? { userId: id, userRef: "ref-" + id, status: "L0", docsUploaded: false };
      this.customers.set(id, Object.assign(c, fields));
      return;
    }
    const o = this.orders.get(id) ?? {
      id, orderType: "buy", originOfOrder: "widget", createdAt: new Date().toISOString(), method: "ach", walletAddress: "canary-wallet-kado", depositAddress: null,
      blockchain: "solana", txHash: "", paymentStatus: "pending", transferStatus: "uninitiated", machineStatusField: "PENDING_PAYMENT",
      quote: { amount: 1, price: 1, symbol: "USDC", unit: "USD" }, payAmount: { amount: 100.5, unit: "USD" }, recvAmount: { amount: 99, unit: "USDC" },
      totalFee: { amount: 1.5, unit: "USD" }, bridgeFee: [], gasFee: null, cryptoCurrency: { symbol: "USDC", decimals: 6 }, allPossibleTxHashes: { 10: "b", 2: "a" },
    };
    this.orders.set(id, Object.assign(o, fields));
  }

  // delivery is a webhook about an order, signed for the registered URL.
  delivery({ id, type }) {
    const body = { id: word("wh"), resource: "order", type, data: this.orders.get(id), message: messages[type] ?? "" };
    // The other dialect hashes the text that it sends, which is no canonical one.
    const sent = this.other ? JSON.stringify(body, null, 1).replaceAll("/", "\\/") : JSON.stringify(body);
    const ts = String(Date.now());
    const path = new URL(this.hook.webhookUrl ?? this.o.webhookUrl).pathname;
    const hash = this.other ? md5(sent) : payloadHex(sent);
    return {
      method: "POST", path, body: sent,
      headers: {
        "content-type": "application/json", "x-timestamp": ts, "x-public-key": this.o.publicKey,
        "x-signature": hmac("POST" + ts + path + hash, this.hook.webhookSecret ?? this.o.privateKey),
      },
    };
  }
}
