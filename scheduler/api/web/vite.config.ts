import { defineConfig } from 'vite';
import react from '@vitejs/plugin-react';
// @ts-expect-error plain JavaScript, used by the development server only
import { fixture } from './scripts/fixture.mjs';

// File names are fixed, so that a rebuild of the committed folder shows as a
// change of content and not as a change of names. Paths are relative: the
// server sets <base href> to the path it is reached under.
export default defineConfig({
  base: './',
  plugins: [
    react(),
    {
      name: 'fixture',
      configureServer(server) {
        const answer = fixture();
        server.middlewares.use((req, res, next) => {
          if (!answer(req, res)) next();
        });
      },
    },
  ],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    chunkSizeWarningLimit: 900,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/app.js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/app[extname]',
      },
    },
  },
  test: { environment: 'node', include: ['src/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0]);
