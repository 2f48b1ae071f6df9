// Any two runs: a picker wherever there is one, and on its own page their differences, from scripts beside the page.
// Texts are only ever set as text; what a file:// page may load is a script, so data come as one.
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const picker = document.querySelector("[data-pick]");
  if (!picker) return;
  picker.hidden = false;
  const choice = (name) => picker.querySelector('[data-pick-run="' + name + '"]');
  const frame = document.getElementById("pair");

  // On other pages the picker is a way to the page of the pair.
  const way = picker.querySelector("a[data-pick-go]");
  if (way) {
    const page = way.getAttribute("href");
    const lead = () => way.setAttribute("href", page + "#one=" + choice("one").value + "&other=" + choice("other").value);
    for (const each of all("select", picker)) each.addEventListener("change", lead);
    lead();
  }
  if (!frame) return;

  const MOST = 20; // items from each end of the order
  const SVG = "http://www.w3.org/2000/svg";
  const came = new Map();
  const asked = new Map();
  let latest = null;

  window.telbenchPair = (key, first, second) =>
    came.set(key, second === undefined ? unpacked(first) : Promise.all([unpacked(first), unpacked(second)]));
  window.telbenchAnswers = (packed) => { latest = unpacked(packed, "deflate-raw"); };

  async function unpacked(packed, format = "gzip") {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
    return JSON.parse(await new Response(stream).text());
  }

  // A script is loaded once; its data are those that it has handed over when it is done.
  function data(path, key) {
    if (!asked.has(path)) {
      asked.set(path, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = path;
        script.addEventListener("load", () => done(key === undefined ? latest : came.get(key)));
        script.addEventListener("error", () => failed(new Error(path)));
        document.head.append(script);
      }));
    }
    return asked.get(path);
  }

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function link(path, text) {
    const made = element("a", "", text);
    made.setAttribute("href", path);
    return made;
  }

  const turnedText = (text) => (/^\+/.test(text) ? "−" + text.slice(1) : /^−/.test(text) ? "+" + text.slice(1) : text);
  const turnedEnd = (text) => (/^−/.test(text) ? text.slice(1) : /[1-9]/.test(text) ? "−" + text : text);

  // What the file has of a pair is of the later run against the earlier one.
  function turned([delta, low, high, shown, ends, p, verdict, near]) {
    const [first, last] = ends.replace(/[[\]]/g, "").split(", ");
    const words = { better: "worse", worse: "better" };
    return [
      -delta, high === null ? null : -high, low === null ? null : -low,
      /[1-9]/.test(shown) ? turnedText(shown) : shown,
      ends && "[" + turnedEnd(last) + ", " + turnedEnd(first) + "]",
      p, verdict.replace(/^(better|worse)/, (word) => words[word]), near,
    ];
  }

  const kindOf = (verdict) => (/^better/.test(verdict) ? "better" : /^worse/.test(verdict) ? "worse" : "open");
  const MARKS = { better: "▲", worse: "▼", open: "·" };

  function drawn(axis, delta, low, high, kind, told) {
    const draw = (name, attributes, parent) => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      parent.append(made);
      return made;
    };
    const at = (value) => (6 + 88 * (value - axis[0]) / (axis[1] - axis[0])).toFixed(2) + "%";
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ class: "chart cell", role: "img", width: "100%", height: "20", "aria-label": told })) {
      svg.setAttribute(key, value);
    }
    draw("line", { class: "grid", x1: "0", y1: 10, x2: "100%", y2: 10 }, svg);
    draw("line", { class: "zero", x1: at(0), y1: 0, x2: at(0), y2: 20 }, svg);
    const style = kind === "open" ? "" : " " + kind;
    if (low !== null) {
      for (const [x1, y1, x2, y2] of [[low, 10, high, 10], [low, 7, low, 13], [high, 7, high, 13]]) {
        draw("line", { class: "whisker" + style, x1: at(x1), y1, x2: at(x2), y2 }, svg);
      }
    }
    draw("circle", { class: "dot" + (kind === "open" ? " hollow" : "") + style, cx: at(delta), cy: 10, r: 4.5 }, svg);
    return svg;
  }

  // Bounded metrics share an axis, in shares of their range; each of the others has its own.
  function axes(tables, rows) {
    const reach = (place) => Math.max(...[rows[place][0], rows[place][1], rows[place][2]].map((value) => Math.abs(value ?? 0)));
    const known = rows.map((row, place) => place).filter((place) => rows[place]);
    const bounded = known.filter((place) => tables[place].width);
    const widest = Math.max(0, ...bounded.map((place) => reach(place) / tables[place].width)) || 1;
    return rows.map((row, place) => {
      if (!row) return null;
      const half = tables[place].width ? widest * tables[place].width : reach(place) || 1;
      return [-half, half];
    });
  }

  // The scores of items: 32-bit floats, least byte first.
  function values(run, place) {
    const packed = run[1][place];
    if (packed === null) return null;
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
  }

  function differences(table, place, first, second) {
    const ours = values(second, place);
    const theirs = values(first, place);
    if (!ours || !theirs) return null;
    const sign = table.higher ? 1 : -1;
    return Array.from(ours, (value, item) => ({ item, ours: value, theirs: theirs[item], delta: sign * (value - theirs[item]) }))
      .filter((each) => !Number.isNaN(each.delta));
  }

  const counted = (found) => [found.filter((each) => each.delta > 0).length, found.filter((each) => each.delta === 0).length,
    found.filter((each) => each.delta < 0).length];

  function metricRow(board, place, pair, axis, pick, found) {
    const table = board.tables[place];
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    head.append(link(table.page, table.name));
    if (!table.higher) head.append(element("span", "under", "lower is better"));
    const scores = [pick.other, pick.one].map((run) => element("td", "n", table.values[run] ?? "n/a"));
    row.append(head);
    if (!pair) {
      const empty = element("td", "quiet", "not compared: a run has no rank here");
      empty.colSpan = 3;
      row.append(empty, ...scores, element("td", "n", "n/a"));
      return row;
    }
    const [delta, low, high, shown, ends, p, verdict, near] = pair;
    const kind = kindOf(verdict);
    const difference = element("td", "n score");
    difference.append(element("span", "mark " + kind, MARKS[kind]), " " + shown, element("span", "under", verdict));
    const interval = element("td", "drawn");
    interval.append(drawn(axis, delta, low, high, kind, table.name + ": " + shown + " " + ends + ", " + verdict));
    interval.append(element("span", ends ? "interval" : "quiet", ends ? (near ? "≈ " : "") + ends : "no interval"));
    const count = found ? counted(found).map((each) => each.toLocaleString("en")).join(" / ") : "n/a";
    row.append(difference, interval, element("td", "n", p || "n/a"), ...scores, element("td", "n", count));
    return row;
  }

  // In words, as the board's first lines say it.
  function sentence(board, pairs, pick) {
    const names = [pick.other, pick.one].map((run) => board.runs[run].short);
    const of = (wanted) => pairs.map((pair, place) => (pair && kindOf(pair[6]) === wanted ? board.tables[place].name : null)).filter(Boolean);
    const said = (wanted) => {
      const names = of(wanted);
      return names.slice(0, 4).join(", ") + (names.length > 4 ? " and " + (names.length - 4) + " more" : "");
    };
    const parts = ["better", "worse"].filter((each) => of(each).length).map((each) => each + " on " + said(each));
    if (!parts.length) return names[0] + " is not told apart from " + names[1] + " on any metric.";
    const open = of("open").length;
    return names[0] + " against " + names[1] + ": " + parts.join("; ") + (open ? "; not told apart on " + open : "") + ".";
  }

  // The words that differ: longest common subsequence; a short word between two changes is chance.
  const LONGEST = 1200;
  function wordDiff(before, after) {
    const [a, b] = [before, after].map((text) => text.match(/\S+\s*|^\s+/g) || []);
    if (a.length > LONGEST || b.length > LONGEST) return [["del", before], ["ins", after]];
    const width = b.length + 1;
    const longest = new Uint16Array((a.length + 1) * width);
    const same = (i, j) => a[i].trim() === b[j].trim();
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        longest[i * width + j] = same(i, j) ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
      }
    }
    const steps = [];
    const add = (kind, was, now) => {
      const last = steps[steps.length - 1];
      if (last && last.kind === kind) { last.was += was; last.now += now; } else steps.push({ kind, was, now });
    };
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && same(i, j)) add("same", a[i++], b[j++]);
      else if (j === b.length || (i < a.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) add("changed", a[i++], "");
      else add("changed", "", b[j++]);
    }
    const pieces = [];
    let changed = null;
    steps.forEach((step, place) => {
      const chance = place > 0 && place < steps.length - 1 && step.now.trim().length <= 3;
      if (step.kind === "same" && !chance) {
        changed = null;
        pieces.push(["", step.now]);
        return;
      }
      if (!changed) {
        changed = [["del", ""], ["ins", ""]];
        pieces.push(...changed);
      }
      changed[0][1] += step.was;
      changed[1][1] += step.now;
    });
    return pieces.filter((piece) => piece[1]);
  }

  async function answers(board, item, pick, list) {
    const [, path, shard] = board.items[item];
    const document_ = await data(shard);
    const key = path.includes("#") ? path.split("#")[1] : path.replace(/^items\/|\.html$/g, "");
    const place = Object.keys(document_.asked).indexOf(key);
    const given = [pick.one, pick.other].map((run) => document_.answers[run + 1]?.[place]);
    if (given.some((each) => !each)) {
      list.prepend(element("dt", "", "Answers"), element("dd", "quiet", "not at hand"));
      return;
    }
    const words = element("dd");
    const pieces = wordDiff(given[0][0], given[1][0]);
    words.append(...pieces.map(([name, text]) => (name ? element(name, "", text) : text)));
    if (!pieces.length) words.append(element("span", "quiet", "both empty"));
    const kinds = given.map((each, place) => {
      const right = each[1] === "right";
      const told = element("span", "kind " + (right ? "right" : "wrong"), (right ? "✓ " : "✗ ") + each[1]);
      return [place ? " → " : "", told];
    });
    const references = document_.asked[key][1];
    list.prepend(element("dt", "", "Answers"), words, element("dd", "", ""), element("dt", "", references.length === 1 ? "Reference" : "References"),
      ...(references.length ? references.map((each) => element("dd", "", each)) : [element("dd", "quiet", "none: this question ought to be refused")]));
    list.children[2].append(...kinds.flat());
  }

  function itemRow(board, table, each, pick) {
    const [question, path, , category] = board.items[each.item];
    const number = (value) => value.toFixed(table.digits).replace("-", "−");
    const made = element("details", "answers");
    const summary = element("summary");
    const delta = element("span", "delta");
    const shown = number(each.delta);
    delta.append(element("span", "mark " + (each.delta > 0 ? "better" : "worse"), each.delta > 0 ? "▲" : "▼"), " " + (each.delta > 0 ? "+" : "") + shown);
    const words = element("span", "asked");
    words.append(element("bdi", "", question));
    summary.append(delta, " ", words);
    const list = element("dl");
    const where = element("dd");
    where.append(link(path, "all systems’ answers"), category ? ", " + category : "");
    list.append(element("dt", "", table.name), element("dd", "", number(each.theirs) + " → " + number(each.ours)), element("dt", "", "Item"), where);
    made.append(summary, list);
    let filled = !board.texts;
    made.addEventListener("toggle", () => {
      if (made.open && !filled) {
        filled = true;
        answers(board, each.item, pick, list).catch(trouble);
      }
    });
    return made;
  }

  function items(board, pick, runs, place) {
    const table = board.tables[place];
    const found = differences(table, place, ...runs) || [];
    const order = found.filter((each) => each.delta !== 0).sort((a, b) => a.delta - b.delta || a.item - b.item);
    const losses = order.filter((each) => each.delta < 0).slice(0, MOST);
    const gains = order.filter((each) => each.delta > 0).sort((a, b) => b.delta - a.delta || a.item - b.item).slice(0, MOST);
    const few = losses.length + gains.length < order.length;
    document.getElementById("pair-counted").textContent = !order.length ? "No item differs in " + table.name + "."
      : (few ? "Of " + order.length.toLocaleString("en") + " items that differ, those that differ most." : "All " + order.length + " items that differ.")
        + (board.texts ? " Open one for both answers: struck out is what only the second of the two names above says, underlined what only the first says." : "");
    for (const [name, rows] of [["losses", losses], ["gains", gains]]) {
      const word = name === "losses" ? " lost" : " gained";
      document.getElementById("pair-" + name + "-title").replaceChildren("Where ", element("bdi", "", board.runs[pick.other].short), word);
      document.getElementById("pair-" + name).replaceChildren(...rows.map((each) => itemRow(board, table, each, pick)));
      document.getElementById("pair-" + name + "-title").hidden = !rows.length;
    }
  }

  function trouble(error) {
    const line = document.getElementById("pair-trouble");
    line.hidden = false;
    line.textContent = "The data of this pair could not be read (" + error.message + "). They lie in the folder data beside the pages: copy it too.";
  }

  const metric = document.querySelector("[data-pick-metric]");
  let turn = 0;

  async function show() {
    const mine = ++turn;
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of ["one", "other"]) {
      const wanted = Array.from(choice(name).options).find((option) => option.value === state.get(name));
      if (wanted) choice(name).value = wanted.value;
    }
    const slugs = ["one", "other"].map((name) => choice(name).value);
    const [board, ...runs] = await Promise.all([data("data/pairs/board.js", "board"), ...slugs.map((slug) => data("data/pairs/" + slug + ".js", slug))]);
    if (mine !== turn) return;
    const [one, other] = slugs.map((slug) => board.runs.findIndex((run) => run.slug === slug));
    const pick = { one, other };
    const told = runs[one < other ? 0 : 1][0][Math.max(one, other)] || [];
    const pairs = board.tables.map((_, place) => (told[place] ? (one < other ? told[place] : turned(told[place])) : null));
    const title = document.getElementById("pair-title");
    const names = [other, one].map((run) => board.runs[run].name);
    title.replaceChildren(element("bdi", "", names[0]), element("span", "quiet", " against "), element("bdi", "", names[1]));
    document.title = names.join(" against ");
    const said = one === other ? "The same run twice: choose another." : sentence(board, pairs, pick);
    document.getElementById("pair-said").textContent = said;
    for (const head of all("#pair-metrics thead [data-name]")) head.textContent = board.runs[pick[head.dataset.name]].short;
    const scale = axes(board.tables, pairs);
    document.querySelector("#pair-metrics tbody").replaceChildren(...board.tables.map((table, place) =>
      metricRow(board, place, pairs[place], scale[place], pick, differences(table, place, ...runs))));
    frame.hidden = false;
    if (metric) {
      if (!metric.options.length) metric.append(...board.tables.map((table) => new Option(table.name, table.name)));
      const wanted = board.tables.findIndex((table) => table.name === state.get("by"));
      metric.selectedIndex = Math.max(0, wanted);
      items(board, pick, runs, metric.selectedIndex);
    }
    document.documentElement.dataset.pair = slugs.join(" ");
  }

  function chosen() {
    const state = new URLSearchParams();
    for (const name of ["one", "other"]) state.set(name, choice(name).value);
    if (metric && metric.selectedIndex > 0) state.set("by", metric.value);
    history.replaceState(null, "", "#" + state.toString());
    show().catch(trouble);
  }

  for (const each of all("[data-pick-run]", picker)) each.addEventListener("change", chosen);
  if (metric) metric.addEventListener("change", chosen);
  picker.querySelector("[data-pick-turn]").addEventListener("click", () => {
    const [one, other] = [choice("one"), choice("other")];
    [one.value, other.value] = [other.value, one.value];
    chosen();
  });
  addEventListener("hashchange", () => show().catch(trouble));
  show().catch(trouble);
})();
