// Light, dark, or as the system has it.
export type Theme = "system" | "light" | "dark";

const NAME = "timberyard.theme";

class ThemeChoice {
  chosen = $state<Theme>(read());
  /** Counts changes of what is seen, for what is painted on canvas. */
  changes = $state(0);

  constructor() {
    this.apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.changes += 1));
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    localStorage.setItem(NAME, theme);
    this.apply();
  }

  private apply(): void {
    if (this.chosen === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.chosen;
    this.changes += 1;
  }
}

function read(): Theme {
  const kept = localStorage.getItem(NAME);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const theme = new ThemeChoice();

/** What a colour of tokens.css comes to now, for canvas. */
export function colour(token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
