// The status page in a real Chromium, through an outage: what a person sees, hears and reaches.
//
//     node status.js MODULES CHROMIUM PAGE UPSTREAM
//
// MODULES is the folder that playwright-core lies in, PAGE the page's URL, UPSTREAM the misbehaving
// server's. Prints one line of JSON with what was found; the judgement is the caller's. The server
// of the page is to have a client "rates" behind the script "api", called by GET /call.
"use strict";

const path = require("node:path");

const [modules, executablePath, url, upstream] = process.argv.slice(2);
const { chromium } = require(path.join(modules, "playwright-core"));

const LONGEST_MS = 15000;

// Names of hosts lead nowhere: what the page asked of another one would fail, and is noted.
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];

async function steer(status) {
  const answer = await fetch(upstream + "/_script/api", { method: "PUT",
    body: `/status/${status} *` });
  if (!answer.ok) throw new Error("the upstream cannot be steered");
}

async function call(times) {
  for (let i = 0; i < times; i++) await fetch(new URL("/call", url));
}

// ------------------------------------------------------------------------------------- in the page

// The row of a client as it looks, once transitions are over.
function look(name) {
  const row = Array.from(document.querySelectorAll("tbody tr"))
    .find((one) => one.getAttribute("data-client") === name);
  row.getAnimations().forEach((animation) => animation.finish());
  return {
    background: getComputedStyle(row).backgroundColor,
    word: row.querySelector(".word").textContent,
    calls: Number(row.querySelector('[data-label="Calls"]').textContent),
    chart: row.querySelector("svg").getAttribute("aria-label"),
  };
}

// The worst contrast of any text with what is behind it (WCAG 2.2, 1.4.3).
function worstContrast() {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  function behind(element) {
    for (let at = element; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
      if (color[3] !== 0) throw new Error("half transparent");
    }
    throw new Error("no background");
  }
  function luminance(color) {
    const [r, g, b] = color.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function ratio(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }
  document.getAnimations().forEach((animation) => animation.finish());
  let worst = { ratio: 21, text: "" }, texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.nodeValue.trim() || !element.checkVisibility()) continue;
    texts++;
    for (const pseudo of [null, "::before"]) {
      const found = ratio(numbers(getComputedStyle(element, pseudo).color), behind(element));
      if (found < worst.ratio) worst = { ratio: found, text: node.nodeValue.trim() };
    }
  }
  return { ...worst, texts };
}

// ------------------------------------------------------------------------------------- from outside

async function until(page, predicate, argument) {
  await page.waitForFunction(predicate, argument, { timeout: LONGEST_MS, polling: 50 });
}

const state = (wanted) => document.querySelector('tr[data-client="rates"]')
  .getAttribute("data-state") === wanted;

// What a screen reader finds: the table's name, and how many of each of its parts.
async function accessible(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const named = (role) => nodes.filter((node) => !node.ignored && node.role.value === role)
    .map((node) => (node.name ? node.name.value : ""));
  return { tables: named("table"), columns: named("columnheader"), rows: named("rowheader"),
    cells: named("cell").length, regions: named("region"), images: named("image").length,
    buttons: named("button") };
}

async function contrasts(page) {
  const found = {};
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    found[colorScheme] = await page.evaluate(worstContrast);
    found[colorScheme].row = (await page.evaluate(look, "rates")).background;
  }
  return found;
}

// Where the keyboard comes, step by step.
async function tabStops(page) {
  const stops = [];
  for (let i = 0; i < 3; i++) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => {
      const at = document.activeElement, shown = getComputedStyle(at);
      return { name: at.id || at.className, outline: shown.outlineStyle !== "none"
        && parseFloat(shown.outlineWidth) >= 2 };
    }));
  }
  return stops;
}

function overflow() {
  return document.documentElement.scrollWidth - document.documentElement.clientWidth;
}

