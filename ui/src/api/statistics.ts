// What a query cost, as the server tells, in words.
import { bytesText, countText, shareText, tookText } from "../state/numbers";

export interface Statistics {
  summary: { totalBytesProcessed: number; totalLinesProcessed: number; execTime: number; queueTime: number; totalEntriesReturned: number };
}

/** What a selector finds in a range without any filter. */
export interface Whole {
  bytes: number;
  entries: number;
  streams: number;
}

/** `read 12 MB of 4.0 GB, 38 ms, 97 % passed over` */
export function inWords(statistics: Statistics, whole: Whole | null): string {
  const { totalBytesProcessed: bytes, totalLinesProcessed: lines, execTime, queueTime } = statistics.summary;
  const said = [];
  if (whole && whole.bytes > 0) {
    said.push(`read ${bytesText(bytes)} of ${bytesText(whole.bytes)}`);
  } else {
    said.push(`read ${bytesText(bytes)}`);
  }
  said.push(`${countText(lines)} lines looked at`, tookText(execTime));
  if (queueTime > 0.05) said.push(`${tookText(queueTime)} waited`);
  if (whole && whole.bytes > 0 && bytes < whole.bytes) said.push(`${shareText(1 - bytes / whole.bytes)} passed over`);
  return said.join(", ");
}
