// Where one is: the view and everything it shows, in the fragment of the URL, which browsers send to no server.
// A copied address shows the same to whoever may see it.

export const VIEWS = ["explore", "live", "charts", "patterns", "labels", "saved", "events", "system", "send"] as const;
export type View = (typeof VIEWS)[number];

/** What a view is told; names as in the URL. */
export type Parameters = Record<string, string>;

function read(): { view: View; parameters: Parameters } {
  const fragment = location.hash.replace(/^#\/?/, "");
  const [name = "", query = ""] = fragment.split("?", 2);
  const view = VIEWS.find((known) => known === name) ?? "explore";
  return { view, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

class Route {
  view = $state<View>(read().view);
  parameters = $state.raw<Parameters>(read().parameters);

  constructor() {
    addEventListener("hashchange", () => {
      const now = read();
      this.view = now.view;
      this.parameters = now.parameters;
    });
  }

  /** The address of a view. Empty parameters are left out. */
  address(view: View, parameters: Parameters = {}): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) if (value !== "") query.set(name, value);
    return query.size > 0 ? `#/${view}?${query}` : `#/${view}`;
  }

  /** Goes to a view, as a new step of the browser's history unless `isReplacing`. */
  go(view: View, parameters: Parameters = {}, isReplacing = false): void {
    const address = this.address(view, parameters);
    if (address === location.hash) return;
    if (isReplacing) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    const now = read();
    this.view = now.view;
    this.parameters = now.parameters;
  }

  /** Changes some parameters of this view. */
  set(changed: Parameters, isReplacing = false): void {
    this.go(this.view, { ...this.parameters, ...changed }, isReplacing);
  }
}

export const route = new Route();

// Back and forward also fire popstate alone, when the fragment was written by pushState.
addEventListener("popstate", () => dispatchEvent(new HashChangeEvent("hashchange")));
