--- The page's one script: it fetches the page anew and puts what has changed into its place, so
--- that focus and scroll stay. `hash` as in neap.status.style.
local script = {}

script.hash = "sha256-wc173ovgiE8ud02h9BpISxOKu446TtR4QvLFLhep1h0="

script.text = [[
(function () {
  "use strict";
  var live = document.getElementById("live");
  var news = document.getElementById("news");
  var late = document.getElementById("late");
  var pause = document.getElementById("pause");
  var every = Number(live.getAttribute("data-every")) * 1000;
  var answered = new Date(), paused = false, timer = null, asking = false;

  function copyAttributes(old, fresh) {
    Array.from(old.attributes).forEach(function (attribute) {
      if (!fresh.hasAttribute(attribute.name)) old.removeAttribute(attribute.name);
    });
    Array.from(fresh.attributes).forEach(function (attribute) {
      if (old.getAttribute(attribute.name) !== attribute.value)
        old.setAttribute(attribute.name, attribute.value);
    });
  }

  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    copyAttributes(old, fresh);
    if (old.localName === "tbody") morphRows(old, fresh);
    else morphChildren(old, fresh);
  }

  function morphChildren(old, fresh) {
    var wanted = Array.from(fresh.childNodes);
    wanted.forEach(function (node, index) {
      var at = old.childNodes[index];
      if (!at) old.appendChild(document.importNode(node, true));
      else if (at.nodeName !== node.nodeName) old.replaceChild(document.importNode(node, true), at);
      else morph(at, node);
    });
    while (old.childNodes.length > wanted.length) old.removeChild(old.lastChild);
  }

  function rowsOf(body) {
    var rows = new Map();
    Array.from(body.rows).forEach(function (row) {
      rows.set(row.getAttribute("data-client"), row);
    });
    return rows;
  }

  function morphRows(old, fresh) {
    var before = rowsOf(old), at = old.firstElementChild, after = rowsOf(fresh);
    before.forEach(function (row, name) {
      if (after.has(name)) return;
      if (at === row) at = row.nextElementSibling;
      row.remove();
    });
    after.forEach(function (row, name) {
      var mine = before.get(name);
      if (mine) morph(mine, row);
      else mine = document.importNode(row, true);
      if (at === mine) at = at.nextElementSibling;
      else old.insertBefore(mine, at);
    });
  }

  function words(row, name) {
    return (row.getAttribute(name) || "").split(" ").filter(Boolean);
  }

  function changesOf(before, after) {
    var list = [];
    after.forEach(function (row, name) {
      var was = before.get(name), is = row.getAttribute("data-state");
      if (!was || name === null) return;
      if (was.state !== is) list.push(name + ": breaker " + is);
      words(row, "data-alerts").forEach(function (alert) {
        if (was.alerts.indexOf(alert) < 0) list.push(name + ": alert " + alert);
      });
      was.alerts.forEach(function (alert) {
        if (words(row, "data-alerts").indexOf(alert) < 0)
          list.push(name + ": alert " + alert + " has ended");
      });
    });
    return list;
  }

  function states() {
    var known = new Map();
    rowsOf(live.querySelector("tbody")).forEach(function (row, name) {
      known.set(name, { state: row.getAttribute("data-state"), alerts: words(row, "data-alerts") });
    });
    return known;
  }

  function show(text) {
    var page = new DOMParser().parseFromString(text, "text/html");
    var fresh = page.getElementById("live"), before = states();
    if (!fresh) throw new Error("another page");
    morph(live, fresh);
    document.title = page.title;
    var changes = changesOf(before, rowsOf(live.querySelector("tbody")));
    if (changes.length) news.textContent = changes.join("; ");
    answered = new Date();
    late.hidden = true;
  }

  function complain() {
    if (!late.hidden) return;
    late.textContent = "No answer since " + answered.toLocaleTimeString() + ". Trying again.";
    late.hidden = false;
  }

  function ask() {
    var abort = new AbortController(), limit = setTimeout(function () { abort.abort(); }, 10000);
    asking = true;
    return fetch(location.href, { cache: "no-store", signal: abort.signal })
      .then(function (answer) {
        if (!answer.ok) throw new Error(String(answer.status));
        return answer.text();
      })
      .then(show)
      .catch(complain)
      .then(function () { clearTimeout(limit); asking = false; next(); });
  }

  function next() {
    clearTimeout(timer);
    if (!paused && !document.hidden && !asking) timer = setTimeout(ask, every);
  }

  pause.hidden = false;
  pause.addEventListener("click", function () {
    paused = !paused;
    pause.textContent = paused ? "Resume updates" : "Pause updates";
    next();
  });
  document.addEventListener("visibilitychange", next);
  next();
})();
]]

return script
