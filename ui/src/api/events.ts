// Events as Change66's server answers for them, and counts of them by LogQL.
import { askJson } from "./request";

export interface EventRow {
  event_id: string;
  timestamp: string;
  event_type: string;
  event_name: string;
  priority: string;
  user_id: string | null;
  session_id: string | null;
  app_version: string | null;
  properties: Record<string, unknown>;
}

export interface EventPage {
  total_count: number;
  page: number;
  total_pages: number;
  logs: EventRow[];
}

export interface EventNumbers {
  total_logs: number;
  logs_last_hour: number;
  logs_last_day: number;
  error_rate_percent: number;
  active_sessions: number;
  top_event_types: { event_type: string; count: number }[];
}

/** Totals of the tenant. */
export async function eventNumbers(): Promise<EventNumbers> {
  return (await askJson<{ data: EventNumbers }>("/api/v1/metrics")).data;
}

/** A page of events that pass filters. */
export async function eventPage(parameters: Record<string, string | number>, signal?: AbortSignal): Promise<EventPage> {
  return (await askJson<{ data: EventPage }>("/api/v1/logs/filter", { parameters, ...(signal ? { signal } : {}) })).data;
}
