/* Before anything is shown: the theme that was chosen on an earlier visit, and that there are scripts. */
"use strict";
document.documentElement.classList.add("scripted");
try {
  const chosen = localStorage.getItem("lossscape-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* a browser that keeps nothing */ }
