// What the server's parser says about a query, at the place where it says it.
import type { Diagnostic } from "@codemirror/lint";
import type { EditorView } from "@codemirror/view";
import { ask, asApiError } from "../../api/request";

const PLACE = /at line (\d+), col (\d+):\s*([^]*)$/;

/** Nothing when the query is right, or when the server cannot be asked. */
export async function check(view: EditorView): Promise<Diagnostic[]> {
  const query = view.state.doc.toString();
  if (!query.trim()) return [];
  try {
    await ask("/loki/api/v1/format_query", { parameters: { query } });
    return [];
  } catch (thrown) {
    const error = asApiError(thrown);
    if (error.status !== 400) return [];
    return [{ ...placeOf(error.message, view), severity: "error", message: messageOf(error.message) }];
  }
}

function messageOf(said: string): string {
  return PLACE.exec(said)?.[3] ?? said;
}

function placeOf(said: string, view: EditorView): { from: number; to: number } {
  const { doc } = view.state;
  const place = PLACE.exec(said);
  if (!place || Number(place[1]) > doc.lines || Number(place[1]) < 1) return { from: 0, to: doc.length };
  const line = doc.line(Number(place[1]));
  const from = Math.min(line.from + Math.max(0, Number(place[2]) - 1), line.to);
  const word = /^(?:\w+|.)/.exec(doc.sliceString(from, line.to))?.[0].length ?? 0;
  // What is missing at the end is shown on the last character.
  return word > 0 ? { from, to: from + word } : { from: Math.max(line.from, from - 1), to: from };
}
