import assert from "node:assert/strict";
import { before, test } from "node:test";
import { pushShop } from "./data.mjs";
import { place, url, visit, withBrowser } from "./server.mjs";

withBrowser();
before(() => pushShop(url, { count: 3000, minutes: 30 }));

test("labels have values, streams and bytes, and say when a value was seen", async () => {
  await visit(place("labels"), async (page) => {
    const names = page.getByRole("region", { name: "Labels" });
    await names.getByRole("row").filter({ hasText: "instance" }).getByText("12").first().waitFor();
    await names.getByRole("button", { name: "app" }).click();
    const values = page.getByRole("region", { name: "Values of app" });
    const gateway = values.getByRole("row").filter({ hasText: "gateway" });
    await gateway.getByText(/KB/).waitFor();
    assert.match(await gateway.innerText(), /gateway\s+3\s/);
    await gateway.getByRole("button", { name: "When?" }).click();
    await gateway.getByText(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/).waitFor();
    await gateway.getByRole("button", { name: "gateway" }).click();
    await page.locator('[role="option"]').first().waitFor();
  });
});
