// A classic script in the head: the theme must be known before the first paint.
document.documentElement.dataset.theme = new URLSearchParams(location.search).get("theme") ?? "system";
