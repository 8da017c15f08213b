// A line as it may be shown: colours of ANSI sequences, marked matches, and everything that would hide or reorder text
// made visible. The result is plain text with class names; it never becomes markup.

export interface Piece {
  text: string;
  classes: string;
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** Characters that cannot be seen, or that turn others around, as signs that can be seen. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

const ESCAPE = /\u001b\[([0-9;:]*)([A-Za-z])/g;

/** Text without ANSI sequences. */
export function plain(text: string): string {
  return text.includes("\u001b") ? text.replace(ESCAPE, "") : text;
}

interface Style {
  colour: number | null;
  isBold: boolean;
  isFaint: boolean;
  isUnderlined: boolean;
}

function styled(style: Style, codes: string): Style {
  let now = { ...style };
  const list = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i] ?? 0;
    if (code === 0) now = { colour: null, isBold: false, isFaint: false, isUnderlined: false };
    else if (code === 1) now.isBold = true;
    else if (code === 2) now.isFaint = true;
    else if (code === 4) now.isUnderlined = true;
    else if (code === 22) now.isBold = now.isFaint = false;
    else if (code === 24) now.isUnderlined = false;
    else if (code >= 30 && code <= 37) now.colour = code - 30;
    else if (code >= 90 && code <= 97) now.colour = code - 90;
    else if (code === 39) now.colour = null;
    else if (code === 38 || code === 48) {
      if (list[i + 1] === 5) {
        if (code === 38) now.colour = (list[i + 2] ?? 7) % 8;
        i += 2;
      } else if (list[i + 1] === 2) i += 4;
    }
  }
  return now;
}

function classesOf(style: Style): string {
  const names = [];
  if (style.colour !== null) names.push(`ansi-${style.colour}`);
  if (style.isBold) names.push("bold");
  if (style.isFaint) names.push("faint");
  if (style.isUnderlined) names.push("underlined");
  return names.join(" ");
}

/** The pieces of a line; `marks` is an expression with the flag `g`. */
export function pieces(text: string, marks: RegExp | null): Piece[] {
  const coloured: Piece[] = [];
  if (text.includes("\u001b[")) {
    let style: Style = { colour: null, isBold: false, isFaint: false, isUnderlined: false };
    let from = 0;
    for (const match of text.matchAll(ESCAPE)) {
      if (match.index > from) coloured.push({ text: text.slice(from, match.index), classes: classesOf(style) });
      if (match[2] === "m") style = styled(style, match[1] ?? "");
      from = match.index + match[0].length;
    }
    if (from < text.length) coloured.push({ text: text.slice(from), classes: classesOf(style) });
  } else {
    coloured.push({ text, classes: "" });
  }
  const found = marks ? coloured.flatMap((piece) => marked(piece, marks)) : coloured;
  return found.map((piece) => ({ ...piece, text: visible(piece.text) }));
}

const MARKS_MAX = 200;

function marked(piece: Piece, marks: RegExp): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  marks.lastIndex = 0;
  for (const match of piece.text.matchAll(marks)) {
    if (match[0] === "" || found.length > MARKS_MAX) continue;
    if (match.index > from) found.push({ text: piece.text.slice(from, match.index), classes: piece.classes });
    found.push({ text: match[0], classes: `${piece.classes} mark` });
    from = match.index + match[0].length;
  }
  if (from < piece.text.length) found.push({ text: piece.text.slice(from), classes: piece.classes });
  return found;
}

/** JSON in lines of its own; `null` when the line is none. */
export function prettyJson(text: string): string | null {
  const trimmed = text.trim();
  if (!/^[{[]/.test(trimmed)) return null;
  try {
    return JSON.stringify(JSON.parse(trimmed), null, 2);
  } catch {
    return null;
  }
}
