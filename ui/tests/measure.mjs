// Measures what the page promises: what the first load weighs, how soon lines are there, how smoothly they scroll, and what an
// hour of tail would cost in memory. Prints a table.
// usage: node tests/measure.mjs URL [--lines 2000000] [--tail-minutes 10]   on a server of one's own; lines are pushed when fewer are there
import { readFileSync, readdirSync } from "node:fs";
import { openPage, startBrowser } from "./browser.mjs";
import { push, pushShop } from "./data.mjs";

const url = process.argv[2] ?? "http://127.0.0.1:8080";
const server = new URL(url).origin;
const option = (name, otherwise) => Number(process.argv[process.argv.indexOf(`--${name}`) + 1] ?? otherwise) || otherwise;
const LINES = process.argv.includes("--lines") ? option("lines", 2_000_000) : 2_000_000;
const TAIL_MINUTES = process.argv.includes("--tail-minutes") ? option("tail-minutes", 10) : 10;
const TAIL_RATE = 5000;
const SCROLLED_LINES = 100_000;

const figures = [];
const say = (what, value, bar) => {
  figures.push([what, value, bar]);
  console.log(`${what}: ${value} (bar: ${bar})`);
};

function firstLoadBytes() {
  const folder = new URL("../dist/page/", import.meta.url).pathname;
  const start = readFileSync(`${folder}index.html`, "utf8");
  return readdirSync(`${folder}assets`)
    .filter((file) => file.endsWith(".js") && start.includes(file))
    .reduce((sum, file) => sum + readFileSync(`${folder}assets/${file}.gz`).length, 0);
}

const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function openings(browser) {
  const found = [];
  for (let i = 0; i < 6; i += 1) {
    const page = await openPage(browser);
    const began = performance.now();
    await page.goto(`${url}/#/explore`, { waitUntil: "commit" });
    await page.locator('[role="option"]').first().waitFor();
    // The first opening warms the server.
    if (i > 0) found.push(performance.now() - began);
    await page.context().close();
  }
  return middle(found);
}

/** Frames a second while `SCROLLED_LINES` lines go by, pages being read meanwhile. */
async function scrolling(browser) {
  const page = await openPage(browser);
  await page.goto(`${url}/#/explore`);
  await page.locator('[role="option"]').first().waitFor();
  const result = await page.evaluate(async (wanted) => {
    const list = document.querySelector('[role="listbox"]');
    const number = () => Number(document.querySelector('[role="option"]:last-of-type')?.id.replace("line-", "") ?? 0);
    const frames = [];
    let last = performance.now();
    const began = last;
    while (number() < wanted && performance.now() - began < 60_000) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      frames.push(now - last);
      last = now;
      list.scrollTop += 600;
    }
    return { frames, lines: number(), seconds: (performance.now() - began) / 1000 };
  }, SCROLLED_LINES);
  await page.context().close();
  const sorted = [...result.frames].sort((a, b) => a - b);
  return { ...result, perSecond: result.frames.length / result.seconds, worst: sorted[Math.floor(sorted.length * 0.99)] };
}

/** Bytes of the page's heap, minute by minute, under a tail of `TAIL_RATE` lines a second. */
async function tailing(browser) {
  const page = await openPage(browser);
  const devtools = await page.context().newCDPSession(page);
  await page.goto(`${url}/#/live?query=${encodeURIComponent('{app="tail"}')}`);
  await page.getByText("Live ·").waitFor();
  const heaps = [];
  let sent = 0;
  for (let second = 0; second < TAIL_MINUTES * 60; second += 1) {
    const began = performance.now();
    const now = BigInt(Date.now()) * 1000000n;
    const values = Array.from({ length: TAIL_RATE }, (_, i) => [`${now + BigInt(i)}`, `level=info msg="request ${(sent += 1)} served" duration_ms=${i % 300}`]);
    await push(server, [{ stream: { app: "tail" }, values }]);
    if (second % 20 === 19) {
      await devtools.send("HeapProfiler.collectGarbage");
      heaps.push((await devtools.send("Runtime.getHeapUsage")).usedSize);
    }
    await sleep(Math.max(0, 1000 - (performance.now() - began)));
  }
  const shown = await page.locator(".said").innerText();
  await page.context().close();
  return { heaps, shown };
}

const { total_logs: there } = await (await fetch(`${server}/health`)).json();
if (there < LINES) await pushShop(server, { count: LINES - there, minutes: 55 });
const browser = await startBrowser();
say("JavaScript of the first load, gzip", `${Math.round(firstLoadBytes() / 1000)} KB`, "250 KB");
say(`first lines on screen, ${LINES} lines stored`, `${Math.round(await openings(browser))} ms`, "500 ms");
const { perSecond, worst, lines } = await scrolling(browser);
say(`scrolling ${lines} lines`, `${perSecond.toFixed(0)} frames/s, 99 % of frames under ${worst.toFixed(0)} ms`, "50 frames/s");
const { heaps, shown } = await tailing(browser);
const megabytes = heaps.map((bytes) => (bytes / 1e6).toFixed(1));
say(`heap under a tail of ${TAIL_RATE} lines/s for ${TAIL_MINUTES} min`, `${megabytes[0]} MB after 20 s, ${megabytes.at(-1)} MB at the end, ${Math.max(...megabytes.map(Number))} MB at most (${shown})`, "flat");
await browser.close();
console.log(`\n| what | measured | bar |\n| --- | --- | --- |\n${figures.map((row) => `| ${row.join(" | ")} |`).join("\n")}`);
