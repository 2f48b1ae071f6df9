// Large boards: the answers of a page come as one compressed script beside it. Texts are only ever set as text.
"use strict";
(() => {
  let known = null;

  function cell(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  // As in the pages of smaller boards: a long answer unfolds.
  const SHOWN = 700;
  function words(text, className = "words given") {
    const shown = cell("div", className, text.slice(0, SHOWN));
    shown.dir = "auto";
    if (text.length <= SHOWN) return [shown];
    const rest = document.createElement("details");
    const more = cell("div", className, text.slice(SHOWN));
    more.dir = "auto";
    rest.append(cell("summary", "", (text.length - SHOWN).toLocaleString("en") + " more characters"), more);
    return [shown, rest];
  }

  function verdict([judge, metrics, lines]) {
    const made = document.createElement("details");
    const list = document.createElement("ul");
    list.append(...lines.map((line) => cell("li", "", line)));
    made.append(cell("summary", "", judge + ": " + metrics), list);
    return made;
  }

  function folded(trace) {
    const made = document.createElement("details");
    const text = cell("div", "words", trace);
    text.dir = "auto";
    made.append(cell("summary", "", "Reasoning, " + trace.length.toLocaleString("en") + " characters"), text);
    return made;
  }

  function row(runs, [run, given, kind, scores, verdicts, trace]) {
    const made = document.createElement("tr");
    made.dataset.run = String(run);
    const system = cell("th", "", "");
    system.scope = "row";
    const link = cell("a", "", runs[run].name);
    link.setAttribute("href", runs[run].page);
    system.append(link);
    if (run === 0) system.append(cell("span", "under", "baseline"));
    const answer = cell("td", "prose answer", "");
    const right = kind === "right";
    answer.append(...words(given), cell("span", "kind " + (right ? "right" : "wrong"), (right ? "✓ " : "✗ ") + kind));
    if (trace) answer.append(folded(trace));
    answer.append(...verdicts.map(verdict));
    made.append(system, answer, ...scores.map((score) => cell("td", "n", score)));
    return made;
  }

  // Each run's answers stand together, item by item, after a 0; for each item there is the order of the runs.
  function answersTo(key) {
    const place = known ? known.keys.indexOf(key) : -1;
    return place < 0 ? null : known.order[place].map((run) => [run, ...known.answers[run + 1][place]]);
  }

  function fill(article) {
    const answers = article.dataset.filled ? null : answersTo(article.id);
    if (!answers) return;
    article.dataset.filled = "yes";
    article.querySelector("tbody").replaceChildren(...answers.map((each) => row(known.runs, each)));
    article.querySelector("button.more")?.remove();
    article.dispatchEvent(new Event("telbench-filled", { bubbles: true }));
  }

  function fillTarget() {
    // What a table is sorted by may follow the item in the address.
    const article = document.getElementById(location.hash.slice(1).split(/[=&]/)[0]);
    if (article && article.matches("article.item")) {
      fill(article);
      article.scrollIntoView();
    }
  }

  window.telbenchAnswers = async (packed) => {
    const letters = atob(packed);
    const bytes = new Uint8Array(letters.length);
    for (let place = 0; place < bytes.length; place++) bytes[place] = letters.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    known = JSON.parse(await new Response(stream).text());
    known.keys = Object.keys(known.asked);
    for (const article of document.querySelectorAll("article.item")) {
      const button = cell("button", "more", "Show all " + known.runs.length + " systems");
      button.type = "button";
      button.addEventListener("click", () => fill(article));
      article.append(button);
    }
    fillTarget();
    document.documentElement.dataset.answers = "ready";
  };
  addEventListener("hashchange", fillTarget);
})();
