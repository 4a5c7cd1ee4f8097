// Zumo, from zumo.txt: tokens that rotate, users, and the webhook, whose
// signature the document does not describe and each dialect makes in its way.
import { createHmac, randomUUID } from "node:crypto";
import { Answer, json, once, parse, text, word } from "./server.mjs";

const error = (statusCode) => json(statusCode, { statusCode, type: "invalid_request_error", message: "Entity not found." });

export class Zumo {
  users = new Map();
  tokens; // the newest set of the account
  userTokens = new Map(); // refresh token -> user

  constructor(book, options, other) {
    this.book = book;
    this.o = options;
    this.other = other;
    this.paging = other ? ["pageSize", "startAt"] : ["limit", "offset"];
  }

  fault(t) { this.book.fault("zumo", t); }

  issue() {
    return { accessToken: word("access"), expiresIn: this.other ? 3600_000 : "3600", refreshToken: word("refresh") };
  }

  handle(req) {
    if (!req.path.startsWith("/v1/")) return error(404);
    const path = req.path.slice(3);
    const body = req.body.length ? parse(req.body) : undefined;
    if (path === "/token/") return req.method === "POST" ? this.token(req, body) : error(404);
    if (path !== "/app-users" && !path.endsWith("/")) { // a slash that is missing: the redirect would lose the body
      this.fault(`${req.method} ${path} without its slash`);
      return new Answer(301, "", { location: path + "/" });
    }
    if (!this.tokens || once(req, "authorization") !== `Bearer ${this.tokens.accessToken}`) return error(401);
    if (path === "/app-users" && req.method === "GET") return this.list(req.query);
    const token = path.match(/^\/app-users\/([^/]+)\/token\/$/);
    if (token && req.method === "POST") return this.userToken(token[1], body);
    const user = path.match(/^\/app-users\/([^/]+)\/$/);
    return user ? this.user(req.method, user[1], body) : error(404);
  }

  token(req, body) {
    if (body?.refreshToken !== undefined) {
      this.book.call("zumo", "token refresh");
      if (!this.tokens || body.refreshToken !== this.tokens.refreshToken || once(req, "authorization") !== `Bearer ${this.tokens.accessToken}`) return error(401);
    } else {
      this.book.call("zumo", "token");
      const id = this.other ? body?.appUserId : body?.appId; // the samples differ
      if (id !== this.o.appId || body.appSecret !== this.o.appSecret) return error(401);
    }
    this.tokens = this.issue();
    return json(200, this.tokens);
  }

  userToken(id, body) {
    if (!this.users.has(id)) return error(404);
    if (body?.refreshToken !== undefined) {
      this.book.call("zumo", "user token refresh");
      if (this.userTokens.get(body.refreshToken) !== id) return error(401);
      this.userTokens.delete(body.refreshToken);
    } else {
      this.book.call("zumo", "user token");
      if (body?.appUserId !== id) return error(400);
    }
    const t = this.issue();
    this.userTokens.set(t.refreshToken, id);
    return json(200, t);
  }

  user(method, id, body) {
    const u = this.users.get(id);
    switch (method) {
      case "POST":
        this.book.call("zumo", "create user");
        if (body?.appUserId !== id || u) return error(400);
        this.set({ id });
        return json(200, this.users.get(id));
      case "GET":
        this.book.call("zumo", "get user");
        return u ? json(200, u) : error(404);
      case "PUT":
        this.book.call("zumo", "update user");
        if (!u) return error(404);
        if (body?.appUserId !== id || body.synchronised !== true) return error(400);
        u.synced = true;
        return text(200, "OK");
      case "DELETE":
        this.book.call("zumo", "delete user");
        return this.users.delete(id) ? text(200, "OK") : error(404);
    }
    return error(404);
  }

  list(query) {
    this.book.call("zumo", "list users");
    const known = ["synced", ...this.paging];
    for (const name of query.keys()) if (!known.includes(name)) this.fault(`parameter ${name} of the list`);
    if (!["true", "false"].includes(query.get("synced"))) return error(400);
    const limit = Number(query.get(this.paging[0]) ?? 2), offset = Number(query.get(this.paging[1]) ?? 0);
    const all = [...this.users.values()].filter((u) => u.synced === (query.get("synced") === "true"));
    return json(200, { page: { limit, offset, all: all.length }, users: all.slice(offset, offset + limit) });
  }

  set({ id, accounts }) {
    const now = new Date().toISOString();
    const u = this.users.get(id) ?? { id: randomUUID(), createdAt: now, modifiedAt: now, appUserId: id, synced: false, wallet: {} };
    if (accounts) {
      u.synced = false;
      u.wallet = {
        id: randomUUID(), createdAt: now, modifiedAt: now,
        accounts: accounts.map((a) => ({ createdAt: now, modifiedAt: now, network: "MAINNET", path: "m/44'/60'/0'/0/0", coin: "ETH", symbol: "ETH", version: "1", ...a })),
      };
    }
    this.users.set(id, u);
  }

  // forget ends the newest access token, as if it had expired.
  forget() { this.tokens = undefined; }

  delivery({ id }) {
    const u = this.users.get(id);
    const at = "2020-01-15 09:03:13";
    const body = JSON.stringify({
      eventType: "appUser.wallet.accounts.updated", subjectType: "appUser",
      subject: { appUserId: id, createdAt: at, updatedAt: at, wallet: { accounts: (u?.wallet.accounts ?? []).map((a) => ({ id: a.id, createdAt: at, updatedAt: at })) } },
    });
    const headers = this.other
      ? { "x-zumo-signature": "v1=" + createHmac("sha512", this.o.webhookSecret).update(body).digest("base64") }
      : { "x-signature": createHmac("sha256", this.o.webhookSecret).update(body).digest("hex") };
    return { method: "POST", path: "", body, headers: { "content-type": "application/json", ...headers } };
  }
}
