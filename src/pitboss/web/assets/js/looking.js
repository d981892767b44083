// What is heavy is loaded where it is seen: charts and editors.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    import("./charts.js").then((charts) => charts.draw(entry.target));
  }
}, { rootMargin: "200px" });

export function look(within = document) {
  for (const figure of within.querySelectorAll("[data-chart]:not([data-drawn])")) {
    figure.dataset.drawn = "";
    seen.observe(figure);
  }
  const live = [...within.querySelectorAll("[data-live]")];
  if (live.length) import("./lines.js").then((lines) => live.forEach(lines.follow));
  if (within.querySelector("[data-editor]:not([data-edited])")) import("./editor.js").then((editor) => editor.start(within));
}

export function startLooking() {
  look();
  for (const change of ["pitboss:changed", "pitboss:part"]) document.addEventListener(change, () => look());
}
