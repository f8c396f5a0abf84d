"use strict";

const REFRESH_MS = 1000;
const BUSY = new Set(["manifest-received", "downloading", "verifying", "activating", "confirming", "rolling-back", "reporting"]);

const byId = (id) => document.getElementById(id);

// Everything a device says reaches the page as text, never as markup.
function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null));
  return node;
}

function ago(timestamp, now) {
  if (!timestamp) return "never";
  const seconds = Math.max(0, (Date.parse(now) - Date.parse(timestamp)) / 1000);
  if (seconds < 2) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function size(bytes) {
  return bytes < 1048576 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

function versions(packages) {
  return Object.entries(packages).map(([name, version]) => element("span", "version", `${name} ${version}`));
}

const isBusy = (device) => BUSY.has(device.state);
const needsAttention = (device) => device.error !== null || device.state === "awaiting-retry";

function stateCell(device) {
  if (!device.enabled) return element("td", "", element("span", "pill bad", "disabled"));
  if (device.state === null) return element("td", "", element("span", "soft", "not reported"));
  const kind = isBusy(device) ? "busy" : needsAttention(device) ? "bad" : "idle";
  const cell = element("td", "", element("span", `pill ${kind}`, device.state));
  if (device.error) cell.append(element("div", "error", device.error));
  return cell;
}

function updateCell(device) {
  const cell = element("td", "", ...versions(device.target));
  if (device.progress) {
    const { done, total } = device.progress;
    const bar = element("progress", "");
    bar.max = total;
    bar.value = done;
    cell.append(bar, element("small", "", `${Math.floor((100 * done) / total)} % of ${size(total)}`));
  }
  if (!cell.hasChildNodes()) cell.append(element("span", "soft", "–"));
  return cell;
}

function workerCell(device) {
  if (!device.worker) return element("td", "soft", "–");
  const fps = device.worker.fps === null ? "" : ` ${device.worker.fps.toFixed(1)} frames/s`;
  return element("td", "", `${device.worker.state ?? ""}${fps}`);
}

function deviceRow(device, now) {
  const running = versions(device.packages);
  return element("tr", "",
    element("td", "",
      element("b", "", element("span", device.online ? "dot online" : "dot"), device.name),
      element("small", "", device.cohort ?? "no cohort")),
    stateCell(device),
    element("td", "", ...(running.length ? running : [element("span", "soft", "–")])),
    updateCell(device),
    workerCell(device),
    element("td", "", device.online ? "online" : "offline", element("br", ""), element("small", "", ago(device.lastSeen, now))));
}

function cohortItem(cohort, now) {
  const item = element("li", "", element("b", "", cohort.name), ` · ${cohort.devices} ${cohort.devices === 1 ? "device" : "devices"}`);
  const deployment = cohort.deployment;
  if (!deployment) return element("li", "", ...item.childNodes, element("div", "soft", "nothing deployed"));
  item.prepend(element("time", "", ago(deployment.at, now)));
  item.append(element("div", "", element("small", "", `${deployment.name} `), ...versions(deployment.packages)));
  return item;
}

function eventItem(event, now) {
  const change = event.targetVersion ? `${event.currentVersion || "?"} → ${event.targetVersion}` : event.currentVersion;
  return element("li", "",
    element("time", "", ago(event.timestamp, now)),
    element("b", "", event.device), ` ${event.packageId} `, element("span", "soft", change),
    element("div", "", element("span", "pill", event.eventType.toLowerCase()), " ", element("small", "", event.message)));
}

function fill(id, items, empty) {
  byId(id).replaceChildren(...(items.length ? items : [empty]));
}

function count(id, number) {
  const node = byId(id);
  node.textContent = number;
  node.parentElement.classList.toggle("zero", number === 0);
}

function show(fleet) {
  byId("project").textContent = fleet.project;
  count("count-devices", fleet.total);
  count("count-online", fleet.devices.filter((device) => device.online).length);
  count("count-updating", fleet.devices.filter(isBusy).length);
  count("count-attention", fleet.devices.filter(needsAttention).length);
  const noDevice = element("tr", "", element("td", "soft", "No device yet. One appears here with its first connection."));
  noDevice.firstChild.colSpan = 6;
  fill("devices", fleet.devices.map((device) => deviceRow(device, fleet.now)), noDevice);
  const hidden = fleet.total - fleet.devices.length;
  byId("devices-note").textContent = hidden > 0 ? `${hidden} more devices are not shown.` : "";
  fill("cohorts", fleet.cohorts.map((cohort) => cohortItem(cohort, fleet.now)), element("li", "soft", "No cohort yet."));
  fill("events", fleet.events.map((event) => eventItem(event, fleet.now)), element("li", "soft", "No report yet."));
}

function connection(text, lost) {
  byId("connection").textContent = text;
  byId("connection").classList.toggle("lost", lost);
}

async function refresh() {
  try {
    const answer = await fetch("/fleet.json", { credentials: "same-origin" });
    if (answer.status === 401) return window.location.reload();
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(await answer.json());
    connection("live", false);
  } catch (error) {
    connection(`no answer from the cloud (${error.message})`, true);
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
