// What a page does in a browser. Without it everything still works: pages say UTC, and are
// fetched anew by hand.

const body = document.body;
const lang = document.documentElement.lang;
const when = new Intl.DateTimeFormat(lang, {dateStyle: "medium", timeStyle: "short"});
const exact = new Intl.DateTimeFormat(lang, {dateStyle: "medium", timeStyle: "medium"});
const hour = new Intl.DateTimeFormat(lang, {timeStyle: "short"});
const apart = new Intl.RelativeTimeFormat(lang, {numeric: "auto", style: "short"});

// Times are shown in the browser's zone; what they are in UTC is in the title.
function since(then) {
  const seconds = (then - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) { return apart.format(Math.trunc(seconds / size), unit); }
  }
  return apart.format(0, "minute");
}

function localize(root) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const at = new Date(t.dateTime);
    if (Number.isNaN(at.getTime())) { continue; }
    if (!t.title) { t.title = t.textContent; }
    const today = at.toDateString() === new Date().toDateString();
    const text = ("second" in t.dataset ? exact : today ? hour : when).format(at) + ("ago" in t.dataset ? " · " + since(at) : "");
    if (t.textContent !== text) { t.textContent = text; }
  }
  for (const b of root.querySelectorAll("button[data-copy]")) { b.hidden = !navigator.clipboard; }
}

// morph makes one element like another and touches only what differs, so that the focus, a
// selection and the reader's place stay where they are.
function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || from.id !== to.id) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) { from.nodeValue = to.nodeValue; }
    return;
  }
  if (from.isEqualNode(to)) { return; }
  for (const {name} of [...from.attributes]) {
    if (!to.hasAttribute(name)) { from.removeAttribute(name); }
  }
  for (const {name, value} of [...to.attributes]) {
    if (from.getAttribute(name) !== value) { from.setAttribute(name, value); }
  }
  const byId = new Map([...from.children].filter(c => c.id).map(c => [c.id, c]));
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const same = wanted.id && byId.get(wanted.id);
    if (same) {
      byId.delete(wanted.id);
      if (same === place) { place = place.nextSibling; } else { from.insertBefore(same, place); }
      morph(same, wanted);
    } else if (place && !place.id && !wanted.id && place.nodeName === wanted.nodeName) {
      const next = place.nextSibling;
      morph(place, wanted);
      place = next;
    } else {
      if (wanted.nodeName === "TR") { wanted.classList.add("new"); }
      from.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// A fetch of the page puts what it shows now in place of what it shows. By itself: nobody has asked for it, so that it keeps no sign-in alive.
let asked = 0;
async function refresh(url, byItself) {
  const mine = ++asked;
  const headers = {Accept: "text/html"};
  if (byItself) { headers["Sitegate-Unattended"] = "1"; }
  const answer = await fetch(url, {headers, credentials: "same-origin"});
  if (answer.redirected && new URL(answer.url).pathname !== new URL(url, location).pathname) {
    location.reload(); // signed out
    return;
  }
  const text = await answer.text();
  if (!answer.ok || mine !== asked) { return; }
  const fresh = new DOMParser().parseFromString(text, "text/html");
  localize(fresh);
  document.title = fresh.title;
  const main = document.getElementById("main");
  const wanted = [...fresh.querySelectorAll("[data-morph]")];
  for (const old of document.querySelectorAll("[data-morph]")) {
    if (!wanted.some(w => w.id === old.id)) { old.remove(); }
  }
  let before = null; // what of main the last region was in
  for (const region of wanted) {
    let here = document.getElementById(region.id);
    if (here) {
      const chosen = here.value;
      morph(here, region);
      if (here.nodeName === "SELECT" && here.value !== chosen && [...here.options].some(o => o.value === chosen)) { here.value = chosen; }
    } else {
      here = region;
      if (before) { before.after(here); } else { main.prepend(here); }
    }
    while (here && here.parentNode !== main) { here = here.parentNode; }
    before = here || before;
  }
}

// The event stream only says that something has happened. Pages that are not seen wait until
// they are, and nothing is fetched more often than the server has leisure for.
let due = false, busy = false, last = 0, cost = 0;
async function live() {
  if (busy || !due || document.hidden) { return; }
  const rest = Math.max(400, 4 * cost) - (performance.now() - last);
  if (rest > 0) { setTimeout(live, rest); return; }
  busy = true; due = false;
  const begun = performance.now();
  try { await refresh(location.href, true); } catch { due = true; }
  last = performance.now();
  cost = last - begun;
  busy = false;
  if (due) { setTimeout(live, 2000); }
}

// A page that is not seen has no stream: browsers open six connections to a host, which
// other pages need.
function listen(url) {
  const says = document.getElementById("live");
  const show = on => {
    if (!says) { return; }
    says.hidden = false;
    says.classList.toggle("off", !on);
    const text = on ? body.dataset.liveOn : body.dataset.liveOff + " " + hour.format(new Date());
    if (says.textContent !== text) { says.textContent = text; }
  };
  let greeted = false, wait = 1000, stream = null, again = 0;
  const leave = () => {
    clearTimeout(again);
    if (stream) { stream.close(); stream = null; }
  };
  const connect = () => {
    leave();
    if (document.hidden) { return; }
    const mine = stream = new EventSource(url);
    mine.addEventListener("hello", () => {
      show(true);
      wait = 1000;
      if (greeted) { due = true; live(); }
      greeted = true;
    });
    mine.addEventListener("site", () => { due = true; live(); });
    mine.onerror = () => {
      show(false);
      if (mine === stream && mine.readyState === EventSource.CLOSED) { // the server has refused
        again = setTimeout(connect, wait);
        wait = Math.min(60000, 2 * wait);
      }
    };
  };
  const look = () => {
    if (document.hidden) { leave(); show(false); return; }
    due = true;
    connect();
    live();
  };
  connect();
  addEventListener("pagehide", leave);
  addEventListener("pageshow", e => { if (e.persisted) { look(); } });
  document.addEventListener("visibilitychange", look);
  setInterval(() => { due = true; live(); }, 30000); // what nobody is told of
}

// Lists are searched while somebody types. What is shown meanwhile is said to be of before.
let looking = 0;
for (const form of document.querySelectorAll("form[data-search]")) {
  let timer;
  const go = () => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) { if (value) { query.set(name, value); } }
    const url = form.action.split("?")[0] + (query.size ? "?" + query : "");
    history.replaceState(null, "", url);
    const main = document.getElementById("main");
    main.setAttribute("aria-busy", "true");
    const mine = ++looking;
    refresh(url).catch(() => location.assign(url)).finally(() => { if (mine === looking) { main.removeAttribute("aria-busy"); } });
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(go, 180); });
  form.addEventListener("submit", e => { e.preventDefault(); clearTimeout(timer); go(); });
}

