// Views that are fetched when somebody goes there.
import type { Component } from "svelte";
import type { View } from "../state/route.svelte";

type Loaded = Promise<{ default: Component }>;

export const otherViews: Record<Exclude<View, "explore">, () => Loaded> = {
  live: () => import("./live/LiveView.svelte"),
  charts: () => import("./charts/ChartsView.svelte"),
  patterns: () => import("./patterns/PatternsView.svelte"),
  labels: () => import("./labels/LabelsView.svelte"),
  saved: () => import("./saved/SavedView.svelte"),
  events: () => import("./events/EventsView.svelte"),
  system: () => import("./system/SystemView.svelte"),
  send: () => import("./send/SendView.svelte"),
};
