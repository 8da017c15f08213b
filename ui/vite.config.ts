// Builds into dist/page, which the server embeds (crates/server/build.rs). In development, `npm run dev` hands
// everything that is not the page to the server at TIMBERYARD_URL, http://127.0.0.1:8080 when it is not set.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const target = process.env.TIMBERYARD_URL ?? "http://127.0.0.1:8080";
// The server takes changes and WebSockets from its own pages only.
const server = { target, ws: true, changeOrigin: true, headers: { origin: target } };

export default defineConfig({
  base: "/ui/",
  plugins: [svelte()],
  build: {
    outDir: "dist/page",
    emptyOutDir: true,
    target: "es2022",
    // The policy of the page allows no data: URLs but for pictures, and no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: Object.fromEntries(
      ["/loki", "/timberyard", "/health", "/metrics", "/ticket", "/admin", "/api", "/auth", "/config", "/retention", "/v1"].map(
        (path) => [path, server],
      ),
    ),
  },
});
