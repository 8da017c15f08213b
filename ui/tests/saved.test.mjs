import assert from "node:assert/strict";
import { before, test } from "node:test";
import { pushShop } from "./data.mjs";
import { place, until, pageUrl, url, visit, withBrowser } from "./server.mjs";

withBrowser();
before(() => pushShop(url, { count: 1000, minutes: 20 }));

const lines = (page) => page.locator('[role="option"]');

test("what is seen is saved for everybody, found again, and removed", async () => {
  await visit(place("explore", { query: '{app="payments"} |= "declined"', order: "oldest" }), async (page) => {
    await lines(page).first().waitFor();
    await page.getByRole("button", { name: "Save or share" }).click();
    await page.getByLabel("Name").fill("declined cards");
    await page.getByRole("button", { name: "Save for everybody" }).click();
    await page.getByText("Saved as declined cards").waitFor();
  });
  await visit("#/saved", async (page) => {
    await page.getByRole("link", { name: "declined cards" }).click();
    await lines(page).first().waitFor();
    assert.ok(decodeURIComponent(page.url()).includes("order=oldest"));
    await page.goBack();
    await page.getByRole("button", { name: "Remove declined cards" }).click();
    await page.getByText("Nothing is saved yet").waitFor();
  });
});

test("an address holds everything that is seen, and what was asked is remembered", async () => {
  let address;
  await visit("", async (page) => {
    await lines(page).first().waitFor();
    await page.getByRole("button", { name: "Builder" }).click();
    const value = page.getByLabel("Value", { exact: true });
    await value.fill("checkout");
    await value.press("Enter");
    await page.getByRole("button", { name: "Wrap" }).click();
    await until("the address", () => page.url(), (found) => found.includes("checkout") && found.includes("wrap=1"));
    address = new URL(page.url()).hash;
    await page.getByRole("link", { name: "Saved" }).click();
    await page.getByRole("region", { name: "Recent" }).getByRole("link", { name: /checkout/ }).waitFor();
  });
  await visit(address, async (page) => {
    await lines(page).first().waitFor();
    assert.equal(await page.getByRole("button", { name: "Wrap" }).getAttribute("aria-pressed"), "true");
    assert.match(await page.getByLabel("Query", { exact: true }).innerText(), /checkout/);
  });
});

test("what other viewers showed is ready-made", async () => {
  await visit("#/saved", async (page) => {
    await page.getByRole("option", { name: "gateway" }).waitFor({ state: "attached" });
    await page.getByRole("combobox", { name: "Service" }).selectOption("gateway");
    await page.getByRole("button", { name: "Show" }).first().click();
    await lines(page).first().waitFor();
    assert.ok(page.url().includes("refresh=5"));
    await page.goBack();
    await page.getByLabel("Session").fill("s-7");
    await page.getByRole("button", { name: "Show" }).last().click();
    await lines(page).first().click();
    await page.getByRole("complementary").getByText("s-7", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Context" }).click();
    await page.getByLabel("Of the same").selectOption("session_id");
    await until("lines of the session", () => page.locator(".context p").count(), (count) => count > 5);
    await page.goto(`${pageUrl}/#/saved`);
    await page.getByRole("link", { name: "Error rate by service" }).click();
    await page.getByTestId("chart").locator("canvas").waitFor();
  });
});
