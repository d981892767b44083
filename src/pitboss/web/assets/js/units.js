// Values as people read them, and the colours of the page for what draws by itself.
export function shown(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const fixed = (number, most, least = most) => number.toLocaleString("en-US", { maximumFractionDigits: most, minimumFractionDigits: least });
  if (unit === "percent") return `${fixed(100 * value, 2)} %`;
  if (unit === "money" || unit === "ratio") return fixed(value, 2);
  if (unit === "count") return fixed(value, 0);
  if (unit === "price") return fixed(value, Math.abs(value) < 10 ? 5 : Math.abs(value) < 1000 ? 3 : 2, Math.abs(value) < 10 ? 4 : 2);
  return fixed(value, 4, 0);
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => resolved(style.getPropertyValue(`--${name}`).trim());
  return {
    accent: of("accent"), muted: of("muted"), text: of("text"), line: of("line"), good: of("good"), bad: of("bad"), badSoft: of("bad-soft"),
    surface: of("surface"), series: [1, 2, 3, 4, 5, 6].map((at) => of(`series-${at}`)),
  };
}

// light-dark() and the like, as a colour that a canvas understands
function resolved(text) {
  const probe = document.createElement("span");
  probe.style.color = text;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
