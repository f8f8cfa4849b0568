// Whether somebody looks at this tab. A browser keeps six connections to a server, for all of its tabs together: one that
// was out of sight for long lets go of its stream, so that the others can be heard.

const REST_MS = 300_000;

/** Tells of "rest" when the tab was out of sight for long, and of "wake" when it is looked at again. */
export class Sight extends EventTarget {
  isResting = false;
  #timer = 0;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** Resolves as soon as the tab does not rest. */
  async awake() {
    if (this.isResting) await new Promise((resolve) => this.addEventListener("wake", resolve, { once: true }));
  }

  #look() {
    clearTimeout(this.#timer);
    if (document.hidden) this.#timer = setTimeout(() => this.#turn(true), REST_MS);
    else if (this.isResting) this.#turn(false);
  }

  #turn(isResting) {
    this.isResting = isResting;
    this.dispatchEvent(new Event(isResting ? "rest" : "wake"));
  }
}
