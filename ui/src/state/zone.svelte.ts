// The zone in which times are shown: that of the browser, UTC, or a named one.
const NAME = "timberyard.zone";

export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

class Zone {
  name = $state(localStorage.getItem(NAME) ?? OWN_ZONE);

  choose(name: string): void {
    try {
      new Intl.DateTimeFormat("en", { timeZone: name });
    } catch {
      return;
    }
    this.name = name;
    localStorage.setItem(NAME, name);
  }
}

export const zone = new Zone();

const formats = new Map<string, Intl.DateTimeFormat>();

function partsOf(millis: number, name: string): Record<string, string> {
  let format = formats.get(name);
  if (!format) {
    const two = "2-digit" as const;
    format = new Intl.DateTimeFormat("en-CA", { timeZone: name, year: "numeric", month: two, day: two, hour: two, minute: two, second: two, hourCycle: "h23" });
    formats.set(name, format);
  }
  return Object.fromEntries(format.formatToParts(millis).map((part) => [part.type, part.value]));
}

/** `2026-11-21 17:04:05` */
export function dateTime(millis: number, name = zone.name): string {
  const part = partsOf(millis, name);
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}`;
}

/** `17:04:05.123` of nanoseconds as text. */
export function clockTime(nanosText: string, name = zone.name): string {
  return `${dateTime(Number(nanosText.slice(0, -6)), name).slice(11)}.${nanosText.slice(-9, -6)}`;
}

/** `2026-11-21 17:04:05.123456789` of nanoseconds as text. */
export function exactTime(nanosText: string, name = zone.name): string {
  return `${dateTime(Number(nanosText.slice(0, -6)), name)}.${nanosText.slice(-9)}`;
}

/** Milliseconds of `2026-11-21 17:04:05` in a zone; `null` when it is no time. */
export function parseDateTime(text: string, name = zone.name): number | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text.trim());
  if (!match) return null;
  const [, year, month, day, hour = "0", minute = "0", second = "0"] = match;
  const asUtc = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  if (Number.isNaN(asUtc)) return null;
  // The offset may differ between the two sides of a change of clocks: look twice.
  let found = asUtc;
  for (let round = 0; round < 2; round += 1) {
    const shown = Date.parse(`${dateTime(found, name).replace(" ", "T")}Z`);
    found += asUtc - shown;
  }
  return found;
}
