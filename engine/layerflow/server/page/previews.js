// How the layers of one running job look so far.

import { Lost, Refused } from "./server.js";

const LAYERS = ["blended", "foreground", "background", "alpha"];
const EVERY_MS = 500;
const SELDOM_MS = 2000; // while there is nothing to see, or nobody answers

export class Previews {
  #section;
  #figures;
  #server = null;
  #job = null;
  #etags = {};

  constructor(section) {
    this.#section = section;
    const template = document.getElementById("layer");
    this.#figures = LAYERS.map((layer) => {
      const figure = template.content.firstElementChild.cloneNode(true);
      figure.dataset.layer = layer;
      const button = figure.querySelector("button");
      button.setAttribute("aria-label", `${layer} so far, as large as there is room`);
      button.addEventListener("click", () => button.ariaPressed = String(button.ariaPressed !== "true"));
      figure.querySelector("figcaption").textContent = layer;
      return figure;
    });
    section.querySelector("[data-layers]").append(...this.#figures);
  }

  /** Looks at this job, as often as it may change, until another one is given; at none with null. */
  watch(server, job) {
    const same = this.#job?.id === job?.id && this.#server === server;
    const starts = job && (!same || (job.state === "running" && this.#job.state !== "running"));
    [this.#server, this.#job] = [server, job];
    if (!same) this.#clear();
    if (starts) this.#look(server, job.id);
  }

  #clear() {
    this.#etags = {};
    this.#section.hidden = true;
    for (const figure of this.#figures) figure.hidden = true;
  }

  async #look(server, id) {
    for (;;) {
      const seen = document.hidden ? 0 : await this.#round(server, id);
      if (!this.#isWatching(server, id) || this.#job.state !== "running") return;
      await new Promise((resolve) => setTimeout(resolve, seen ? EVERY_MS : SELDOM_MS));
      if (!this.#isWatching(server, id)) return;
    }
  }

  #isWatching(server, id) {
    return this.#server === server && this.#job?.id === id;
  }

  /** Asks for every layer once; how many there are. */
  async #round(server, id) {
    const seen = await Promise.all(this.#figures.map((figure) => this.#ask(server, id, figure)));
    return seen.filter(Boolean).length;
  }

  async #ask(server, id, figure) {
    const { layer } = figure.dataset;
    try {
      const preview = await server.preview(id, layer, this.#etags[layer]);
      if (preview === null) return true;
      const picture = await createImageBitmap(preview.image);
      if (this.#isWatching(server, id)) this.#draw(figure, picture, preview.etag);
      return true;
    } catch (error) {
      if (![Lost, Refused, DOMException].some((kind) => error instanceof kind)) reportError(error);
      return false;
    }
  }

  #draw(figure, picture, etag) {
    const canvas = figure.querySelector("canvas");
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    this.#etags[figure.dataset.layer] = etag;
    figure.hidden = this.#section.hidden = false;
  }
}
