import assert from "node:assert/strict";
import { before, test } from "node:test";
import { pushShop } from "./data.mjs";
import { until, url, visit, withBrowser } from "./server.mjs";

withBrowser();
before(() => pushShop(url, { count: 500, minutes: 5 }));

const figure = (page, name) => page.locator(".figure").filter({ hasText: name }).locator(".value");

test("numbers of the server, its retention and limits are shown", async () => {
  await visit("#/system", async (page) => {
    await page.getByText(/^Healthy, version/).waitFor();
    await until("lines", () => figure(page, "lines stored").innerText(), "500");
    assert.match(await figure(page, "free on the volume").innerText(), /[GT]B/);
    await page.getByRole("region", { name: "Retention" }).getByText(/Nothing. No rule applies/).waitFor();
    await page.getByRole("region", { name: "Slow queries" }).getByText(/None took half a second/).waitFor();
    await page.getByRole("row", { name: /max_entries_limit_per_query/ }).waitFor();
  });
});

test("a key is made, shown once, rotated and revoked", async () => {
  await visit("#/system", async (page) => {
    const keys = page.getByRole("region", { name: "Keys" });
    await keys.getByLabel("Name").fill("web");
    await keys.getByLabel("read").check();
    await keys.getByRole("button", { name: "Make a key" }).click();
    const made = keys.getByRole("status");
    await made.getByText("web").waitFor();
    const key = await made.locator("code").innerText();
    assert.match(key, /^tby_/);
    const row = keys.getByRole("row").filter({ hasText: "push, read" }).first();
    await row.getByRole("button", { name: "Rotate" }).click();
    await until("another key", () => made.locator("code").innerText(), (text) => text !== key);
    assert.equal(await keys.locator("tbody tr").count(), 2);
    const last = keys.locator("tbody tr").last();
    await last.getByRole("button", { name: "Revoke" }).click();
    await last.getByRole("button", { name: "Really revoke" }).click();
    await keys.getByText("revoked").first().waitFor();
    await page.reload();
    await keys.getByText("revoked").first().waitFor();
    assert.equal((await page.content()).includes(key), false);
  });
});
