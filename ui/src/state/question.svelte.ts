// What all views ask about: query and range, kept in the URL; and what was asked before, kept in this browser.
import { session } from "./session.svelte";
import { type ChosenRange, type Range, resolve } from "./time";
import { type Parameters, route } from "./route.svelte";

const RECENT = "timberyard.recent";
const RECENT_MAX = 20;
export const EVERYTHING = '{service_name=~".+"}';

class Question {
  /** Counts runs: the same question asked again gets a new answer. */
  runs = $state(0);
  recent = $state<string[]>(readRecent());

  get query(): string {
    return route.parameters.query ?? "";
  }

  get chosen(): ChosenRange {
    return { from: route.parameters.from ?? "now-1h", to: route.parameters.to ?? "now" };
  }

  /** The range as it is now. */
  range(): Range {
    return resolve(this.chosen);
  }

  /** What stays when one goes to another view. */
  get shared(): Parameters {
    const { query, from, to } = route.parameters;
    return { ...(query ? { query } : {}), ...(from ? { from } : {}), ...(to ? { to } : {}) };
  }

  ask(query: string, more: Parameters = {}): void {
    this.remember(query);
    route.set({ query, ...more });
    this.runs += 1;
  }

  choose(range: ChosenRange): void {
    route.set({ ...range });
    this.runs += 1;
  }

  again(): void {
    this.runs += 1;
  }

  private remember(query: string): void {
    if (!query.trim()) return;
    this.recent = [query, ...this.recent.filter((one) => one !== query)].slice(0, RECENT_MAX);
    localStorage.setItem(recentName(), JSON.stringify(this.recent));
  }
}

function recentName(): string {
  return `${RECENT}.${session.tenant || "default"}`;
}

function readRecent(): string[] {
  try {
    const kept = JSON.parse(localStorage.getItem(recentName()) ?? "[]") as unknown;
    return Array.isArray(kept) ? kept.filter((one): one is string => typeof one === "string") : [];
  } catch {
    return [];
  }
}

export const question = new Question();
