// Signs Kado deliveries the way Kado's document says, with the JavaScript engine
// that Kado's own code runs on. Reads JSON lines {body (base64), secret, ts,
// path}, writes one hexadecimal signature a line.
import { createHash, createHmac } from "node:crypto";
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const { body, secret, ts, path } = JSON.parse(line);
  const canonical = JSON.stringify(JSON.parse(Buffer.from(body, "base64").toString("utf8")));
  const payloadHex = createHash("md5").update(canonical).digest("hex");
  console.log(createHmac("sha256", secret).update("POST" + ts + path + payloadHex).digest("hex"));
}
