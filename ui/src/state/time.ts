// Times as they are written in the URL (`now-1h`, milliseconds), asked for (nanoseconds as text), and shown.

/** A range as it is chosen: `now-1h` to `now`, or two times in milliseconds. */
export interface ChosenRange {
  from: string;
  to: string;
}

/** A range in milliseconds, the end not included. */
export interface Range {
  from: number;
  to: number;
}

export const PRESETS = ["5m", "15m", "1h", "3h", "6h", "12h", "24h", "2d", "7d", "30d"] as const;

const UNITS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };

/** Milliseconds of `90s`, `15m`, `1h`, `7d`; `null` for anything else. */
export function spanMillis(text: string): number | null {
  const match = /^(\d+)([smhdw])$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  return match && unit ? Number(match[1]) * unit : null;
}

function instant(text: string, now: number): number | null {
  if (text === "now") return now;
  const relative = /^now-(.+)$/.exec(text);
  if (relative) {
    const span = spanMillis(relative[1] ?? "");
    return span === null ? null : now - span;
  }
  if (/^\d+$/.test(text)) return Number(text);
  const parsed = Date.parse(text);
  return Number.isNaN(parsed) ? null : parsed;
}

/** The range now; the last hour where it cannot be read. */
export function resolve(chosen: ChosenRange, now = Date.now()): Range {
  const from = instant(chosen.from, now);
  const to = instant(chosen.to, now);
  if (from === null || to === null || from >= to) return { from: now - 3600e3, to: now };
  return { from, to };
}

/** Nanoseconds since 1970 as text. */
export function nanos(millis: number): string {
  return `${Math.floor(millis)}000000`;
}

/** Milliseconds of nanoseconds as text; their fraction is left out. */
export function millisOf(nanosText: string): number {
  return Number(nanosText.slice(0, -6));
}

/** A text of nanoseconds that is `more` later (or earlier, when negative). */
export function shifted(nanosText: string, more: bigint): string {
  return String(BigInt(nanosText) + more);
}

/** A step that gives about `points` of a range, in whole seconds that people count in. */
export function stepSeconds(range: Range, points: number): number {
  const raw = (range.to - range.from) / 1000 / points;
  const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  return nice.find((step) => step >= raw) ?? Math.ceil(raw / 86400) * 86400;
}

/** `3 s`, `15 min`, `2 h`, `4 d`. */
export function spanText(millis: number): string {
  const seconds = Math.round(millis / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
