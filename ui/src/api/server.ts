// What the server says about itself and about whoever asks.
import { type ServerFacts, type Who, session } from "../state/session.svelte";
import { asApiError, askJson } from "./request";

let loaded: Promise<unknown> = Promise.resolve();

/** Asks who one is; where a key is wanted, the session knows afterwards. */
export function loadFacts(): Promise<unknown> {
  const noteAway = (thrown: unknown) => (session.isServerAway = asApiError(thrown).word === "away");
  const facts = askJson<ServerFacts>("/timberyard/api/v1/about").then((found) => (session.facts = found), noteAway);
  const who = askJson<Who>("/timberyard/api/v1/whoami").then((found) => (session.who = found), noteAway);
  loaded = Promise.all([facts, who]);
  return loaded;
}

/** Waits for the answers that were asked for last. */
export function factsLoaded(): Promise<unknown> {
  return loaded;
}
