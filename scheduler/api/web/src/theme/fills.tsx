// What a fill key is drawn with. Normal uses have a colour, abnormal states a
// pattern: colour never stands alone.
const patterned: Record<string, string> = {
  draining: 'url(#p-drain)', probation: 'url(#p-prob)', quarantined: 'url(#p-quar)', unknown: 'url(#p-unk)', foreign: 'url(#p-for)', offline: 'url(#p-off)',
};

export function fill(key: string): string {
  if (patterned[key]) return patterned[key];
  if (key.startsWith('scale:')) {
    const [, hue, step] = key.split(':');
    return `color-mix(in srgb, var(--${hue}) ${step}%, var(--surface))`;
  }
  return `var(--u-${key})`;
}

export const isPattern = (key: string) => key in patterned;

/** Patterns lies once in the page; every chart refers to it. */
export function Patterns() {
  const bg = { fill: 'var(--pat-bg)' };
  const fg = { fill: 'var(--pat)' };
  const stroke = (w: number) => ({ stroke: 'var(--pat)', strokeWidth: w, fill: 'none' });
  const turned = { patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' } as const;
  return (
    <svg width="0" height="0" style={{ position: 'absolute' }} aria-hidden="true">
      <defs>
        <pattern id="p-drain" width="5" height="5" {...turned}><rect width="5" height="5" style={bg} /><rect width="2.2" height="5" style={fg} /></pattern>
        <pattern id="p-prob" width="4" height="4" patternUnits="userSpaceOnUse"><rect width="4" height="4" style={bg} /><circle cx="2" cy="2" r="1.05" style={fg} /></pattern>
        <pattern id="p-quar" width="4" height="4" {...turned}><rect width="4" height="4" style={fg} /><path d="M0 0H4M0 0V4" style={{ stroke: 'var(--pat-bg)', strokeWidth: 1.5 }} /></pattern>
        <pattern id="p-unk" width="8" height="6" patternUnits="userSpaceOnUse"><rect width="8" height="6" style={{ fill: 'var(--u-void)' }} /><rect y="2.4" width="5" height="1.3" style={fg} /></pattern>
        <pattern id="p-for" width="8" height="6" patternUnits="userSpaceOnUse"><rect width="8" height="6" style={{ fill: 'var(--u-void)' }} /><circle cx="4" cy="3" r="1.8" style={stroke(1)} /></pattern>
        <pattern id="p-off" width="9" height="6" patternUnits="userSpaceOnUse"><rect width="9" height="6" style={{ fill: 'var(--u-void)' }} /><path d="M0 .5H9M0 5.5H9" style={{ stroke: 'var(--line-2)', strokeWidth: 1 }} /></pattern>
        <pattern id="p-plan" width="6" height="6" {...turned}><rect width="6" height="6" style={{ fill: 'var(--surface)', opacity: 0.42 }} /><rect width="1.6" height="6" style={{ fill: 'var(--surface)', opacity: 0.75 }} /></pattern>
      </defs>
    </svg>
  );
}

/** Swatch is the small square before a word. */
export function Swatch({ k, size = 11, planned }: { k: string; size?: number; planned?: boolean }) {
  const outlined = k === 'park' || k === 'offline' || k === 'unknown' || k === 'foreign' || k === 'probation';
  const shape = { x: 0.5, y: 0.5, width: size - 1, height: size - 1, rx: 2 };
  return (
    <svg className="sw" width={size} height={size} viewBox={`0 0 ${size} ${size}`} aria-hidden="true" style={{ width: size, height: size }}>
      <rect {...shape} style={{ fill: k === 'offline' ? 'var(--u-void)' : fill(k) }} stroke={outlined ? 'var(--line-2)' : 'none'} />
      {planned && <rect {...shape} fill="url(#p-plan)" />}
    </svg>
  );
}
