import assert from "node:assert/strict";
import { before, test } from "node:test";
import { pushShop } from "./data.mjs";
import { place, until, url, visit, withBrowser } from "./server.mjs";

withBrowser();
before(() => pushShop(url, { count: 4000, minutes: 40 }));

const BY_APP = place("charts", { query: "sum by (app) (count_over_time({app=~`.+`}[1m]))" });

test("a metric query draws itself, its legend filters, and hovering shows values", async () => {
  await visit(BY_APP, async (page) => {
    const chart = page.getByTestId("chart");
    await chart.locator("canvas").waitFor();
    assert.deepEqual((await chart.locator(".u-legend .u-label").allInnerTexts()).slice(1).sort(), ["checkout", "gateway", "mailer", "payments"]);
    const box = await chart.locator(".u-over").boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await until("values", () => chart.locator(".u-legend .u-value").nth(1).innerText(), (text) => /\d/.test(text));
    await chart.locator(".u-legend .u-series").nth(1).locator("th").click();
    await until("one series is out", () => chart.locator(".u-legend .u-off").count(), 1);
  });
});

test("as bars, as one number, and as a table", async () => {
  await visit(BY_APP, async (page) => {
    await page.getByRole("button", { name: "table" }).click();
    await page.getByRole("cell", { name: "gateway" }).waitFor();
    await page.getByRole("button", { name: "number" }).click();
    await page.locator(".big").nth(3).waitFor();
    await page.getByRole("button", { name: "bars" }).click();
    await page.getByTestId("chart").locator("canvas").waitFor();
  });
});

test("a point leads to its lines", async () => {
  await visit(place("charts", { query: 'sum by (app) (count_over_time({app="gateway"}[1m]))' }), async (page) => {
    const over = page.getByTestId("chart").locator(".u-over");
    const box = await over.boundingBox();
    await page.mouse.move(box.x + box.width * 0.55, box.y + box.height / 2);
    await page.mouse.click(box.x + box.width * 0.55, box.y + box.height / 2);
    await until("Explore", () => page.url(), (found) => found.includes("#/explore") && found.includes("gateway"));
    await page.locator('[role="option"]').first().waitFor();
  });
});

test("a query for lines is counted by level, and the error rate is one click", async () => {
  await visit(place("charts", { query: '{app="payments"}' }), async (page) => {
    await page.getByTestId("chart").getByText("error").waitFor();
    await page.getByRole("button", { name: "Error rate" }).click();
    await until("the query", () => page.getByLabel("Query", { exact: true }).innerText(), (text) => text.startsWith('sum(rate({app="payments"} | detected_level'));
    await page.getByTestId("chart").locator("canvas").waitFor();
  });
});
