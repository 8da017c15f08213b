import { test } from "node:test";
import { pageUrl, visit, withBrowser } from "./server.mjs";

withBrowser();

test("people come in through their provider, are named, and leave again", async () => {
  await visit("", async (page) => {
    await page.getByRole("button", { name: "Sign in with your organisation" }).click();
    const account = page.locator("nav summary");
    await account.filter({ hasText: "ann" }).waitFor();
    await account.click();
    await page.getByRole("button", { name: "Sign out" }).click();
    // The provider ends its session too; it has no page of its own here.
    await page.waitForURL(/\/realm\/logout/);
    await page.goto(pageUrl);
    await page.getByRole("button", { name: "Sign in with your organisation" }).waitFor();
    // Questions without a session are refused on purpose.
    page.troubles.length = 0;
  });
});
