import assert from "node:assert/strict";
import { test } from "node:test";
import { url, visit, withBrowser } from "./server.mjs";

withBrowser();

test("an empty server shows how logs come in, and a test log is found at once", async () => {
  await visit("", async (page) => {
    await page.getByRole("heading", { name: /There are no logs here yet/ }).waitFor();
    const copied = page.getByLabel("What to copy");
    assert.ok((await copied.innerText()).includes(`${url}/loki/api/v1/push`));
    for (const name of ["OpenTelemetry", "Promtail, Alloy", "syslog"]) {
      await page.getByRole("button", { name }).click();
      assert.ok((await copied.innerText()).includes(name === "syslog" ? "127.0.0.1" : url));
    }
    await page.getByLabel("Line").fill("one small log");
    await page.getByRole("button", { name: "Send a test log" }).click();
    await page.getByRole("link", { name: "See it in Explore" }).click();
    await page.locator('[role="option"]').filter({ hasText: "one small log" }).waitFor();
  });
});
