// Sends lines with winston-loki: URL of the server, how many lines, and `json` or `protobuf`.
import { createRequire } from "node:module";

const require = createRequire(process.env.TIMBERYARD_TEST_PACKAGES);
const winston = require("winston");
const LokiTransport = require("winston-loki");

const [host, count, format] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const transport = new LokiTransport({
  host,
  labels: { sender: `winston-${format}` },
  json: format === "json",
  batching: true,
  interval: 0.1,
  gracefulShutdown: false,
  // The text that winston would otherwise leave to the transport's own format.
  format: winston.format.simple(),
  onConnectionError: (error) => {
    console.error(error);
    process.exit(1);
  },
});
const logger = winston.createLogger({ transports: [transport] });
for (let number = 0; number < count; number += 1) {
  logger.info(`order ${number} é "quoted"`);
}
await transport.flush();
process.exit(0);
