// Charts: numbers at the mouse, the finger or the keyboard, rows that light up together, pictures to keep. Each chart is
// whole without it: its words are in its text alternative, its numbers in the table beside it.
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const NEAR = 28;
  const tip = document.getElementById("tip");

  // The browser's own tips come late, and not at all by touch or keyboard.
  for (const svg of all("svg.chart")) {
    for (const group of all("g", svg)) {
      const title = group.querySelector(":scope > title");
      if (!title) continue;
      group.dataset.tip = title.textContent;
      title.remove();
    }
    const title = svg.querySelector(":scope > title");
    if (title) {
      svg.setAttribute("aria-label", title.textContent);
      title.remove();
    }
  }
  const marks = (svg) => all("g[data-tip]", svg);

  function say(words, box) {
    tip.textContent = words;
    tip.hidden = false;
    const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8));
    const above = box.top - 8 - tip.offsetHeight;
    tip.style.left = left + "px";
    tip.style.top = (above > 4 ? above : box.bottom + 10) + "px";
  }
  const hide = () => { tip.hidden = true; };

  // What carries a name: groups of charts, and rows of tables whose heading it is.
  const named = new Map();
  const enter = (name, element) => named.set(name, [...(named.get(name) || []), element]);
  for (const each of all("svg.chart g[data-name]")) enter(each.dataset.name, each);
  for (const each of all("tbody th[scope='row'][data-value]")) if (named.has(each.dataset.value)) enter(each.dataset.value, each.parentElement);
  let lit = null;
  function light(name) {
    if (name === lit) return;
    for (const each of named.get(lit) || []) {
      each.classList.remove("lit");
      each.ownerSVGElement?.classList.remove("some-lit");
    }
    lit = name;
    for (const each of named.get(name) || []) {
      each.classList.add("lit");
      each.ownerSVGElement?.classList.add("some-lit");
    }
  }
  for (const [name, elements] of named) {
    for (const row of elements.filter((each) => each.matches("tr"))) {
      row.addEventListener("pointerenter", () => light(name));
      row.addEventListener("pointerleave", () => light(null));
    }
  }

  function distance(box, x, y) {
    const across = Math.max(box.left - x, 0, x - box.right);
    const down = Math.max(box.top - y, 0, y - box.bottom);
    return Math.hypot(across, down);
  }
  // A mark is a few pixels wide: the nearest one is meant.
  function nearest(svg, event) {
    const own = event.target.closest("g[data-tip]");
    if (own) return own;
    let best = null;
    let least = NEAR;
    for (const group of marks(svg)) {
      const box = group.getBoundingClientRect();
      if (!box.width && !box.height) continue;
      const far = distance(box, event.clientX, event.clientY);
      if (far < least) [best, least] = [group, far];
    }
    return best;
  }
  function show(group) {
    if (!group) {
      hide();
      light(null);
      return;
    }
    const parts = all("circle, rect", group).map((each) => each.getBoundingClientRect()).filter((box) => box.width);
    say(group.dataset.tip, parts[0] || group.getBoundingClientRect());
    light(group.dataset.name ?? null);
  }

  for (const svg of all("svg.chart")) {
    svg.addEventListener("pointermove", (event) => show(nearest(svg, event)));
    svg.addEventListener("pointerdown", (event) => show(nearest(svg, event)));
    svg.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && show(null));
    if (svg.matches(".cell") || !marks(svg).length) continue;
    // By keyboard: the chart is one stop, arrow keys go from mark to mark.
    svg.tabIndex = 0;
    let at = -1;
    svg.addEventListener("keydown", (event) => {
      const groups = marks(svg).filter((each) => each.getBoundingClientRect().width);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") show(null);
      if (!step || !groups.length) return;
      event.preventDefault();
      at = (at + step + groups.length) % groups.length;
      show(groups[at]);
      spoken.textContent = groups[at].dataset.tip;
    });
    svg.addEventListener("blur", () => show(null));
  }
  const spoken = document.createElement("p");
  spoken.className = "spoken";
  spoken.setAttribute("aria-live", "polite");
  document.querySelector("main").append(spoken);

  // Pictures: the chart as it is seen, colours and all, with its title; nothing is loaded for it.
  const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "paint-order", "font-size", "font-weight", "opacity"];
  const EDGE = 16;
  const HEAD = 28;
  const shown = (element) => getComputedStyle(element).display !== "none";
  const page = (name) => getComputedStyle(document.body).getPropertyValue(name);
  const size = (svg) => {
    // Text may stand beyond the frame of the drawing.
    const box = svg.getBoundingClientRect();
    const inner = svg.getBBox();
    return { width: Math.ceil(Math.max(box.width, inner.x + inner.width)), height: Math.ceil(Math.max(box.height, inner.y + inner.height)) };
  };

  function styled(element) {
    const copy = element.cloneNode(false);
    for (const name of Array.from(copy.attributes, (each) => each.name)) {
      if (name === "class" || name.startsWith("data-")) copy.removeAttribute(name);
    }
    if (!element.matches("svg, g, desc, title")) {
      const style = getComputedStyle(element);
      for (const name of KEPT) copy.setAttribute(name, style.getPropertyValue(name));
    }
    for (const child of element.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) copy.append(child.cloneNode());
      else if (child.matches("desc, title") || shown(child)) copy.append(styled(child));
    }
    return copy;
  }
  function picture(svg) {
    const SVG = "http://www.w3.org/2000/svg";
    const make = (name, attributes) => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    };
    const { width, height } = size(svg);
    const box = svg.getBoundingClientRect();
    const inner = styled(svg);
    for (const [key, value] of Object.entries({ x: EDGE, y: HEAD + EDGE, width: box.width, height: box.height, overflow: "visible" })) inner.setAttribute(key, value);
    inner.removeAttribute("tabindex");
    const outer = make("svg", { width: width + 2 * EDGE, height: height + HEAD + 2 * EDGE, "font-family": "system-ui, sans-serif", role: "img" });
    const title = make("text", { x: EDGE, y: HEAD, "font-size": 15, "font-weight": 600, fill: getComputedStyle(document.body).color });
    title.textContent = svg.getAttribute("aria-label");
    const name = make("title", {});
    name.textContent = svg.getAttribute("aria-label");
    outer.append(name, make("rect", { width: "100%", height: "100%", fill: page("--surface").trim() }), title, inner);
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + new XMLSerializer().serializeToString(outer);
  }

  // The policy of the page lets no image in but its own: the few shapes there are, are painted one by one.
  function painted(svg) {
    const scale = 2;
    const { width, height } = size(svg);
    const canvas = document.createElement("canvas");
    canvas.width = (width + 2 * EDGE) * scale;
    canvas.height = (height + HEAD + 2 * EDGE) * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = page("--surface").trim();
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const family = getComputedStyle(document.body).fontFamily;
    pen.fillStyle = getComputedStyle(document.body).color;
    pen.font = "600 15px " + family;
    pen.fillText(svg.getAttribute("aria-label"), EDGE, HEAD);
    pen.translate(EDGE, HEAD + EDGE);
    for (const each of all("line, rect, circle, text", svg)) {
      if (!each.getClientRects().length || !shown(each)) continue;
      const style = getComputedStyle(each);
      pen.globalAlpha = Number(style.opacity);
      pen.lineWidth = parseFloat(style.strokeWidth);
      pen.lineCap = style.strokeLinecap;
      pen.lineJoin = style.strokeLinejoin;
      pen.setLineDash(style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(/[ ,]+/).map(parseFloat));
      pen.fillStyle = style.fill;
      pen.strokeStyle = style.stroke;
      const fills = style.fill !== "none";
      const strokes = style.stroke !== "none";
      const at = (name) => each[name].baseVal.value;
      pen.beginPath();
      if (each.matches("text")) {
        const x = each.x.baseVal[0].value + (each.dx.baseVal[0]?.value ?? 0);
        const y = each.y.baseVal[0].value;
        pen.font = style.fontWeight + " " + style.fontSize + " " + family;
        pen.textAlign = { middle: "center", end: "right" }[style.textAnchor] || "left";
        if (strokes) pen.strokeText(each.textContent, x, y);
        pen.fillText(each.textContent, x, y);
        continue;
      }
      if (each.matches("line")) {
        pen.moveTo(at("x1"), at("y1"));
        pen.lineTo(at("x2"), at("y2"));
      } else if (each.matches("circle")) pen.arc(at("cx"), at("cy"), at("r"), 0, 2 * Math.PI);
      else pen.rect(at("x"), at("y"), at("width"), at("height"));
      if (fills && !each.matches("line")) pen.fill();
      if (strokes) pen.stroke();
    }
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
  function save(blob, svg, ending) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    const name = svg.getAttribute("aria-label").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);
    link.download = (name || "chart") + "." + ending;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function button(words, label, work) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", work);
    return made;
  }
  for (const figure of all("figure")) {
    const svg = figure.querySelector("svg.chart");
    if (!svg) continue;
    const title = svg.getAttribute("aria-label");
    const bar = document.createElement("p");
    bar.className = "chart-tools";
    if (svg.querySelector(".ondemand")) {
      const every = button("Name every point", "Name every point of: " + title, () => {
        const on = svg.classList.toggle("label-all");
        every.setAttribute("aria-pressed", String(on));
      });
      every.setAttribute("aria-pressed", "false");
      bar.append(every);
    }
    bar.append(
      button("SVG", "Keep as SVG: " + title, () => save(new Blob([picture(svg)], { type: "image/svg+xml" }), svg, "svg")),
      button("PNG", "Keep as PNG: " + title, async () => save(await painted(svg), svg, "png")),
    );
    figure.append(bar);
  }
})();
