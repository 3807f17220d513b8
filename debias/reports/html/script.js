"use strict";
// Tables sort and filter, pictures open large, legends hide lines and bars. All facts are on the
// page without this script, so it adds every control itself. It sets no HTML from text.
(() => {
  const FILTERED = 6; // tables with fewer rows have no filter
  const NUMBER = /^[+−-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?(?=$|\s)/i;
  const every = (selector, within = document) => [...within.querySelectorAll(selector)];

  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // ---- tables ----
  const words = (row, column) => (row.cells[column]?.textContent ?? "").trim();
  const empty = (text) => ["", "-", "–"].includes(text);
  const number = (text) => {
    const found = NUMBER.exec(text);
    return found ? Number(found[0].replace("−", "-").replaceAll(",", "")) : NaN;
  };

  // Puts the rows into the order of a column; empty cells are always last.
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [words(row, column), row]);
    const numeric = keyed.every(([text]) => empty(text) || !Number.isNaN(number(text)));
    const compare = (a, b) => numeric ? number(a) - number(b) : a.localeCompare(b, undefined, { numeric: true });
    keyed.sort(([a], [b]) => empty(a) || empty(b) ? empty(a) - empty(b) : (down ? compare(b, a) : compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
  };

  const addSorting = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", class: "sort" }, ...head.childNodes);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : head.classList.contains("number");
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
      head.append(button);
    });
  };

  const addFilter = (table, title) => {
    const rows = [...table.tBodies[0].rows];
    const texts = rows.map((row) => `${row.textContent} ${row.dataset.search ?? ""}`.toLowerCase());
    const input = make("input", { type: "search", placeholder: title, "aria-label": title });
    const count = make("output", { class: "quiet small" });
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/);
      rows.forEach((row, place) => { row.hidden = !wanted.every((word) => texts[place].includes(word)); });
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
    });
    (table.closest(".scroll") ?? table).before(make("p", { class: "filter" }, input, " ", count));
  };

  for (const table of every("table")) {
    const rows = table.tBodies[0].rows.length;
    if (rows > 1) addSorting(table);
    const search = table.dataset.search;
    if (rows >= FILTERED || (search && rows)) addFilter(table, search ?? "Filter the rows");
  }

  // ---- pictures and charts that open large ----
  const views = every("figure img, figure .chart");
  if (views.length) {
    const shown = make("div", { class: "shown" });
    const caption = make("p", { class: "small" });
    const step = (text, label) => make("button", { type: "button", "aria-label": label }, text);
    const [previous, next, close] = [step("‹", "previous"), step("›", "next"), step("×", "close")];
    const dialog = make("dialog", { class: "large", "aria-label": "Large view" }, close, shown, caption,
      make("p", { class: "steps" }, previous, next));
    document.body.append(dialog);
    let current = views[0];
    const open = (view) => {
      current = view;
      const figure = view.closest("figure");
      shown.replaceChildren(view.cloneNode(true));
      const text = figure.querySelector("figcaption") ?? figure.querySelector("h3, h4");
      caption.replaceChildren(...(text ? text.cloneNode(true).childNodes : []));
      if (!dialog.open) dialog.showModal();
    };
    const turn = (by) => {
      const visible = views.filter((view) => view.checkVisibility?.() ?? true);
      open(visible[(visible.indexOf(current) + by + visible.length) % visible.length]);
    };
    previous.addEventListener("click", () => turn(-1));
    next.addEventListener("click", () => turn(1));
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") turn(-1);
      if (event.key === "ArrowRight") turn(1);
    });
    for (const view of views) {
      const button = make("button", { type: "button", class: "enlarge", title: "Enlarge" });
      view.replaceWith(button);
      button.append(view);
      button.addEventListener("click", () => open(view));
    }
  }

  // ---- legends that hide the lines and bars of a series ----
  for (const legend of every("ul.series")) {
    const buttons = [...legend.children].map((entry) => {
      const button = make("button", { type: "button", "aria-pressed": "true", title: "Hide or show" }, ...entry.childNodes);
      button.dataset.of = entry.dataset.of;
      entry.append(button);
      return button;
    });
    const shown = (button) => button.getAttribute("aria-pressed") === "true";
    const show = (button, on) => {
      button.setAttribute("aria-pressed", String(on));
      for (const part of every(`[data-series="${button.dataset.of}"]`, legend.closest("section"))) {
        part.style.display = on ? "" : "none";
      }
    };
    for (const button of buttons) button.addEventListener("click", () => show(button, !shown(button)));
    const all = make("button", { type: "button", class: "quiet" }, "all or none");
    all.addEventListener("click", () => {
      const on = !buttons.every(shown);
      for (const button of buttons) show(button, on);
    });
    if (buttons.length > 2) legend.append(make("li", {}, all));
  }
})();
