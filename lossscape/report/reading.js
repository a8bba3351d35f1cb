/* What helps to read the page: theme, contents, tables that sort, captions that unfold, edges that say there is more. */
"use strict";
(() => {
  const { element, themed, isDark } = lossscape;
  const root = document.documentElement;
  const all = (selector, within) => [...(within || document).querySelectorAll(selector)];

  /* The theme: the system's until the button is pressed; what was chosen is kept where the browser keeps anything. */
  function addThemeSwitch() {
    const button = element("button", { type: "button", class: "theme", "data-control": "theme" });
    const show = () => {
      button.dataset.value = isDark() ? "dark" : "light";
      button.textContent = isDark() ? "☀ Light" : "☾ Dark";
      button.setAttribute("aria-label", `switch to the ${isDark() ? "light" : "dark"} theme`);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("lossscape-theme", root.dataset.theme);
      } catch { /* a browser that keeps nothing */ }
      themed();
    });
    document.addEventListener("themed", show);
    show();
    document.querySelector("header").append(button);
    const paint = () => {
      for (const swatch of all(".swatch[data-colour]")) {
        swatch.style.setProperty("--own", lossscape.colour(swatch.dataset.colour));
      }
    };
    document.addEventListener("themed", paint);
    paint();
  }

  /* Contents: open beside the page, folded above it on narrow screens; where the reader is, is marked. */
  function followContents() {
    const details = document.querySelector(".contents details");
    const wide = matchMedia("(min-width: 68rem)");
    const fold = () => { details.open = wide.matches; };
    wide.addEventListener("change", fold);
    fold();
    const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
    const places = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
    let waiting = false;
    const mark = () => {
      waiting = false;
      const passed = places.filter((place) => place.getBoundingClientRect().top < innerHeight / 3);
      const here = links.get((passed.at(-1) || places[0] || {}).id);
      for (const link of links.values()) {
        if (link === here) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      if (here && wide.matches) here.scrollIntoView({ block: "nearest" });
    };
    addEventListener("scroll", () => {
      if (!waiting) requestAnimationFrame(mark);
      waiting = true;
    }, { passive: true });
    mark();
    for (const link of links.values()) {
      link.addEventListener("click", () => { if (!wide.matches) details.open = false; });
    }
  }

  /* The number that a cell begins with, as people read it: 6,570 and 95.89 % and 1e−5 and 0.3 ± 0.1. */
  function numberIn(text) {
    const plain = text.trim().replaceAll(",", "").replaceAll("−", "-").replace(/^\+/, "");
    const found = /^-?(\d+\.?\d*|\.\d+)(e-?\d+)?/i.exec(plain);
    return found ? Number(found[0]) : NaN;
  }

  function compared(a, b) {
    const [first, second] = [numberIn(a), numberIn(b)];
    if (Number.isNaN(first) && Number.isNaN(second)) return a.localeCompare(b, undefined, { numeric: true });
    if (Number.isNaN(first) || Number.isNaN(second)) return Number.isNaN(first) ? 1 : -1;
    return first - second;
  }

  /* Whether a cell says nothing that could be compared: among numbers all that is none, elsewhere a dash. */
  function isMissing(text, among) {
    return among ? Number.isNaN(numberIn(text)) : /^[–—-]?$/.test(text.trim());
  }

  /* Tables sort by any column; a column that has been chosen once more turns round, then as it was. What is missing stays
     behind the rest, whichever way it is sorted. */
  function makeSortable(table) {
    const rows = all("tbody tr", table);
    const [first, second] = table.tHead.rows;
    const heads = second ? [first.cells[0], ...second.cells] : [...first.cells];
    heads.forEach((head, column) => {
      const button = element("button", { type: "button", "data-control": "sort" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] || "ascending";
        for (const each of heads) each.removeAttribute("aria-sort");
        if (next !== "none") head.setAttribute("aria-sort", next);
        const text = (row) => (row.cells[column] || row.cells[0]).textContent;
        const behind = (row) => isMissing(text(row), head.classList.contains("number"));
        const sign = next === "descending" ? -1 : 1;
        const order = (a, b) => behind(a) - behind(b) || (behind(a) ? 0 : sign * compared(text(a), text(b)));
        table.tBodies[0].append(...(next === "none" ? rows : [...rows].sort(order)));
      });
    });
  }

  /* Captions show two lines until they are unfolded. */
  function foldCaption(words) {
    const button = element("button", { type: "button", class: "more", "data-control": "caption" });
    const show = () => {
      const open = words.classList.contains("whole");
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Shorter" : "Whole caption";
      button.hidden = !open && words.scrollHeight <= words.clientHeight + 2;
    };
    button.addEventListener("click", () => {
      words.classList.toggle("whole");
      show();
    });
    words.after(button);
    new ResizeObserver(show).observe(words);
  }

  /* A box that scrolls says at which side there is more, and takes the keyboard. */
  function watchEdges(box) {
    const look = () => {
      const beyond = box.scrollWidth - box.clientWidth;
      box.classList.toggle("more-left", beyond > 1 && box.scrollLeft > 1);
      box.classList.toggle("more-right", beyond > 1 && box.scrollLeft < beyond - 1);
      const below = box.scrollHeight > box.clientHeight + 1 && box.classList.contains("long");
      if (beyond > 1 || below) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", below ? "scrolls" : "scrolls sideways");
      } else {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    };
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
  }

  /* A link to something inside a folded part unfolds it. */
  function unfoldTarget() {
    const id = decodeURIComponent(location.hash.slice(1));
    let place = id && document.getElementById(id);
    for (; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  }

  /* Films move when they are asked to, and are loaded then: until then their last frame stands there. */
  function addPlay(image) {
    const lasting = image.getAttribute("src"), { film } = image.dataset;
    const button = element("button", {
      type: "button", class: "play", "data-control": "play", "aria-pressed": "false",
    }, "▶ Play");
    button.addEventListener("click", () => {
      const plays = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(plays));
      button.textContent = plays ? "■ Stop" : "▶ Play";
      image.src = plays ? film : lasting;
    });
    image.closest(".still").before(button);
  }

  lossscape.makeSortable = makeSortable;
  addEventListener("DOMContentLoaded", () => {
    addThemeSwitch();
    followContents();
    all("table.sortable").forEach(makeSortable);
    all("figcaption .words").forEach(foldCaption);
    all(".wide").forEach(watchEdges);
    all("img[data-film]").forEach(addPlay);
    addEventListener("hashchange", unfoldTarget);
    unfoldTarget();
  });
})();
