// Who looks: key and tenant. The key lives in memory, or in this tab's session storage if its owner says so; never in a URL.

const KEY = "timberyard.key";
const TENANT = "timberyard.tenant";

/** What the server tells everybody about itself. */
export interface ServerFacts {
  version: string;
  authentication: boolean;
  login: boolean;
}

/** What the server says about whoever asks. */
export interface Who {
  tenant: string;
  client: string | null;
  scopes: string[];
}

class Session {
  key = $state(sessionStorage.getItem(KEY) ?? "");
  tenant = $state(sessionStorage.getItem(TENANT) ?? "");
  /** The server asks for a key, or for another one. */
  isKeyWanted = $state(false);
  /** No answer came to the last question. */
  isServerAway = $state(false);
  facts = $state<ServerFacts | null>(null);
  who = $state<Who | null>(null);

  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (this.key) headers["x-api-key"] = this.key;
    if (this.tenant) headers["x-scope-orgid"] = this.tenant;
    return headers;
  }

  signIn(key: string, isKept: boolean): void {
    this.key = key;
    this.isKeyWanted = false;
    if (isKept) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  }

  signOut(): void {
    this.key = "";
    this.who = null;
    sessionStorage.removeItem(KEY);
    this.isKeyWanted = this.facts?.authentication ?? false;
  }

  chooseTenant(tenant: string): void {
    this.tenant = tenant.trim();
    sessionStorage.setItem(TENANT, this.tenant);
  }

  noteAnswer(status: number): void {
    this.isServerAway = false;
    if (status === 401) this.isKeyWanted = true;
  }

  has(scope: string): boolean {
    return this.who === null || this.who.scopes.includes(scope);
  }
}

export const session = new Session();
