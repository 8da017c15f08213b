// The range that another one is compared with: the one just before it, the same some time earlier, or any other.
import { question } from "./question.svelte";
import { route } from "./route.svelte";
import { type ChosenRange, type Range, resolve, spanMillis, spanText } from "./time";
import { dateTime } from "./zone.svelte";

/** What can be chosen, as it stands in the URL (`against`), and in words; `other` is a range of its own. */
export const CHOICES = [
  { name: "", title: "the range before" },
  { name: "1h", title: "an hour earlier" },
  { name: "1d", title: "a day earlier" },
  { name: "7d", title: "a week earlier" },
  { name: "other", title: "another range" },
] as const;

export type Choice = (typeof CHOICES)[number]["name"];

class Comparison {
  /** How the other range is chosen. */
  get choice(): Choice {
    if (route.parameters.against_from) return "other";
    return CHOICES.find(({ name }) => name === route.parameters.against)?.name ?? "";
  }

  /** The other range as it is chosen, when it is one of its own. */
  get chosen(): ChosenRange {
    return { from: route.parameters.against_from ?? "now-2h", to: route.parameters.against_to ?? "now-1h" };
  }

  /** The range that `range` is compared with. */
  of(range: Range): Range {
    const { choice } = this;
    if (choice === "other") return resolve(this.chosen);
    const shift = spanMillis(choice) ?? range.to - range.from;
    return { from: range.from - shift, to: range.to - shift };
  }

  /** The other range in words: `the 30 min before`, `a day earlier`, `2026-01-31 12:00:00 – …`. */
  inWords(range: Range): string {
    const { choice } = this;
    if (choice === "") return `the ${spanText(range.to - range.from)} before`;
    const other = this.of(range);
    if (choice === "other") return `${dateTime(other.from)} – ${dateTime(other.to)}`;
    return CHOICES.find(({ name }) => name === choice)?.title ?? "";
  }

  choose(choice: Choice): void {
    if (choice === "other") {
      const { from, to } = this.of(question.range());
      this.chooseRange({ from: String(Math.round(from)), to: String(Math.round(to)) });
    } else {
      route.set({ against: choice, against_from: "", against_to: "" }, true);
      question.again();
    }
  }

  chooseRange({ from, to }: ChosenRange): void {
    route.set({ against: "", against_from: from, against_to: to });
    question.again();
  }
}

export const comparison = new Comparison();
