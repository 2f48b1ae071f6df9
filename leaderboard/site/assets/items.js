// The list of items: search by words and filters over all of them, from compressed files beside the page. Texts are only
// ever set as text.
"use strict";
(() => {
  const form = document.querySelector("[data-finder]");
  const table = document.getElementById("items");
  const more = document.querySelector("[data-more]");
  const root = form.dataset.finder;
  const picks = Object.fromEntries(Array.from(form.querySelectorAll("[data-pick]"), (each) => [each.dataset.pick, each]));
  const state = new URLSearchParams(location.hash.slice(1));
  const STEP = 100;
  let list = null;
  let found = [];
  let shown = 0;
  let asked = 0;

  // Files: each hands its document over under its name; one is asked for once.
  const waiting = new Map();
  const kept = new Map();
  function file(name) {
    if (!kept.has(name)) {
      kept.set(name, new Promise((done) => {
        const script = document.createElement("script");
        script.src = root + "data/items/" + name + ".js";
        waiting.set(name, done);
        // No word begins like this: there is no such file.
        script.addEventListener("error", () => done(null));
        document.head.append(script);
      }));
    }
    return kept.get(name);
  }
  async function unpacked(packed) {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }
  window.telbenchItems = async (name, packed) => {
    const document = await unpacked(packed);
    if (name === "list") begin(document);
    else waiting.get(name)?.(document);
  };

  // Words, cut as the files' own: see words.py.
  const ALONE = "\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff";
  const WORD = new RegExp("[" + ALONE + "]|(?:(?![" + ALONE + "])[\\p{L}\\p{N}])+", "gu");
  const words = (text) => (text.normalize("NFKC").toLowerCase().match(WORD) || []).map((word) => word.slice(0, 32));
  const bucket = (word) => Array.from(word).slice(0, list.bucket).map((each) => (/[a-z0-9]/.test(each) ? each : "_")).join("");

  function enter(steps, marked) {
    let place = -1;
    for (const step of steps) marked[(place += step)] = 1;
  }

  // The items that have a word beginning like this; a word shorter than a file's beginning is looked for as it is.
  async function having(word) {
    const marked = new Uint8Array(list.key.length);
    const held = await file("words-" + bucket(word));
    if (!held) return marked;
    const whole = Array.from(word).length < list.bucket;
    const where = picks.in ? picks.in.value : "";
    held.words.forEach((each, place) => {
      if (whole ? each !== word : !each.startsWith(word)) return;
      if (where !== "answered") enter(held.asked[place], marked);
      if (where !== "asked") enter(held.answered[place], marked);
    });
    return marked;
  }

  const number = (text) => (text === null ? NaN : parseFloat(text.replace("−", "-")));
  const RIGHT = "a";
  async function run(place) {
    const held = await file(list.runs[place].file);
    held.values ??= held.scores.map(number);
    return held;
  }

  async function select() {
    const ticket = ++asked;
    const started = performance.now();
    const chosen = picks.system && picks.system.value !== "" ? Number(picks.system.value) : null;
    const sets = await Promise.all(words(picks.q.value).map(having));
    const base = await run(0);
    const other = chosen === null ? (list.runs.length > 1 ? null : base) : await run(chosen);
    // Something else was asked for in the meantime.
    if (ticket !== asked) return;
    const category = picks.category.value === "" ? null : Number(picks.category.value);
    const answer = picks.answer.value;
    const others = list.runs.length - 1;
    // The last kind: the answer is not at hand.
    const unknown = String.fromCharCode(96 + list.kinds.length);
    const places = [];
    for (let place = 0; place < list.key.length; place++) {
      if (!sets.every((each) => each[place])) continue;
      if (category !== null && list.category[place] !== category) continue;
      const right = base.kinds[place] === RIGHT;
      if (picks.baseline.value && (picks.baseline.value === "right") !== right) continue;
      if (answer && other) {
        const kind = other.kinds[place];
        if (answer === "right" ? kind !== RIGHT : answer === "wrong" ? kind === RIGHT || kind === unknown : kind !== answer) continue;
      } else if (answer) {
        const count = list.right[place] - (right ? 1 : 0);
        if (answer === "all" ? count < others : answer === "none" ? count > 0 : count === 0 || count === others) continue;
      }
      places.push(place);
    }
    const [key, direction] = picks.order.value.split(".");
    const values = key && key !== "place" ? keyed(key, base, chosen === null ? null : other) : null;
    if (values) {
      const sign = direction === "falling" ? -1 : 1;
      places.sort((a, b) => Number.isNaN(values[a]) - Number.isNaN(values[b]) || sign * (values[a] - values[b]) || a - b);
    } else if (direction === "falling") places.reverse();
    found = places;
    shown = 0;
    system = chosen === null ? null : { ...other, name: list.runs[chosen].name };
    base0 = base;
    table.tBodies[0].replaceChildren();
    head();
    render();
    tell();
    document.documentElement.dataset.found = (performance.now() - started).toFixed(1);
  }

  let system = null;
  let base0 = null;
  const numbers = {};
  const column = (name) => (numbers[name] ??= list[name].map(number));
  function keyed(key, base, other) {
    if (key === "hardest") {
      // Fewest right answers first, and among those the lowest mean.
      const means = column("mean");
      return list.right.map((count, place) => count + (Number.isNaN(means[place]) ? 0 : means[place] / 1e6));
    }
    if (key === "difference" || key === "apart") {
      if (!other) return column("spread");
      const deltas = base.values.map((value, place) => other.values[place] - value);
      return key === "apart" ? deltas.map(Math.abs) : deltas;
    }
    if (key === "system") return other ? other.values : null;
    if (key === "category" || key === "right") return list[key];
    return column(key);
  }

  function cell(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }
  const path = (place) => {
    const key = "i-" + list.key[place];
    if (list.group === 1) return root + "items/" + key + ".html";
    return root + "items/g" + String(Math.floor(place / list.group) + 1).padStart(4, "0") + ".html#" + key;
  };
  function row(place) {
    const made = document.createElement("tr");
    const question = cell("th", "prose", "");
    question.scope = "row";
    const link = cell("a", "", list.question[place]);
    link.href = path(place);
    question.append(link);
    const right = cell("td", "n", String(list.right[place]));
    right.append(cell("span", "quiet", "/" + list.runs.length));
    made.append(cell("td", "n quiet", String(place + 1)), question);
    made.append(cell("td", "", list.categories[list.category[place]] ?? ""), right);
    for (const name of ["mean", "spread", "baseline"]) made.append(cell("td", "n", list[name][place]));
    if (system) {
      const delta = system.values[place] - base0.values[place];
      const value = cell("td", "n", system.scores[place] ?? "n/a");
      const kind = list.kinds[system.kinds.charCodeAt(place) - 97];
      value.append(cell("span", "under", Number.isNaN(delta) ? kind : kind + ", " + (delta > 0 ? "+" : "") + delta.toFixed(3).replace("-", "−")));
      made.append(value);
    }
    return made;
  }
  function render() {
    const rows = document.createDocumentFragment();
    for (const place of found.slice(shown, shown + STEP)) rows.append(row(place));
    table.tBodies[0].append(rows);
    shown = Math.min(shown + STEP, found.length);
    more.hidden = shown >= found.length;
  }
  const told = form.querySelector("[data-found]");
  function tell() {
    const count = (value) => value.toLocaleString("en");
    const all = found.length === list.key.length ? "" : count(found.length) + " of ";
    told.textContent = all + count(list.key.length) + " items" + (found.length ? "" : ": nothing found");
  }

  // Headers order all items, not only those in the page.
  const heads = Array.from(table.tHead.rows[0].cells);
  const extra = cell("th", "n", "System");
  extra.scope = "col";
  extra.dataset.order = "system";
  function head() {
    if (system) {
      extra.firstChild.textContent = system.name;
      table.tHead.rows[0].append(extra);
    } else extra.remove();
    const [key, direction] = picks.order.value.split(".");
    for (const each of [...heads, extra]) {
      if (!each.dataset.order) continue;
      const by = each.dataset.order === key;
      each.setAttribute("aria-sort", by ? (direction === "falling" ? "descending" : "ascending") : "none");
    }
  }
  function sortable(each) {
    const button = cell("button", "sort", "");
    button.type = "button";
    button.setAttribute("aria-label", "Sort by " + each.textContent.trim());
    each.append(button);
    button.addEventListener("click", () => {
      const first = "falling" in each.dataset ? "falling" : "rising";
      const [key, direction] = picks.order.value.split(".");
      const turned = first === "rising" ? "falling" : "rising";
      order(each.dataset.order + "." + (key === each.dataset.order && direction === first ? turned : first));
      changed();
    });
  }

  const ORDERS = {
    "hardest.rising": "hardest first",
    "hardest.falling": "easiest first",
    "apart.falling": "largest difference",
    "difference.rising": "system lost most",
    "difference.falling": "system gained most",
  };
  // Orders that a header asks for have an option while they are chosen.
  function order(value) {
    const options = Array.from(picks.order.options);
    for (const each of options) if (each.value && !(each.value in ORDERS)) each.remove();
    if (/^[a-z]+\.(rising|falling)$/.test(value) && !(value in ORDERS)) option(picks.order, value, "by column");
    picks.order.value = value;
    if (picks.order.selectedIndex < 0) picks.order.value = "";
  }

  function option(select, value, words) {
    const made = cell("option", "", words);
    made.value = value;
    select.append(made);
  }
  function answers() {
    const before = picks.answer.value;
    while (picks.answer.options.length > 1) picks.answer.options[1].remove();
    if (picks.system && picks.system.value === "") {
      for (const each of ["all", "some", "none"]) option(picks.answer, each, each + " right");
    } else {
      for (const each of ["right", "wrong"]) option(picks.answer, each, each);
      list.kinds.forEach((kind, place) => {
        if (place > 0) option(picks.answer, String.fromCharCode(97 + place), kind);
      });
    }
    picks.answer.value = before;
    if (picks.answer.selectedIndex < 0) picks.answer.value = "";
  }

  function changed() {
    answers();
    for (const [name, each] of Object.entries(picks)) {
      if (each.value) state.set(name, each.value);
      else state.delete(name);
    }
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    select();
  }

  function begin(document) {
    list = document;
    list.categories.forEach((name, place) => option(picks.category, String(place), name));
    if (list.categories.length < 2) picks.category.parentElement.hidden = true;
    if (picks.system) list.runs.forEach((each, place) => place && option(picks.system, String(place), each.name));
    for (const [value, words] of Object.entries(ORDERS)) option(picks.order, value, words);
    for (const each of [...heads, extra]) if (each.dataset.order) sortable(each);
    for (const [name, each] of Object.entries(picks)) {
      if (name === "answer") answers();
      if (name === "order") order(state.get(name) || "");
      else each.value = state.get(name) || "";
      if (each.selectedIndex < 0) each.value = "";
      each.addEventListener(each.matches("input") ? "input" : "change", changed);
    }
    form.querySelector("[data-clear]").addEventListener("click", () => {
      for (const each of Object.values(picks)) each.value = "";
      changed();
    });
    more.addEventListener("click", render);
    form.hidden = false;
    for (const each of window.document.querySelectorAll("[data-static]")) each.hidden = true;
    select().then(() => (window.document.documentElement.dataset.items = "ready"));
  }
})();
