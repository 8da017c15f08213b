import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { pushShop } from "./data.mjs";
import { place, pageUrl, url, visit, withBrowser } from "./server.mjs";

withBrowser();
before(() => pushShop(url, { count: 1500, minutes: 40 }));

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const PLACES = {
  explore: [place("explore", { query: '{app="payments"} |= "level"' }), (page) => page.locator('[role="option"]').first().waitFor()],
  line: [
    place("explore", { query: '{app="checkout"}' }),
    async (page) => {
      await page.locator('[role="option"]').first().click();
      await page.getByRole("button", { name: "Builder" }).click();
    },
  ],
  nothing: [place("explore", { query: '{app="nowhere"}' }), (page) => page.getByText("No lines in this range").waitFor()],
  live: [place("live"), (page) => page.locator('[role="option"]').first().waitFor()],
  patterns: [place("patterns"), (page) => page.locator("tbody tr").first().waitFor()],
  fields: [place("patterns", { tab: "fields", field: "app" }), (page) => page.locator("tbody tr").first().waitFor()],
  charts: [place("charts"), (page) => page.locator("canvas").waitFor()],
  labels: [place("labels"), (page) => page.locator("tbody tr").first().waitFor()],
  saved: [place("saved"), (page) => page.getByText("Nothing is saved yet").waitFor()],
  events: [place("events"), (page) => page.locator("tbody tr").first().waitFor()],
  system: [place("system"), (page) => page.locator(".figure").first().waitFor()],
  send: [place("send"), (page) => page.getByRole("button", { name: "Send a test log" }).waitFor()],
};

for (const theme of ["light", "dark"]) {
  test(`axe finds nothing serious in any view, ${theme}`, async () => {
    const found = [];
    await visit("#/send", async (page) => {
      // The policy lets no page run this; the test runs it beside the page.
      await page.evaluate(`(() => { ${axe}; window.axe = axe; })()`);
      for (const [name, [where, ready]] of Object.entries(PLACES)) {
        await page.goto(`${pageUrl}/${where}`);
        await ready(page);
        // What is not colour is the same in both themes.
        const rules = theme === "light" ? {} : { runOnly: ["color-contrast"] };
        const { violations } = await page.evaluate((rules) => window.axe.run(document, { resultTypes: ["violations"], ...rules }), rules);
        for (const one of violations.filter(({ impact }) => impact === "serious" || impact === "critical")) {
          found.push(`${name}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
        }
      }
    }, { theme });
    assert.deepEqual(found, []);
  });
}
