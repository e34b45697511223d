"use strict";
// Tables marked data-sortable sort by a click on a column's name; the page is complete without.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("right");
      // numbers begin with the largest, names with the first
      const first = numeric ? "descending" : "ascending";
      const second = numeric ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].map((row) => [row.cells[column].dataset.key, row]);
      rows.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === ""); // what has no value comes last
        return sign * (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// Of a drawing with parts one is shown: the one that was clicked, or that is hovered or in focus.
for (const explorer of document.querySelectorAll("[data-explorer]")) {
  const links = [...explorer.querySelectorAll("a.part")];
  const keyOf = (link) => link.getAttribute("href").slice(1);
  const named = () => links.find((link) => "#" + keyOf(link) === location.hash);
  let pinned = named() || links[0];
  const show = (chosen) => {
    for (const link of links) {
      link.classList.toggle("shown", link === chosen);
      link.setAttribute("aria-current", String(link === pinned));
      document.getElementById(keyOf(link)).classList.toggle("shown", link === chosen);
    }
  };
  for (const link of links) {
    link.addEventListener("pointerenter", () => show(link));
    link.addEventListener("pointerleave", () => show(pinned));
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", () => show(pinned));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      pinned = link;
      show(link);
    });
  }
  addEventListener("hashchange", () => { // a link from elsewhere in the page
    if (!named()) return;
    pinned = named();
    show(pinned);
    explorer.scrollIntoView();
  });
  explorer.classList.add("live");
  if (pinned) show(pinned);
}
// what is folded shall be printed, and found by an address
const unfold = () => {
  const target = document.getElementById(location.hash.slice(1));
  const details = target && target.querySelector("details");
  if (details) details.open = true;
};
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
