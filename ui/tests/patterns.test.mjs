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
    await page.getByLabel(/New only/).check();
    await until("what was there before is not shown", () => row(page, "coupon applied").count(), 0);
    await vanished.getByRole("button", { name: "Example" }).click();
    await vanished.getByText(/disk \d of array vanished after \d+ hours/).waitFor();
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
