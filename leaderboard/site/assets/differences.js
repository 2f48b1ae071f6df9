// Pages of items: marks the words of each answer that the baseline's answer, or the reference, does not have in its order.
"use strict";
(() => {
  const label = document.querySelector("[data-differences]");
  if (!label) return;
  const select = label.querySelector("select");
  const MOST = 1500;
  const split = (text) => text.match(/\S+\s*|^\s+/g) || [];

  // Which of the new words are in the longest common subsequence with the old ones.
  function common(old, fresh) {
    const width = old.length + 1;
    const best = new Uint16Array((fresh.length + 1) * width);
    for (let i = fresh.length - 1; i >= 0; i--) {
      for (let j = old.length - 1; j >= 0; j--) {
        const same = fresh[i].trim() === old[j].trim();
        best[i * width + j] = same
          ? best[(i + 1) * width + j + 1] + 1
          : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
      }
    }
    const kept = new Array(fresh.length).fill(false);
    for (let i = 0, j = 0; i < fresh.length && j < old.length; ) {
      if (fresh[i].trim() === old[j].trim()) {
        kept[i++] = true;
        j++;
      } else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i++;
      else j++;
    }
    return kept;
  }

  const whole = new WeakMap();
  function restore(part) {
    if (whole.has(part)) part.replaceChildren(...whole.get(part));
  }
  const given = (row) => Array.from(row.querySelectorAll(".words.given"));
  const textOf = (parts) => parts.map((part) => part.textContent).join("");

  function mark(article) {
    const rows = Array.from(article.querySelectorAll("tr[data-run]"));
    for (const row of rows) given(row).forEach(restore);
    const base = rows.find((row) => row.dataset.run === "0");
    const held = select.value === "reference" ? article.querySelector(".references dd")?.textContent : base && textOf(given(base));
    if (!select.value || held === undefined) return;
    const old = split(held).slice(0, MOST);
    for (const row of rows) {
      if (select.value === "baseline" && row === base) continue;
      const parts = given(row).map((part) => [part, split(part.textContent)]);
      const fresh = parts.flatMap(([, words]) => words).slice(0, MOST);
      const kept = common(old, fresh);
      let at = 0;
      for (const [part, words] of parts) {
        if (!whole.has(part)) whole.set(part, Array.from(part.childNodes));
        const pieces = [];
        for (const word of words) {
          const same = kept[at] ?? true;
          at++;
          const last = pieces[pieces.length - 1];
          if (last && last.same === same) last.text += word;
          else pieces.push({ same, text: word });
        }
        part.replaceChildren(
          ...pieces.map((piece) => {
            if (piece.same) return document.createTextNode(piece.text);
            const made = document.createElement("ins");
            made.textContent = piece.text;
            return made;
          }),
        );
      }
    }
  }

  label.hidden = false;
  const all = () => document.querySelectorAll("article.item").forEach(mark);
  select.addEventListener("change", all);
  // A large board adds answers later.
  document.addEventListener("telbench-filled", (event) => mark(event.target));
  if (select.value) all();
})();
