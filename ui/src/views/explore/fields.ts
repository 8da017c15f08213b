// The fields of a line: those that the query parsed, or those that its text shows to have.
import type { Line } from "../../api/lines";
import { plain } from "../../state/text";

const FIELDS_MAX = 100;

/** Names and values; of JSON as the parser `json` names them, members of members joined by `_`. */
export function fieldsOf(line: Line): Record<string, string> {
  if (Object.keys(line.parsed).length > 0) return line.parsed;
  const text = plain(line.text).trim();
  if (text.startsWith("{")) {
    try {
      const found: Record<string, string> = {};
      flatten(JSON.parse(text), "", found);
      return found;
    } catch {
      return {};
    }
  }
  const found: Record<string, string> = {};
  for (const match of text.matchAll(/(?:^|\s)([A-Za-z_][\w.]*)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g)) {
    if (Object.keys(found).length >= FIELDS_MAX) break;
    found[(match[1] ?? "").replace(/\W/g, "_")] = (match[2] ?? match[3] ?? "").replace(/\\(.)/g, "$1");
  }
  return found;
}

function flatten(value: unknown, name: string, into: Record<string, string>): void {
  if (Object.keys(into).length >= FIELDS_MAX) return;
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, name ? `${name}_${key}` : key, into);
  } else if (name && value !== null && !Array.isArray(value)) {
    into[name.replace(/\W/g, "_")] = String(value);
  }
}
