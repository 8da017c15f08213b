// How the server is: its metrics page read as numbers, retention, limits, slow queries, keys.
import { ask, askJson } from "./request";

/** One value of the metrics page. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** The values of a page in Prometheus' text format. */
export function parseMetrics(text: string): Sample[] {
  const found: Sample[] = [];
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels: Record<string, string> = {};
    for (const pair of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[pair[1] ?? ""] = (pair[2] ?? "").replace(/\\(.)/g, "$1");
    found.push({ name: match[1] ?? "", labels, value: Number(match[3]) });
  }
  return found;
}

export async function metrics(): Promise<Sample[]> {
  return parseMetrics(await (await ask("/metrics")).text());
}

export interface Health {
  status: string;
  version: string;
  uptime: string;
  ingestion_rate: number;
  ingested_logs: number;
  bytes_stored: number;
  stream_clients: number;
  dropped_messages: number;
  total_logs: number;
  damaged_segments: number;
  message: string | null;
}

/** An unhealthy server answers too. */
export async function health(): Promise<Health> {
  return (await (await fetch("/health")).json()) as Health;
}

export interface Freed {
  tenant: string;
  rule: string;
  segments_dropped: number;
  segments_rewritten: number;
  rows: number;
  line_bytes: number;
  file_bytes: number;
}

/** What retention would take away at a time in milliseconds. */
export async function retentionPreview(at: number): Promise<Freed[]> {
  const parameters = { at: `${Math.floor(at)}000000` };
  return (await askJson<{ data: { freed: Freed[] } }>("/retention/preview", { parameters })).data.freed;
}

/** Names and values of the limits in force. */
export async function limits(): Promise<[string, string][]> {
  const text = await (await ask("/config/tenant/v1/limits")).text();
  return text.split("\n").flatMap((line): [string, string][] => {
    const at = line.indexOf(": ");
    return at > 0 ? [[line.slice(0, at), line.slice(at + 2).replace(/^"|"$/g, "")]] : [];
  });
}

export interface SlowQuery {
  query: string;
  tenant: string;
  client: string | null;
  at: string;
  seconds: number;
  bytes: number;
  rows: number;
}

export async function slowQueries(): Promise<SlowQuery[]> {
  return (await askJson<{ queries: SlowQuery[] }>("/timberyard/api/v1/slow-queries")).queries;
}

export interface Key {
  id: string;
  name: string;
  state: string;
  is_active: boolean;
  tenants: string | string[];
  scopes: string[];
  labels: string | null;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  usage_count: number;
  /** Shown once, when it is made. */
  key?: string;
  warning?: string;
}

export async function keys(): Promise<Key[]> {
  return (await askJson<{ keys: Key[] }>("/admin/keys")).keys;
}

export interface NewKey {
  name: string;
  scopes: string[];
  tenants?: string;
  expires_in_seconds?: number;
}

export async function createKey(key: NewKey): Promise<Key> {
  return askJson<Key>("/admin/keys", { method: "POST", json: key });
}

export async function rotateKey(which: string, overlapSeconds: number): Promise<Key> {
  return askJson<Key>(`/admin/keys/${encodeURIComponent(which)}/rotate`, { method: "POST", json: { overlap_seconds: overlapSeconds } });
}

export async function revokeKey(which: string): Promise<void> {
  await ask(`/admin/keys/${encodeURIComponent(which)}`, { method: "DELETE" });
}
