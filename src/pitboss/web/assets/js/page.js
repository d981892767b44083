// What all scripts of a page know.
export const root = document.querySelector('meta[name="pitboss-root"]').content;
export const headers = JSON.parse(document.body.getAttribute("hx-headers:inherited") || "{}");

export function say(text) {
  const said = document.createElement("p");
  said.textContent = text;
  document.getElementById("toasts").replaceChildren(said);
  setTimeout(() => said.remove(), 8000);
}
