// Only enhances: every page is whole without it. Sorting, filters, search, column sets, their state in the address, tips.
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const state = new URLSearchParams(location.hash.slice(1));
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function remember(name, value) {
    if (value) state.set(name, value);
    else state.delete(name);
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  // Sorting: headers with data-sort get a button; rows without a value stay at the end either way.
  function sortBy(table, column, direction) {
    const kind = table.tHead.rows[0].cells[column].dataset.sort;
    const body = table.tBodies[table.tBodies.length - 1]; // the baseline stays on top
    const keyed = Array.from(body.rows, (row, place) => {
      const raw = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      return { row, place, raw, key: kind === "number" ? parseFloat(raw) : raw };
    });
    const lacks = (each) => (kind === "number" ? Number.isNaN(each.key) : each.raw === "");
    keyed.sort((a, b) => {
      if (lacks(a) || lacks(b)) return lacks(a) - lacks(b) || a.place - b.place;
      const order = kind === "number" ? a.key - b.key : collator.compare(a.key, b.key);
      return (direction === "descending" ? -order : order) || a.place - b.place;
    });
    const rows = document.createDocumentFragment();
    for (const each of keyed) rows.append(each.row);
    body.append(rows);
    for (const cell of table.tHead.rows[0].cells) {
      if (cell.dataset.sort) cell.setAttribute("aria-sort", cell.cellIndex === column ? direction : "none");
    }
  }

  for (const table of all("table[data-sortable]")) {
    for (const cell of table.tHead.rows[0].cells) {
      if (!cell.dataset.sort) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      const label = cell.textContent.trim().replace(/\s+/g, " ");
      button.setAttribute("aria-label", "Sort by " + label);
      cell.append(button);
      cell.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const first = cell.dataset.sort === "number" && !cell.hasAttribute("data-ascending") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const direction = cell.getAttribute("aria-sort") === first ? other : first;
        sortBy(table, cell.cellIndex, direction);
        remember("sort-" + table.id, cell.cellIndex + "." + direction);
      });
    }
    const [column, direction] = (state.get("sort-" + table.id) || "").split(".");
    if (["ascending", "descending"].includes(direction) && table.tHead.rows[0].cells[Number(column)]?.dataset.sort) {
      sortBy(table, Number(column), direction);
    }
  }

  // Filters: rows of runs, by their factors and by words; the same for all tables of the page.
  const rows = all("tbody:not(.pinned) tr[data-factors]").map((row) => ({
    row,
    factors: JSON.parse(row.dataset.factors),
    traits: JSON.parse(row.dataset.traits || "{}"),
    words: ((row.querySelector("th").dataset.value ?? "") + " " + row.querySelector("th").textContent).toLowerCase(),
  }));
  const search = document.querySelector("[data-search]");
  const choices = all("[data-factor], [data-trait]");
  const keyOf = (each) => ("factor" in each.dataset ? "f-" + each.dataset.factor : "t-" + each.dataset.trait);
  const levelOf = (each, row) => ("factor" in each.dataset ? row.factors[each.dataset.factor] : row.traits[each.dataset.trait]);
  const count = document.querySelector("[data-count]");

  function filter() {
    const words = search ? search.value.trim().toLowerCase() : "";
    const wanted = choices.filter((each) => each.value);
    const shown = new Set();
    for (const each of rows) {
      const kept = each.words.includes(words) && wanted.every((choice) => levelOf(choice, each) === choice.value);
      each.row.hidden = !kept;
      if (kept) shown.add(each.row.dataset.run);
    }
    const total = new Set(rows.map((each) => each.row.dataset.run)).size;
    if (count) count.textContent = shown.size === total ? "" : shown.size + " of " + total + " " + (count.dataset.count || "systems") + " shown";
  }

  function filterChanged() {
    remember("q", search ? search.value.trim() : "");
    for (const each of choices) remember(keyOf(each), each.value);
    filter();
  }

  // Columns: those of one family of metrics, and those that the reader leaves out.
  const picked = new Map();
  function arrange(table) {
    const preset = document.querySelector('[data-preset="' + table.id + '"]');
    Array.from(table.tHead.rows[0].cells).forEach((cell, place) => {
      const other = Boolean(cell.dataset.family && preset && preset.value && cell.dataset.family !== preset.value);
      const out = other || Boolean(picked.get(table)?.has(place));
      for (const row of table.rows) row.cells[place].hidden = out;
    });
  }
  function preset(select) {
    arrange(document.getElementById(select.dataset.preset));
  }
  for (const table of all("table[data-columns]")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    const out = new Set((state.get("hide-" + table.id) || "").split(".").filter((each) => each in heads).map(Number));
    const picker = document.createElement("details");
    picker.className = "columns";
    const summary = document.createElement("summary");
    summary.textContent = "Columns";
    const list = document.createElement("ul");
    heads.forEach((cell, place) => {
      const name = cell.firstElementChild?.matches("a") ? cell.firstElementChild.textContent : cell.firstChild.textContent.trim();
      if (name === "System") {
        out.delete(place);
        return;
      }
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = !out.has(place);
      box.addEventListener("change", () => {
        if (box.checked) out.delete(place);
        else out.add(place);
        remember("hide-" + table.id, Array.from(out).sort((a, b) => a - b).join("."));
        arrange(table);
      });
      const label = document.createElement("label");
      label.append(box, " " + name);
      const item = document.createElement("li");
      item.append(label);
      list.append(item);
    });
    picker.append(summary, list);
    picked.set(table, out);
    (table.closest(".scroll") || table).before(picker);
    arrange(table);
  }

  const presets = all("[data-preset]");
  function restore() {
    if (search) search.value = state.get("q") || "";
    for (const each of choices) each.value = state.get(keyOf(each)) || "";
    for (const each of presets) {
      each.value = state.get("columns") || "";
      if (each.selectedIndex < 0) each.value = "";
      preset(each);
    }
    for (const each of choices) if (each.selectedIndex < 0) each.value = "";
    filter();
  }
  for (const bar of all("[data-toolbar]")) bar.hidden = false;
  if (search) search.addEventListener("input", filterChanged);
  for (const each of choices) each.addEventListener("change", filterChanged);
  for (const each of presets) {
    each.addEventListener("change", () => {
      remember("columns", each.value);
      preset(each);
    });
  }
  for (const button of all("[data-reset]")) {
    button.addEventListener("click", () => {
      for (const name of Array.from(state.keys())) if (!/^(sort|hide)-/.test(name)) state.delete(name);
      remember("q", "");
      restore();
    });
  }
  if (rows.length || presets.length) restore();

  // Tips: what a term means, at the mouse or the focus; without the script the title says it.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "tooltip");
  tip.id = "tip";
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  for (const term of all(".term[title]")) {
    const words = term.title;
    term.removeAttribute("title");
    const show = () => {
      tip.textContent = words;
      tip.hidden = false;
      const place = term.getBoundingClientRect();
      const left = Math.max(8, Math.min(place.left, innerWidth - tip.offsetWidth - 8));
      const below = place.bottom + 6 + tip.offsetHeight < innerHeight;
      tip.style.left = left + "px";
      tip.style.top = (below ? place.bottom + 6 : place.top - 6 - tip.offsetHeight) + "px";
    };
    term.setAttribute("aria-describedby", "tip");
    term.addEventListener("mouseenter", show);
    term.addEventListener("focus", show);
    term.addEventListener("mouseleave", hide);
    term.addEventListener("blur", hide);
  }
  addEventListener("scroll", hide, { passive: true });
  // Single keys are in the way of voice control: pages that have some say so, and let them be switched off.
  const KEYS_OFF = "telbench-keys-off";
  const stored = (value) => {
    try {
      if (value !== undefined) localStorage.setItem(KEYS_OFF, value);
      return localStorage.getItem(KEYS_OFF) === "yes";
    } catch {
      return value === "yes";
    }
  };
  let keysOff = stored();
  for (const button of all("button[data-keys]")) {
    const tell = () => (button.textContent = keysOff ? "Keys j and k are off" : "Keys j and k: next, previous");
    button.hidden = false;
    button.setAttribute("aria-pressed", String(!keysOff));
    tell();
    button.addEventListener("click", () => {
      keysOff = !keysOff;
      stored(keysOff ? "yes" : "no");
      button.setAttribute("aria-pressed", String(!keysOff));
      tell();
    });
  }

  addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const way = { j: "next", k: "prev" }[event.key];
    const link = way && !keysOff && document.querySelector('a[rel="' + way + '"]');
    if (link) link.click();
  });
})();
