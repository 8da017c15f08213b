// Sends lines with pino-loki: URL of the server, and how many lines.
import { createRequire } from "node:module";
import { finished } from "node:stream";

const require = createRequire(process.env.TIMBERYARD_TEST_PACKAGES);
const pino = require("pino");
const pinoLoki = require("pino-loki").default;

const [host, count] = [process.argv[2], Number(process.argv[3])];
const stream = pinoLoki({
  host,
  labels: { sender: "pino" },
  batching: true,
  interval: 0.1,
  replaceTimestamp: true,
  silenceErrors: false,
});
const logger = pino({}, stream);
for (let number = 0; number < count; number += 1) {
  logger.info({ order: number }, `order ${number} é "quoted"`);
}
stream.end();
finished(stream, { readable: false }, () => {});
