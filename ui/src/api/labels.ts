// Labels, streams and fields: what there is to ask for.
import { type Range, nanos } from "../state/time";
import { askJson } from "./request";
import type { Whole } from "./statistics";

function ends(range: Range): { start: string; end: string } {
  return { start: nanos(range.from), end: nanos(range.to) };
}

/** Names of labels, in order. */
export async function labelNames(range: Range, query?: string): Promise<string[]> {
  return (await askJson<{ data?: string[] }>("/loki/api/v1/labels", { parameters: { ...ends(range), query } })).data ?? [];
}

/** Values of a label, in order. */
export async function labelValues(name: string, range: Range, query?: string): Promise<string[]> {
  const path = `/loki/api/v1/label/${encodeURIComponent(name)}/values`;
  return (await askJson<{ data?: string[] }>(path, { parameters: { ...ends(range), query } })).data ?? [];
}

export interface DetectedField {
  label: string;
  type: string;
  cardinality: number;
  parsers: string[] | null;
}

/** Fields that the newest lines of a query hold. */
export async function detectedFields(query: string, range: Range, signal?: AbortSignal): Promise<DetectedField[]> {
  const asking = { parameters: { query, ...ends(range), line_limit: 1000 }, ...(signal ? { signal } : {}) };
  return (await askJson<{ fields?: DetectedField[] }>("/loki/api/v1/detected_fields", asking)).fields ?? [];
}

/** Values of a field in the newest lines of a query. */
export async function fieldValues(name: string, query: string, range: Range): Promise<string[]> {
  const path = `/loki/api/v1/detected_field/${encodeURIComponent(name)}/values`;
  return (await askJson<{ values?: string[] }>(path, { parameters: { query, ...ends(range), line_limit: 1000, limit: 100 } })).values ?? [];
}

/** Streams, lines and bytes of a selector. */
export async function whole(selector: string, range: Range, signal?: AbortSignal): Promise<Whole> {
  const asking = { parameters: { query: selector, ...ends(range) }, ...(signal ? { signal } : {}) };
  return askJson<Whole>("/loki/api/v1/index/stats", asking);
}

/** The label sets of streams. */
export async function streams(selector: string, range: Range, signal?: AbortSignal): Promise<Record<string, string>[]> {
  const asking = { parameters: { "match[]": selector, ...ends(range) }, ...(signal ? { signal } : {}) };
  return (await askJson<{ data?: Record<string, string>[] }>("/loki/api/v1/series", asking)).data ?? [];
}

/** Bytes by value of a label, the largest first. */
export async function volumeBy(label: string, selector: string, range: Range, signal?: AbortSignal): Promise<{ value: string; bytes: number }[]> {
  const parameters = { query: selector, ...ends(range), targetLabels: label, limit: 1000 };
  const asking = { parameters, ...(signal ? { signal } : {}) };
  const answer = await askJson<{ data: { result: { metric: Record<string, string>; value: [number, string] }[] } }>("/loki/api/v1/index/volume", asking);
  return answer.data.result.map((one) => ({ value: one.metric[label] ?? "", bytes: Number(one.value[1]) }));
}
