// Builds what pages load into ../static: scripts, styles, icons, and manifest.json with the name of each file.
import { build } from "esbuild";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const OUT = "../static";
const ICONS = [
  "activity", "archive", "ban", "bar-chart-3", "check", "chevron-down", "chevron-right", "circle", "circle-check",
  "circle-slash", "circle-x", "clock", "code", "copy", "cpu", "database", "download", "flask-conical", "git-compare",
  "image", "keyboard", "layers", "library", "link", "list", "loader", "log-out", "menu", "moon", "octagon-x", "pencil",
  "play", "plus", "refresh-cw", "rotate-ccw", "save", "search", "settings", "share-2", "square", "star", "sun",
  "trash-2", "triangle-alert", "upload", "user", "x", "zap", "chevrons-up", "chevrons-down", "hourglass", "info",
  "layout-dashboard", "list-filter", "server", "shield", "terminal", "trending-up", "key-round", "bell",
];

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

const built = await build({
  entryPoints: { desk: "js/desk.js", style: "css/desk.css" },
  outdir: OUT,
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome109", "firefox115", "safari16.4"],
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  legalComments: "linked",
  metafile: true,
  logLevel: "warning",
});

const files = {};
for (const [path, output] of Object.entries(built.metafile.outputs)) {
  if (output.entryPoint) files[basename(output.entryPoint)] = basename(path);
}

const icons = {};
for (const name of ICONS) {
  const svg = readFileSync(`node_modules/lucide-static/icons/${name}.svg`, "utf8");
  icons[name] = svg.replace(/<!--.*?-->/gs, "").match(/<svg[^>]*>(.*)<\/svg>/s)[1].replace(/\s*\n\s*/g, "");
}
writeFileSync(`${OUT}/manifest.json`, JSON.stringify({ files, icons }, null, 1));
