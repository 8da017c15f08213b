// Searches saved on the server for everybody who reads the tenant.
import { ask, askJson } from "./request";

export interface SavedSearch {
  id: string;
  name: string;
  /** The fragment of the page's address, from its `/` on. */
  place: string;
  created_at: string;
  created_by: string | null;
}

const PATH = "/timberyard/api/v1/searches";

export async function savedSearches(): Promise<SavedSearch[]> {
  return (await askJson<{ searches: SavedSearch[] }>(PATH)).searches;
}

export async function saveSearch(name: string, place: string): Promise<SavedSearch> {
  return (await askJson<{ search: SavedSearch }>(PATH, { method: "POST", json: { name, place } })).search;
}

export async function removeSearch(id: string): Promise<void> {
  await ask(`${PATH}/${encodeURIComponent(id)}`, { method: "DELETE" });
}
