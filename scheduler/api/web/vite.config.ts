import { readFileSync, readdirSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';
import react from '@vitejs/plugin-react';
// @ts-expect-error plain JavaScript, used by the development server only
import { fixture } from './scripts/fixture.mjs';

/** licenses writes the licence of every package in the bundle beside it. */
function licenses(): Plugin {
  return {
    name: 'licenses',
    generateBundle(_options, bundle) {
      const packages = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        for (const id of Object.keys(chunk.modules)) {
          const m = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id);
          if (m) packages.add(m[1]);
        }
      }
      const texts = [...packages].sort().map((name) => {
        const dir = `node_modules/${name}`;
        const { version, license } = JSON.parse(readFileSync(`${dir}/package.json`, 'utf8'));
        const file = readdirSync(dir).sort().find((f) => /^licen[cs]e/i.test(f));
        return `${name} ${version}, ${license}\n\n${file ? readFileSync(`${dir}/${file}`, 'utf8').trim() : 'no licence file is shipped with it'}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source: texts.join('\n' + '-'.repeat(72) + '\n\n') });
    },
  };
}

// File names are fixed, so that a rebuild of the committed folder shows as a
// change of content and not as a change of names. Paths are relative: the
// server sets <base href> to the path it is reached under.
export default defineConfig({
  base: './',
  plugins: [
    react(),
    licenses(),
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
