// What every test begins with: the server that the test was given, a browser, and a page on it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { openPage, startBrowser } from "./browser.mjs";

export const url = process.env.TIMBERYARD_URL ?? "http://127.0.0.1:8080";

/** Where the page is: at the server, or at a Vite that shows one which is worked on and hands the rest to the server. */
export const pageUrl = process.env.TIMBERYARD_PAGE_URL ?? url;

let browser;

/** Starts a browser for all tests of a file. */
export function withBrowser() {
  before(async () => {
    browser = await startBrowser();
  });
  after(async () => browser?.close());
}

/** Opens a place of the page, runs a visit, and fails on whatever the browser complains about. */
export async function visit(place, how, looks = {}) {
  const page = await openPage(browser, looks);
  page.setDefaultTimeout(15_000);
  try {
    await page.goto(`${pageUrl}/${place}`);
    await how(page);
    assert.deepEqual(page.troubles, []);
  } finally {
    await page.context().close();
  }
}

/** A place of the page with a query. */
export function place(view, parameters = {}) {
  return `#/${view}?${new URLSearchParams(parameters)}`;
}

/** Waits until something holds, and says what was there instead. */
export async function until(what, look, expected) {
  let found;
  for (let i = 0; i < 150; i += 1) {
    found = await look();
    if (typeof expected === "function" ? expected(found) : found === expected) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${what}: ${JSON.stringify(found)}`);
}

/** Writes a query as hands do. */
export async function write(page, query) {
  await page.getByLabel("Query", { exact: true }).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.type(query);
}
