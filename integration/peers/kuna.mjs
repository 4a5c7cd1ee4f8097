// KunaCore, from kuna.txt and the pages that it belongs to.
import { createHmac, randomUUID } from "node:crypto";
import { json, need, once, parse, text, word } from "./server.mjs";

const documented = {
  login: "POST /v2/auth/login", details: "POST /v2/operation/details", find: "POST /v2/operation/find", create: "POST /v2/customer/create", customer: "POST /v2/customer/details",
  token: "POST /v2/ramp/token", invalidate: "POST /v2/ramp/invalidate",
  f: { id: "id", status: "status", access: "accessToken", token: "token", skip: "skip", take: "take", kyc: "verificationStatus", wallet: "walletStatus", from: "dateFrom", amount: "sourceAmount" },
};
const different = {
  login: "POST /core/v3/login", details: "POST /core/v3/operation", find: "PUT /core/v3/operations", create: "POST /core/v3/customer", customer: "POST /core/v3/customer/one",
  token: "PUT /core/v3/widget", invalidate: "DELETE /core/v3/widget",
  f: { id: "uuid", status: "state", access: "jwt", token: "refreshToken", skip: "offset", take: "limit", kyc: "kycState", wallet: "walletState", from: "createdAfter", amount: "paidAmount" },
};

const b64 = (v) => Buffer.from(JSON.stringify(v)).toString("base64url");

export class Kuna {
  operations = new Map();
  customers = new Map();
  sessions = new Set();
  widgets = new Map(); // token -> customer

  constructor(book, options, other) {
    this.book = book;
    this.o = options;
    this.other = other;
    this.d = other ? different : documented;
  }

  fault(t) { this.book.fault("kuna", t); }

  jwt() {
    const head = `${b64({ alg: "HS256", typ: "JWT" })}.${b64({ id: word("s"), exp: Math.floor(Date.now() / 1000) + 3600 })}`;
    return `${head}.${createHmac("sha256", "kuna").update(head).digest("base64url")}`;
  }

  handle(req) {
    const { d } = this;
    if (req.method === "GET" && req.path === "/widget/") return this.widget(req.query);
    const route = `${req.method} ${req.path}`, body = parse(req.body);
    if (route === d.login) return this.login(req, body);
    if (!this.authorized(req)) return json(401, { errors: [{ code: "UNAUTHORIZED" }] });
    if (req.headers["merchant_id"] !== undefined) this.fault("merchant_id on another call than the login");
    switch (route) {
      case d.details:
        this.book.call("kuna", "operation details");
        return json(200, { data: [this.operations.get(body?.[d.f.id])].filter(Boolean) });
      case d.find:
        return this.find(req.query, body);
      case d.create:
        return this.create(body);
      case d.customer: {
        this.book.call("kuna", "customer details");
        const c = this.customers.get(body?.[d.f.id]);
        return c ? json(200, { data: c }) : json(404, { errors: [{ code: "NOT_FOUND" }] });
      }
      case d.token: {
        this.book.call("kuna", "ramp token");
        if (!this.customers.has(body?.customerId) || !body.userAgent) return json(400, { errors: [{ code: "BAD" }] });
        const token = this.jwt();
        this.widgets.set(token, body.customerId);
        return json(200, { data: { [d.f.token]: token } });
      }
      case d.invalidate:
        this.book.call("kuna", "ramp invalidate");
        if (!this.customers.has(body?.customerId)) return json(400, { errors: [{ code: "BAD" }] });
        for (const [t, c] of this.widgets) if (c === body.customerId) this.widgets.delete(t);
        return json(200, {});
    }
    return json(404, {});
  }

  login(req, body) {
    this.book.call("kuna", "login");
    if (once(req, "merchant_id") !== this.o.merchantId || body?.token !== this.o.login || body.password !== this.o.password) return json(400, { errors: [{ code: "BAD_CREDENTIALS" }] });
    const token = this.jwt();
    this.sessions.add(token);
    return json(200, { data: { [this.d.f.access]: token } });
  }

  authorized(req) {
    const bearer = once(req, "authorization"), key = once(req, this.other ? "x-kuna-key" : "api-key");
    if (bearer !== undefined && key !== undefined) this.fault("a bearer token beside a key");
    if (key !== undefined) return key === this.o.apiKey;
    return bearer?.startsWith("Bearer ") && this.sessions.has(bearer.slice(7));
  }

  find(query, filter) {
    this.book.call("kuna", "operation find");
    const { f } = this.d;
    const skip = Number(query.get(f.skip)), take = Number(query.get(f.take));
    const known = ["type", f.status, "walletId", "externalId", "targetAsset", "sourceAsset", f.from, "dateTo"];
    if (!Number.isInteger(skip) || !(take > 0) || Object.keys(filter ?? {}).some((k) => !known.includes(k))) return json(400, { errors: [{ code: "BAD" }] });
    const from = Date.parse(filter[f.from] ?? 0), to = Date.parse(filter.dateTo ?? "9999-01-01");
    const found = [...this.operations.values()].filter((o) => {
      const at = Date.parse(o.createdAt);
      return at >= from && at <= to && ["type", f.status, "walletId", "externalId", "targetAsset", "sourceAsset"].every((k) => filter[k] === undefined || filter[k] === o[k]);
    });
    return json(200, { data: found.slice(skip, skip + take) });
  }

  create(body) {
    this.book.call("kuna", "customer create");
    const taken = [...this.customers.values()].some((c) => c.email === body?.email);
    if (need(body, ["email", "firstName", "lastName", "country", "verificationDocumentId", "residenceAddress"]).length || !/^[A-Z]{2}$/.test(body.country) || taken) {
      return json(400, { errors: [{ code: "BAD_CUSTOMER" }] });
    }
    const id = randomUUID();
    this.set({ kind: "customer", id, email: body.email, phoneNumber: body.phoneNumber, firstName: body.firstName, lastName: body.lastName, comment: body.comment, externalId: body.externalId });
    return json(200, { data: this.customers.get(id) });
  }

  widget(query) {
    this.book.call("kuna", "widget");
    return query.get("institutionId") && this.widgets.has(query.get("refreshToken")) ? text(200, "widget") : text(401, "login");
  }

  set({ kind, id, status, ...fields }) {
    const { f } = this.d;
    if (kind === "customer") {
      const c = this.customers.get(id) ?? { [f.id]: id, walletId: id, createdAt: new Date().toISOString(), [f.kyc]: "ACCEPTED", [f.wallet]: "Active" };
      if (status) c[f.wallet] = status;
      this.customers.set(id, Object.assign(c, fields));
      return;
    }
    const o = this.operations.get(id) ?? {
      [f.id]: id, walletId: "wallet-1", externalId: "shop-" + id, type: "DepositWithExchange", [f.status]: "Created", createdAt: new Date().toISOString(),
      sourceAsset: "EUR", [f.amount]: "25.00", targetAsset: "USDT", targetAmount: "15.07768",
    };
    if (status) o[f.status] = status;
    this.operations.set(id, Object.assign(o, fields));
  }

  // forget ends every session.
  forget() { this.sessions.clear(); }

  delivery({ id }) {
    const o = this.operations.get(id);
    const body = this.other ? { event: "operation", operation: { uuid: id, state: o?.state } } : { id, status: o?.status };
    return { method: "POST", path: "", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  }
}
