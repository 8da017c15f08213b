import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { pushShop, push } from "./data.mjs";
import { pageUrl, place, until, url, visit, withBrowser, write } from "./server.mjs";

withBrowser();
before(() => pushShop(url, { count: 6000, minutes: 50 }));

const lines = (page) => page.locator('[role="option"]');
const top = async (part) => (await part.boundingBox()).y;
const status = (page) => page.locator(".said").innerText();

test("all lines are there at once, counted by level", async () => {
  await visit("", async (page) => {
    await lines(page).first().waitFor();
    await until("all are counted", () => page.getByTestId("total").innerText(), "6,000 lines");
    await page.getByRole("img", { name: /^6,000 lines: error/ }).waitFor();
    assert.match(await status(page), /read .* of .*passed over/);
  });
});

test("a query that is typed finds its lines and marks what it looked for", async () => {
  await visit("", async (page) => {
    await write(page, '{app="payments"} |= "declined"');
    await page.keyboard.press("Control+Enter");
    await page.locator("mark", { hasText: "declined" }).first().waitFor();
    assert.match(page.url(), /query=/);
    const shown = await lines(page).allInnerTexts();
    assert.ok(shown.every((line) => line.includes("declined")), shown.join("\n"));
  });
});

test("a line opens with its labels and narrows the query", async () => {
  await visit(place("explore", { query: '{app="gateway"}' }), async (page) => {
    await lines(page).first().click();
    const details = page.getByRole("complementary", { name: "Line" });
    await details.getByText("Labels").waitFor();
    await details.getByRole("button", { name: /^Only status / }).click();
    await until("the query", () => page.url(), (found) => decodeURIComponent(found).includes('|+logfmt+|+status="'));
    await lines(page).first().waitFor();
  });
});

test("the lines around a line are shown without losing the place", async () => {
  await visit(place("explore", { query: '{app="checkout"} |= "order could not"' }), async (page) => {
    await lines(page).first().click();
    const count = await lines(page).count();
    const details = page.getByRole("complementary", { name: "Line" });
    await details.getByRole("button", { name: "Context" }).click();
    await until("lines around", () => details.locator("p time").count(), (found) => found > 20);
    const same = details.locator('p[aria-current="true"]', { hasText: "could not" });
    await until("the line itself is in sight", () => top(same), (y) => y > 100 && y < 700);
    const earlier = details.getByRole("button", { name: "Earlier" });
    await earlier.scrollIntoViewIfNeeded();
    const before = await top(same);
    const held = await details.locator("p time").count();
    await earlier.click();
    await until("earlier lines", () => details.locator("p time").count(), (found) => found > held);
    await until("and stays where it was", async () => Math.abs((await top(same)) - before) < 3, true);
    assert.equal(await lines(page).count(), count);
  });
});

test("on a narrow screen every view fits its width, and the query leaves room for lines", async () => {
  await visit(place("explore", { query: '{app="checkout"}' }), async (page) => {
    await lines(page).first().waitFor();
    const query = await page.locator(".editor").boundingBox();
    assert.ok(query.height < 80, `the query is ${query.height} pixels high`);
    for (const view of ["explore", "live", "patterns", "charts", "labels", "saved", "events", "system", "send"]) {
      await page.goto(`${pageUrl}/#/${view}`);
      await page.getByRole("main").locator("button").first().waitFor();
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wider <= 0, `${view} is ${wider} pixels too wide`);
    }
  }, { width: 390, height: 844 });
});

test("an error of the parser is underlined where it is, and said", async () => {
  await visit("", async (page) => {
    await write(page, '{app="payments"} |= oops');
    const wrong = page.locator(".cm-lintRange-error");
    await wrong.waitFor();
    assert.equal(await wrong.innerText(), "oops");
    await page.keyboard.press("Control+Enter");
    await page.getByRole("alert").getByText(/unexpected IDENTIFIER/).waitFor();
  });
});

test("completion knows the labels and values of the server", async () => {
  await visit("", async (page) => {
    await lines(page).first().waitFor();
    await write(page, "{a");
    await page.locator(".cm-tooltip-autocomplete li", { hasText: "app" }).click();
    await page.keyboard.type('"pa');
    await page.locator(".cm-tooltip-autocomplete li", { hasText: "payments" }).waitFor();
  });
});

test("the builder edits the same query", async () => {
  await visit(place("explore", { query: '{app="gateway"}' }), async (page) => {
    await page.getByRole("button", { name: "Builder" }).click();
    const value = page.getByLabel("Value", { exact: true });
    await value.fill("payments");
    await value.press("Enter");
    await page.getByRole("button", { name: "+ Text" }).click();
    const text = page.getByLabel("Text", { exact: true });
    await text.fill("captured");
    await text.press("Tab");
    await until("the query", () => page.getByLabel("Query", { exact: true }).innerText(), '{app="payments"} |= "captured"');
    await page.locator("mark", { hasText: "captured" }).first().waitFor();
  });
});

