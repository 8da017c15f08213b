// Templates of lines, with how often each comes.
import { type Range, nanos, stepSeconds } from "../state/time";
import { askJson } from "./request";

export interface Pattern {
  pattern: string;
  level: string;
  total: number;
  /** Milliseconds and lines. */
  points: [number, number][];
}

const POINTS = 30;

/** The templates of the lines of a query, the most frequent first. */
export async function askPatterns(query: string, range: Range, signal?: AbortSignal): Promise<Pattern[]> {
  const parameters = { query, start: nanos(range.from), end: nanos(range.to), step: `${stepSeconds(range, POINTS)}s` };
  const answer = await askJson<{ data: { pattern: string; level: string; samples: [number, number][] }[] }>("/loki/api/v1/patterns", { parameters, ...(signal ? { signal } : {}) });
  return answer.data
    .map(({ pattern, level, samples }) => ({ pattern, level, total: samples.reduce((sum, [, lines]) => sum + lines, 0), points: samples.map(([seconds, lines]): [number, number] => [seconds * 1000, lines]) }))
    .sort((a, b) => b.total - a.total);
}

/** The expression of Go's that finds the lines of a template; what differs between them may be anything. */
export function expressionOf(pattern: string): string {
  const fixed = pattern.split("<_>").map((text) => text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&"));
  return `^${fixed.join(".*?")}$`;
}
