// Log lines: a page of them by cursor, in the order of their times, with what is known of each.
import { askJson } from "./request";
import type { Statistics } from "./statistics";

export interface Line {
  /** Nanoseconds since 1970, as text. */
  time: string;
  text: string;
  /** The labels of its stream; shared by all its lines. */
  labels: Record<string, string>;
  metadata: Record<string, string>;
  parsed: Record<string, string>;
}

export type Direction = "backward" | "forward";

export interface LinePage {
  lines: Line[];
  /** What gives the next page; `null` when there is none, `undefined` when none was asked for. */
  next: string | null | undefined;
  statistics: Statistics;
  warnings: string[];
}

export interface LineQuestion {
  query: string;
  /** Nanoseconds as text, both ends included but the end of a range. */
  start: string;
  end: string;
  limit: number;
  direction: Direction;
  /** Empty for the first of several pages; absent for one page only. */
  cursor?: string;
  signal?: AbortSignal;
}

type Entry = [string, string, { structuredMetadata?: Record<string, string>; parsed?: Record<string, string> }?];

interface Answer {
  data: { resultType: string; result: { stream: Record<string, string>; values: Entry[] }[]; nextCursor?: string | null; stats: Statistics };
  warnings?: string[];
}

const NOTHING: Record<string, string> = {};

/** Labels, metadata and fields apart. */
export const CATEGORIZED = { "x-loki-response-encoding-flags": "categorize-labels" };

/** One page of lines. */
export async function askLines(question: LineQuestion): Promise<LinePage> {
  const { signal, ...parameters } = question;
  const answer = await askJson<Answer>("/loki/api/v1/query_range", {
    parameters,
    headers: CATEGORIZED,
    ...(signal ? { signal } : {}),
  });
  return {
    lines: inOrder(answer.data.result, question.direction),
    next: answer.data.nextCursor,
    statistics: answer.data.stats,
    warnings: answer.warnings ?? [],
  };
}

/** The lines of streams as one list. Lines of one time stay in the order of the streams. */
export function inOrder(streams: { stream: Record<string, string>; values: Entry[] }[], direction: Direction): Line[] {
  const lines: Line[] = [];
  for (const { stream, values } of streams) {
    for (const [time, text, more] of values) {
      lines.push({ time, text, labels: stream, metadata: more?.structuredMetadata ?? NOTHING, parsed: more?.parsed ?? NOTHING });
    }
  }
  const sign = direction === "backward" ? -1 : 1;
  return lines.sort((a, b) => sign * compareTimes(a.time, b.time));
}

/** Whole numbers as text, without leading zeros. */
export function compareTimes(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

const LEVELS: Record<string, string> = { warning: "warn", err: "error", fatal: "critical", crit: "critical", emerg: "critical", information: "info", notice: "info", dbg: "debug" };

export const KNOWN_LEVELS = ["critical", "error", "warn", "info", "debug", "trace", "unknown"] as const;

/** One of `KNOWN_LEVELS`. */
export function levelName(text: string | undefined): string {
  const lower = (text ?? "unknown").toLowerCase();
  const name = LEVELS[lower] ?? lower;
  return (KNOWN_LEVELS as readonly string[]).includes(name) ? name : "unknown";
}

/** The level of a line. */
export function levelOf(line: Line): string {
  return levelName(line.metadata.detected_level ?? line.parsed.level ?? line.labels.level);
}
