// A question to the server that may be asked anew before its answer has come.
import { untrack } from "svelte";
import { type ApiError, asApiError } from "../api/request";

/** What is known of the answer. The last one stays while the next is awaited, and when that fails. */
export class Asked<T> {
  answer = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  isLoading = $state(false);
  private aborter: AbortController | null = null;

  /** Asks, and calls off what was asked before; gives what an effect does to call this off. */
  ask(question: (signal: AbortSignal) => Promise<T>): () => void {
    this.aborter?.abort();
    const aborter = new AbortController();
    this.aborter = aborter;
    // Whoever asks in an effect names what it depends on; it is not asked again for what the question reads.
    untrack(() => void this.wait(question, aborter));
    return () => {
      aborter.abort();
      if (this.aborter === aborter) this.isLoading = false;
    };
  }

  private async wait(question: (signal: AbortSignal) => Promise<T>, aborter: AbortController): Promise<void> {
    this.isLoading = true;
    this.error = null;
    try {
      const answer = await question(aborter.signal);
      if (this.aborter !== aborter || aborter.signal.aborted) return;
      this.answer = answer;
    } catch (thrown) {
      const error = asApiError(thrown);
      if (this.aborter !== aborter || error.isCancelled) return;
      this.error = error;
    }
    this.isLoading = false;
  }
}
