// A query taken apart far enough to change it by hand or by click, with Grafana's grammar. What is not understood stays as
// it was written. The server's parser has the last word on what is right.
import { parser } from "@grafana/lezer-logql";
import type { SyntaxNode } from "@lezer/common";

export type MatcherOperator = "=" | "!=" | "=~" | "!~";

export interface Matcher {
  name: string;
  operator: MatcherOperator;
  value: string;
}

export type Stage =
  | { kind: "contains"; operator: string; text: string; written: string }
  | { kind: "field"; name: string; operator: string; value: string; written: string }
  | { kind: "parser"; name: string; written: string }
  | { kind: "other"; written: string };

/** A log query; of a metric query, `null` from `takeApart`. */
export interface LogParts {
  matchers: Matcher[];
  stages: Stage[];
}

/** A value as LogQL writes it. */
export function quoted(value: string): string {
  return JSON.stringify(value);
}

/** What a quoted text stands for. */
export function unquoted(written: string): string {
  if (written.startsWith("`")) return written.slice(1, -1);
  try {
    return JSON.parse(written) as string;
  } catch {
    return written.slice(1, -1);
  }
}

/** Whether it gives numbers rather than lines. */
export function isMetric(query: string): boolean {
  return parser.parse(query).topNode.getChild("Expr")?.getChild("MetricExpr") != null;
}

/** The log query inside of a metric query, or the query itself. */
export function logPart(query: string): string {
  let found = "";
  parser.parse(query).iterate({
    enter(node) {
      if (found) return false;
      if (node.name === "LogExpr") found = query.slice(node.from, node.to);
      else if (node.name === "LogRangeExpr") {
        const range = node.node.getChild("Range");
        found = query.slice(node.from, range?.from ?? node.to);
        const pipeline = node.node.getChild("PipelineExpr");
        if (range && pipeline && pipeline.from > range.from) found = `${query.slice(node.from, range.from)} ${query.slice(pipeline.from, pipeline.to)}`;
      }
      return !found;
    },
  });
  return found.trim() || query;
}

/** The selector of a query, with its braces; empty when there is none. */
export function selectorOf(query: string): string {
  let found = "";
  parser.parse(query).iterate({
    enter(node) {
      if (!found && node.name === "Selector") found = query.slice(node.from, node.to);
      return !found;
    },
  });
  return found;
}

/** The parts of a log query; `null` for a metric query, or one that is not whole. */
export function takeApart(query: string): LogParts | null {
  const tree = parser.parse(query);
  let isBroken = false;
  tree.iterate({ enter: (node) => void (isBroken ||= node.type.isError) });
  const log = tree.topNode.getChild("Expr")?.getChild("LogExpr");
  const selector = log?.getChild("Selector");
  if (isBroken || !log || !selector) return null;
  const matchers: Matcher[] = [];
  const stages: Stage[] = [];
  selector.cursor().iterate((node) => {
    if (node.name === "Matcher") matchers.push(readMatcher(node.node, query));
  });
  log.getChild("PipelineExpr")?.cursor().iterate((node) => {
    if (node.name === "PipelineStage") {
      stages.push(...readStage(node.node, query));
      return false;
    }
    return true;
  });
  return { matchers, stages };
}

function readMatcher(node: SyntaxNode, query: string): Matcher {
  const name = node.getChild("Identifier");
  const value = node.getChild("String");
  const operator = name?.nextSibling;
  const text = (part: SyntaxNode | null | undefined) => (part ? query.slice(part.from, part.to) : "");
  return { name: text(name), operator: text(operator) as MatcherOperator, value: unquoted(text(value)) };
}

