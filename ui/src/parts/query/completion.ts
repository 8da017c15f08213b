// What may come next in a query: labels and values from the server as it is now, fields of the lines that the query
// finds, functions and stages.
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import { detectedFields, fieldValues, labelNames, labelValues } from "../../api/labels";
import { selectorOf } from "../../logql/parts";
import { question } from "../../state/question.svelte";

const RANGE_FUNCTIONS = ["count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time", "avg_over_time", "max_over_time", "min_over_time", "quantile_over_time", "stddev_over_time", "first_over_time", "last_over_time", "absent_over_time"];
const AGGREGATIONS = ["sum", "avg", "min", "max", "count", "topk", "bottomk", "stddev", "stdvar", "sort", "sort_desc"];
const STAGES: [string, string][] = [
  ["json", "fields of JSON lines"],
  ["logfmt", "fields of key=value lines"],
  ["pattern ", "fields by a pattern"],
  ["regexp ", "fields by an expression"],
  ["unpack", "labels of Promtail's pack stage"],
  ["line_format ", "writes the line anew"],
  ["label_format ", "renames or makes fields"],
  ["decolorize", "takes ANSI colours out"],
  ["drop ", "leaves fields out"],
  ["keep ", "keeps these fields only"],
  ["unwrap ", "a field as the value"],
];

const option = (label: string, type: string, detail = ""): Completion => ({ label, type, ...(detail ? { detail } : {}) });

/** The names of a selector's matchers before the cursor, as a selector. */
function selectorWithout(text: string): string | undefined {
  const closed = `${text.replace(/,?\s*[\w.]*\s*(?:=~|!~|!=|=)?\s*"?[^",{}]*$/, "")}}`;
  return /^\{\s*\}$/.test(closed) ? undefined : closed.slice(closed.lastIndexOf("{"));
}

export async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const text = context.state.doc.toString();
  const before = text.slice(0, context.pos);
  const open = before.lastIndexOf("{");
  const range = question.range();
  const isInSelector = open > before.lastIndexOf("}") && syntaxTree(context.state).resolveInner(context.pos, -1).name !== "LineComment";
  if (isInSelector) {
    const inside = before.slice(open);
    const value = /([\w.]+)\s*(?:=~|!~|!=|=)\s*(["`]?)([^"`,}]*)$/.exec(inside);
    if (value) {
      const [, name = "", quote = "", typed = ""] = value;
      const values = await labelValues(name, range, selectorWithout(inside)).catch(() => []);
      const from = context.pos - typed.length;
      const isClosed = quote !== "" && text[context.pos] === quote;
      return {
        from,
        options: values.slice(0, 1000).map((one) => ({ label: one, type: "text", apply: quote ? one.replace(/["\\]/g, "\\$&") + (isClosed ? "" : quote) : JSON.stringify(one) })),
        validFor: /^[^"`,}]*$/,
      };
    }
    const name = /([\w.]*)$/.exec(inside)?.[1] ?? "";
    if (!context.explicit && name === "" && !/[{,]\s*$/.test(inside)) return null;
    const names = await labelNames(range, selectorWithout(inside)).catch(() => []);
    return { from: context.pos - name.length, options: names.map((one) => ({ ...option(one, "property"), apply: `${one}=` })), validFor: /^[\w.]*$/ };
  }
  const selector = selectorOf(text);
  const fieldValue = /\|\s*([\w.]+)\s*(?:==|=~|!~|!=|=)\s*"([^"]*)$/.exec(before);
  if (fieldValue && selector) {
    const [, name = "", typed = ""] = fieldValue;
    const values = await fieldValues(name, selector, range).catch(() => []);
    return { from: context.pos - typed.length, options: values.map((one) => option(one, "text")), validFor: /^[^"]*$/ };
  }
  const stage = /\|\s*([\w.]*)$/.exec(before);
  if (stage && selector) {
    const typed = stage[1] ?? "";
    const fields = await detectedFields(selector, range).catch(() => []);
    const stages = STAGES.map(([label, detail]) => ({ ...option(label.trim(), "keyword", detail), apply: label }));
    const named = fields.map((field) => option(field.label, "property", field.type));
    return { from: context.pos - typed.length, options: [...stages, ...named], validFor: /^[\w.]*$/ };
  }
  const grouping = /(?:by|without|on|ignoring)\s*\(([^)]*)$/.exec(before);
  const word = /[\w.]*$/.exec(before)?.[0] ?? "";
  if (grouping) {
    const names = await labelNames(range, selector || undefined).catch(() => []);
    return { from: context.pos - word.length, options: ["detected_level", ...names].map((one) => option(one, "property")), validFor: /^[\w.]*$/ };
  }
  if (word === "" && !context.explicit) return null;
  const functions = [...AGGREGATIONS.map((one) => option(one, "function", "over series")), ...RANGE_FUNCTIONS.map((one) => option(one, "function", "over a range"))];
  return { from: context.pos - word.length, options: [...functions, { ...option("{}", "type", "streams"), apply: "{" }], validFor: /^\w*$/ };
}
