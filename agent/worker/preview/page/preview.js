"use strict";

const PERIOD = 500;
const MOST_CLASSES = 6;
const live = document.getElementById("live");
let failed = 0;

function put(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
  return element;
}

function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

// Bars are changed in place: making them anew twice a second would disturb selection and readers.
function bars(id, rows) {
  const list = document.getElementById(id);
  if (!rows.length) return;
  while (list.children.length > rows.length || list.querySelector(".hint")) list.lastChild.remove();
  while (list.children.length < rows.length) {
    const item = document.createElement("li");
    item.className = "bar";
    item.append(document.createElement("span"), document.createElement("span"), document.createElement("progress"));
    list.append(item);
  }
  rows.forEach(([label, share, shown], place) => {
    const [name, value, bar] = list.children[place].children;
    name.textContent = name.title = label;
    value.textContent = shown;
    bar.max = 1;
    bar.value = share;
    list.children[place].classList.toggle("best", place === 0);
  });
}

function showState(figures) {
  const source = figures.source.state;
  const words = source === "playing" ? figures.state : `camera ${source}`;
  const kind = source !== "playing" ? (source === "opening" ? "busy" : "bad")
    : figures.state === "serving" ? "good" : "busy";
  put("state", words).className = `pill ${kind}`;
  put("source", figures.source.address);
  put("no-picture", figures.source.detail || "Waiting for the first picture…");
  put("error", figures.last_error && figures.events.engine_failures ? figures.last_error : "");
}

function showNotice(notices) {
  const [first] = notices;
  const shown = first ? `${first.title}: ${first.text}` : "";
  const banner = put("notice", shown);
  banner.hidden = !first;
  // On the picture it is drawn already; then this one is for screen readers.
  banner.className = first ? `${first.kind}${live.hidden ? "" : " unseen"}` : "";
}

function showRelease(figures) {
  const tally = figures.releases[figures.release];
  const version = figures.version ? `Version ${figures.version}` : "Release";
  put("release", figures.release ? `${version} · ${figures.release.slice(0, 16)}` : "No release serves yet");
  if (!tally) return;
  const classes = Object.entries(tally.classes).sort((a, b) => b[1] - a[1]);
  const total = classes.reduce((sum, [, count]) => sum + count, 0) || 1;
  bars("classes", classes.slice(0, MOST_CLASSES).map(([label, count]) => [label, count / total, number(count)]));
}

function showComparison(comparison) {
  let text = "";
  if (comparison && comparison.compared) {
    const share = Math.round(100 * comparison.agreed / comparison.compared);
    text = `On trial: agrees with the release before on ${share} % of ${number(comparison.compared)} frames.`;
  }
  put("comparison", text);
}

function showFigures(figures) {
  const events = figures.events;
  put("fps", number(figures.fps, 1));
  put("latency", number(figures.latency_ms.p50, 1));
  put("latency-p95", number(figures.latency_ms.p95, 1));
  put("classified", number(figures.classified));
  put("dropped", number(figures.dropped));
  put("max-gap", number(figures.max_gap_ms));
  put("swaps", number(events.swaps));
  put("last-gap", number(events.last_gap_ms));
  const failures = events.engine_failures + events.source_failures;
  put("failures", number(failures)).classList.toggle("bad", failures > 0);
}

function show(figures) {
  showState(figures);
  showNotice(figures.notices);
  showRelease(figures);
  showComparison(figures.comparison);
  showFigures(figures);
  const top = figures.last ? figures.last.top : [];
  bars("scores", top.map(({ label, confidence }) => [label, confidence, `${number(100 * confidence, 1)} %`]));
}

function watch() {
  live.src = document.hidden ? "" : `/stream.mjpg?${Date.now()}`;
  if (document.hidden) live.removeAttribute("src");
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/status.json", { signal: AbortSignal.timeout(4000) });
      if (!answer.ok) throw new Error(answer.statusText);
      show(await answer.json());
      if (failed > 1) watch();
      failed = 0;
    } catch {
      failed += 1;
      if (failed > 1) put("state", "worker not reachable").className = "pill bad";
    }
  }
  setTimeout(look, PERIOD);
}

live.addEventListener("load", () => {
  live.hidden = false;
  document.getElementById("no-picture").hidden = true;
});
live.addEventListener("error", () => setTimeout(watch, 2000));
document.addEventListener("visibilitychange", watch);
watch();
look();
