// Series: the answers of metric queries, and the histogram of lines by level.
import { type Range, nanos } from "../state/time";
import { askJson } from "./request";
import type { Statistics } from "./statistics";

export interface Series {
  labels: Record<string, string>;
  /** Milliseconds and value. */
  points: [number, number][];
}

export interface SeriesAnswer {
  kind: "matrix" | "vector" | "scalar" | "streams";
  series: Series[];
  statistics: Statistics | null;
  warnings: string[];
}

type Sample = [number, string];
interface Answer {
  data: { resultType: SeriesAnswer["kind"]; result: { metric: Record<string, string>; values?: Sample[]; value?: Sample }[] | Sample; stats?: Statistics };
  warnings?: string[];
}

function read(answer: Answer): SeriesAnswer {
  const { resultType, result, stats } = answer.data;
  const point = ([seconds, value]: Sample): [number, number] => [seconds * 1000, Number(value)];
  const rest = { kind: resultType, statistics: stats ?? null, warnings: answer.warnings ?? [] };
  if (resultType === "streams") return { ...rest, series: [] };
  if (resultType === "scalar") return { ...rest, series: [{ labels: {}, points: [point(result as Sample)] }] };
  const series = (result as { metric: Record<string, string>; values?: Sample[]; value?: Sample }[]).map((one) => ({
    labels: one.metric,
    points: (one.values ?? (one.value ? [one.value] : [])).map(point),
  }));
  return { ...rest, series };
}

/** The values of a metric query at the steps of a range; of very many series the first ones, with a warning. */
export async function askRange(query: string, range: Range, stepSeconds: number, signal?: AbortSignal): Promise<SeriesAnswer> {
  const parameters = { query, start: nanos(range.from), end: nanos(range.to), step: `${stepSeconds}s`, truncate_series: "true" };
  return read(await askJson<Answer>("/loki/api/v1/query_range", { parameters, ...(signal ? { signal } : {}) }));
}

/** The values of a metric query at one time. */
export async function askInstant(query: string, at: number, signal?: AbortSignal): Promise<SeriesAnswer> {
  const parameters = { query, time: nanos(at), truncate_series: "true" };
  return read(await askJson<Answer>("/loki/api/v1/query", { parameters, ...(signal ? { signal } : {}) }));
}

/** A range whose ends are multiples of the step, so that every bar of a histogram counts a whole step. */
export function onSteps(range: Range, stepSeconds: number): Range {
  const step = stepSeconds * 1000;
  return { from: Math.floor(range.from / step) * step + step, to: Math.ceil(range.to / step) * step };
}