// A phone: no scrolling sideways, and the place is kept while the page changes.
async function onPhone(page) {
  await page.setViewportSize({ width: 360, height: 640 });
  const found = { overflow: await page.evaluate(overflow), tree: await accessible(page),
    labels: await page.evaluate(() =>
      getComputedStyle(document.querySelector("td"), "::before").content) };
  await page.evaluate(() => {
    scrollTo(0, 300);
    window.seen = document.elementFromPoint(180, 320);
    window.seenAt = window.seen.getBoundingClientRect().top;
  });
  const before = (await page.evaluate(look, "rates")).calls;
  await call(1);
  await until(page, (calls) => Number(document.querySelector('tr[data-client="rates"] '
    + '[data-label="Calls"]').textContent) > calls, before);
  found.moved = await page.evaluate(() =>
    window.seen.getBoundingClientRect().top - window.seenAt);
  found.dark = (await contrasts(page)).dark;
  return found;
}

// Two of them go through the same outage side by side: this one loses its server for a while.
async function withoutServer(browser) {
  const page = await browser.newPage();
  await page.goto(url);
  await page.route("**/*", (route) => route.abort());
  await page.waitForSelector("#late:not([hidden])", { timeout: LONGEST_MS });
  const text = await page.textContent("#late");
  await page.unroute("**/*");
  await page.waitForSelector("#late", { state: "hidden", timeout: LONGEST_MS });
  await page.close();
  return text;
}

async function withoutScript(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  const found = { rows: await page.locator("tbody tr").count(),
    refresh: await page.locator('meta[http-equiv="refresh"]').count(),
    pause: await page.locator("#pause").isVisible() };
  await context.close();
  return found;
}

// --------------------------------------------------------------------------------------- the outage

function watch(page, found) {
  found.hosts = [];
  found.loads = 0;
  found.complaints = [];
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:" && !found.hosts.includes(host)) found.hosts.push(host);
    if (request.isNavigationRequest()) found.loads++;
  });
  page.on("pageerror", (error) => found.complaints.push(String(error)));
  page.on("console", (message) => found.complaints.push(message.text()));
  page.on("dialog", (dialog) => { found.complaints.push("a dialog"); dialog.dismiss(); });
}

async function goThrough(page, found) {
  await steer(200);
  await call(2);
  await page.goto(url);
  found.tree = await accessible(page);
  found.overflow = await page.evaluate(overflow);
  found.stops = await tabStops(page);
  await page.focus(".scroll");
  found.closed = await page.evaluate(look, "rates");
  found.title = await page.title();

  await steer(503);
  await call(4);
  await until(page, state, "open");
  found.open = await page.evaluate(look, "rates");
  found.news = await page.textContent("#news");
  found.openTitle = await page.title();
  found.contrasts = await contrasts(page);
  found.focus = await page.evaluate(() => document.activeElement.className);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  found.transition = await page.evaluate(() =>
    getComputedStyle(document.querySelector("tbody tr")).transitionDuration);

  await steer(200);
  await fetch(new URL("/wait", url)); // until the breaker lets a probe go, and it has come back
  await until(page, state, "closed");
  found.again = await page.evaluate(look, "rates");
  found.news = [found.news, await page.textContent("#news")];
}

async function main() {
  const found = {};
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS });
  try {
    const aside = Promise.all([withoutServer(browser), withoutScript(browser)]);
    aside.catch(() => {}); // it is awaited below
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    watch(page, found);
    await goThrough(page, found);
    found.phone = await onPhone(page);
    found.ran = await page.evaluate(() => window.ran || null);
    const asked = found.complaints.length;
    found.blocked = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = 'injected'";
      document.body.append(script);
      return window.ran || null;
    });
    found.complaints.length = asked; // the browser's own, about that script
    await page.focus("#pause");
    await page.keyboard.press("Enter");
    found.paused = await page.textContent("#pause");
    [found.late, found.plain] = await aside;
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
