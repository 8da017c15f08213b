// A tail of a query: the newest lines that fit, a count of those that came while one looked, and of those missed. A lost
// connection is taken up again where it was, by the server's cursor.
import { type Line, inOrder } from "../../api/lines";
import { asApiError, askJson } from "../../api/request";
import { factsLoaded } from "../../api/server";
import { session } from "../../state/session.svelte";

/** Lines that are held; older ones go. */
export const LINES_MAX = 5000;
const SHOWN_EVERY_MILLIS = 150;
const RETRY_MILLIS_MAX = 15_000;
const RATE_SECONDS = 5;

interface Message {
  streams: { stream: Record<string, string>; values: [string, string, object?][] }[] | null;
  dropped_total?: number;
  cursor?: string;
}

export type Connection = "off" | "connecting" | "open" | "lost";

export class Tail {
  lines = $state.raw<Line[]>([]);
  /** Lines that were held once and are not any more. */
  gone = $state(0);
  connection = $state<Connection>("off");
  isPaused = $state(false);
  /** Lines that came since the pause. */
  waiting = $state(0);
  /** Lines that the server could not send in time. They are in the store. */
  missed = $state(0);
  perSecond = $state(0);
  total = $state(0);
  error = $state("");
  shift = 0;

  private socket: WebSocket | null = null;
  private query = "";
  private cursor = "";
  private incoming: Line[] = [];
  private timer = 0;
  private retry = 0;
  private attempts = 0;
  private counts: number[] = [];
  private second = 0;

  start(query: string): void {
    this.stop();
    Object.assign(this, { query, cursor: "", incoming: [], attempts: 0, counts: [], shift: 0 });
    this.lines = [];
    this.gone = 0;
    this.waiting = 0;
    this.missed = 0;
    this.total = 0;
    this.error = "";
    this.isPaused = false;
    this.timer = window.setInterval(() => this.show(), SHOWN_EVERY_MILLIS);
    this.second = window.setInterval(() => this.countSecond(), 1000);
    void this.connect();
  }

  stop(): void {
    clearInterval(this.timer);
    clearInterval(this.second);
    clearTimeout(this.retry);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.connection = "off";
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (!isPaused) this.show();
  }

  clear(): void {
    this.gone += this.lines.length;
    this.lines = [];
    this.incoming = [];
    this.waiting = 0;
  }

  private async connect(): Promise<void> {
    const query = this.query;
    this.connection = this.cursor ? "lost" : "connecting";
    const parameters = new URLSearchParams({ query, cursor: this.cursor, limit: "200", encoding_flags: "categorize-labels" });
    try {
      await factsLoaded();
      // WebSockets of a page carry no headers: a ticket says who it is, and for which tenant.
      if (session.facts?.authentication || session.tenant) {
        parameters.set("ticket", (await askJson<{ ticket: string }>("/ticket", { method: "POST" })).ticket);
      }
    } catch (thrown) {
      const error = asApiError(thrown);
      this.error = error.message;
      if (error.status === 403 || error.status === 401) {
        this.connection = "off";
        return;
      }
      this.again();
      return;
    }
    if (this.query !== query || this.timer === 0) return;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/loki/api/v1/tail?${parameters}`);
    this.socket = socket;
    socket.onopen = () => {
      this.connection = "open";
      this.attempts = 0;
      this.error = "";
    };
    socket.onmessage = (event: MessageEvent<string>) => this.take(JSON.parse(event.data) as Message);
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (event.reason) this.error = event.reason;
      this.again();
    };
  }

  private again(): void {
    this.connection = "lost";
    const millis = Math.min(RETRY_MILLIS_MAX, 500 * 2 ** this.attempts);
    this.attempts += 1;
    this.retry = window.setTimeout(() => void this.connect(), millis);
  }

  private take(message: Message): void {
    if (message.cursor) this.cursor = message.cursor;
    if (message.dropped_total) this.missed += message.dropped_total;
    const found = inOrder(message.streams ?? [], "forward");
    this.total += found.length;
    this.counts[0] = (this.counts[0] ?? 0) + found.length;
    if (this.isPaused) this.waiting += found.length;
    this.incoming.push(...found);
    if (this.incoming.length > 2 * LINES_MAX) this.incoming = this.incoming.slice(-LINES_MAX);
  }

  private show(): void {
    if (this.isPaused || this.incoming.length === 0) return;
    const all = this.lines.concat(this.incoming);
    this.incoming = [];
    this.waiting = 0;
    const over = Math.max(0, all.length - LINES_MAX);
    this.shift = -over;
    this.gone += over;
    this.lines = over > 0 ? all.slice(over) : all;
  }

  private countSecond(): void {
    this.perSecond = this.counts.reduce((sum, count) => sum + count, 0) / Math.max(1, this.counts.length);
    this.counts = [0, ...this.counts].slice(0, RATE_SECONDS);
  }
}
