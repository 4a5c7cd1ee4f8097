// Signs Kado deliveries the way Kado's document says, with the JavaScript engine
// that Kado's own code runs on and, where CRYPTO_JS names the folder that it is
// installed in, with the library that the document names. Reads JSON lines {body
// (base64), secret, ts, path}, writes one hexadecimal signature a line.
import { createHash, createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const CryptoJS = process.env.CRYPTO_JS && createRequire(join(process.env.CRYPTO_JS, "/"))("crypto-js");

function sign(payload, secret, signed) {
  const canonical = JSON.stringify(JSON.parse(payload));
  if (!CryptoJS) {
    const payloadHex = createHash("md5").update(canonical).digest("hex");
    return createHmac("sha256", secret).update(signed + payloadHex).digest("hex");
  }
  const payloadHex = CryptoJS.MD5(CryptoJS.enc.Utf8.parse(canonical)).toString(CryptoJS.enc.Hex);
  return CryptoJS.HmacSHA256(signed + payloadHex, secret).toString();
}

for await (const line of createInterface({ input: process.stdin })) {
  const { body, secret, ts, path } = JSON.parse(line);
  console.log(sign(Buffer.from(body, "base64").toString("utf8"), secret, "POST" + ts + path));
}
