// Times as how long ago they were, kept true without asking the server.
"use strict";
const words = (seconds) => {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
};
const tell = () => {
  for (const time of document.querySelectorAll("time.ef-ago")) {
    const moment = new Date(time.getAttribute("datetime"));
    const told = words(Math.max(0, (Date.now() - moment) / 1000));
    if (time.textContent !== told) time.textContent = told;
    if (!time.title) time.title = moment.toLocaleString();
  }
};
setInterval(tell, 1000);
new MutationObserver(tell).observe(document.documentElement, { childList: true, subtree: true });
