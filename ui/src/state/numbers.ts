// Numbers as people read them.
const BYTE_UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

/** `812 B`, `12.4 MB` */
export function bytesText(bytes: number): string {
  let unit = 0;
  let left = bytes;
  while (left >= 1000 && unit < BYTE_UNITS.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? left : left.toFixed(left < 10 ? 1 : 0)} ${BYTE_UNITS[unit]}`;
}

/** `1,234,567` */
export function countText(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** `12.3 k`, `4.5 M` */
export function shortText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  if (Number.isInteger(value)) return String(value);
  return size >= 100 ? value.toFixed(0) : size >= 1 ? value.toFixed(2) : value.toPrecision(3);
}

/** `12 %`, `0.4 %` */
export function shareText(share: number): string {
  const percent = share * 100;
  return `${percent >= 10 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

/** `38 ms`, `1.2 s` */
export function tookText(seconds: number): string {
  if (seconds < 0.001) return "under 1 ms";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

/** `1 line`, `2 lines` */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}