function readStage(stage: SyntaxNode, query: string): Stage[] {
  const written = query.slice(stage.from, stage.to);
  const filters = stage.getChild("LineFilters");
  if (filters) {
    const found: Stage[] = [];
    filters.cursor().iterate((node) => {
      if (node.name !== "LineFilter") return true;
      const operator = node.node.getChild("Filter");
      const text = node.node.getChild("String");
      const own = query.slice(node.from, node.to);
      if (operator && text && !node.node.getChild("OrFilter")) {
        found.push({ kind: "contains", operator: query.slice(operator.from, operator.to), text: unquoted(query.slice(text.from, text.to)), written: own });
      } else found.push({ kind: "other", written: own });
      return false;
    });
    return found;
  }
  const parsed = stage.getChild("LabelParser") ?? stage.getChild("LogfmtParser");
  if (parsed) return [{ kind: "parser", name: query.slice(parsed.from, parsed.to), written }];
  const matcher = stage.getChild("LabelFilter")?.getChild("Matcher");
  const simple = stage.getChild("LabelFilter");
  if (matcher && simple && simple.from === matcher.from && simple.to === matcher.to) {
    return [{ kind: "field", ...readMatcher(matcher, query), written }];
  }
  return [{ kind: "other", written }];
}

/** The query that has these parts. */
export function putTogether(parts: LogParts): string {
  const matchers = parts.matchers.map((one) => `${one.name}${one.operator}${quoted(one.value)}`);
  return [`{${matchers.join(", ")}}`, ...parts.stages.map((stage) => stage.written)].join(" ");
}

export function containsStage(operator: string, text: string): Stage {
  return { kind: "contains", operator, text, written: `${operator} ${quoted(text)}` };
}

export function fieldStage(name: string, operator: string, value: string): Stage {
  const isNumber = /^[<>]=?$|^==$/.test(operator);
  return { kind: "field", name, operator, value, written: `| ${name} ${operator} ${isNumber ? value : quoted(value)}`.replace(/ (=|!=|=~|!~) /, "$1") };
}

export function parserStage(name: string): Stage {
  return { kind: "parser", name, written: `| ${name}` };
}

/** What a name of a line is. */
export type Place = "label" | "metadata" | "field";

/** The query narrowed to lines where `name` is (or is not) `value`. Fields are parsed the way the query or line has it. */
export function narrowed(query: string, place: Place, name: string, value: string, isWanted: boolean, lineText = ""): string {
  const parts = takeApart(logPart(query));
  const operator: MatcherOperator = isWanted ? "=" : "!=";
  if (!parts) return `${logPart(query)} | ${name}${operator}${quoted(value)}`;
  if (place === "label") {
    const others = isWanted ? parts.matchers.filter((one) => one.name !== name) : parts.matchers;
    return putTogether({ ...parts, matchers: [...others, { name, operator, value }] });
  }
  const stages = [...parts.stages];
  if (place === "field" && !stages.some((stage) => stage.kind === "parser")) stages.push(parserStage(parserFor(lineText)));
  return putTogether({ ...parts, stages: [...stages, fieldStage(name, operator, value)] });
}

/** The query narrowed to lines that hold (or do not hold) a text. */
export function containing(query: string, text: string, operator: string): string {
  const parts = takeApart(logPart(query));
  if (!parts) return `${logPart(query)} ${operator} ${quoted(text)}`;
  const first = parts.stages.findIndex((stage) => stage.kind !== "contains");
  const stages = [...parts.stages];
  stages.splice(first < 0 ? stages.length : first, 0, containsStage(operator, text));
  return putTogether({ ...parts, stages });
}

/** The parser that a line asks for. */
export function parserFor(lineText: string): string {
  return lineText.trimStart().startsWith("{") ? "json" : "logfmt";
}

/** A selector that finds one stream. */
export function streamSelector(labels: Record<string, string>): string {
  const shown = Object.entries(labels).filter(([name, value]) => value !== "" && !(name === "service_name" && Object.keys(labels).length > 1));
  return `{${shown.map(([name, value]) => `${name}=${quoted(value)}`).join(", ")}}`;
}

/** The texts that a query looks for in lines, as one expression; `null` when it looks for none. */
export function marksOf(query: string): RegExp | null {
  const parts = takeApart(logPart(query));
  const found: string[] = [];
  for (const stage of parts?.stages ?? []) {
    if (stage.kind !== "contains" || stage.text === "") continue;
    if (stage.operator === "|=") found.push(stage.text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    else if (stage.operator === "|~") {
      const text = stage.text.replace(/^\(\?i\)/, "");
      try {
        new RegExp(text, "giu");
        found.push(text);
      } catch {
        // An expression of Go's that is none here: its matches are not marked.
      }
    }
  }
  return found.length > 0 ? new RegExp(found.join("|"), "giu") : null;
}
