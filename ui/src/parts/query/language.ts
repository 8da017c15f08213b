// LogQL for the editor: colours from Grafana's grammar.
import { HighlightStyle, LRLanguage, LanguageSupport, syntaxHighlighting } from "@codemirror/language";
import { parser } from "@grafana/lezer-logql";
import { styleTags, tags } from "@lezer/highlight";

const functions =
  "Sum Avg Count Max Min Stddev Stdvar Bottomk Topk Sort Sort_Desc CountOverTime Rate RateCounter BytesOverTime BytesRate AvgOverTime SumOverTime MinOverTime MaxOverTime StddevOverTime StdvarOverTime QuantileOverTime FirstOverTime LastOverTime AbsentOverTime LabelReplace Vector";
const keywords = "By Without On Ignoring GroupLeft GroupRight Bool Offset And Or Unless Json Logfmt Regexp Pattern Unpack Unwrap LabelFormat LineFormat Decolorize Drop Keep Ip";

const language = LRLanguage.define({
  parser: parser.configure({
    props: [
      styleTags({
        Identifier: tags.propertyName,
        String: tags.string,
        "Number Duration Bytes": tags.number,
        LineComment: tags.comment,
        [functions.split(" ").join(" ")]: tags.function(tags.name),
        [keywords]: tags.keyword,
        "Eq Neq Re Nre PipeExact PipeMatch PipePattern Npa Gtr Gte Lss Lte Eql Pipe": tags.operator,
      }),
    ],
  }),
  languageData: { closeBrackets: { brackets: ["(", "[", "{", '"', "`"] } },
});

const style = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--level-debug)" },
  { tag: tags.string, color: "var(--level-info)" },
  { tag: tags.number, color: "var(--level-trace)" },
  { tag: tags.function(tags.name), color: "var(--accent)" },
  { tag: tags.keyword, color: "var(--accent)" },
  { tag: tags.operator, color: "var(--text-quiet)" },
  { tag: tags.comment, color: "var(--text-quiet)", fontStyle: "italic" },
]);

export const logql = [new LanguageSupport(language), syntaxHighlighting(style)];
