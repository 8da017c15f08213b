// Made-up logs of a small shop, the same for the same seed but for their times: what tests, screenshots and measurements look at.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const SERVICES = [
  { app: "gateway", env: "production", weight: 5, line: gateway },
  { app: "checkout", env: "production", weight: 3, line: checkout },
  { app: "payments", env: "production", weight: 2, line: payments },
  { app: "mailer", env: "staging", weight: 1, line: mailer },
];

function pick(next, list) {
  return list[Math.floor(next() * list.length)];
}

function gateway(next, level) {
  const path = pick(next, ["/", "/cart", "/api/products", "/api/orders", "/login", "/static/app.css"]);
  const status = level === "error" ? pick(next, [500, 502, 503]) : level === "warn" ? pick(next, [404, 429]) : pick(next, [200, 200, 204, 304]);
  const took = Math.round(2 + next() * next() * 900);
  return `method=${pick(next, ["GET", "GET", "POST"])} path=${path} status=${status} duration_ms=${took} bytes=${Math.floor(next() * 90000)} level=${level}`;
}

function checkout(next, level) {
  const order = Math.floor(next() * 90000 + 10000);
  const message = level === "error" ? "order could not be placed" : level === "warn" ? "stock is low" : pick(next, ["order placed", "cart updated", "coupon applied"]);
  return JSON.stringify({ level, msg: message, order, user: `u-${Math.floor(next() * 400)}`, total: Math.round(next() * 30000) / 100, currency: pick(next, ["EUR", "USD", "GBP"]) });
}

function payments(next, level) {
  if (level === "error") return `level=error msg="card declined" provider=${pick(next, ["acme", "bravo"])} code=${pick(next, ["51", "05", "54"])} attempt=${Math.floor(next() * 3) + 1}`;
  if (level === "warn") return `level=warn msg="provider is slow" provider=${pick(next, ["acme", "bravo"])} waited_ms=${Math.floor(800 + next() * 3000)}`;
  return `level=${level} msg="payment captured" provider=${pick(next, ["acme", "bravo"])} amount=${(next() * 300).toFixed(2)} took_ms=${Math.floor(20 + next() * 200)}`;
}

function mailer(next, level) {
  const colour = { error: 31, warn: 33, info: 32, debug: 36 }[level];
  return `\u001b[${colour}m${level.toUpperCase()}\u001b[0m sent \u001b[1m${pick(next, ["welcome", "receipt", "reminder"])}\u001b[0m to customer ${Math.floor(next() * 9000)} in ${Math.floor(next() * 400)} ms`;
}

/** Streams of `count` lines that end at `until` (milliseconds) and begin `minutes` before; errors gather in one stretch. */
export function shopStreams({ count, until, minutes, seed = 7 }) {
  const next = random(seed);
  const weights = SERVICES.flatMap((service) => Array(service.weight).fill(service));
  const streams = new Map();
  const span = minutes * 60_000;
  for (let i = 0; i < count; i += 1) {
    const share = i / count;
    const millis = until - span + Math.floor(share * span);
    const service = pick(next, weights);
    const trouble = share > 0.62 && share < 0.7 ? 0.3 : 0.02;
    const dice = next();
    const level = dice < trouble ? "error" : dice < trouble + 0.06 ? "warn" : dice < trouble + 0.16 ? "debug" : "info";
    const instance = `${service.app}-${Math.floor(next() * 3)}`;
    const key = `${service.app}/${instance}`;
    if (!streams.has(key)) streams.set(key, { stream: { app: service.app, env: service.env, instance }, values: [] });
    const nanos = `${millis}${String(100000 + (i % 900000)).padStart(6, "0")}`;
    streams.get(key).values.push([nanos, service.line(next, level), { session_id: `s-${Math.floor(next() * 60)}`, trace_id: Math.floor(next() * 2 ** 48).toString(16).padStart(12, "0") }]);
  }
  return [...streams.values()];
}

/** Pushes streams as Loki's clients do. */
export async function push(url, streams, headers = {}) {
  const answer = await fetch(`${url}/loki/api/v1/push`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ streams }),
  });
  if (!answer.ok) throw new Error(`push: ${answer.status} ${await answer.text()}`);
}

/** Pushes the shop's logs, at most 20,000 lines at a time. */
export async function pushShop(url, { count = 6000, minutes = 50, until = Date.now() - 2000, headers = {} } = {}) {
  const parts = Math.max(1, Math.ceil(count / 20_000));
  const part = minutes / parts;
  for (let i = 0; i < parts; i += 1) {
    const end = until - (parts - 1 - i) * part * 60_000;
    await push(url, shopStreams({ count: Math.ceil(count / parts), until: end, minutes: part, seed: 7 + i }), headers);
  }
}

if (process.argv[1]?.endsWith("data.mjs")) {
  await pushShop(process.argv[2] ?? "http://127.0.0.1:8080", { count: Number(process.argv[3] ?? 6000) });
}