test("dragging over the histogram chooses a range, and back leads to the one before", async () => {
  await visit("", async (page) => {
    await lines(page).first().waitFor();
    const picture = page.getByRole("img", { name: /lines/ });
    const box = await picture.boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 30, { steps: 4 });
    await page.mouse.up();
    await until("fewer lines", () => page.getByRole("img", { name: /lines/ }).getAttribute("aria-label"), (found) => !found.startsWith("6,000") && !found.startsWith("0 "));
    await page.goBack();
    await page.getByRole("img", { name: /^6,000 lines/ }).waitFor();
  });
});

test("scrolling reads on by cursor, and keeps few rows in the document", async () => {
  await visit("", async (page) => {
    await lines(page).first().waitFor();
    const list = page.getByRole("listbox", { name: "Log lines" });
    await until("the last line", async () => {
      await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
      return status(page);
    }, (found) => found.startsWith("6,000 lines"));
    assert.ok((await lines(page).count()) < 120);
  });
});

test("text of lines never becomes markup, and what would hide is shown", async () => {
  const now = `${Date.now() - 1000}`;
  const hostile = [
    '<img src=x onerror="document.title=1"><script>document.title=2</script>',
    "\u001b[31mred\u001b[0m \u001b]0;title\u0007 end",
    "safe \u202egnp.exe\u202c after",
    `NUL \u0000 in it`,
    "x".repeat(200_000),
  ];
  const values = hostile.map((text, i) => [`${now}00000${i}`, text, { "evil": "<b>bold</b>" }]);
  await push(url, [{ stream: { app: "hostile", "label": "<i>x</i>" }, values }]);
  for (const wrap of ["", "1"]) {
    await visit(place("explore", { query: '{app="hostile"}', wrap }), async (page) => {
      await until("five lines", () => lines(page).count(), 5);
      assert.equal(await page.title(), "Timberyard");
      assert.equal(await page.locator(".lines img, .lines script, .lines b").count(), 0);
      const shown = (await lines(page).allInnerTexts()).join("\n");
      assert.match(shown, /<img src=x onerror/);
      assert.match(shown, /⟨U\+202E⟩gnp/);
      assert.match(shown, /NUL ␀ in it/);
      assert.match(shown, /more characters/);
      assert.equal(await page.locator(".ansi-1").innerText(), "red");
      await lines(page).filter({ hasText: "onerror" }).click();
      await page.getByRole("complementary", { name: "Line" }).getByText("<b>bold</b>").waitFor();
      assert.equal(await page.title(), "Timberyard");
    });
  }
});

test("where nothing is found it is said, with ways on", async () => {
  await visit(place("explore", { query: '{app="nowhere"}' }), async (page) => {
    await page.getByRole("heading", { name: "No lines in this range" }).waitFor();
    await page.getByRole("button", { name: "All lines" }).click();
    await lines(page).first().waitFor();
  });
});

test("everything works with the keyboard", async () => {
  await visit(place("explore", { query: '{app="gateway"}' }), async (page) => {
    await lines(page).first().waitFor();
    await page.getByRole("listbox", { name: "Log lines" }).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "Line" }).waitFor();
    await page.keyboard.press("Escape");
    await until("closed", () => page.getByRole("complementary", { name: "Line" }).count(), 0);
  });
});

test("the whole result is exported as NDJSON, CSV or text", async () => {
  await visit(place("explore", { query: '{app="checkout"}' }), async (page) => {
    // The dialog of the system for a place to save belongs to no page.
    await page.evaluate(() => delete window.showSaveFilePicker);
    await lines(page).first().waitFor();
    const count = async () => Number((await page.getByTestId("total").innerText()).replace(/\D/g, ""));
    const total = await until("all are counted", count, (found) => found > 0);
    await page.getByRole("button", { name: "Export" }).click();
    for (const [format, ending, rows] of [["NDJSON", ".ndjson", total], ["CSV", ".csv", total + 1], ["Text", ".log", total]]) {
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: format, exact: true }).click();
      const file = await download;
      assert.ok(file.suggestedFilename().endsWith(ending));
      const text = await readFile(await file.path(), "utf8");
      assert.equal(text.trim().split("\n").length, rows, format);
      assert.match(text, /order placed/);
      await page.getByText(/^Done, /).waitFor();
    }
  });
});

test("a server that cannot be reached is said to be, and what is shown stays until it answers again", async () => {
  await visit(place("explore", { query: '{app="gateway"}' }), async (page) => {
    await lines(page).first().waitFor();
    await page.context().setOffline(true);
    await write(page, '{app="payments"}');
    await page.keyboard.press("Control+Enter");
    await page.getByText(/server cannot be reached/).first().waitFor();
    await page.context().setOffline(false);
    await page.getByLabel("Query", { exact: true }).click();
    await page.keyboard.press("Control+Enter");
    await lines(page).first().waitFor();
    await until("the notice is gone", () => page.getByText(/server cannot be reached/).count(), 0);
    // What the browser says of requests that cannot leave it is meant here.
    page.troubles.length = 0;
  });
});
