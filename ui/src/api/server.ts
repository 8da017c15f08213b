// What the server says about itself and about whoever asks.
import { type ServerFacts, type Who, session } from "../state/session.svelte";
import { asApiError, askJson } from "./request";

/** Asks who one is; where a key is wanted, the session knows afterwards. */
export async function loadFacts(): Promise<void> {
  try {
    session.facts = await askJson<ServerFacts>("/timberyard/api/v1/about");
    session.who = await askJson<Who>("/timberyard/api/v1/whoami");
  } catch (thrown) {
    const error = asApiError(thrown);
    session.isServerAway = error.word === "away";
  }
}
