// The lines of one query: pages by cursor, of which some neighbours are held, so that the page does not grow however far
// one scrolls. Long ranges are read slice by slice, so that one sees how far it is and what is found meanwhile.
import { type Direction, type Line, askLines } from "../api/lines";
import { whole } from "../api/labels";
import { ApiError, asApiError } from "../api/request";
import type { Statistics, Whole } from "../api/statistics";
import { selectorOf } from "../logql/parts";
import { type Range, nanos } from "./time";

const FIRST_PAGE_LINES = 200;
const PAGE_LINES = 1000;
export const PAGES_HELD_MAX = 12;

/** Bytes of a selector from which a range is read in slices. */
const SLICED_BYTES_MIN = 200e6;
const SLICES = 16;

interface Page {
  slice: number;
  /** What asks for it again; empty for the first of its slice. */
  cursor: string;
  lines: number;
}

export type Phase = "idle" | "loading" | "ready" | "error";

export class LineStore {
  lines = $state.raw<Line[]>([]);
  phase = $state<Phase>("idle");
  error = $state.raw<ApiError | null>(null);
  isLoadingMore = $state(false);
  isDone = $state(false);
  /** Lines before the first one held, in the order shown. */
  skipped = $state(0);
  /** From 0 to 1 while a long range is read. */
  progress = $state(0);
  statistics = $state.raw<Statistics | null>(null);
  whole = $state.raw<Whole | null>(null);
  warnings = $state.raw<string[]>([]);
  startedAt = $state(0);
  /** How many lines came before (positive) or were taken from (negative) the front at the last change. */
  shift = 0;

  private pages: Page[] = [];
  private firstPage = 0;
  private slices: { start: string; end: string }[] = [];
  private next: { slice: number; cursor: string } | null = null;
  private query = "";
  private direction: Direction = "backward";
  private aborter: AbortController | null = null;

  /** Begins anew with another question. */
  async run(query: string, range: Range, direction: Direction): Promise<void> {
    this.cancel();
    const aborter = new AbortController();
    this.aborter = aborter;
    Object.assign(this, { query, direction, pages: [], firstPage: 0, shift: 0 });
    this.phase = "loading";
    this.error = null;
    this.isDone = false;
    this.isLoadingMore = false;
    this.skipped = 0;
    this.progress = 0;
    this.statistics = null;
    this.whole = null;
    this.startedAt = performance.now();
    const size = whole(selectorOf(query) || query, range, aborter.signal).then((found) => {
      if (this.aborter === aborter) this.whole = found;
      return found;
    }, () => null);
    // A short range is asked for at once; of a longer one it is worth to know first how much it is.
    const isLong = range.to - range.from > 3 * 3600e3 && ((await size)?.bytes ?? 0) > SLICED_BYTES_MIN;
    if (this.aborter !== aborter) return;
    this.slices = sliced(range, isLong ? SLICES : 1, direction);
    this.next = { slice: 0, cursor: "" };
    try {
      const found = await this.read(FIRST_PAGE_LINES, aborter);
      if (!found || this.aborter !== aborter) return;
      this.lines = found;
      this.phase = "ready";
    } catch (thrown) {
      this.fail(thrown, aborter);
    }
  }

  /** Reads the lines behind the last one held. */
  async more(): Promise<void> {
    const aborter = this.aborter;
    if (!aborter || this.phase !== "ready" || this.isLoadingMore || this.isDone) return;
    this.isLoadingMore = true;
    try {
      const found = await this.read(PAGE_LINES, aborter);
      if (!found || this.aborter !== aborter) return;
      this.shift = 0;
      let lines = this.lines.concat(found);
      while (this.pages.length - this.firstPage > PAGES_HELD_MAX) {
        const dropped = this.pages[this.firstPage]?.lines ?? 0;
        lines = lines.slice(dropped);
        this.shift -= dropped;
        this.skipped += dropped;
        this.firstPage += 1;
      }
      this.lines = lines;
    } catch (thrown) {
      this.fail(thrown, aborter);
    } finally {
      if (this.aborter === aborter) this.isLoadingMore = false;
    }
  }

  /** Reads the page before the first line held again. */
  async back(): Promise<void> {
    const aborter = this.aborter;
    const page = this.pages[this.firstPage - 1];
    if (!aborter || !page || this.isLoadingMore) return;
    this.isLoadingMore = true;
    try {
      const found = await this.page(page.slice, page.cursor, page.lines, aborter.signal);
      if (this.aborter !== aborter) return;
      this.firstPage -= 1;
      this.skipped -= page.lines;
      this.shift = found.lines.length;
      let lines = found.lines.concat(this.lines);
      if (this.pages.length - this.firstPage > PAGES_HELD_MAX) {
        const last = this.pages.pop();
        if (last) {
          lines = lines.slice(0, lines.length - last.lines);
          this.next = { slice: last.slice, cursor: last.cursor };
          this.isDone = false;
        }
      }
      this.lines = lines;
    } catch (thrown) {
      this.fail(thrown, aborter);
    } finally {
      if (this.aborter === aborter) this.isLoadingMore = false;
    }
  }

  /** Calls off what runs; what was found stays. */
  cancel(): void {
    this.aborter?.abort();
    this.aborter = null;
    if (this.phase === "loading") this.phase = this.lines.length > 0 ? "ready" : "idle";
    this.isLoadingMore = false;
  }

  /** The next page that has lines; of slices without any, the one after. */
  private async read(limit: number, aborter: AbortController): Promise<Line[] | null> {
    while (this.next) {
      const { slice, cursor } = this.next;
      const found = await this.page(slice, cursor, limit, aborter.signal);
      if (this.aborter !== aborter) return null;
      this.note(found.statistics);
      this.warnings = found.warnings;
      this.next = found.next ? { slice, cursor: found.next } : slice + 1 < this.slices.length ? { slice: slice + 1, cursor: "" } : null;
      this.progress = (this.next?.slice ?? this.slices.length) / this.slices.length;
      if (found.lines.length > 0) {
        this.pages.push({ slice, cursor, lines: found.lines.length });
        this.isDone = this.next === null;
        return found.lines;
      }
    }
    this.isDone = true;
    return [];
  }

  private page(slice: number, cursor: string, limit: number, signal: AbortSignal) {
    const { start, end } = this.slices[slice] ?? { start: "0", end: "1" };
    return askLines({ query: this.query, start, end, limit, direction: this.direction, cursor, signal });
  }

  /** Adds up what the pages cost. */
  private note(added: Statistics): void {
    const before = this.statistics?.summary;
    const now = added.summary;
    if (!before) {
      this.statistics = added;
      return;
    }
    this.statistics = {
      summary: {
        totalBytesProcessed: before.totalBytesProcessed + now.totalBytesProcessed,
        totalLinesProcessed: before.totalLinesProcessed + now.totalLinesProcessed,
        execTime: before.execTime + now.execTime,
        queueTime: before.queueTime + now.queueTime,
        totalEntriesReturned: before.totalEntriesReturned + now.totalEntriesReturned,
      },
    };
  }

  private fail(thrown: unknown, aborter: AbortController): void {
    const error = asApiError(thrown);
    if (this.aborter !== aborter || error.isCancelled) return;
    this.error = error;
    this.phase = "error";
  }
}

/** A range in equal parts, in the order in which they are read. */
function sliced(range: Range, count: number, direction: Direction): { start: string; end: string }[] {
  const width = (range.to - range.from) / count;
  const parts = Array.from({ length: count }, (_, i) => ({ start: nanos(range.from + i * width), end: nanos(range.from + (i + 1) * width) }));
  return direction === "backward" ? parts.reverse() : parts;
}
