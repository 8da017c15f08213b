import assert from "node:assert/strict";
import { before, test } from "node:test";
import { push, pushShop } from "./data.mjs";
import { place, until, url, visit, withBrowser } from "./server.mjs";

withBrowser();
before(async () => {
  await pushShop(url, { count: 4000, minutes: 50 });
  const values = Array.from({ length: 9 }, (_, i) => [`${Date.now() - 60_000 + i}000000`, `disk ${i} of array vanished after ${i * 7} hours`]);
  await push(url, [{ stream: { app: "storage" }, values }]);
});

const row = (page, text) => page.getByRole("row").filter({ hasText: text });

test("patterns have counts, an example, and those that are new are told", async () => {
  await visit(place("patterns", { from: "now-15m", to: "now" }), async (page) => {
    const vanished = row(page, "vanished after");
    await vanished.waitFor();
    await row(page, "coupon applied").first().waitFor();
    assert.match(await vanished.innerText(), /^9\s[^]*new/);
    await page.getByRole("button", { name: /^New / }).click();
    await until("what was there before is not shown", () => row(page, "coupon applied").count(), 0);
    await vanished.getByRole("button", { name: "Example" }).click();
    await vanished.getByText(/disk \d of array vanished after \d+ hours/).waitFor();
  });
});

test("two ranges of one's own choice are compared, with what came and what went", async () => {
  const time = (minutesAgo) => String(Date.now() - minutesAgo * 60_000);
  const early = Array.from({ length: 7 }, (_, i) => [`${Date.now() - 40 * 60_000 + i}000000`, `lease of node ${i} ran out after ${i * 3} minutes`]);
  await push(url, [{ stream: { app: "leases" }, values: early }]);
  await visit(place("patterns", { from: time(10), to: time(-1) }), async (page) => {
    await row(page, "vanished after").waitFor();
    await page.getByLabel("Compared with").selectOption("another range");
    await page.getByRole("button", { name: /^Compared with: / }).click();
    const dialog = page.getByRole("dialog", { name: /^Compared with/ });
    const shown = (minutesAgo) => new Date(Number(time(minutesAgo))).toISOString().slice(0, 19).replace("T", " ");
    await dialog.getByLabel("From").fill(shown(45));
    await dialog.getByLabel("To").fill(shown(35));
    await dialog.getByRole("button", { name: "Apply" }).click();
    await page.getByText(`compared with ${shown(45).slice(0, 15)}`).waitFor();
    await page.getByRole("button", { name: /^Gone / }).click();
    const ran = row(page, "ran out after");
    await ran.waitFor();
    assert.match(await ran.innerText(), /^7\s[^]*gone/);
    await ran.getByRole("button", { name: "Only this pattern" }).click();
    await until("lines of the other range", () => page.locator('[role="option"]').count(), 7);
  }, { timezoneId: "UTC" });
  await visit(place("patterns", { tab: "fields", field: "app", from: time(10), to: time(-1), against_from: time(45), against_to: time(35) }), async (page) => {
    const gateway = page.getByRole("region", { name: "Values" }).getByRole("row").filter({ hasText: "gateway" });
    await until("its share then and now", () => gateway.innerText(), (text) => /\d %\s+\d+ %/.test(text));
  });
});

test("a pattern leads to its lines, and can be left out", async () => {
  await visit(place("patterns", { query: '{app="payments"}' }), async (page) => {
    await row(page, "payment captured").first().getByRole("button", { name: "Not this pattern" }).click();
    await until("left out", () => row(page, "payment captured").filter({ hasText: "level=info" }).count(), (count) => count < 2);
    await row(page, "card declined").first().getByRole("button", { name: "Only this pattern" }).click();
    await page.locator('[role="option"]').first().waitFor();
    const shown = await page.locator('[role="option"]').allInnerTexts();
    assert.ok(shown.every((line) => line.includes("card declined")), shown.join("\n"));
  });
});

test("a field shows its top values with their share, and narrows the query", async () => {
  await visit(place("patterns", { query: '{app="gateway"}', tab: "fields" }), async (page) => {
    await page.getByRole("button", { name: /^status/ }).click();
    const ok = page.getByRole("region", { name: "Values" }).getByRole("row").filter({ hasText: "200" }).first();
    await ok.waitFor();
    assert.match(await ok.innerText(), /200\s+[\d,]+\s+\d+ %/);
    await page.getByRole("button", { name: "Only 502" }).click();
    await page.locator('[role="option"]').first().waitFor();
    const shown = await page.locator('[role="option"]').allInnerTexts();
    assert.ok(shown.every((line) => line.includes("status=502")), shown.join("\n"));
  });
});
