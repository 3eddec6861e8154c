// A classic script in the head, for what cannot wait for the modules: the theme, before the first paint, and what to
// say when a module does not come.
document.documentElement.dataset.theme = new URLSearchParams(location.search).get("theme") ?? "system";
addEventListener(
  "error",
  ({ target }) => {
    if (target.tagName !== "SCRIPT") return;
    document.getElementById("loading")?.replaceChildren("A part of this page did not arrive. Load the page again.");
  },
  true,
);
