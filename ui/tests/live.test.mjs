import assert from "node:assert/strict";
import { before, test } from "node:test";
import { push } from "./data.mjs";
import { place, until, pageUrl, url, visit, withBrowser } from "./server.mjs";

withBrowser();

let number = 0;
async function send(count = 1, word = "line") {
  const values = Array.from({ length: count }, () => [`${BigInt(Date.now()) * 1000000n + BigInt((number += 1))}`, `${word} number ${number}`, { session_id: "s-1" }]);
  await push(url, [{ stream: { app: "live" }, values }]);
}
before(() => send(3, "before"));

const shown = (page) => page.locator('[role="option"]');
const LIVE = place("live", { query: '{app="live"}' });

test("lines appear as they come, after the newest that were there", async () => {
  await visit(LIVE, async (page) => {
    await shown(page).filter({ hasText: "before number 3" }).waitFor();
    await page.getByText("Live ·").waitFor();
    await send(2, "new");
    await shown(page).filter({ hasText: "new number" }).nth(1).waitFor();
  });
});

test("paused it counts what comes, and shows it afterwards", async () => {
  await visit(LIVE, async (page) => {
    await page.getByText("Live ·").waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await send(7, "while-paused");
    await page.getByRole("button", { name: "Resume, 7 lines came" }).waitFor();
    assert.equal(await shown(page).filter({ hasText: "while-paused" }).count(), 0);
    await page.getByRole("button", { name: /Resume/ }).click();
    await shown(page).filter({ hasText: "while-paused" }).nth(6).waitFor();
  });
});

test("the filter narrows what is shown on the connection that is open", async () => {
  await visit(LIVE, async (page) => {
    await page.getByText("Live ·").waitFor();
    let sockets = 0;
    page.on("websocket", () => (sockets += 1));
    await page.getByPlaceholder(/Filter what is shown/).fill("/pears|plums/");
    await send(1, "apples");
    await send(1, "pears");
    await shown(page).filter({ hasText: "pears" }).first().waitFor();
    assert.equal(await shown(page).filter({ hasText: "apples" }).count(), 0);
    await page.getByPlaceholder(/Filter what is shown/).fill("");
    await shown(page).filter({ hasText: "apples" }).first().waitFor();
    assert.equal(sockets, 0, "no other connection than the first");
  });
});

test("a lost connection is taken up again where it was", async () => {
  await visit("", async (page) => {
    // The browser's own end of the connection: what the page sees when a network goes away.
    await page.addInitScript(() => {
      const Real = window.WebSocket;
      window.sockets = [];
      window.WebSocket = class extends Real {
        constructor(...given) {
          super(...given);
          window.sockets.push(this);
        }
      };
    });
    await page.goto(`${pageUrl}/${LIVE}`);
    await page.reload();
    await page.getByText("Live ·").waitFor();
    await page.evaluate(() => window.sockets.at(-1).close());
    await send(4, "meanwhile");
    await until("lines of the gap", () => shown(page).filter({ hasText: "meanwhile" }).count(), 4);
    await until("another connection", () => page.evaluate(() => window.sockets.length), (count) => count >= 2);
  });
});
