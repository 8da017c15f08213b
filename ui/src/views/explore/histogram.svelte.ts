// Lines by level over the range, for the picture above them.
import { levelName } from "../../api/lines";
import { askRange, onSteps } from "../../api/series";
import { asApiError } from "../../api/request";
import { type Range, stepSeconds } from "../../state/time";

const BARS = 80;

export interface Bar {
  /** Milliseconds: begins here, ends a step later. */
  from: number;
  to: number;
  counts: Record<string, number>;
  total: number;
}

export class Volume {
  bars = $state.raw<Bar[]>([]);
  range = $state.raw<Range>({ from: 0, to: 1 });
  totals = $state.raw<Record<string, number>>({});
  isLoading = $state(false);
  error = $state("");
  private aborter: AbortController | null = null;

  get total(): number {
    return Object.values(this.totals).reduce((sum, count) => sum + count, 0);
  }

  async run(logQuery: string, asked: Range): Promise<void> {
    this.cancel();
    const aborter = new AbortController();
    this.aborter = aborter;
    this.isLoading = true;
    this.error = "";
    const step = stepSeconds(asked, BARS);
    const range = onSteps(asked, step);
    try {
      const query = `sum by (detected_level) (count_over_time(${logQuery} [${step}s]))`;
      const answer = await askRange(query, range, step, aborter.signal);
      if (this.aborter !== aborter) return;
      const bars = new Map<number, Bar>();
      const totals: Record<string, number> = {};
      for (let to = range.from; to <= range.to; to += step * 1000) bars.set(to, { from: to - step * 1000, to, counts: {}, total: 0 });
      for (const { labels, points } of answer.series) {
        const level = levelName(labels.detected_level);
        for (const [time, count] of points) {
          const bar = bars.get(time);
          if (!bar) continue;
          bar.counts[level] = (bar.counts[level] ?? 0) + count;
          bar.total += count;
          totals[level] = (totals[level] ?? 0) + count;
        }
      }
      this.bars = [...bars.values()];
      this.range = { from: range.from - step * 1000, to: range.to };
      this.totals = totals;
    } catch (thrown) {
      const error = asApiError(thrown);
      if (this.aborter === aborter && !error.isCancelled) {
        this.bars = [];
        this.totals = {};
        this.range = asked;
        this.error = error.message;
      }
    } finally {
      if (this.aborter === aborter) this.isLoading = false;
    }
  }

  cancel(): void {
    this.aborter?.abort();
    this.aborter = null;
    this.isLoading = false;
  }
}
