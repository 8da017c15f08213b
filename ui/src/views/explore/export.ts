// The whole result of a query as a file, streamed: rows go from the server to the disk as they come.
import { ask } from "../../api/request";
import { type Range, nanos } from "../../state/time";
import { exactTime } from "../../state/zone.svelte";

export const FORMATS = { ndjson: "NDJSON", csv: "CSV", text: "Text" } as const;
export type Format = keyof typeof FORMATS;

const KINDS: Record<Format, { accept: string; ending: string }> = {
  ndjson: { accept: "application/x-ndjson", ending: "ndjson" },
  csv: { accept: "text/csv", ending: "csv" },
  text: { accept: "application/x-ndjson", ending: "log" },
};

interface Picker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{ createWritable: () => Promise<WritableStream<Uint8Array<ArrayBuffer>>> }>;
}

/** A row of NDJSON as a line of text. */
function textOf(row: string): string {
  const { timestamp, line, value, error, warning } = JSON.parse(row) as { timestamp?: string; line?: string; value?: string; error?: string; warning?: string };
  if (timestamp === undefined) return `# ${error ?? warning ?? ""}\n`;
  return `${exactTime(nanosOf(timestamp))} ${line ?? value ?? ""}\n`;
}

/** Nanoseconds of a time as RFC 3339 has it. */
function nanosOf(time: string): string {
  const [seconds = "", rest = ""] = time.replace(/Z$/, "").split(".");
  return `${Date.parse(`${seconds}Z`) / 1000}${rest.padEnd(9, "0").slice(0, 9)}`;
}

/** Whole rows of a stream, each turned into text. */
function asText(): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = "";
  return new TransformStream({
    transform(chunk, controller) {
      const rows = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = rows.pop() ?? "";
      const lines = rows.filter(Boolean).map(textOf).join("");
      if (lines) controller.enqueue(encoder.encode(lines));
    },
    flush(controller) {
      if (rest) controller.enqueue(encoder.encode(textOf(rest)));
    },
  });
}

/** Streams all rows into a file that one chooses, or where the browser cannot do so into one that it downloads at the end. */
export async function exportAll(query: string, range: Range, direction: string, format: Format, onbytes: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  const { accept, ending } = KINDS[format];
  const name = `timberyard-${new Date(range.from).toISOString().slice(0, 19).replaceAll(":", "-")}.${ending}`;
  const file = await (window as Picker).showSaveFilePicker?.({ suggestedName: name });
  const parameters = { query, start: nanos(range.from), end: nanos(range.to), direction };
  const answer = await ask("/loki/api/v1/query_range", { parameters, headers: { accept }, signal });
  if (!answer.body) return;
  let bytes = 0;
  const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      bytes += chunk.length;
      onbytes(bytes);
      controller.enqueue(chunk);
    },
  });
  const source = answer.body as ReadableStream<Uint8Array<ArrayBuffer>>;
  const rows = (format === "text" ? source.pipeThrough(asText()) : source).pipeThrough(counted);
  if (file) {
    await rows.pipeTo(await file.createWritable(), { signal });
    return;
  }
  const blob = await new Response(rows, { headers: { "content-type": accept } }).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
