// Times on a page: moments in the reader's own time zone, and counts down to an end.

/** The time left in the words of the server's pages. */
function span(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const two = (a, aUnit, b, bUnit) => (b === 0 ? `${a} ${aUnit}` : `${a} ${aUnit} ${b} ${bUnit}`);
  if (days > 0) return two(days, "d", hours, "h");
  if (hours > 0) return two(hours, "h", minutes, "min");
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function countDown() {
  const now = Math.floor(Date.now() / 1000);
  for (const time of document.querySelectorAll("time.left")) {
    const left = Number(time.dataset.ends) - now;
    write(time, left > 0 ? span(left) + (time.dataset.after ?? "") : "ended");
  }
}

const DATE = { dateStyle: "medium", timeStyle: "short" };

const DAYS = 6 * 86400000;

/** The time alone if the moment is today, else with the day of the week, or with its date. */
function clock(moment) {
  const now = new Date();
  if (moment.toDateString() === now.toDateString()) return moment.toLocaleString(undefined, { timeStyle: "short" });
  const isNear = Math.abs(moment - now) < DAYS;
  return moment.toLocaleString(undefined, isNear ? { weekday: "short", hour: "numeric", minute: "2-digit" } : DATE);
}

/** Writes all times of the page as its reader has them. */
export function writeTimes() {
  for (const time of document.querySelectorAll("time.moment")) {
    write(time, new Date(time.dateTime).toLocaleString(undefined, DATE));
  }
  for (const time of document.querySelectorAll("time.clock")) {
    write(time, clock(new Date(time.dateTime)));
  }
  for (const time of document.querySelectorAll("time.left")) {
    time.title = new Date(Number(time.dataset.ends) * 1000).toLocaleString(undefined, DATE);
  }
  countDown();
}

writeTimes();
setInterval(countDown, 1000);
