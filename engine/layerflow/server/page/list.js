// The list of jobs: a grid of which only the rows in sight are there, so that thousands cost no more than a screenful.

import { framesOf, nameOf, shareOf, stageOf, subtitleOf, timeOf } from "./words.js";

const SPARE = 6; // rows above and below those in sight

export class List {
  #grid;
  #rows;
  #template = document.getElementById("row");
  #jobs = [];
  #drawn = new Map(); // id -> row
  #selected = null;
  #onSelect;
  #onOpen;

  /** `onSelect` gets the id of the job that the artist chose, `onOpen` tells that Enter was pressed on it. */
  constructor(grid, { onSelect, onOpen }) {
    this.#grid = grid;
    this.#rows = grid.querySelector(".rows");
    this.#onSelect = onSelect;
    this.#onOpen = onOpen;
    grid.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(grid);
    this.#rows.addEventListener("click", (event) => this.#click(event));
    grid.addEventListener("keydown", (event) => this.#key(event));
    grid.setAttribute("aria-colcount", "6");
  }

  /** Shows these jobs, with the one whose id is `selected` marked. */
  show(jobs, selected) {
    this.#jobs = jobs;
    this.#selected = selected;
    this.#grid.setAttribute("aria-rowcount", String(jobs.length + 1));
    this.draw();
  }

  /** Draws the rows that are in sight now. */
  draw() {
    const height = this.#rowHeight();
    this.#rows.style.height = `${height * this.#jobs.length}px`;
    const { scrollTop, clientHeight } = this.#grid;
    const first = Math.max(Math.floor(scrollTop / height) - SPARE, 0);
    const last = Math.ceil((scrollTop + clientHeight) / height) + SPARE;
    const drawn = new Map();
    this.#jobs.slice(first, last).forEach((job, place) => {
      const row = this.#drawn.get(job.id) ?? this.#make(job);
      this.#fill(row, job, first + place, height);
      drawn.set(job.id, row);
    });
    this.#put([...drawn.values()]);
    this.#drawn = drawn;
    const active = drawn.get(this.#selected);
    if (active) this.#grid.setAttribute("aria-activedescendant", active.id);
    else this.#grid.removeAttribute("aria-activedescendant");
  }

  #rowHeight() {
    return parseFloat(getComputedStyle(this.#grid).getPropertyValue("--row"));
  }

  #put(rows) {
    const now = this.#rows.children;
    const isSame = rows.length === now.length && rows.every((row, place) => row === now[place]);
    if (!isSame) this.#rows.replaceChildren(...rows);
  }

  #make(job) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    row.id = `job-${job.id}`;
    row.dataset.job = job.id;
    return row;
  }

  #fill(row, job, place, height) {
    const { state, name, progress, frames, device, time } = cellsOf(row);
    row.style.transform = `translateY(${place * height}px)`;
    row.dataset.state = job.state;
    row.setAttribute("aria-rowindex", String(place + 2));
    row.setAttribute("aria-selected", String(job.id === this.#selected));
    say(state, job.state);
    say(name.firstChild, nameOf(job));
    name.title = nameOf(job);
    say(name.lastChild, subtitleOf(job));
    say(progress.firstChild, stageOf(job));
    progress.title = stageOf(job);
    fillBar(progress.lastChild, job);
    say(frames, framesOf(job));
    say(device, job.device ?? "");
    say(time, timeOf(job, Date.now() / 1000));
  }

  #click(event) {
    const row = event.target.closest("[data-job]");
    if (!row) return;
    this.#onSelect(row.dataset.job);
    this.#onOpen();
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== this.#grid) return;
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -this.#screenful(), PageDown: this.#screenful(),
      Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && this.#selected) this.#onOpen();
    else if (event.key in steps) this.#step(steps[event.key]);
    else return;
    event.preventDefault();
  }

  #step(by) {
    if (!this.#jobs.length) return;
    const here = this.#jobs.findIndex((job) => job.id === this.#selected);
    const from = here < 0 && by < 0 ? this.#jobs.length : here;
    const place = Math.min(Math.max(from + by, 0), this.#jobs.length - 1);
    this.#reveal(place);
    this.#onSelect(this.#jobs[place].id);
  }

  #screenful() {
    return Math.max(Math.floor(this.#grid.clientHeight / this.#rowHeight()) - 2, 1);
  }

  #reveal(place) {
    const height = this.#rowHeight();
    const room = this.#grid.clientHeight - this.#grid.firstElementChild.offsetHeight;
    const top = place * height;
    if (top < this.#grid.scrollTop) this.#grid.scrollTop = top;
    if (top + height > this.#grid.scrollTop + room) this.#grid.scrollTop = top + height - room;
  }
}

/** Puts plain text there, unless it is there already: what is selected or read out stays so. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows on a bar how far a job is. */
export function fillBar(bar, job) {
  const share = shareOf(job);
  bar.hidden = share === 0 && job.state !== "running";
  if (share === null) bar.removeAttribute("value");
  else if (bar.value !== share || !bar.hasAttribute("value")) bar.value = share;
}

function cellsOf(row) {
  return Object.fromEntries([...row.children].map((cell) => [cell.className, cell]));
}
