import assert from "node:assert/strict";
import { test } from "node:test";
import { push } from "./data.mjs";
import { until, url, visit, withBrowser } from "./server.mjs";

withBrowser();

const KEY = "page-key";

test("a key opens the page, is in no address, and is kept only if one says so", async () => {
  await push(url, [{ stream: { app: "shop" }, values: [[`${Date.now() - 1000}000000`, "behind a key"]] }], { "x-api-key": KEY });
  await visit("", async (page) => {
    const field = page.getByLabel("Key", { exact: true });
    await field.fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText(/valid API key/).waitFor();
    await field.fill(KEY);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("option", { name: /behind a key/ }).waitFor();
    assert.ok(!page.url().includes(KEY));
    assert.equal(await page.evaluate(() => JSON.stringify(sessionStorage) + JSON.stringify(localStorage)).then((kept) => kept.includes("page-key")), false);
    await page.reload();
    await field.fill(KEY);
    await page.getByLabel("Keep it while this tab is open").check();
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("option", { name: /behind a key/ }).waitFor();
    await page.reload();
    await page.getByRole("option", { name: /behind a key/ }).waitFor();
    await page.locator("nav summary").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await field.waitFor();
    await until("forgotten", () => page.evaluate(() => sessionStorage.getItem("timberyard.key")), null);
  });
});
