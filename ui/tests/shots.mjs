// Pictures of every view, in both themes and both widths, into ui/screenshots, to be looked at.
// usage: node tests/shots.mjs URL [view…]     on a server with the logs of tests/data.mjs
//        node tests/shots.mjs URL --readme    the three of the README, into docs/images
import { mkdirSync } from "node:fs";
import { openPage, startBrowser } from "./browser.mjs";

const url = process.argv[2] ?? "http://127.0.0.1:8080";
const wanted = process.argv.slice(3);
const folder = new URL("../screenshots/", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });

const q = (parameters) => new URLSearchParams(parameters).toString();
const ERRORS = '{app=~"checkout|payments"} |~ "declined|could not"';
const VIEWS = {
  explore: { place: "#/explore" },
  line: { place: `#/explore?${q({ query: ERRORS })}`, act: (page) => page.locator('[role="option"]').nth(2).click() },
  context: {
    place: `#/explore?${q({ query: ERRORS })}`,
    act: async (page) => {
      await page.locator('[role="option"]').nth(2).click();
      await page.getByRole("button", { name: "Context" }).click();
    },
  },
  builder: { place: `#/explore?${q({ query: '{app="checkout"} |= "order" | json | level="error"' })}`, act: (page) => page.getByRole("button", { name: "Builder" }).click() },
  pretty: { place: `#/explore?${q({ query: '{app="checkout"}', pretty: "1" })}` },
  range: { place: "#/explore", act: (page) => page.getByRole("button", { name: "Range of time" }).click() },
  nothing: { place: `#/explore?${q({ query: '{app="nowhere"}' })}` },
  broken: { place: `#/explore?${q({ query: '{app="checkout"} |= oops' })}` },
  live: { place: "#/live" },
  patterns: { place: `#/patterns?${q({ from: "now-30m", to: "now" })}` },
  fields: { place: `#/patterns?${q({ query: '{app="gateway"}', tab: "fields", field: "status" })}` },
  charts: { place: `#/charts?${q({ query: "sum by (app) (count_over_time({app=~`.+`}[1m]))" })}` },
  bars: { place: `#/charts?${q({ query: 'sum by (detected_level) (count_over_time({app="payments"}[2m]))', kind: "bars" })}` },
  labels: { place: "#/labels?label=app" },
  saved: { place: "#/saved" },
  events: { place: "#/events" },
  system: { place: "#/system" },
  send: { place: "#/send" },
};

const browser = await startBrowser();

async function picture(name, theme, width, height, file) {
  const { place, act } = VIEWS[name];
  const page = await openPage(browser, { width, height, theme });
  await page.goto(`${url}/${place}`);
  await page.waitForTimeout(900);
  if (act) await act(page);
  await page.waitForTimeout(600);
  await page.screenshot(file);
  if (page.troubles.length > 0) console.log(name, theme, width, page.troubles);
  await page.context().close();
}

if (wanted.includes("--readme")) {
  const images = new URL("../../docs/images/", import.meta.url).pathname;
  mkdirSync(images, { recursive: true });
  for (const [name, theme] of [["explore", "light"], ["context", "dark"], ["patterns", "light"]]) {
    await picture(name, theme, 1200, 660, { path: `${images}${name}.jpg`, type: "jpeg", quality: 66 });
  }
  await browser.close();
  process.exit(0);
}
for (const theme of ["light", "dark"]) {
  for (const [width, height] of [[1280, 800], [390, 844]]) {
    for (const name of Object.keys(VIEWS)) {
      if (wanted.length > 0 && !wanted.includes(name)) continue;
      await picture(name, theme, width, height, { path: `${folder}${name}-${theme}-${width}.png` });
    }
  }
}
await browser.close();
