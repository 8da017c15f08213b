import assert from "node:assert/strict";
import { before, test } from "node:test";
import { until, url, visit, withBrowser } from "./server.mjs";

withBrowser();

before(async () => {
  const kinds = ["behavioral", "telemetry", "error", "performance"];
  const logs = Array.from({ length: 120 }, (_, i) => ({
    event_id: `e-${i}`,
    timestamp: new Date(Date.now() - i * 20_000).toISOString(),
    event_type: kinds[i % 4],
    event_name: i % 3 === 0 ? "checkout_opened" : "page_viewed",
    session_id: `s-${i % 7}`,
    user_id: `u-${i % 11}`,
    app_version: i % 2 === 0 ? "2.0.0" : "1.9.4",
    priority: i % 4 === 2 ? "high" : "normal",
    properties: { message: `<b>step ${i}</b>` },
  }));
  const answer = await fetch(`${url}/api/v1/batch-ingest`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ logs }) });
  assert.equal(answer.status, 201, await answer.text());
});

const figure = (page, name) => page.locator(".figure").filter({ hasText: name }).locator(".value");
const table = (page) => page.getByRole("region", { name: "Events", exact: true });

test("totals, sessions, users, types, top events and versions are shown", async () => {
  await visit("#/events", async (page) => {
    await until("in all", () => figure(page, "in all").innerText(), "120");
    assert.equal(await figure(page, "last hour").innerText(), "120");
    assert.equal(await figure(page, "active sessions").innerText(), "7");
    assert.equal(await figure(page, "users of the last day").innerText(), "11");
    await page.getByRole("region", { name: "Events of a day" }).getByText("page_viewed").waitFor();
    await page.getByRole("region", { name: "Versions of a day" }).getByText("1.9.4").waitFor();
    await page.getByTestId("chart").locator("canvas").waitFor();
  });
});

test("events are filtered, sorted and paged by the server", async () => {
  await visit("#/events", async (page) => {
    await table(page).getByText("120 events, page 1 of 3").waitFor();
    await page.getByRole("button", { name: "Next page" }).click();
    await table(page).getByText("page 2 of 3").waitFor();
    await page.getByRole("region", { name: "Types" }).getByRole("button", { name: "error" }).click();
    await table(page).getByText("30 events, page 1 of 1").waitFor();
    await page.getByLabel("Session", { exact: true }).fill("s-2");
    await page.getByLabel("Session", { exact: true }).press("Enter");
    await until("fewer", () => table(page).getByRole("status").innerText(), (text) => /^[1-9] events/.test(text));
    await table(page).getByRole("button", { name: "Time" }).click();
    await until("turned round", () => page.url(), (found) => found.includes("order=asc"));
  });
});

test("what an event holds is text", async () => {
  await visit("#/events", async (page) => {
    await table(page).getByRole("button", { name: "checkout_opened" }).first().click();
    await table(page).locator("pre", { hasText: "<b>step" }).waitFor();
    assert.equal(await table(page).locator("b").count(), 0);
  });
});