// What was written into a form is kept in this tab until the form was taken: whoever must sign
// in anew in between finds it there again, and nobody else does. Files are not.
const written = form => [...form.elements].filter(x => x.name && !["hidden", "file", "submit"].includes(x.type));
const kept = "typed:";
const keyOf = form => {
  const url = new URL(form.action);
  return kept + (document.querySelector("#me bdi")?.textContent || "") + " " + url.pathname + url.search;
};
function keep(form) {
  const values = written(form).map(x => [x.name, x.value]);
  if (!values.length) { return; } // a preview, of what is kept
  try { sessionStorage.setItem(keyOf(form), JSON.stringify(values)); } catch { /* it is too long, or nothing may be kept */ }
}
try {
  const form = document.querySelector("form.act-form"), there = form && keyOf(form);
  if (form && !document.getElementById("alert")) {
    for (const [name, value] of JSON.parse(sessionStorage.getItem(there)) || []) {
      const x = form.elements[name];
      if (x && x.type !== "hidden" && (!x.value || x.nodeName === "SELECT" && [...x.options].some(o => o.value === value))) { x.value = value; }
    }
  }
  if (!document.getElementById("alert") && document.querySelector("nav.side")) { // it was taken, or is another's, or somebody has gone elsewhere
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith(kept) && name !== there) { sessionStorage.removeItem(name); }
    }
  }
} catch { /* nothing is kept */ }

// A form is sent once, and says that it is under way. One that is answered by a file may be
// sent again after a while: nobody tells when the file is there.
for (const form of document.querySelectorAll("form[data-busy]")) {
  const says = document.getElementById("busy"); // outside of what is busy, where it is read out
  const rest = () => {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
    says.textContent = "";
    for (const b of form.querySelectorAll("button")) { b.disabled = false; }
  };
  form.addEventListener("submit", e => {
    if (form.dataset.sent) { e.preventDefault(); return; }
    form.dataset.sent = "1";
    form.setAttribute("aria-busy", "true");
    keep(form);
    says.textContent = form.dataset.busy;
    setTimeout(() => { for (const b of form.querySelectorAll("button")) { b.disabled = true; } }); // what is disabled is not sent
    if ("again" in form.dataset) { setTimeout(rest, 5000); }
  });
  addEventListener("pageshow", rest);
}

// What was done is said once, and not for a week.
const done = document.getElementById("done");
if (done) {
  const url = new URL(location);
  if (url.searchParams.has("done")) {
    url.searchParams.delete("done");
    history.replaceState(null, "", url);
  }
  if (body.dataset.live) { setTimeout(() => { done.remove(); }, 300000); }
}

document.addEventListener("click", async e => {
  const b = e.target.closest("button[data-copy]");
  if (!b) { return; }
  await navigator.clipboard.writeText(document.getElementById(b.dataset.copy).textContent);
  const said = b.textContent;
  b.textContent = body.dataset.copied;
  setTimeout(() => { b.textContent = said; }, 2000);
});

localize(document);
setInterval(() => { if (!document.hidden) { localize(document); } }, 30000);
document.getElementById("alert")?.focus();
if (body.dataset.live) { listen(body.dataset.live); }
